"""Paging gives every row once, in order, whatever happens between two pages."""

import json

import pytest

from pipelines.demo.simulator import LOG_TYPES, OLD_LOG_TYPES
from pipelines.demo.simulator.store import ID_FIELDS

DAY_MS = 86_400_000


def ids_of(pages, log_type="auth"):
    return [row[ID_FIELDS[log_type]] for page in pages for row in page]


@pytest.mark.parametrize("log_type", LOG_TYPES)
def test_every_log_pages_to_its_end(duo, ask, log_type, now_ms):
    duo.add_backlog(log_type, 450, now_ms - 3_600_000, now_ms - 1000)
    pages = list(ask.pages(log_type, limit=200))
    assert [len(page) for page in pages] == [200, 200, 50]
    assert ids_of(pages, log_type) == duo.produced_ids(log_type)


def test_cursors_have_the_shape_of_their_log(duo, ask):
    for log_type in LOG_TYPES:
        duo.add(log_type, 2)
    first = {log_type: duo.produced_ids(log_type)[0] for log_type in LOG_TYPES}
    cursors = {log_type: ask.page(log_type, limit=1)["metadata"]["next_offset"] for log_type in LOG_TYPES}
    assert isinstance(cursors["auth"], list)
    assert [len(cursors["auth"][0]), cursors["auth"][1]] == [13, first["auth"]]
    for log_type in ("activity", "telephony", "trustmonitor"):
        assert cursors[log_type].split(",")[1] == first[log_type]


def test_the_last_page_says_null_for_auth_and_nothing_for_the_others(duo, ask):
    for log_type in LOG_TYPES:
        duo.add(log_type, 2)
    assert ask.page("auth")["metadata"] == {"next_offset": None, "total_objects": 2}
    assert ask.page("activity")["metadata"] == {"total_objects": 2}
    assert ask.page("trustmonitor")["metadata"] == {}


def test_a_full_last_page_has_no_cursor(duo, ask):
    duo.add("auth", 10)
    assert ask.page(limit=10)["metadata"]["next_offset"] is None


def test_a_cursor_on_the_last_page_can_be_had_and_leads_to_an_empty_page(duo, ask):
    duo.cursor_on_last_page = True
    duo.add("activity", 3)
    assert [len(page) for page in ask.pages("activity", limit=2)] == [2, 1, 0]


def test_three_thousand_rows_of_one_millisecond_are_paged_without_loss_or_repeat(duo, ask, now_ms):
    ids = duo.add("auth", 3000, at_ms=now_ms - 5000)
    pages = list(ask.pages(limit=700, mintime=now_ms - 5000, maxtime=now_ms - 4999))
    assert [len(page) for page in pages] == [700, 700, 700, 700, 200]
    assert ids_of(pages) == ids


def test_the_comma_form_and_the_repeated_parameter_mean_the_same(duo, ask, now_ms):
    duo.add("auth", 10, at_ms=now_ms - 5000)
    cursor = ask.page(limit=4)["metadata"]["next_offset"]
    assert ask.page(next_offset=cursor) == ask.page(next_offset=",".join(cursor)) == ask.page(next_offset=cursor[::-1])


def test_rows_that_arrive_while_paging_are_served_behind_and_shift_nothing(duo, ask, now_ms):
    before = duo.add("auth", 30, at_ms=now_ms - 60_000, spread_ms=29)
    seen = []
    for number, page in enumerate(ask.pages(limit=10)):
        seen += ids_of([page])
        if number == 0:
            duo.add("auth", 5, at_ms=now_ms - 60_000)  # late: behind the cursor, in the past of this reader
            ahead = duo.add("auth", 5, at_ms=now_ms - 59_990)  # late, but still ahead of the cursor
    assert set(seen) == {*before, *ahead}
    assert len(seen) == len(set(seen))
    assert seen == [event_id for event_id in duo.produced_ids("auth") if event_id in seen]


