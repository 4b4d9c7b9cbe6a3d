"""The feed driven step by step, with a clock that jumps, a Duo in memory, and a system that has no thread left."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.duo.fake_duo import NOW_MS, FakeDuo, row
from transforms.duo.fetch import feed as feed_module
from transforms.duo.fetch.backfill_priority import LiveStream
from transforms.duo.fetch.failure_classifier import REFUSAL_WAITS_SECS
from transforms.duo.fetch.feed import PageFeed
from transforms.duo.position.windows import DAY_MS, first_cursor
from transforms.duo.rate_limit.budget import RateBudget
from transforms.errors import BadCredentials, RetryLater
from transforms.process import threads
from transforms.records import Stream, Subscription
from transforms.secrets import SecretRef
from transforms.settings import Account, Reading
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.cursor import Cursor

ACCOUNT = Account("main", "api-00000000.example.com", "DIEXAMPLE00000000000", SecretRef("env", "NOWHERE"))
READING = Reading(start_days=1, poll_interval_secs=120, lag_secs=120)
HOUR = 3600


class JumpingClock:
    """Two clocks that move only when told, the wall clock also on its own."""

    def __init__(self, wall_ms: int = NOW_MS) -> None:
        self._wall_secs = wall_ms / 1000
        self._monotonic_secs = 1000.0

    def wall_secs(self) -> float:
        return self._wall_secs

    def monotonic_secs(self) -> float:
        return self._monotonic_secs

    def sleep(self, secs: float) -> None:
        self._wall_secs += secs
        self._monotonic_secs += secs

    def set(self, wall_ms: float) -> None:
        self._wall_secs = wall_ms / 1000

    def jump(self, secs: float) -> None:
        self._wall_secs += secs


class MemoryDuo(FakeDuo):
    """Serves pages, or fails as told; knows the right time, and refuses calls whose clock is off like Duo does."""

    def __init__(self, clock: JumpingClock, true_offset_secs: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(page_limit=1000)
        self.error: Exception | None = None
        self.closed = 0
        self._clock, self._off = clock, true_offset_secs

    def fetch_page(self, _log_type, call):
        if self.error is not None:
            self.calls += 1
            raise self.error
        if abs(self._off()) > 300:
            raise RetryLater("bad request timestamp", kind="clock_skew")
        return self.serve(call)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock():
    return JumpingClock()


def made(clock, duo, reading=READING, **changes):
    budget = RateBudget(now=clock.monotonic_secs)
    options = {"own_thread": False, **changes}
    return PageFeed(ACCOUNT, "activity", reading, clock=clock, make_client=lambda: duo, budget=budget, **options)


def run(feed, clock, secs):
    """Does all the work of so many seconds, and takes what comes; the ids that came."""
    ids, end = [], clock.monotonic_secs() + secs
    while True:
        wait_secs = feed.work_once()
        while (fetched := feed.take(0.0)) is not None:
            ids += fetched.page.rows
        left_secs = end - clock.monotonic_secs()
        if left_secs <= 0:
            return ids
        clock.sleep(min(left_secs, 5.0 if wait_secs is None else max(wait_secs, 0.001)))


def test_a_step_makes_one_call_at_most_and_says_when_the_next_one_is_of_use(clock):
    duo = MemoryDuo(clock)
    duo.publish(NOW_MS - HOUR * 1000, "one")
    feed = made(clock, duo)

    assert feed.work_once() is not None or duo.calls == 0  # nobody has asked for anything
    feed.seek(first_cursor(NOW_MS, READING))
    assert feed.work_once() == 0.0
    assert duo.calls == 1
    assert feed.take(0.0).page.rows == [row(NOW_MS - HOUR * 1000, "one")]
    while (wait_secs := feed.work_once()) == 0.0:
        pass
    assert 0 < wait_secs <= 30
    assert duo.calls <= 2


def test_a_clock_that_was_an_hour_back_for_a_moment_does_not_stop_reading_for_an_hour(clock):
    duo = MemoryDuo(clock)
    reading = replace(READING, poll_interval_secs=10)
    feed = made(clock, duo, reading)
    feed.seek(first_cursor(NOW_MS, reading))
    run(feed, clock, 300)
    clock.jump(-HOUR)
    run(feed, clock, 15)
    clock.jump(HOUR)
    duo.publish(int(clock.wall_secs() * 1000), "after")

    assert len(run(feed, clock, 120 + 10 + 30)) == 1


def test_a_clock_that_jumps_forward_is_noticed_within_half_a_minute(clock):
    duo = MemoryDuo(clock)
    reading = replace(READING, poll_interval_secs=3600)
    feed = made(clock, duo, reading)
    feed.seek(first_cursor(NOW_MS, reading))
    run(feed, clock, 60)
    duo.publish(int(clock.wall_secs() * 1000), "before the jump")
    clock.jump(2 * HOUR)

    assert len(run(feed, clock, 31)) == 1


def test_a_boot_without_a_clock_is_told_once_and_reading_goes_on_when_the_clock_is_right(clock, caplog):
    caplog.set_level(logging.INFO)
    duo = MemoryDuo(clock)
    feed = made(clock, duo)
    feed.seek(first_cursor(NOW_MS, READING))
    run(feed, clock, 300)
    clock.set(0)
    assert run(feed, clock, HOUR) == []
    assert [r.levelno for r in caplog.records if "ahead of this machine's clock" in r.getMessage()] == [logging.ERROR]
    clock.set(NOW_MS + 2 * HOUR * 1000)
    duo.publish(NOW_MS + HOUR * 1000, "meanwhile")

    assert len(run(feed, clock, 31)) == 1
    assert "reading goes on" in caplog.text


@pytest.mark.parametrize("years", [10, 0.3, -56, -1])
def test_a_stream_that_begins_with_a_wrong_clock_reads_its_whole_look_back_once_the_clock_is_right(clock, years):
    wrong_ms = max(0, NOW_MS + int(years * 365 * DAY_MS))
    true_ms = NOW_MS
    duo = MemoryDuo(clock, lambda: clock.wall_secs() - true_ms / 1000)
    reading = replace(READING, start_days=180)
    duo.publish(NOW_MS - 170 * DAY_MS, "old")
    duo.publish(NOW_MS - HOUR * 1000, "new")
    clock.set(wrong_ms)
    feed = made(clock, duo, reading)
    feed.seek(first_cursor(wrong_ms, reading))
    assert run(feed, clock, 60) == []
    clock.set(true_ms)

    assert len(run(feed, clock, 120)) == 2


def test_a_beginning_that_a_clock_of_the_future_wrote_down_is_corrected_after_a_restart(clock):
    duo = MemoryDuo(clock)
    stored = Cursor.from_json(first_cursor(NOW_MS + 3650 * DAY_MS, READING).step().to_json())
    duo.publish(NOW_MS - HOUR * 1000, "one")
    feed = made(clock, duo)
    feed.seek(stored)

    assert len(run(feed, clock, 60)) == 1


def test_a_beginning_is_not_moved_by_time_that_passes(clock):
    begin = first_cursor(NOW_MS, READING)
    duo = MemoryDuo(clock)
    duo.publish(begin.mintime_ms + 1, "the oldest")
    feed = made(clock, duo)
    clock.sleep(HOUR)
    feed.seek(begin)

    assert len(run(feed, clock, 30)) == 1


def test_a_connection_is_kept_while_pages_wait_for_their_reader_and_let_go_when_they_wait_for_long(clock):
    duo = MemoryDuo(clock)
    for number in range(8):
        duo.publish(NOW_MS - HOUR * 1000 + number, f"{number}")
    feed = made(clock, duo)
    feed._log_type = duo.log_type = replace(duo.log_type, page_limit=1)
    feed.seek(first_cursor(NOW_MS, READING))
    for _ in range(4):
        while feed.work_once() == 0.0:
            pass
        clock.sleep(10)
        assert feed.take(0.0) is not None
    assert duo.closed == 0
    while feed.work_once() == 0.0:
        pass
    clock.sleep(31)
    feed.work_once()

    assert duo.closed == 1


def test_a_backfill_looks_at_the_files_of_live_reading_without_holding_up_its_readers(clock, tmp_path, monkeypatch):
    feed = made(clock, MemoryDuo(clock), replace(READING, live_checkpoint_dir=str(tmp_path)))
    lock_held = []
    monkeypatch.setattr(LiveStream, "is_behind", lambda _live: lock_held.append(feed._changed._is_owned()))
    feed.seek(first_cursor(NOW_MS, READING))
    feed.work_once()

    assert lock_held == [False]


# --- refusals ------------------------------------------------------------------------------------------------------------


def test_a_backfill_does_not_wait_for_ever_for_a_live_stream_that_gets_on_no_further(tmp_path, caplog):
    """Such as one that Duo does not serve: it stays half a year behind."""
    caplog.set_level(logging.INFO)
    clock = JumpingClock(int(time.time() * 1000))
    live = CheckpointStore(tmp_path)
    live.lock()
    stream = Stream("main", "auth", "localhost")
    live.commit(Subscription(stream, "siem"), Cursor(int(time.time() * 1000) - DAY_MS, seq=1))
    seen = LiveStream(str(tmp_path), stream, READING, clock)

    assert seen.is_behind()
    clock.sleep(HOUR)
    assert not seen.is_behind()
    assert "the backfill goes on" in caplog.text
    live.unlock()


def test_a_refusal_of_the_keys_is_believed_when_it_stays_for_a_minute(clock):
    duo = MemoryDuo(clock)
    duo.error = BadCredentials("Duo refused the keys.")
    feed = made(clock, duo)
    feed.seek(first_cursor(NOW_MS, READING))
    assert run(feed, clock, sum(REFUSAL_WAITS_SECS) - 1) == []
    with pytest.raises(BadCredentials):
        run(feed, clock, 5)

    assert duo.calls == len(REFUSAL_WAITS_SECS) + 1 == 3
    assert sum(REFUSAL_WAITS_SECS) >= 60


def test_a_refusal_of_the_keys_that_passes_ends_nothing(clock):
    duo = MemoryDuo(clock)
    duo.error = BadCredentials("Duo refused the keys.")
    feed = made(clock, duo)
    feed.seek(first_cursor(NOW_MS, READING))
    run(feed, clock, 30)
    duo.error = None
    duo.publish(NOW_MS - HOUR * 1000, "one")

    assert len(run(feed, clock, 60)) == 1


# --- resting, and threads ------------------------------------------------------------------------------------------------


def test_a_feed_that_nobody_asks_for_anything_calls_duo_no_more_and_keeps_what_was_handed_out(clock):
    duo = MemoryDuo(clock)
    for number in range(4):
        duo.publish(NOW_MS - HOUR * 1000 + number, f"{number}")
    feed = made(clock, duo)
    feed._log_type = duo.log_type = replace(duo.log_type, page_limit=1)
    feed.seek(first_cursor(NOW_MS, READING))
    feed.work_once()
    first = feed.take(0.0)
    for _ in range(1000):
        clock.sleep(min(feed.work_once() or 60.0, 60.0))
    calls = duo.calls

    assert calls < 10
    assert feed.under_way == 1
    assert not feed.ready
    assert duo.closed
    rest = run(feed, clock, 30)
    assert [*first.page.rows, *rest] == [row(NOW_MS - HOUR * 1000 + number, f"{number}") for number in range(4)]


def test_a_thread_of_a_feed_that_nobody_asks_ends_and_a_later_seek_starts_a_new_one(clock, eventually):
    feed = made(clock, MemoryDuo(clock), own_thread=True)
    cursor = first_cursor(NOW_MS, READING)
    feed.seek(cursor)
    eventually(lambda: feed.counts["pages"] >= 1)
    clock.sleep(HOUR)
    with feed._changed:
        feed._thread.wake()
    eventually(lambda: not any(thread.name == f"feed {feed.stream}" for thread in threading.enumerate()))
    feed.seek(cursor)
    eventually(lambda: feed.counts["pages"] >= 2)
    feed.close()


def test_a_thread_that_cannot_be_had_is_told_once_counted_and_tried_again(clock, monkeypatch, caplog, eventually):
    def refused(_thread):
        raise RuntimeError("can't start new thread")

    duo = MemoryDuo(clock)
    duo.publish(NOW_MS - HOUR * 1000, "one")
    feed = made(clock, duo, own_thread=True)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        feed.seek(first_cursor(NOW_MS, READING))
        for _ in range(3):
            assert feed.take(0.0) is None
    told = [r for r in caplog.records if "no thread can be started" in r.getMessage()]

    assert feed.counts["threads_refused"] == 4
    assert [r.levelno for r in told] == [logging.ERROR]
    eventually(lambda: feed.take(0.1) is not None)
    feed.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_replaced(clock, eventually):
    class Deadly(MemoryDuo):
        def fetch_page(self, log_type, call):
            if self.error is None:
                self.error = RetryLater("x", kind="y")
                raise SystemExit
            self.error = None
            return self.serve(call)

    duo = Deadly(clock)
    duo.publish(NOW_MS - HOUR * 1000, "one")
    feed = made(clock, duo, own_thread=True)
    feed.seek(first_cursor(NOW_MS, READING))
    eventually(lambda: duo.error is not None)
    eventually(lambda: not any(thread.name == f"feed {feed.stream}" for thread in threading.enumerate()))
    duo.error = RetryLater("x", kind="y")
    eventually(lambda: feed.take(0.1) is not None)
    feed.close()


def test_started_says_where_no_thread_can_be_had(monkeypatch):
    assert threads.started(lambda: None, "short") is not None
    monkeypatch.setattr(
        threading.Thread, "start", lambda _thread: (_ for _ in ()).throw(RuntimeError("can't start new thread"))
    )
    assert threads.started(lambda: None, "short") is None


# --- what is let go of is read again, also at the end --------------------------------------------------------------------


@pytest.fixture
def backfill(clock):
    """A feed that has read a backfill of two pages to its end: one is handed out, one is ready."""
    duo = MemoryDuo(clock)
    for number in range(2):
        duo.publish(NOW_MS - HOUR * 1000 + number, f"{number}")
    reading = replace(READING, from_ms=NOW_MS - 2 * HOUR * 1000, until_ms=NOW_MS - HOUR * 500, overlap_secs=0.0)
    feed = made(clock, duo, reading)
    feed._log_type = duo.log_type = replace(duo.log_type, page_limit=1)
    feed.seek(first_cursor(NOW_MS, reading))
    feed.work_once()
    first = feed.take(0.0)
    while feed.work_once() is not None:
        pass
    assert feed.ready
    feed.delivered(first.after)
    return feed


def test_a_backfill_whose_last_page_made_room_for_others_is_not_finished(backfill, monkeypatch):
    monkeypatch.setattr(type(feed_module.READ_AHEAD), "scarce", True)
    backfill.hold(True)
    backfill.hold(False)

    assert not backfill.ready
    assert not backfill.finished


def test_a_backfill_whose_last_page_was_let_go_of_because_nobody_asked_is_not_finished(backfill, clock):
    clock.sleep(HOUR)
    backfill.work_once()

    assert not backfill.ready
    assert not backfill.finished
    assert backfill.take(0.0) is None
    while backfill.work_once() is not None:
        pass
    assert backfill.take(0.0).page.rows == [row(NOW_MS - HOUR * 1000 + 1, "1")]


def test_a_backfill_that_is_sent_back_to_its_beginning_is_not_finished(backfill):
    backfill.seek(first_cursor(NOW_MS, backfill._reading))

    assert not backfill.finished


def test_a_reader_that_is_sent_back_has_not_caught_up(clock):
    feed = made(clock, MemoryDuo(clock))
    feed.seek(first_cursor(NOW_MS, READING))
    run(feed, clock, 30)
    assert feed.caught_up
    feed.seek(Cursor(NOW_MS - 2 * HOUR * 1000))

    assert not feed.caught_up


def test_a_feed_that_was_closed_with_pages_stands_nowhere_that_could_be_recorded_as_delivered(clock):
    duo = MemoryDuo(clock)
    duo.publish(NOW_MS - HOUR * 1000, "one")
    feed = made(clock, duo)
    feed.seek(first_cursor(NOW_MS, READING))
    feed.work_once()
    assert feed.settled_cursor is None
    feed.close()
    feed.forget()

    assert feed.settled_cursor is None


def test_an_answer_that_comes_after_the_end_of_its_feed_leaves_it_nowhere_that_could_be_recorded(clock):
    duo = MemoryDuo(clock)
    duo.publish(NOW_MS - HOUR * 1000, "one")
    feed = made(clock, duo, replace(READING, overlap_secs=0.0))
    feed.seek(first_cursor(NOW_MS, READING))
    feed.work_once()
    clock.sleep(300)
    serve = duo.serve

    def late(call):
        feed.close()
        feed.forget()
        return serve(call)

    duo.serve = late
    calls = duo.calls
    feed.seek(first_cursor(NOW_MS, READING))
    feed.work_once()

    assert duo.calls == calls + 1
    assert feed.settled_cursor is None
