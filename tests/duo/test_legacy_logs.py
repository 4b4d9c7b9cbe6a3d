"""The logs of API v1 against the simulator: no cursor, no maxtime, whole seconds, rows without an id."""

import logging
from collections import Counter
from dataclasses import replace

import pytest

from tests.conftest import FAST, now_ms
from transforms.duo.client.client import DuoClient
from transforms.duo.fetch.feed import PageFeed
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.position.windows import Call
from transforms.state.cursor import Cursor

OLD_LOGS = ("admin", "offline_enrollment")
HOUR_MS = 3_600_000
PAGE = 1_000


@pytest.fixture
def feed_of(account):
    feeds = []

    def make(log_type="admin", **reading):
        feed = PageFeed(account, log_type, replace(FAST, **reading))
        feeds.append(feed)
        return feed

    yield make
    for feed in feeds:
        feed.close()


def whole_second(ago_secs: int) -> int:
    return now_ms() // 1000 * 1000 - ago_secs * 1000


def start_of_day() -> Cursor:
    return Cursor(now_ms() - 24 * HOUR_MS)


def read_until_caught_up(feed, cursor, eventually):
    """Everything that there is from a cursor on, as rows and as the cursor behind them."""
    feed.seek(cursor)
    rows, windows = [], feed.counts["windows"]

    def done() -> bool:
        while (fetched := feed.take(0.0)) is not None:
            rows.extend(fetched.page.rows)
            nonlocal cursor
            cursor = fetched.after
            feed.delivered(cursor)
        return feed.counts["windows"] > windows + 1

    eventually(done, "caught up")
    return rows, cursor


@pytest.mark.parametrize("log_type", OLD_LOGS)
def test_mintime_in_seconds_is_all_that_is_asked_with(account, simulator, log_type):
    client = DuoClient(account, user_agent="test", timeout_secs=5)
    simulator.add(log_type, 3, at_ms=now_ms() - 5_000)
    mintime_ms = now_ms() - HOUR_MS
    answer = client.fetch_page(LOG_TYPES[log_type], Call(Cursor(mintime_ms, now_ms()), mintime_ms))
    client.close()

    assert dict(simulator.calls[-1].params) == {"mintime": str(mintime_ms // 1000)}
    assert answer.rows == simulator.produced_rows(log_type)
    assert (answer.next_offset, answer.total) == (None, None)


@pytest.mark.parametrize("log_type", OLD_LOGS)
def test_a_backlog_of_many_pages_is_read_whole_and_once(feed_of, simulator, eventually, log_type):
    simulator.add_backlog(log_type, 3_500, now_ms() - HOUR_MS, now_ms() - 60_000)
    rows, _ = read_until_caught_up(feed_of(log_type), start_of_day(), eventually)

    assert rows == simulator.produced_rows(log_type)


def test_seconds_that_cross_page_borders_are_read_whole_and_once(feed_of, simulator, eventually):
    """300 rows in each of ten seconds: every page ends inside one."""
    for second in range(10):
        simulator.add("admin", 300, at_ms=whole_second(60 - second), spread_ms=999)
    rows, _ = read_until_caught_up(feed_of(), start_of_day(), eventually)

    assert rows == simulator.produced_rows("admin")


def test_rows_that_are_alike_in_one_second_are_as_many_events(feed_of, simulator, eventually):
    alike = {"timestamp": whole_second(60) // 1000, "username": "API", "action": "user_update", "object": "jdoe"}
    simulator.add("admin", PAGE - 2, at_ms=whole_second(61))
    # Two of them end the first page, three are behind it.
    simulator.add("admin", [alike] * 5)
    rows, cursor = read_until_caught_up(feed_of(), start_of_day(), eventually)
    again, _ = read_until_caught_up(feed_of(), Cursor.from_json(cursor.to_json()), eventually)

    assert rows == simulator.produced_rows("admin")
    assert again == []


def test_a_second_with_more_rows_than_a_page_is_told_once_and_reading_goes_on_behind_it(feed_of, simulator, eventually, caplog):
    simulator.add("admin", 5, at_ms=whole_second(62))
    simulator.add("admin", PAGE + 200, at_ms=whole_second(60))
    simulator.add("admin", 5, at_ms=whole_second(59))
    feed = feed_of()
    rows, _ = read_until_caught_up(feed, start_of_day(), eventually)
    produced = simulator.produced_rows("admin")

    assert rows == [*produced[: 5 + PAGE], *produced[-5:]]
    assert feed.counts["unreachable"] == 1
    assert [r.levelno for r in caplog.records if "more events at" in r.getMessage()] == [logging.ERROR]
    assert len(simulator.calls) < 20


def test_rows_newer_than_the_window_wait_for_their_turn(feed_of, simulator, eventually):
    """The administrator log is served at once, so an answer goes beyond the window."""
    simulator.add("admin", 3, at_ms=now_ms() - 60_000)
    simulator.add("admin", 4, at_ms=now_ms() - 5_000)
    feed = feed_of(lag_secs=30)
    rows, _ = read_until_caught_up(feed, start_of_day(), eventually)

    assert rows == simulator.produced_rows("admin")[:3]


def test_rows_that_come_into_a_second_that_was_read_are_found(feed_of, simulator, eventually):
    second_ms = whole_second(3)
    simulator.add("admin", 2, at_ms=second_ms + 100)
    feed = feed_of()
    rows, cursor = read_until_caught_up(feed, start_of_day(), eventually)
    simulator.add("admin", 2, at_ms=second_ms + 600)
    more, _ = read_until_caught_up(feed, cursor, eventually)

    assert rows + more == simulator.produced_rows("admin")


def test_events_that_happen_while_it_reads_arrive_once(feed_of, simulator, eventually):
    feed = feed_of()
    cursor, rows = start_of_day(), []
    for _ in range(6):
        simulator.add("admin", 20)
        more, cursor = read_until_caught_up(feed, cursor, eventually)
        rows += more

    assert Counter(rows) == Counter(simulator.produced_rows("admin"))


@pytest.mark.parametrize("pages_before", [1, 2, 3])
@pytest.mark.parametrize("overlap_secs", [0, 600])
def test_a_restart_between_two_pages_loses_and_repeats_nothing(feed_of, simulator, eventually, pages_before, overlap_secs):
    for second in range(10):
        simulator.add("admin", 350, at_ms=whole_second(60 - second), spread_ms=999)
    first = feed_of(overlap_secs=overlap_secs)
    first.seek(start_of_day())
    taken = [first.take(10) for _ in range(pages_before)]
    kept = taken[-1].after.to_json()
    first.close()
    rest, _ = read_until_caught_up(feed_of(overlap_secs=overlap_secs), Cursor.from_json(kept), eventually)

    assert [row for fetched in taken for row in fetched.page.rows] + rest == simulator.produced_rows("admin")


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_log_that_duo_has_ended_is_told_once_and_left_alone(feed_of, simulator, caplog, eventually, status):
    simulator.faults.add("status", "admin", status=status, times=None)
    simulator.add("activity", 2, at_ms=now_ms() - 5_000)
    ended, well = feed_of(), feed_of("activity")
    ended.seek(start_of_day())
    well.seek(start_of_day())
    eventually(lambda: ended.counts["forbidden" if status == 403 else "not_found"] == 1)

    assert ended.take(0.2) is None
    assert ended.resting
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING and "main/admin" in r.getMessage()]
    assert len(well.take(10).page.rows) == 2
    assert len(told) == 1
    assert "/admin/v1/logs/administrator" in told[0]
    assert ("2026-09-30" in told[0]) == (status != 403)
