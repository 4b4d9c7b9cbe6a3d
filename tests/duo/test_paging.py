"""The rules of windows, overlaps and pages, with values only."""

import json
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from transforms.duo.cursor import Cursor, count_seen
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.paging import (
    DAY_MS,
    QUIET_ROWS,
    RETENTION_MS,
    Answer,
    Call,
    Finished,
    Wait,
    after_answer,
    days_out_of_reach,
    first_cursor,
    next_call,
    without_page_cursor,
)
from transforms.settings import Reading

ACTIVITY = LOG_TYPES["activity"]
TRUST = LOG_TYPES["trustmonitor"]
BY_TIME = replace(ACTIVITY, pages_by_time=True, page_limit=4)
NOW_MS = 1_790_000_000_000 // 60_000 * 60_000
MINUTE = 60_000
READING = Reading(poll_interval_secs=120, lag_secs=120, overlap_secs=600)
NO_OVERLAP = replace(READING, overlap_secs=0)


def row(time_ms: int, event_id: str) -> bytes:
    moment = datetime.fromtimestamp(time_ms / 1000, tz=timezone.utc).isoformat(timespec="milliseconds")
    return json.dumps({"activity_id": event_id, "ts": moment}).encode()


def anonymous(time_ms: int, text: str) -> bytes:
    return row(time_ms, "").replace(b"}", b', "text": "%s"}' % text.encode())


def trust_row(time_ms: int, event_id: str) -> bytes:
    return json.dumps({"sekey": event_id, "surfaced_timestamp": time_ms, "state": "new"}).encode()


def inside(mintime_ms: int, maxtime_ms: int, offset: str | None = None, **changes: object) -> Call:
    return Call(Cursor(mintime_ms, maxtime_ms, offset, **changes), mintime_ms)


def opened(cursor: Cursor, now_ms: int, reading: Reading = READING) -> Call:
    call = next_call(cursor, now_ms, reading)
    assert isinstance(call, Call)
    return call


class FakeDuo:
    """Rows in the order in which they were published; serves pages like Duo's v2 logs."""

    def __init__(self, page_limit: int = 3) -> None:
        self.log_type = replace(ACTIVITY, page_limit=page_limit)
        self.rows: list[tuple[int, str]] = []
        self.calls = 0

    def publish(self, time_ms: int, event_id: str) -> None:
        self.rows.append((time_ms, event_id))

    def serve(self, call: Call) -> Answer:
        self.calls += 1
        window = sorted((t, n, i) for n, (t, i) in enumerate(self.rows) if call.mintime_ms <= t <= call.maxtime_ms)
        total = len(window)
        if call.next_offset:
            at_ms, number = (int(part) for part in call.next_offset.split(","))
            window = [entry for entry in window if entry[:2] > (at_ms, number)]
        page = window[: self.log_type.page_limit]
        more = len(window) > len(page)
        return Answer([row(t, i) for t, _, i in page], f"{page[-1][0]},{page[-1][1]}" if more else None, total)

    def read(self, cursor: Cursor, now_ms: int, reading: Reading = READING) -> tuple[list[str], Cursor]:
        """Reads until caught up; a restart between any two pages changes nothing."""
        handed: list[str] = []
        while isinstance(call := next_call(cursor, now_ms, reading), Call):
            step = after_answer(self.log_type, call, self.serve(call), reading)
            handed += [json.loads(r)["activity_id"] for r in step.rows]
            cursor = Cursor.from_json(step.cursor.to_json())
        return handed, cursor


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
        cursor = Cursor(NOW_MS - 200 * DAY_MS)

        assert opened(cursor, NOW_MS).mintime_ms == NOW_MS - RETENTION_MS
        assert days_out_of_reach(cursor, NOW_MS) == pytest.approx(20, abs=0.1)
        assert days_out_of_reach(Cursor(NOW_MS - 100 * DAY_MS), NOW_MS) == 0

    def test_a_window_that_grows_too_old_while_it_is_paged_is_clamped_too(self):
        cursor = Cursor(NOW_MS - RETENTION_MS, NOW_MS - 120_000, f"{NOW_MS - DAY_MS},x")

        assert opened(cursor, NOW_MS + 3_600_000).mintime_ms == NOW_MS - RETENTION_MS + 3_600_000


