"""The rules of windows and pages, with values only."""

import json
from datetime import datetime, timezone

import pytest

from transforms.duo.cursor import MAX_REMEMBERED_ROWS, Cursor
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.paging import (
    DAY_MS,
    RETENTION_MS,
    Answer,
    Call,
    Wait,
    after_answer,
    days_out_of_reach,
    first_cursor,
    next_call,
    restart_window,
)
from transforms.settings import Reading

ACTIVITY = LOG_TYPES["activity"]
TRUST = LOG_TYPES["trustmonitor"]
NOW_MS = 1_790_000_000_000
READING = Reading(poll_interval_secs=120, lag_secs=120)


def row(time_ms: int, event_id: str) -> bytes:
    moment = datetime.fromtimestamp(time_ms / 1000, tz=timezone.utc).isoformat(timespec="milliseconds")
    return json.dumps({"activity_id": event_id, "ts": moment}).encode()


def trust_row(time_ms: int, event_id: str) -> bytes:
    return json.dumps({"sekey": event_id, "surfaced_timestamp": time_ms, "state": "new"}).encode()


class TestOpeningWindows:
    def test_the_first_window_reaches_from_the_look_back_to_the_lag(self):
        call = next_call(first_cursor(NOW_MS, 10), NOW_MS, READING)

        assert call == Call(NOW_MS - 10 * DAY_MS, NOW_MS - 120_000)

    def test_a_look_back_of_180_days_keeps_a_margin_to_what_duo_refuses(self):
        call = next_call(first_cursor(NOW_MS, 180), NOW_MS + 5 * 60_000, READING)

        assert isinstance(call, Call)
        assert NOW_MS + 5 * 60_000 - call.mintime_ms <= RETENTION_MS < 180 * DAY_MS

    def test_a_caught_up_stream_waits_one_poll_interval_after_its_last_window(self):
        cursor = Cursor(mintime_ms=NOW_MS - 120_000)

        assert next_call(cursor, NOW_MS, READING) == Wait(120.0)
        assert next_call(cursor, NOW_MS + 119_999, READING) == Wait(0.001)
        assert next_call(cursor, NOW_MS + 120_000, READING) == Call(NOW_MS - 120_000, NOW_MS)

    def test_a_stream_that_is_behind_does_not_wait(self):
        cursor = Cursor(mintime_ms=NOW_MS - 3_600_000)

        assert next_call(cursor, NOW_MS, READING) == Call(NOW_MS - 3_600_000, NOW_MS - 120_000)

    def test_a_window_is_never_empty_or_backward(self):
        """A clock that jumped back, and a start at "now": Duo wants mintime strictly before maxtime."""
        assert isinstance(next_call(Cursor(mintime_ms=NOW_MS + 50), NOW_MS, Reading(poll_interval_secs=0, lag_secs=0)), Wait)
        assert isinstance(next_call(Cursor(mintime_ms=NOW_MS), NOW_MS, Reading(poll_interval_secs=0, lag_secs=0)), Wait)
        assert isinstance(next_call(Cursor(mintime_ms=NOW_MS - 1), NOW_MS, Reading(poll_interval_secs=0, lag_secs=0)), Call)

    def test_the_times_of_a_window_stay_fixed_while_it_is_paged(self):
        cursor = Cursor(NOW_MS - DAY_MS, NOW_MS - 120_000, "1789999999123,x")

        assert next_call(cursor, NOW_MS + 900_000, READING) == Call(NOW_MS - DAY_MS, NOW_MS - 120_000, "1789999999123,x")

    def test_a_checkpoint_older_than_duo_keeps_is_clamped_and_its_lost_days_are_counted(self):
        cursor = Cursor(mintime_ms=NOW_MS - 200 * DAY_MS)

        assert next_call(cursor, NOW_MS, READING) == Call(NOW_MS - RETENTION_MS, NOW_MS - 120_000)
        assert days_out_of_reach(cursor, NOW_MS) == pytest.approx(20, abs=0.1)
        assert days_out_of_reach(Cursor(mintime_ms=NOW_MS - 100 * DAY_MS), NOW_MS) == 0


