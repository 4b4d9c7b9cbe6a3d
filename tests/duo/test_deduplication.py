"""Each row is handed on once: at the borders of pages and windows, and where windows overlap. With values only."""

from dataclasses import replace

from tests.duo.fake_duo import (
    ACTIVITY,
    MINUTE,
    NO_OVERLAP,
    NOW_MS,
    READING,
    TRUST,
    FakeDuo,
    anonymous,
    inside,
    opened,
    row,
    trust_row,
)
from transforms.duo.position.paging import Answer, after_answer
from transforms.duo.position.windows import DAY_MS, first_cursor
from transforms.settings import Reading
from transforms.state.cursor import Cursor
from transforms.state.seen import count_seen


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


class TestRemembering:
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

    def test_one_id_with_two_contents_is_two_events_each_handed_on_once(self):
        one = row(NOW_MS - MINUTE, "same")
        other = one.replace(b"}", b', "reason": "changed"}')
        step = after_answer(ACTIVITY, inside(NOW_MS - DAY_MS, NOW_MS), Answer([one]), READING)
        second = after_answer(ACTIVITY, opened(step.cursor, NOW_MS + 240_000), Answer([other]), READING)
        third = after_answer(ACTIVITY, opened(second.cursor, NOW_MS + 480_000), Answer([one, other]), READING)

        assert (step.rows, second.rows, third.rows) == ([one], [other], [])

    def test_rows_without_an_id_that_are_alike_across_a_page_border_are_two_events_each_handed_on_once(self):
        small = replace(ACTIVITY, page_limit=1)
        alike = anonymous(NOW_MS - MINUTE, "same")
        first = after_answer(small, inside(NOW_MS - DAY_MS, NOW_MS), Answer([alike], f"{NOW_MS - MINUTE},1"), READING)
        call = opened(first.cursor, NOW_MS)
        second = after_answer(small, call, Answer([alike]), READING)
        asked_again = after_answer(small, call, Answer([alike]), READING)
        overlap = opened(second.cursor, NOW_MS + 240_000)

        assert (first.rows, second.rows, asked_again.rows) == ([alike], [alike], [alike])
        assert after_answer(ACTIVITY, overlap, Answer([alike, alike]), READING).rows == []
        assert after_answer(ACTIVITY, overlap, Answer([alike, alike, alike]), READING).rows == [alike]

    def test_a_thousand_events_a_second_keep_their_overlap_and_a_bound_that_bites_is_told(self):
        seconds = 2 * int(READING.overlap_secs)
        assert READING.overlap_max_rows >= 1_000 * seconds

        rows = [row(NOW_MS - number, f"event-{number}") for number in reversed(range(1_000))]
        whole = after_answer(ACTIVITY, inside(NOW_MS - DAY_MS, NOW_MS), Answer(rows), READING)
        short = after_answer(ACTIVITY, inside(NOW_MS - DAY_MS, NOW_MS), Answer(rows), replace(READING, overlap_max_rows=999))

        assert (whole.shortened_ms, whole.cursor.seen_from_ms) == (0, NOW_MS - 1_000 * seconds)
        assert short.shortened_ms == 1_000 * seconds
