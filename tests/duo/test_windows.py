"""Windows with values only: when one opens, how far it reaches back, and what that finds of rows that come late."""

from dataclasses import replace

import pytest

from tests.duo.fake_duo import ACTIVITY, MINUTE, NO_OVERLAP, NOW_MS, READING, FakeDuo, opened, row
from transforms.duo.position.paging import Answer, after_answer
from transforms.duo.position.windows import (
    DAY_MS,
    QUIET_ROWS,
    RETENTION_MS,
    Call,
    Finished,
    Wait,
    days_out_of_reach,
    first_cursor,
    next_call,
)
from transforms.settings import Reading
from transforms.state.cursor import Cursor, Gap
from transforms.state.seen import packed


class TestOpeningWindows:
    def test_the_first_window_reaches_from_the_look_back_to_the_lag(self):
        call = opened(first_cursor(NOW_MS, Reading(start_days=10)), NOW_MS)

        assert (call.mintime_ms, call.maxtime_ms, call.next_offset) == (NOW_MS - 10 * DAY_MS, NOW_MS - 120_000, None)

    def test_a_look_back_of_180_days_keeps_a_margin_to_what_duo_refuses(self):
        call = opened(first_cursor(NOW_MS, Reading(start_days=180)), NOW_MS + 5 * MINUTE)

        assert NOW_MS + 5 * MINUTE - call.mintime_ms <= RETENTION_MS < 180 * DAY_MS

    def test_a_caught_up_stream_waits_one_poll_interval_after_its_last_window(self):
        cursor = Cursor(NOW_MS - 120_000, end_ms=NOW_MS - 120_000)

        assert next_call(cursor, NOW_MS, READING) == Wait(120.0)
        assert next_call(cursor, NOW_MS + 119_999, READING) == Wait(0.001)
        assert opened(cursor, NOW_MS + 120_000).maxtime_ms == NOW_MS

    def test_a_stream_that_is_behind_does_not_wait(self):
        assert opened(Cursor(NOW_MS - 3_600_000), NOW_MS).maxtime_ms == NOW_MS - 120_000

    def test_a_window_is_never_empty_or_backward(self):
        """A clock that jumped back, and a start at "now": Duo wants mintime strictly before maxtime."""
        at_once = Reading(poll_interval_secs=0, lag_secs=0)

        assert isinstance(next_call(Cursor(NOW_MS + 50), NOW_MS, at_once), Wait)
        assert isinstance(next_call(Cursor(NOW_MS), NOW_MS, at_once), Wait)
        assert isinstance(next_call(Cursor(NOW_MS - 1), NOW_MS, at_once), Call)

    def test_the_times_of_a_window_stay_fixed_while_it_is_paged(self):
        cursor = Cursor(NOW_MS - DAY_MS, NOW_MS - 120_000, "1789999999123,x")
        call = opened(cursor, NOW_MS + 900_000)

        assert (call.cursor, call.mintime_ms) == (cursor, NOW_MS - DAY_MS)

    def test_a_checkpoint_older_than_duo_keeps_is_clamped_and_its_lost_days_are_counted(self):
        cursor = Cursor(NOW_MS - 200 * DAY_MS, end_ms=NOW_MS - 200 * DAY_MS)

        assert opened(cursor, NOW_MS).mintime_ms == NOW_MS - RETENTION_MS
        assert days_out_of_reach(cursor, NOW_MS, Reading()) == pytest.approx(20, abs=0.1)
        assert days_out_of_reach(Cursor(NOW_MS - 100 * DAY_MS), NOW_MS, Reading()) == 0

    def test_a_full_look_back_of_which_nothing_was_read_has_lost_nothing_however_late_it_begins(self):
        began_ms = NOW_MS - 200 * DAY_MS
        beginning_then = first_cursor(began_ms, Reading())

        assert days_out_of_reach(beginning_then, NOW_MS, Reading()) == 0

    def test_a_shorter_look_back_of_which_nothing_was_read_has_lost_what_duo_serves_no_more(self):
        short = Reading(start_days=30)
        beginning_then = first_cursor(NOW_MS - 160 * DAY_MS, short)

        assert days_out_of_reach(beginning_then, NOW_MS, short) == pytest.approx(10, abs=0.1)

    def test_a_window_that_grows_too_old_while_it_is_paged_is_clamped_too(self):
        cursor = Cursor(NOW_MS - RETENTION_MS, NOW_MS - 120_000, f"{NOW_MS - DAY_MS},x")

        assert opened(cursor, NOW_MS + 3_600_000).mintime_ms == NOW_MS - RETENTION_MS + 3_600_000