class TestReadingAnswers:
    CALL = Call(NOW_MS - 10_000, NOW_MS)
    INSIDE = Cursor(NOW_MS - 10_000, NOW_MS)

    def test_a_page_with_a_cursor_goes_on_behind_it(self):
        rows = [row(NOW_MS - 5_000, "a"), row(NOW_MS - 4_000, "b")]
        step = after_answer(ACTIVITY, self.INSIDE, self.CALL, Answer(rows, "1789999996000,b"))

        assert step.rows == rows
        assert not step.window_done
        assert step.cursor == Cursor(NOW_MS - 10_000, NOW_MS, "1789999996000,b", seq=1)

    @pytest.mark.parametrize("offset", [None, "", "sent"])
    def test_a_page_without_a_new_cursor_ends_the_window_even_when_it_has_rows(self, offset):
        call = Call(NOW_MS - 10_000, NOW_MS, "sent")
        step = after_answer(ACTIVITY, self.INSIDE, call, Answer([row(NOW_MS - 5_000, "a")], offset))

        assert step.window_done
        assert step.cursor == Cursor(mintime_ms=NOW_MS, seq=1)

    def test_an_empty_page_ends_the_window_even_when_it_has_a_cursor(self):
        step = after_answer(ACTIVITY, self.INSIDE, self.CALL, Answer([], "1789999996000,b"))

        assert step.window_done

    def test_the_next_window_begins_in_the_millisecond_in_which_the_last_one_ended(self):
        step = after_answer(ACTIVITY, self.INSIDE, self.CALL, Answer([row(NOW_MS, "edge")], None))
        call = next_call(step.cursor, NOW_MS + 240_000, READING)

        assert isinstance(call, Call)
        assert call.mintime_ms == NOW_MS

    def test_a_row_of_the_border_millisecond_is_handed_on_once(self):
        first = after_answer(ACTIVITY, self.INSIDE, self.CALL, Answer([row(NOW_MS - 1, "before"), row(NOW_MS, "edge")], None))
        call = Call(NOW_MS, NOW_MS + 60_000)
        late = row(NOW_MS, "late in the same millisecond")
        second = after_answer(ACTIVITY, first.cursor, call, Answer([row(NOW_MS, "edge"), late, row(NOW_MS + 1, "new")], None))

        assert second.rows == [late, row(NOW_MS + 1, "new")]
        assert second.skipped == 1
        assert second.cursor.skip == ()

    def test_three_thousand_rows_of_the_border_millisecond_over_three_pages_are_handed_on_once(self):
        rows = [row(NOW_MS, f"event-{n:04d}") for n in range(3_000)]

        def read(cursor: Cursor, call_times: tuple[int, int], extra: list[bytes]) -> tuple[list[bytes], Cursor]:
            handed: list[bytes] = []
            everything = rows + extra
            for at in range(0, len(everything), 1_000):
                offset = f"{NOW_MS},{at}" if at + 1_000 < len(everything) else None
                call = Call(*call_times, cursor.next_offset)
                step = after_answer(ACTIVITY, cursor, call, Answer(everything[at : at + 1_000], offset))
                handed += step.rows
                # A restart between any two pages changes nothing: the cursor alone carries what must be known.
                cursor = Cursor.from_json(step.cursor.to_json())
            return handed, cursor

        first, cursor = read(self.INSIDE, (NOW_MS - 10_000, NOW_MS), [])
        second, cursor = read(cursor, (NOW_MS, NOW_MS + 60_000), [row(NOW_MS, "late"), row(NOW_MS + 5, "next")])

        assert first == rows
        assert second == [row(NOW_MS, "late"), row(NOW_MS + 5, "next")]
        assert cursor.skip == ()

    def test_what_is_remembered_of_a_border_is_bounded(self):
        rows = [row(NOW_MS, str(n)) for n in range(MAX_REMEMBERED_ROWS + 10)]
        step = after_answer(ACTIVITY, self.INSIDE, self.CALL, Answer(rows, None))

        assert len(step.cursor.skip) == MAX_REMEMBERED_ROWS

    def test_a_log_without_an_order_is_looked_through_whole_for_its_border(self):
        rows = [trust_row(NOW_MS, "edge"), trust_row(NOW_MS - 500, "earlier")]
        step = after_answer(TRUST, self.INSIDE, self.CALL, Answer(rows, None))
        again = after_answer(
            TRUST, step.cursor, Call(NOW_MS, NOW_MS + 9), Answer([trust_row(NOW_MS + 3, "x"), trust_row(NOW_MS, "edge")], None)
        )

        assert again.rows == [trust_row(NOW_MS + 3, "x")]

    def test_rows_that_cannot_be_read_are_handed_on_all_the_same(self):
        step = after_answer(ACTIVITY, self.INSIDE, self.CALL, Answer([b"null", b'"text"', b'{"ts":7}'], None))

        assert step.rows == [b"null", b'"text"', b'{"ts":7}']

    def test_a_refused_page_cursor_leads_back_to_the_start_of_the_window(self):
        cursor = Cursor(NOW_MS - 10_000, NOW_MS, "1789999996000,b", tail=("digest",), seq=9)

        assert restart_window(cursor) == Cursor(NOW_MS - 10_000, NOW_MS, seq=10)