def test_a_row_that_arrives_in_the_cursors_own_millisecond_comes_after_it(duo, ask, now_ms):
    third = duo.add("auth", 3, at_ms=now_ms - 5000)[2]
    later = duo.add("auth", 1, at_ms=now_ms - 4000)
    cursor = ask.page(limit=2)["metadata"]["next_offset"]
    late = duo.add("auth", 2, at_ms=now_ms - 5000)
    assert ids_of([ask.page(next_offset=cursor)["authlogs"]]) == [third, *late, *later]


def test_many_late_rows_at_once_keep_the_order_of_arrival_within_a_millisecond(duo, ask, now_ms):
    first = duo.add("auth", 5, at_ms=now_ms - 5000)
    duo.add("auth", 5, at_ms=now_ms - 1000)
    late = duo.add("auth", 2000, at_ms=now_ms - 5000)
    assert duo.produced_ids("auth")[:2005] == first + late
    assert ids_of(ask.pages(limit=1000)) == duo.produced_ids("auth")


def test_newest_first_is_the_default_and_pages_to_the_oldest(duo, ask, now_ms):
    duo.add("activity", 25, at_ms=now_ms - 5000, spread_ms=24)
    found = ids_of(ask.pages("activity", sort=None, limit=10), "activity")
    assert found == duo.produced_ids("activity")[::-1]


def test_both_ends_of_the_window_are_in_it(duo, ask, now_ms):
    duo.add("auth", 5, at_ms=now_ms - 10_000, spread_ms=4)
    found = ids_of([ask.page(mintime=now_ms - 9999, maxtime=now_ms - 9997)["authlogs"]])
    assert found == duo.produced_ids("auth")[1:4]


def test_rows_younger_than_the_delay_are_withheld(duo, ask, now_ms):
    duo.delay_secs = 120
    old = duo.add("auth", 1, at_ms=now_ms - 125_000)
    duo.add("auth", 1, at_ms=now_ms - 100_000)
    assert ids_of([ask.page()["authlogs"]]) == old
    duo.delay_secs = 0
    assert len(ask.page()["authlogs"]) == 2


def test_a_hundred_rows_is_the_default_page(duo, ask):
    duo.add("auth", 101)
    assert len(ask.page()["authlogs"]) == 100


def test_the_cursor_of_another_log_or_of_nothing_is_refused(duo, ask):
    duo.add("auth", 2)
    auth_id = duo.produced_ids("auth")[0]
    for cursor in (f"1700000000123,{auth_id}", "1700000000123", f"17,{duo.add('activity')[0]}", "x,y", ["1", "2", "3"]):
        status, body = ask.error("activity", next_offset=cursor)
        assert (status, body["code"], body["message_detail"]) == (400, 40002, "next_offset")


@pytest.mark.parametrize(
    ("params", "code", "detail"),
    [
        ({"mintime": None}, 40001, "mintime"),
        ({"mintime": 1_700_000_000}, 40002, "mintime must be a timestamp in milliseconds"),
        ({"mintime": 0}, 40002, "mintime must be within the last 180 days"),
        ({"mintime": "now-180d"}, 40002, "mintime"),
        ({"limit": 1001}, 40002, "limit must be between 1 and 1000"),
        ({"limit": 0}, 40002, "limit must be between 1 and 1000"),
        ({"sort": "asc"}, 40002, "sort must be ts:asc or ts:desc"),
    ],
)
def test_bad_parameters_are_refused_with_the_reason(duo, ask, params, code, detail):
    status, body = ask.error(**params)
    assert (status, body["code"], body["message_detail"]) == (400, code, detail)


def test_an_empty_window_and_one_that_is_older_than_180_days_are_refused(duo, ask, now_ms):
    assert ask.error(mintime=now_ms, maxtime=now_ms)[1]["message_detail"] == "mintime must be less than maxtime"
    _, body = ask.error(mintime=now_ms - 180 * DAY_MS - 1000, maxtime=now_ms)
    assert body["message_detail"] == "mintime must be within the last 180 days"
    assert ask.page(mintime=now_ms - 180 * DAY_MS + 60_000, maxtime=now_ms)["authlogs"] == []