class TestBackfills:
    READING = Reading(from_ms=NOW_MS - DAY_MS, until_ms=NOW_MS - 3_600_000, overlap_secs=0)

    def test_a_backfill_is_one_window_and_then_finished(self):
        call = opened(first_cursor(NOW_MS, self.READING), NOW_MS, self.READING)
        step = after_answer(ACTIVITY, call, Answer([row(NOW_MS - DAY_MS, "a")]), self.READING)

        assert (call.mintime_ms, call.maxtime_ms) == (NOW_MS - DAY_MS, NOW_MS - 3_600_000)
        assert next_call(step.cursor, NOW_MS, self.READING) == Finished()

    def test_a_backfill_reads_what_is_missing_once_more_before_it_ends(self):
        until_ms = self.READING.until_ms
        gap = Gap(until_ms - 1000, until_ms, 5, due_ms=NOW_MS + 600_000)
        cursor = Cursor(until_ms, end_ms=until_ms, gaps=(gap,))
        assert next_call(cursor, NOW_MS, self.READING) == Wait(600)
        call = next_call(cursor, NOW_MS + 600_000, self.READING)
        assert call.gap is gap

        assert next_call(after_answer(ACTIVITY, call, Answer([]), self.READING).cursor, call.now_ms, self.READING) == Finished()
        rows = [row(until_ms - 500, str(number)) for number in range(5)]
        step = after_answer(ACTIVITY, call, Answer(rows), self.READING)
        assert step.rows == rows
        assert next_call(step.cursor, call.now_ms, self.READING) == Finished()

    def test_a_backfill_does_not_wait_for_what_duo_no_longer_serves(self):
        until_ms = self.READING.until_ms
        cursor = Cursor(until_ms, end_ms=until_ms, gaps=(Gap(until_ms - 1000, until_ms, 5, due_ms=NOW_MS + 600_000),))
        assert next_call(cursor, NOW_MS + 200 * DAY_MS, self.READING) == Finished()

    def test_a_backfill_begins_at_what_duo_still_serves(self):
        old = replace(self.READING, from_ms=NOW_MS - 300 * DAY_MS)

        assert opened(first_cursor(NOW_MS, old), NOW_MS, old).mintime_ms == NOW_MS - RETENTION_MS


class TestLateRows:
    def test_a_quiet_streams_late_row_is_found_by_the_next_window(self):
        duo = FakeDuo()
        duo.publish(NOW_MS - 5 * MINUTE, "punctual")
        handed, cursor = duo.read(Cursor(NOW_MS - DAY_MS), NOW_MS)
        duo.publish(NOW_MS - 6 * MINUTE, "late")
        more, cursor = duo.read(cursor, NOW_MS + 120_000)
        again, _ = duo.read(cursor, NOW_MS + 240_000)

        assert (handed, more, again) == (["punctual"], ["late"], [])

    def test_a_busy_streams_late_row_is_found_by_the_next_deep_window(self):
        duo = FakeDuo(page_limit=1_000)
        for number in range(3 * QUIET_ROWS):
            duo.publish(NOW_MS - 8 * MINUTE + number * 200, f"event-{number}")
        handed, cursor = duo.read(Cursor(NOW_MS - DAY_MS), NOW_MS)
        duo.publish(NOW_MS - 7 * MINUTE, "late")
        found_after = None
        for polls in range(1, 12):
            more, cursor = duo.read(cursor, NOW_MS + polls * 120_000)
            if more:
                assert more == ["late"]
                found_after = polls
                break

        assert len(handed) == 3 * QUIET_ROWS
        assert found_after is not None
        assert found_after * 120 <= READING.overlap_secs + 120

    def test_a_busy_stream_reads_most_windows_without_overlap(self):
        duo = FakeDuo(page_limit=1_000)
        for number in range(3 * QUIET_ROWS):
            duo.publish(NOW_MS - 8 * MINUTE + number * 200, f"event-{number}")
        _, cursor = duo.read(Cursor(NOW_MS - DAY_MS), NOW_MS)
        call = opened(cursor, NOW_MS + 120_000)

        assert call.mintime_ms == NOW_MS - 120_000
        assert not call.cursor.deep

    def test_a_stream_that_is_behind_catches_up_before_it_looks_back(self):
        cursor = Cursor(
            NOW_MS, end_ms=NOW_MS, swept_ms=NOW_MS - DAY_MS, seen_from_ms=NOW_MS - DAY_MS,
            seen={NOW_MS // MINUTE: packed(range(QUIET_ROWS + 1))},
        )  # fmt: skip

        assert not opened(cursor, NOW_MS + 30 * MINUTE).cursor.deep
        assert opened(cursor, NOW_MS + 4 * MINUTE).cursor.deep
        assert opened(cursor, NOW_MS + 120 * MINUTE).cursor.deep

    @pytest.mark.parametrize("minutes", [5, 15, 20, 30, 45, 55, 65, 90])
    def test_rows_that_came_late_around_an_interruption_are_found(self, minutes):
        """A busy stream is not read for a while; rows that are at most the overlap late arrive before, meanwhile and after."""
        duo = FakeDuo(page_limit=1_000)
        expected: set[str] = set()

        def minute_of_rows(minute: int) -> None:
            for number in range(60):
                duo.publish(NOW_MS + minute * MINUTE + number * 1_000, f"{minute}-{number}")
            duo.publish(NOW_MS + (minute - 5) * MINUTE + 17, f"late-{minute}")
            expected.update([f"late-{minute}", *(f"{minute}-{number}" for number in range(60))])

        cursor, handed = Cursor(NOW_MS - MINUTE), []
        for minute in range(40 + minutes + 60):
            minute_of_rows(minute)
            if minute % 2 == 0 and not 40 <= minute < 40 + minutes:
                # The last two minutes are not there yet: Duo withholds them, and so does the lag.
                new, cursor = duo.read(cursor, NOW_MS + (minute + 1) * MINUTE)
                handed += new
        for minute in range(40 + minutes + 60, 40 + minutes + 100, 2):
            new, cursor = duo.read(cursor, NOW_MS + minute * MINUTE)
            handed += new

        wanted = {event_id for event_id in expected if event_id not in {f"late-{n}" for n in range(4)}}
        assert wanted - set(handed) == set()
        assert len(handed) == len(set(handed))

    def test_the_overlap_can_be_switched_off(self):
        duo = FakeDuo()
        duo.publish(NOW_MS - 5 * MINUTE, "punctual")
        _, cursor = duo.read(Cursor(NOW_MS - DAY_MS), NOW_MS, NO_OVERLAP)
        duo.publish(NOW_MS - 6 * MINUTE, "late")
        more, _ = duo.read(cursor, NOW_MS + 120_000, NO_OVERLAP)

        assert more == []
