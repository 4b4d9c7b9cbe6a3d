"""What an answer means, with values only: the rows to hand on, where reading goes on, and that it always ends."""

import json
from dataclasses import replace

import pytest

from tests.duo.fake_duo import (
    ACTIVITY,
    BY_TIME,
    MINUTE,
    NO_OVERLAP,
    NOW_MS,
    READING,
    TRUST,
    anonymous,
    inside,
    opened,
    row,
    trust_row,
)
from transforms.duo.position.paging import Answer, after_answer, without_page_cursor
from transforms.duo.position.windows import DAY_MS, Call, next_call
from transforms.settings import Reading
from transforms.state.cursor import Cursor


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

    def test_a_refused_page_cursor_that_names_a_time_behind_the_window_skips_nothing_of_it(self):
        cursor = Cursor(NOW_MS - 10_000, NOW_MS, f"{NOW_MS}000,b", reached_ms=NOW_MS - 4_000)
        assert without_page_cursor(cursor).mintime_ms == NOW_MS - 4_000

    @pytest.mark.parametrize("total", [None, 0])
    def test_an_empty_answer_for_months_is_asked_for_once_more(self, total):
        call = inside(NOW_MS - 100 * DAY_MS, NOW_MS)
        step = after_answer(ACTIVITY, call, Answer([], None, total), READING)
        assert not step.window_done
        assert step.again_secs > 0
        again = next_call(step.cursor, NOW_MS, READING)
        assert (again.mintime_ms, again.maxtime_ms, again.next_offset) == (call.mintime_ms, call.maxtime_ms, None)

        rows = [row(NOW_MS - 5_000, "a")]
        assert after_answer(ACTIVITY, again, Answer(rows, None, 1), READING).rows == rows
        assert after_answer(ACTIVITY, again, Answer([], None, total), READING).window_done

    def test_an_empty_answer_for_a_stretch_that_the_next_window_looks_into_again_is_believed(self):
        call = inside(NOW_MS - 22 * MINUTE, NOW_MS, end_ms=NOW_MS - 2 * MINUTE)
        assert after_answer(ACTIVITY, call, Answer([], None, 0), READING).window_done

    def test_rows_that_cannot_be_read_are_handed_on_all_the_same(self):
        step = after_answer(ACTIVITY, self.CALL, Answer([b"null", b'"text"', b'{"ts":7}'], None), NO_OVERLAP)

        assert step.rows == [b"null", b'"text"', b'{"ts":7}']

    def test_what_duo_counted_is_compared_with_what_was_read_over_all_pages(self):
        first = after_answer(
            ACTIVITY, self.CALL, Answer([row(NOW_MS - 9, "a"), row(NOW_MS - 8, "b")], f"{NOW_MS - 8},b", 4), NO_OVERLAP
        )
        call = opened(first.cursor, NOW_MS)
        second = after_answer(ACTIVITY, call, Answer([row(NOW_MS - 7, "c"), row(NOW_MS - 6, "d")], None, 1), NO_OVERLAP)

        assert first.counted is None
        assert second.counted == (4, 4)

    def test_a_refused_page_cursor_is_replaced_by_the_time_that_it_named(self):
        cursor = Cursor(NOW_MS - 10_000, NOW_MS, f"{NOW_MS - 4_000},b", window_rows=3, window_total=9, seq=9)

        assert without_page_cursor(cursor) == Cursor(NOW_MS - 4_000, NOW_MS, seq=10)

    def test_a_refused_page_cursor_that_names_no_time_leads_back_to_the_start_of_the_window(self):
        assert without_page_cursor(Cursor(NOW_MS - 10_000, NOW_MS, "400")) == Cursor(NOW_MS - 10_000, NOW_MS, seq=1)


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

    @pytest.mark.parametrize("offset", ["²", "1700000000²²²,x", "٣", "9" * 900, ",", "-1", "1e9,x"])
    def test_a_cursor_of_any_text_raises_nothing(self, offset):
        page = [row(NOW_MS - 5, "a")]
        step = after_answer(ACTIVITY, inside(NOW_MS - 10_000, NOW_MS, "7"), Answer(page, offset), NO_OVERLAP)

        assert step.rows == page
        assert step.cursor.position_ms
        assert without_page_cursor(step.cursor)

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
