"""The feed against the simulator: reading ahead, going back, and trouble that touches one stream only."""

import itertools
import logging
import threading
from dataclasses import replace

import pytest

from tests.conftest import FAST, IKEY, now_ms
from transforms.duo.client.client import DuoClient, PageRefused
from transforms.duo.fetch import failure_classifier
from transforms.duo.fetch.feed import PageFeed
from transforms.duo.position import paging
from transforms.duo.position.windows import RETENTION_MS, first_cursor
from transforms.errors import BadCredentials
from transforms.process.retry import RetryPolicy
from transforms.secrets import SecretRef
from transforms.settings import Reading
from transforms.state.cursor import Cursor

START = Cursor(0)


@pytest.fixture
def feed(account):
    feed = PageFeed(account, "auth", FAST)
    yield feed
    feed.close()


@pytest.fixture
def backlog(simulator):
    """3,500 events: four pages."""
    simulator.add_backlog("auth", 3_500, now_ms() - 3_600_000, now_ms() - 60_000)
    return simulator.produced_rows("auth")


def start_of_day() -> Cursor:
    return Cursor(now_ms() - 86_400_000)


def take_all(feed, rows_wanted, within_secs=20):
    rows, pages = [], []
    while len(rows) < rows_wanted:
        fetched = feed.take(within_secs)
        assert fetched is not None, f"only {len(rows)} of {rows_wanted} rows came"
        rows += fetched.page.rows
        pages.append(fetched)
    return rows, pages


def test_pages_come_in_order_and_each_begins_where_the_last_one_ended(feed, backlog):
    feed.seek(start_of_day())
    rows, pages = take_all(feed, 3_500)

    assert rows == backlog
    assert [page.before for page in pages[1:]] == [page.after for page in pages[:-1]]


def test_it_reads_only_a_little_ahead_of_its_reader(feed, backlog, simulator, eventually):
    feed.seek(start_of_day())
    eventually(lambda: len(simulator.calls) == 2)
    assert feed.wait_ready(5)
    threading.Event().wait(0.3)

    assert len(simulator.calls) == 2


def test_a_bundle_that_failed_is_repeated_from_memory(feed, backlog, simulator):
    start = start_of_day()
    feed.seek(start)
    first, pages = take_all(feed, 3_500)
    calls = len(simulator.calls)
    feed.seek(start)
    again, _ = take_all(feed, 3_500)
    feed.seek(pages[1].after)
    rest, _ = take_all(feed, 1_500)

    assert again == first
    assert rest == first[2_000:]
    pages_asked_for = {call.params for call in simulator.calls if "next_offset" in dict(call.params)}
    assert len([c for c in simulator.calls if "next_offset" in dict(c.params)]) == len(pages_asked_for)
    assert calls >= 4


def test_what_is_delivered_is_let_go_of_and_fetched_again_when_asked_for(feed, backlog):
    start = start_of_day()
    feed.seek(start)
    _, pages = take_all(feed, 3_500)
    feed.delivered(pages[-1].after)
    feed.seek(start)
    again, _ = take_all(feed, 3_500)

    assert again == backlog


def test_events_that_happen_later_are_found_by_the_next_poll(feed, simulator):
    feed.seek(start_of_day())
    assert feed.take(1.0) is None
    simulator.add("auth", 7)
    rows, _ = take_all(feed, 7)

    assert rows == simulator.produced_rows("auth")


def test_a_refusal_that_comes_after_the_reader_has_gone_elsewhere_says_nothing_of_the_new_position(
    feed, simulator, monkeypatch
):
    simulator.add("auth", 3)
    asked, elsewhere = threading.Event(), threading.Event()
    fetch_page = DuoClient.fetch_page

    def refused_late(client, log_type, call):
        if asked.is_set():
            return fetch_page(client, log_type, call)
        asked.set()
        elsewhere.wait(10)
        raise PageRefused("Invalid request parameters")

    monkeypatch.setattr(DuoClient, "fetch_page", refused_late)
    start = start_of_day()
    feed.seek(start)
    assert asked.wait(10)
    feed.seek(Cursor(start.mintime_ms + 1))
    elsewhere.set()

    assert len(feed.take(10).page.rows) == 3


def test_quiet_windows_move_the_settled_cursor_and_not_the_base_of_the_next_page(feed, simulator, eventually):
    start = start_of_day()
    feed.seek(start)
    eventually(lambda: feed.settled_cursor.seq >= 2)
    assert feed.settled_cursor.mintime_ms > start.mintime_ms
    simulator.add("auth", 1)
    fetched = feed.take(10)

    assert fetched.before == start
    assert feed.settled_cursor is None


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 429, "retry_after": 1},
        {"kind": "html"},
        {"kind": "malformed_json"},
        {"kind": "reset"},
        {"kind": "reset_mid_body"},
        {"kind": "cut_body"},
        {"kind": "clock_skew", "secs": 900},
        {"kind": "empty_page"},
    ],
    ids=lambda fault: fault["kind"] + str(fault.get("status", "")),
)
def test_trouble_in_the_middle_of_a_window_loses_and_repeats_nothing(feed, backlog, simulator, fault, monkeypatch):
    monkeypatch.setattr(feed._trouble._backoff, "policy", RetryPolicy(0.05, 0.05))
    monkeypatch.setattr(paging, "AGAIN_SECS", (0.05, 0.05, 0.05))
    simulator.faults.add(**fault, times=2, skip=2)
    feed.seek(start_of_day())
    rows, _ = take_all(feed, 3_500)

    assert rows == backlog