class TestReadingAnswers:
    CALL = inside(NOW_MS - 10_000, NOW_MS)

    def test_a_page_with_a_cursor_goes_on_behind_it(self):
        rows = [row(NOW_MS - 5_000, "a"), row(NOW_MS - 4_000, "b")]
        step = after_answer(ACTIVITY, self.CALL, Answer(rows, f"{NOW_MS - 4_000},b"), NO_OVERLAP)

        assert step.rows == rows
        assert not step.window_done
        assert (step.cursor.next_offset, step.cursor.seq) == (f"{NOW_MS - 4_000},b", 1)

    @pytest.mark.parametrize("offset", [None, ""])
    def test_a_short_page_without_a_cursor_ends_the_window(self, offset):
        step = after_answer(ACTIVITY, self.CALL, Answer([row(NOW_MS - 5_000, "a")], offset), NO_OVERLAP)

        assert step.window_done
        assert step.cursor == Cursor(NOW_MS, end_ms=NOW_MS, swept_ms=NOW_MS, seen_from_ms=NOW_MS, seq=1)

    def test_an_empty_page_ends_the_window_even_when_it_has_a_cursor(self):
        step = after_answer(ACTIVITY, self.CALL, Answer([], f"{NOW_MS - 4_000},b"), NO_OVERLAP)

        assert step.window_done

    def test_rows_that_cannot_be_read_are_handed_on_all_the_same(self):
        step = after_answer(ACTIVITY, self.CALL, Answer([b"null", b'"text"', b'{"ts":7}'], None), NO_OVERLAP)

        assert step.rows == [b"null", b'"text"', b'{"ts":7}']

    def test_what_duo_counted_is_compared_with_what_was_read_over_all_pages(self):
        first = after_answer(
            ACTIVITY, self.CALL, Answer([row(NOW_MS - 9, "a"), row(NOW_MS - 8, "b")], f"{NOW_MS - 8},b", 4), NO_OVERLAP
        )
        call = opened(first.cursor, NOW_MS)
        second = after_answer(ACTIVITY, call, Answer([row(NOW_MS - 7, "c")], None, 1), NO_OVERLAP)

        assert first.counted is None
        assert second.counted == (4, 3)

    def test_a_refused_page_cursor_is_replaced_by_the_time_that_it_named(self):
        cursor = Cursor(NOW_MS - 10_000, NOW_MS, f"{NOW_MS - 4_000},b", window_rows=3, window_total=9, seq=9)

        assert without_page_cursor(cursor) == Cursor(NOW_MS - 4_000, NOW_MS, seq=10)

    def test_a_refused_page_cursor_that_names_no_time_leads_back_to_the_start_of_the_window(self):
        assert without_page_cursor(Cursor(NOW_MS - 10_000, NOW_MS, "400")) == Cursor(NOW_MS - 10_000, NOW_MS, seq=1)


class TestBackfills:
    READING = Reading(from_ms=NOW_MS - DAY_MS, until_ms=NOW_MS - 3_600_000, overlap_secs=0)

    def test_a_backfill_is_one_window_and_then_finished(self):
        call = opened(first_cursor(NOW_MS, self.READING), NOW_MS, self.READING)
        step = after_answer(ACTIVITY, call, Answer([]), self.READING)

        assert (call.mintime_ms, call.maxtime_ms) == (NOW_MS - DAY_MS, NOW_MS - 3_600_000)
        assert next_call(step.cursor, NOW_MS, self.READING) == Finished()

    def test_a_backfill_begins_at_what_duo_still_serves(self):
        old = replace(self.READING, from_ms=NOW_MS - 300 * DAY_MS)

        assert opened(first_cursor(NOW_MS, old), NOW_MS, old).mintime_ms == NOW_MS - RETENTION_MS