def test_trust_monitor_pages_are_at_most_200(duo, ask):
    duo.add("trustmonitor", 201)
    assert len(ask.page("trustmonitor", limit=200)["events"]) == 200
    assert ask.error("trustmonitor", limit=201)[0] == 400


def test_given_rows_are_served_byte_for_byte_at_their_own_time(duo, ask, now_ms):
    row = b'{"txid": "5bea1c1e-612c-4f1d-b310-75fd31385b15", "isotimestamp":"%s", "odd":[1.50]}'
    duo.add("auth", [row.replace(b"%s", b"2023-11-14T22:13:20.123999+00:00")], at_ms=now_ms - 3)
    assert duo.produced_rows("auth")[0].endswith(b'"odd":[1.50]}')
    duo.add("auth", 1, at_ms=now_ms - 2)
    answer = ask.page(limit=1)
    assert answer["metadata"]["next_offset"] == [str(now_ms - 3), "5bea1c1e-612c-4f1d-b310-75fd31385b15"]
    assert ids_of([ask.page(next_offset=answer["metadata"]["next_offset"])["authlogs"]]) == duo.produced_ids("auth")[1:]


def test_the_time_of_a_given_row_is_cut_to_milliseconds(duo):
    duo.add("auth", [{"txid": "a-1", "isotimestamp": "2023-11-14T22:13:20.123999+00:00"}])
    duo.add("auth", [{"txid": "a-2", "isotimestamp": "2023-11-14T22:13:20+00:00"}])
    assert list(duo.accounts.log("auth")._times) == [1_700_000_000_000, 1_700_000_000_123]


class TestOldLogs:
    """API v1: mintime in seconds, inclusive; the earliest 1000 rows; a bare list."""

    def rows(self, ask, log_type="admin", **params):
        path = {"admin": "administrator"}.get(log_type, log_type)
        return ask.client.json_api_call("GET", f"/admin/v1/logs/{path}", {k: str(v) for k, v in params.items()})

    def test_the_earliest_thousand_rows_come_in_a_bare_list(self, duo, ask, now_ms):
        duo.add_backlog("admin", 1_500, now_ms - 3_600_000, now_ms - 1_000)
        rows = self.rows(ask)

        assert isinstance(rows, list)
        assert rows == [json.loads(row) for row in duo.produced_rows("admin")[:1_000]]

    def test_mintime_is_a_second_that_belongs_to_the_answer(self, duo, ask, now_ms):
        second = now_ms // 1000 - 60
        duo.add("admin", 1, at_ms=second * 1000 - 1)
        duo.add("admin", 2, at_ms=second * 1000 + 700)

        assert [row["timestamp"] for row in self.rows(ask, mintime=second)] == [second, second]
        assert len(self.rows(ask, mintime=second - 1)) == 3
        assert self.rows(ask, mintime=second + 1) == []

    def test_limit_maxtime_and_cursor_mean_nothing(self, duo, ask, now_ms):
        duo.add("admin", 3, at_ms=now_ms - 60_000)

        assert len(self.rows(ask, mintime=0, maxtime=1, limit=1, next_offset="x")) == 3

    def test_only_the_offline_log_withholds_the_newest_rows(self, duo, ask, now_ms):
        duo.delay_secs = 120
        for log_type in OLD_LOG_TYPES:
            duo.add(log_type, 1, at_ms=now_ms - 125_000)
            duo.add(log_type, 1, at_ms=now_ms - 100_000)

        assert (len(self.rows(ask)), len(self.rows(ask, "offline_enrollment"))) == (2, 1)

    def test_rows_that_are_alike_in_one_second_are_all_given(self, duo, ask, now_ms):
        alike = {"timestamp": now_ms // 1000 - 60, "username": "API", "action": "user_update", "object": None}
        duo.add("admin", [alike, alike])

        assert self.rows(ask) == [alike, alike]

    def test_a_mintime_that_is_no_number_is_refused(self, duo, ask):
        with pytest.raises(RuntimeError) as caught:
            self.rows(ask, mintime="today")

        assert caught.value.data["message_detail"] == "mintime"