def test_an_expired_page_cursor_is_replaced_by_its_time_and_nothing_is_lost_or_repeated(
    feed, backlog, simulator, caplog, monkeypatch
):
    monkeypatch.setattr(feed._trouble._backoff, "policy", RetryPolicy(0.05, 0.05))
    simulator.faults.add("status", status=400, code=40002, skip=2)
    feed.seek(start_of_day())
    rows, _ = take_all(feed, 3_500)

    assert rows == backlog
    assert "nothing is skipped" in caplog.text


def test_an_unavailable_log_is_told_once_and_left_alone(feed, simulator, caplog, eventually):
    simulator.faults.add("status", status=403, times=None)
    feed.seek(start_of_day())
    eventually(lambda: feed.counts["forbidden"] == 1)

    assert feed.take(0.2) is None
    assert feed.resting
    assert len(simulator.calls) == 1
    assert [r.levelno for r in caplog.records if "read log" in r.getMessage()] == [logging.WARNING]


def test_wrong_keys_are_raised_to_the_reader(account, tmp_path, monkeypatch):
    monkeypatch.setattr(failure_classifier, "REFUSAL_WAITS_SECS", (0.1, 0.2))
    (tmp_path / "wrong").write_text("b" * 40)
    feed = PageFeed(replace(account, skey=SecretRef("file", str(tmp_path / "wrong"))), "auth", FAST)
    feed.seek(start_of_day())

    with pytest.raises(BadCredentials):
        feed.take(10)
    feed.close()


def test_one_streams_trouble_does_not_touch_another(account, simulator):
    simulator.faults.add("hang", "auth", times=None)
    simulator.add("telephony", 5)
    stuck, well = PageFeed(account, "auth", FAST), PageFeed(account, "telephony", FAST)
    stuck.seek(start_of_day())
    well.seek(start_of_day())
    rows, _ = take_all(well, 5)

    assert len(rows) == 5
    stuck.close()
    well.close()


def test_a_pause_between_calls_is_kept(account, simulator):
    simulator.add_backlog("auth", 2_500, now_ms() - 3_600_000, now_ms() - 60_000)
    feed = PageFeed(replace(account, ikey=IKEY), "activity", replace(FAST, page_pause_secs=0.3))
    simulator.add_backlog("activity", 2_500, now_ms() - 3_600_000, now_ms() - 60_000)
    feed.seek(start_of_day())
    take_all(feed, 2_500)
    feed.close()

    times = [call.at_secs for call in simulator.calls]
    assert len(times) >= 3
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.25


def test_a_key_that_was_changed_is_read_again(account, simulator, tmp_path, monkeypatch, eventually):
    monkeypatch.setattr(failure_classifier, "REFUSAL_WAITS_SECS", (0.2, 0.2))
    right = (tmp_path / "skey").read_text()
    (tmp_path / "skey").write_text("b" * 40)
    feed = PageFeed(account, "auth", FAST)
    feed.seek(start_of_day())
    eventually(lambda: feed.counts["bad_credentials"] >= 1)
    (tmp_path / "skey").write_text(right)
    eventually(lambda: feed.counts["pages"] >= 1)
    feed.close()


@pytest.mark.parametrize("minutes_ago", [0, 15, 3 * 24 * 60])
def test_a_first_start_that_came_to_nothing_and_is_repeated_has_lost_nothing(account, caplog, minutes_ago):
    feed = PageFeed(account, "auth", replace(FAST, start_days=180))
    feed.seek(first_cursor(now_ms() - 50 - minutes_ago * 60_000, Reading(start_days=180)))
    feed.close()

    assert "out of reach" not in caplog.text


def test_a_position_that_duo_serves_no_more_is_told_with_how_much_that_is(account, caplog):
    for hours in (6, 50):
        old_ms = now_ms() - RETENTION_MS - hours * 3_600_000
        feed = PageFeed(account, "auth", FAST)
        feed.seek(Cursor(old_ms, end_ms=old_ms))
        feed.close()

    assert "main/auth was last read 6.0 hours before the oldest event that Duo still serves." in caplog.text
    assert "main/auth was last read 2.1 days before" in caplog.text


def test_a_short_look_back_that_never_came_to_be_read_is_told_as_such(account, caplog):
    feed = PageFeed(account, "auth", replace(FAST, start_days=30))
    feed.seek(Cursor(now_ms() - 190 * 86_400_000))
    feed.close()

    assert "main/auth was to begin, and has read nothing yet, 10.0 days before the oldest event" in caplog.text


def test_a_checkpoint_of_the_future_is_told(account, caplog):
    feed = PageFeed(account, "auth", FAST)
    feed.seek(Cursor(now_ms() + 86_400_000))
    feed.close()

    assert "1.0 days ahead of this machine's clock" in caplog.text


def test_what_stays_missing_is_told_once_counted_and_holds_nothing_up(
    feed, backlog, simulator, caplog, monkeypatch, eventually
):
    monkeypatch.setattr(paging, "AGAIN_SECS", (0.05, 0.05, 0.05))
    fault = simulator.faults.add("empty_page", "auth", times=None, skip=1)
    feed.seek(start_of_day())
    rows, _ = take_all(feed, 1_000)
    eventually(lambda: feed.counts["missing"] >= 2_500)
    simulator.faults.clear(fault)
    simulator.add("auth", 5, at_ms=now_ms() - 500)
    live, pages = take_all(feed, 5)

    assert rows == backlog[:1_000]
    assert len(live) >= 5
    assert pages[-1].after.gaps[0].missing == 2_500
    assert caplog.text.count("Duo counted 3,500 events") == 1


def test_odd_rows_are_counted(feed, simulator, eventually):
    simulator.add("auth", [b'{"txid":"odd","user":{"name":"bob\\ud800"}}'], at_ms=now_ms() - 5_000)
    feed.seek(start_of_day())

    assert len(take_all(feed, 1)[0]) == 1
    assert feed.counts["odd_rows"] >= 1