class TestBorders:
    def test_the_next_window_begins_in_the_millisecond_in_which_the_last_one_ended(self):
        step = after_answer(ACTIVITY, inside(NOW_MS - 10_000, NOW_MS), Answer([row(NOW_MS, "edge")]), NO_OVERLAP)

        assert opened(step.cursor, NOW_MS + 240_000, NO_OVERLAP).mintime_ms == NOW_MS

    def test_a_row_of_the_border_millisecond_is_handed_on_once(self):
        duo = FakeDuo()
        duo.publish(NOW_MS - 1, "before")
        duo.publish(NOW_MS, "edge")
        handed, cursor = duo.read(Cursor(NOW_MS - DAY_MS), NOW_MS + 120_000, NO_OVERLAP)
        duo.publish(NOW_MS, "late in the same millisecond")
        duo.publish(NOW_MS + 1, "new")
        more, cursor = duo.read(cursor, NOW_MS + 240_000, NO_OVERLAP)

        assert handed == ["before", "edge"]
        assert more == ["late in the same millisecond", "new"]
        assert count_seen(cursor.seen) == 0 or cursor.seen_from_ms == cursor.end_ms

    def test_three_thousand_rows_of_the_border_millisecond_are_handed_on_once(self):
        duo = FakeDuo(page_limit=1_000)
        for number in range(3_000):
            duo.publish(NOW_MS, f"event-{number:04d}")
        handed, cursor = duo.read(Cursor(NOW_MS - DAY_MS), NOW_MS + 120_000, NO_OVERLAP)
        duo.publish(NOW_MS, "late")
        duo.publish(NOW_MS + 5, "next")
        more, _ = duo.read(cursor, NOW_MS + 240_000, NO_OVERLAP)

        assert handed == [f"event-{number:04d}" for number in range(3_000)]
        assert more == ["late", "next"]

    def test_a_log_without_an_order_is_looked_through_whole(self):
        rows = [trust_row(NOW_MS, "edge"), trust_row(NOW_MS - 500, "earlier")]
        step = after_answer(TRUST, inside(NOW_MS - 10_000, NOW_MS), Answer(rows), NO_OVERLAP)
        call = opened(step.cursor, NOW_MS + 240_000, NO_OVERLAP)
        again = after_answer(TRUST, call, Answer([trust_row(NOW_MS + 3, "x"), trust_row(NOW_MS, "edge")]), NO_OVERLAP)

        assert again.rows == [trust_row(NOW_MS + 3, "x")]


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
            seen={NOW_MS // MINUTE: frozenset(map(str, range(QUIET_ROWS + 1)))},
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

    def test_nothing_is_read_again_that_was_not_remembered(self):
        """The start of the look-back, and what a burst pushed out of memory: no digest, so it would arrive twice."""
        first = opened(first_cursor(NOW_MS, Reading(start_days=0)), NOW_MS + 120_001 + 120_000)
        step = after_answer(ACTIVITY, first, Answer([]), READING)
        second = opened(step.cursor, NOW_MS + 10 * MINUTE)

        assert second.mintime_ms == NOW_MS

    def test_memory_is_bounded_and_a_burst_shortens_the_overlap_instead_of_repeating(self):
        small = replace(READING, overlap_max_rows=1_000)
        duo = FakeDuo(page_limit=1_000)
        for number in range(5_000):
            duo.publish(NOW_MS - 11 * MINUTE + number * 100, f"event-{number}")
        handed, cursor = duo.read(Cursor(NOW_MS - DAY_MS), NOW_MS, small)
        more = []
        for polls in range(1, 12):
            new, cursor = duo.read(cursor, NOW_MS + polls * 120_000, small)
            more += new

        assert len(handed) == 5_000
        assert more == []
        assert count_seen(cursor.seen) <= 1_000

    def test_the_overlap_can_be_switched_off(self):
        duo = FakeDuo()
        duo.publish(NOW_MS - 5 * MINUTE, "punctual")
        _, cursor = duo.read(Cursor(NOW_MS - DAY_MS), NOW_MS, NO_OVERLAP)
        duo.publish(NOW_MS - 6 * MINUTE, "late")
        more, _ = duo.read(cursor, NOW_MS + 120_000, NO_OVERLAP)

        assert more == []

    def test_a_row_that_changes_its_state_is_a_new_event(self):
        old, new = trust_row(NOW_MS - MINUTE, "s"), trust_row(NOW_MS - MINUTE, "s").replace(b'"new"', b'"processed"')
        step = after_answer(TRUST, inside(NOW_MS - DAY_MS, NOW_MS), Answer([old]), READING)
        call = opened(step.cursor, NOW_MS + 240_000)

        assert after_answer(TRUST, call, Answer([old]), READING).rows == []
        assert after_answer(TRUST, call, Answer([new]), READING).rows == [new]

    def test_two_rows_without_an_id_that_are_alike_are_two_events_each_handed_on_once(self):
        rows = [anonymous(NOW_MS - MINUTE, "same")] * 2
        step = after_answer(ACTIVITY, inside(NOW_MS - DAY_MS, NOW_MS), Answer(rows), READING)
        call = opened(step.cursor, NOW_MS + 240_000)

        assert step.rows == rows
        assert after_answer(ACTIVITY, call, Answer(rows), READING).rows == []
        assert after_answer(ACTIVITY, call, Answer([*rows, rows[0]]), READING).rows == [rows[0]]

    def test_rows_without_a_readable_time_are_handed_on_once(self):
        odd = b'{"activity_id":"x","ts":"soon"}'
        step = after_answer(ACTIVITY, inside(NOW_MS - DAY_MS, NOW_MS), Answer([odd]), READING)
        call = opened(step.cursor, NOW_MS + 240_000)

        assert step.rows == [odd]
        assert after_answer(ACTIVITY, call, Answer([odd]), READING).rows == []


class TestCursorsThatDoNotLeadOn:
    """Whatever Duo answers, reading ends, and skips nothing that it can still give."""

    def page(self, count: int, first_ms: int, step_ms: int = 1) -> list[bytes]:
        return [row(first_ms + n * step_ms, f"{first_ms}-{n}") for n in range(count)]

    def test_a_full_last_page_ends_the_window_where_all_that_duo_counted_is_here(self):
        small = replace(ACTIVITY, page_limit=3)
        step = after_answer(small, inside(NOW_MS - 10_000, NOW_MS), Answer(self.page(3, NOW_MS - 4_000), None, 3), NO_OVERLAP)

        assert (step.window_done, step.circled, step.counted) == (True, False, (3, 3))

    def test_a_full_page_without_a_cursor_is_looked_behind_and_its_border_counts_once(self):
        small = replace(ACTIVITY, page_limit=3)
        page = self.page(3, NOW_MS - 4_000)
        step = after_answer(small, inside(NOW_MS - 10_000, NOW_MS), Answer(page, None, 4), NO_OVERLAP)
        following = opened(step.cursor, NOW_MS)
        last = after_answer(small, following, Answer([page[-1], row(NOW_MS - 1, "next")]), NO_OVERLAP)

        assert (step.window_done, step.circled) == (False, False)
        assert (last.rows, last.counted) == ([row(NOW_MS - 1, "next")], (4, 4))

    @pytest.mark.parametrize("offset", [f"{NOW_MS - 5_000},same", f"{NOW_MS - 9_000},back"])
    def test_a_full_page_whose_cursor_does_not_lead_on_is_followed_by_time(self, offset):
        small = replace(ACTIVITY, page_limit=3)
        call = inside(NOW_MS - 10_000, NOW_MS, f"{NOW_MS - 5_000},same")
        step = after_answer(small, call, Answer(self.page(3, NOW_MS - 4_000), offset), NO_OVERLAP)
        following = opened(step.cursor, NOW_MS)
        again = after_answer(
            small, following, Answer([row(NOW_MS - 3_998, f"{NOW_MS - 4_000}-2"), row(NOW_MS - 1, "next")]), NO_OVERLAP
        )

        assert step.circled
        assert not step.window_done
        assert (following.mintime_ms, following.next_offset) == (NOW_MS - 3_998, None)
        assert again.rows == [row(NOW_MS - 1, "next")]

    def test_a_full_page_within_one_millisecond_is_told_to_hide_rows(self):
        small = replace(ACTIVITY, page_limit=3)
        call = inside(NOW_MS - 10_000, NOW_MS)
        step = after_answer(small, call, Answer(self.page(3, NOW_MS - 10_000, 0)), NO_OVERLAP)

        assert step.unreachable_ms == NOW_MS - 10_000
        assert step.cursor.mintime_ms == NOW_MS - 9_999

    def test_cursors_that_run_in_a_circle_end(self):
        small = replace(ACTIVITY, page_limit=2)
        call, calls = inside(NOW_MS - 10_000, NOW_MS), 0
        pages = [[row(NOW_MS - 5_000, f"{p}{n}") for n in range(2)] for p in "ab"]
        handed: list[bytes] = []
        while True:
            offset = f"{NOW_MS - 5_000},{'ab'[calls % 2]}"
            step = after_answer(small, call, Answer(pages[calls % 2], offset), NO_OVERLAP)
            handed += step.rows
            calls += 1
            if step.window_done or step.cursor.next_offset is None:
                break
            call = opened(step.cursor, NOW_MS)
            assert calls < 100, "runs in a circle"

        assert handed == pages[0] + pages[1]

    def test_a_log_without_an_order_ends_its_window_and_that_is_told(self):
        call = inside(NOW_MS - 10_000, NOW_MS, "7")
        step = after_answer(TRUST, call, Answer([trust_row(NOW_MS - 5, "s")], "7"), NO_OVERLAP)

        assert step.window_done
        assert step.circled

    def test_page_numbers_lead_on_while_they_grow(self):
        call = inside(NOW_MS - 10_000, NOW_MS, "200")

        assert not after_answer(TRUST, call, Answer([trust_row(NOW_MS - 5, "s")], "400"), NO_OVERLAP).window_done
        assert after_answer(TRUST, call, Answer([trust_row(NOW_MS - 5, "s")], "0"), NO_OVERLAP).window_done


class TestLogsWithoutACursor:
    """API v1: mintime in seconds, the earliest rows from then on, nothing else."""

    def read(
        self, rows: list[tuple[int, str]], cursor: Cursor, now_ms: int, *, exclusive: bool = False, reading: Reading = READING
    ) -> tuple[list[str], Cursor, list[int | None], int]:
        handed: list[str] = []
        unreachable: list[int | None] = []
        calls = 0
        while isinstance(call := next_call(cursor, now_ms, reading), Call):
            calls += 1
            assert calls < 100, "does not end"
            from_ms = call.mintime_ms // 1000 * 1000 + (1000 if exclusive else 0)
            page = [row(t, i) for t, i in sorted(rows) if t >= from_ms][: BY_TIME.page_limit]
            step = after_answer(BY_TIME, call, Answer(page), reading)
            handed += [json.loads(r)["activity_id"] for r in step.rows]
            unreachable += [step.unreachable_ms] if step.unreachable_ms else []
            cursor = Cursor.from_json(step.cursor.to_json())
        return handed, cursor, unreachable, calls

    @pytest.mark.parametrize("exclusive", [False, True], ids=["from the second on", "from behind the second on"])
    @pytest.mark.parametrize("apart_ms", [1_000, 2_000, 7_000])
    @pytest.mark.parametrize("reading", [READING, NO_OVERLAP], ids=["overlap", "no overlap"])
    def test_seconds_that_cross_a_page_border_are_read_whole_and_once(self, exclusive, apart_ms, reading):
        """Sources disagree on what mintime means."""
        rows = [(NOW_MS - 100_000 + second * apart_ms, f"{second}-{n}") for second in range(6) for n in range(3)]
        handed, cursor, unreachable, _ = self.read(
            rows, Cursor(NOW_MS - DAY_MS), NOW_MS + 120_000, exclusive=exclusive, reading=reading
        )
        again, _, _, _ = self.read(rows, cursor, NOW_MS + 240_000, exclusive=exclusive, reading=reading)

        assert sorted(handed) == sorted(i for _, i in rows)
        assert again == []
        assert unreachable == []

    def test_rows_that_are_alike_in_a_second_are_as_many_events_each_handed_on_once(self):
        alike = anonymous(NOW_MS - 50_000, "same")
        page = [anonymous(NOW_MS - 51_000, "before"), alike, alike, alike]
        first = after_answer(BY_TIME, inside(NOW_MS - DAY_MS, NOW_MS), Answer(page), NO_OVERLAP)
        call = opened(first.cursor, NOW_MS)
        second = after_answer(BY_TIME, call, Answer([alike] * 4), NO_OVERLAP)

        assert first.rows == page
        assert second.rows == [alike]

    def test_rows_newer_than_the_window_wait_for_the_next_one(self):
        rows = [(NOW_MS - 1_000, "old"), (NOW_MS + 60_000, "new")]
        handed, cursor, _, _ = self.read(rows, Cursor(NOW_MS - DAY_MS), NOW_MS + 120_000)
        more, _, _, _ = self.read(rows, cursor, NOW_MS + 240_000)

        assert (handed, more) == (["old"], ["new"])

    def test_a_second_with_more_rows_than_a_page_is_told_and_reading_goes_on_behind_it(self):
        rows = [(NOW_MS - 50_000, f"many-{n}") for n in range(9)] + [(NOW_MS - 40_000, "behind")]
        handed, _, unreachable, calls = self.read(rows, Cursor(NOW_MS - DAY_MS), NOW_MS + 120_000)

        assert handed == ["many-0", "many-1", "many-2", "many-3", "behind"]
        assert unreachable == [NOW_MS - 50_000]
        assert calls < 10

    @pytest.mark.parametrize("end_ms", [1, 500, 999, 1_000, 1_001])
    def test_a_second_that_hides_rows_at_a_windows_end_is_told_once(self, end_ms):
        second_ms = NOW_MS - 60_000
        rows = [(second_ms, f"many-{n}") for n in range(9)]
        told: list[int | None] = []
        cursor = Cursor(NOW_MS - DAY_MS)
        for polls in range(4):
            _, cursor, unreachable, _ = self.read(rows, cursor, second_ms + end_ms + 120_000 * (polls + 1))
            told += unreachable

        assert told == [second_ms]

    def test_a_short_page_need_not_be_the_last(self):
        """Duo says that it may give fewer rows than a page holds."""
        rows = [row(NOW_MS - 50_000, "a"), row(NOW_MS - 40_000, "b")]
        first = after_answer(BY_TIME, inside(NOW_MS - 50_000, NOW_MS), Answer(rows[:1]), READING)
        second = after_answer(BY_TIME, opened(first.cursor, NOW_MS), Answer(rows[1:]), READING)

        assert not first.window_done
        assert first.unreachable_ms is None
        assert second.rows == rows[1:]

    def test_a_page_full_of_rows_without_a_time_ends_the_window(self):
        page = [b'{"activity_id":"%d","ts":"soon"}' % n for n in range(BY_TIME.page_limit)]
        step = after_answer(BY_TIME, inside(NOW_MS - DAY_MS, NOW_MS), Answer(page), READING)

        assert step.rows == page
        assert step.window_done

    def test_a_quiet_log_costs_one_call_a_poll(self):
        rows = [(NOW_MS - 1_000, "only")]
        _, cursor, _, _ = self.read(rows, Cursor(NOW_MS - DAY_MS), NOW_MS + 120_000)
        handed, _, _, calls = self.read(rows, cursor, NOW_MS + 240_000)

        assert (handed, calls) == ([], 1)
