"""Windows that end before all that Duo counted was read: asked again, read by time, listed, read again later."""

from dataclasses import replace

import pytest

from tests.duo.fake_duo import ACTIVITY, MINUTE, NOW_MS, READING, TRUST, FakeDuo, inside, opened, row, trust_row
from transforms.duo.position.paging import Answer, Step, after_answer, after_refusal
from transforms.duo.position.windows import DAY_MS, Call, Wait, next_call
from transforms.state.cursor import Cursor, Gap

HOUR = 60 * MINUTE


class ForgetfulDuo(FakeDuo):
    """Counts all rows, and for ``times`` calls gives none from ``hidden_ms`` to NOW_MS."""

    def __init__(self, hidden_ms: int, times: int, page_limit: int = 3) -> None:
        super().__init__(page_limit)
        self.hidden_ms = hidden_ms
        self.times = times
        self.asked: list[tuple[int, str | None]] = []

    def serve(self, call: Call) -> Answer:
        self.asked.append((call.mintime_ms, call.next_offset))
        answer = super().serve(call)
        kept = [raw for raw in answer.rows if not self.hidden_ms <= (ACTIVITY.row_key(raw).time_ms or 0) < NOW_MS]
        if self.times and len(kept) < len(answer.rows):
            self.times -= 1
            return Answer(kept, None, answer.total)
        return answer


def steps(duo: FakeDuo, cursor: Cursor, now_ms: int) -> tuple[list[Step], Cursor]:
    """Reads until caught up."""
    made = []
    while isinstance(call := next_call(cursor, now_ms, READING), Call):
        made.append(after_answer(duo.log_type, call, duo.serve(call), READING))
        cursor = Cursor.from_json(made[-1].cursor.to_json())
        assert len(made) < 200, "does not end"
    return made, cursor


def handed(made: list[Step]) -> list[str]:
    return [ACTIVITY.row_key(raw).event_id or "" for step in made for raw in step.rows]


def full(hidden: int, times: int, count: int = 9) -> tuple[ForgetfulDuo, list[str]]:
    duo = ForgetfulDuo(NOW_MS - HOUR + hidden * 1_000, times)
    for number in range(count):
        duo.publish(NOW_MS - HOUR + number * 1_000, f"event-{number}")
    return duo, [f"event-{number}" for number in range(count)]


@pytest.mark.parametrize("hidden", [0, 1, 3, 4, 6, 8])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_an_answer_that_is_empty_or_short_too_early_is_asked_for_again(hidden, times):
    duo, everything = full(hidden, times)
    made, cursor = steps(duo, Cursor(NOW_MS - DAY_MS), NOW_MS)

    assert handed(made) == everything
    assert cursor.gaps == ()
    assert made[-1].counted is not None
    assert made[-1].counted[0] == made[-1].counted[1]


def test_it_is_asked_with_growing_pauses_then_by_time_once_and_then_accepted():
    duo, everything = full(3, 10**6)
    made, cursor = steps(duo, Cursor(NOW_MS - DAY_MS), NOW_MS)

    assert handed(made) == everything[:3]
    assert [step.again_secs for step in made] == [0, 1, 4, 15, 15, 0]
    assert [offset is None for _, offset in duo.asked] == [True, False, False, False, False, True]
    assert duo.asked[-1][0] == NOW_MS - HOUR + 2_000  # the last row's time
    assert made[-1].counted == (9, 3)
    assert made[-1].gap == cursor.gaps[0]
    assert (cursor.gaps[0].from_ms, cursor.gaps[0].to_ms, cursor.gaps[0].missing) == (NOW_MS - HOUR + 2_000, cursor.end_ms, 6)


def test_live_reading_goes_on_and_the_gap_is_read_again_when_it_is_due_without_a_repeat():
    duo, everything = full(3, 10**6)
    _, cursor = steps(duo, Cursor(NOW_MS - DAY_MS), NOW_MS)
    duo.publish(NOW_MS + MINUTE, "live")
    live, cursor = steps(duo, cursor, NOW_MS + 5 * MINUTE)
    duo.times = 0
    early, cursor = steps(duo, cursor, NOW_MS + 9 * MINUTE)
    later, cursor = steps(duo, cursor, NOW_MS + 11 * MINUTE)

    assert (handed(live), handed(early)) == (["live"], [])
    assert handed(later) == everything[3:]
    assert cursor.gaps == ()
    assert next(step.closed_gap for step in later if step.closed_gap).missing == 6


def test_a_window_that_is_due_comes_between_two_pages_of_a_gap():
    gap = Gap(NOW_MS - HOUR, NOW_MS - HOUR // 2, 6, due_ms=NOW_MS, next=f"{NOW_MS - HOUR},1")
    cursor = Cursor(NOW_MS - 240_000, end_ms=NOW_MS - 240_000, seen_from_ms=NOW_MS - 240_000, gaps=(gap,))

    assert opened(cursor, NOW_MS).gap is None
    assert opened(replace(cursor, end_ms=NOW_MS - 120_000), NOW_MS).gap == gap


def test_a_gap_that_stays_is_tried_ever_more_rarely_then_given_up_and_still_listed():
    duo, _ = full(3, 10**6)
    _, cursor = steps(duo, Cursor(NOW_MS - DAY_MS), NOW_MS)
    tries: list[int] = []
    repeated: list[str] = []
    for now_ms in range(NOW_MS + 2 * MINUTE, NOW_MS + 120 * HOUR, 10 * MINUTE):
        before = len(duo.asked)
        made, cursor = steps(duo, cursor, now_ms)
        repeated += handed(made)
        if any(at_ms == NOW_MS - HOUR + 2_000 for at_ms, _ in duo.asked[before:]):
            tries.append((now_ms - NOW_MS) // MINUTE)

    assert repeated == []
    assert tries == [12, 72, 432, 1872, 6192]
    assert [(gap.missing, gap.tries, gap.due_ms) for gap in cursor.gaps] == [(6, 5, None)]


def test_a_gap_of_which_a_part_comes_goes_on_behind_that_part():
    gap = Gap(NOW_MS - HOUR, NOW_MS - HOUR // 2, 6, due_ms=NOW_MS)
    cursor = Cursor(NOW_MS, end_ms=NOW_MS, seen_from_ms=NOW_MS, gaps=(gap,))
    page = [row(NOW_MS - HOUR + 1_000, "a"), row(NOW_MS - HOUR + 2_000, "b")]
    step = after_answer(ACTIVITY, Call(cursor, gap.from_ms, NOW_MS, gap), Answer(page, None, 6), READING)
    (rest,) = step.cursor.gaps
    again = after_answer(ACTIVITY, Call(step.cursor, rest.from_ms, NOW_MS, rest), Answer(page[1:], None, 5), READING)

    assert step.rows == page
    assert (rest.from_ms, rest.missing, rest.tries) == (NOW_MS - HOUR + 2_000, 4, 1)
    assert again.rows == []


def test_rows_that_a_gap_brings_are_not_repeated_by_the_overlap():
    gap = Gap(NOW_MS - 5 * MINUTE, NOW_MS, 2, due_ms=NOW_MS)
    cursor = Cursor(NOW_MS, end_ms=NOW_MS, swept_ms=NOW_MS, seen_from_ms=NOW_MS - 20 * MINUTE, gaps=(gap,))
    page = [row(NOW_MS - MINUTE, "a"), row(NOW_MS - MINUTE, "b")]
    step = after_answer(ACTIVITY, Call(cursor, gap.from_ms, NOW_MS, gap), Answer(page, None, 2), READING)
    overlap = opened(step.cursor, NOW_MS + 4 * MINUTE)

    assert overlap.mintime_ms < NOW_MS - MINUTE
    assert after_answer(ACTIVITY, overlap, Answer(page, None, 2), READING).rows == []


def test_a_gap_that_duo_refuses_to_serve_is_a_try_and_stops_nothing():
    gap = Gap(NOW_MS - HOUR, NOW_MS - HOUR // 2, 6, due_ms=NOW_MS, next="1,a", reached_ms=NOW_MS - HOUR + 5)
    cursor = Cursor(NOW_MS, end_ms=NOW_MS, seen_from_ms=NOW_MS, gaps=(gap,))
    without_cursor = after_refusal(Call(cursor, gap.from_ms, NOW_MS, gap))
    assert without_cursor is not None
    (by_time,) = without_cursor.gaps
    refused = after_refusal(Call(without_cursor, by_time.from_ms, NOW_MS, by_time))
    assert refused is not None

    assert (by_time.next, by_time.from_ms, by_time.tries) == (None, NOW_MS - HOUR + 5, 0)
    assert (refused.gaps[0].tries, refused.gaps[0].due_ms) == (1, NOW_MS + HOUR)
    assert isinstance(next_call(refused, NOW_MS, READING), Wait)


def test_page_cursors_of_a_gap_that_run_in_a_circle_end():
    gap = Gap(NOW_MS - HOUR, NOW_MS - HOUR // 2, 6, due_ms=NOW_MS)
    cursor = Cursor(NOW_MS, end_ms=NOW_MS, seen_from_ms=NOW_MS, gaps=(gap,))
    small = replace(ACTIVITY, page_limit=2)
    calls = 0
    while isinstance(call := next_call(cursor, NOW_MS, READING), Call):
        page = [row(NOW_MS - HOUR, f"{'ab'[calls % 2]}{n}") for n in range(2)]
        cursor = after_answer(small, call, Answer(page, f"{NOW_MS - HOUR},{calls % 2}"), READING).cursor
        calls += 1
        assert calls < 20_000, "runs in a circle"


def test_a_window_that_is_whole_closes_the_gaps_inside_of_it():
    gaps = (Gap(NOW_MS - HOUR, NOW_MS - HOUR + 9, 3), Gap(NOW_MS - 9 * HOUR, NOW_MS - 8 * HOUR, 3))
    call = inside(NOW_MS - 2 * HOUR, NOW_MS, gaps=gaps)

    assert after_answer(ACTIVITY, call, Answer([row(NOW_MS - 5, "a")], None, 1), READING).cursor.gaps == gaps[1:]
    assert after_answer(ACTIVITY, call, Answer([row(NOW_MS - 5, "a")]), READING).cursor.gaps == gaps


def test_a_count_that_is_always_wrong_costs_some_calls_and_repeats_nothing():
    """A real answer of Duo: no rows, no page cursor, ``total_objects`` 94."""
    cursor = Cursor(NOW_MS - DAY_MS)
    calls, rows = [], []
    for poll in range(200):
        now_ms, before = NOW_MS + poll * 4 * MINUTE, len(calls)
        while isinstance(call := next_call(cursor, now_ms, READING), Call):
            page = (
                [row(call.maxtime_ms - 1, f"event-{poll}")]
                if call.gap is None and poll % 3 == 0 and not call.cursor.doubts
                else []
            )
            step = after_answer(ACTIVITY, call, Answer(page, None, 94), READING)
            calls.append(call)
            rows += step.rows
            cursor = Cursor.from_json(step.cursor.to_json())
        assert len(calls) - before < 25

    assert len(rows) == len(set(rows)) == 67
    assert len(cursor.gaps) <= 16
    assert len(cursor.to_json()) < 20_000


def test_a_log_without_an_order_is_asked_again_where_nothing_came_and_else_told():
    empty = after_answer(TRUST, inside(NOW_MS - HOUR, NOW_MS), Answer([], None, 5), READING)
    short = after_answer(TRUST, inside(NOW_MS - HOUR, NOW_MS), Answer([trust_row(NOW_MS - 5, "a")], None, 5), READING)

    assert (empty.window_done, empty.again_secs) == (False, 1)
    assert (short.window_done, short.counted) == (True, (5, 1))
    assert [(gap.missing, gap.due_ms) for gap in short.cursor.gaps] == [(4, None)]


def test_a_page_whose_cursor_was_lost_is_followed_by_time():
    small = replace(ACTIVITY, page_limit=3)
    page = [row(NOW_MS - 5_000, "a"), row(NOW_MS - 4_000, "b")]
    step = after_answer(small, inside(NOW_MS - HOUR, NOW_MS), Answer(page, cursor_lost=True), READING)
    following = opened(step.cursor, NOW_MS)
    last = after_answer(small, following, Answer([page[1], row(NOW_MS - 1, "c")]), READING)

    assert (step.circled, step.window_done, following.mintime_ms) == (True, False, NOW_MS - 4_000)
    assert (last.rows, last.window_done) == ([row(NOW_MS - 1, "c")], True)


def test_rows_without_a_time_and_rows_of_the_future_do_not_lead_reading_astray():
    small = replace(ACTIVITY, page_limit=2)
    call = inside(NOW_MS - HOUR, NOW_MS)
    future = row(NOW_MS - 1, "x").replace(b'"ts": "20', b'"ts": "90')
    timeless = after_answer(small, call, Answer([b'{"a":1}', b'{"a":2}']), READING)
    dated = after_answer(small, call, Answer([row(NOW_MS - 9_000, "a"), future]), READING)

    assert timeless.cursor.mintime_ms == NOW_MS - HOUR + 1
    assert dated.cursor.mintime_ms == NOW_MS - 9_000


def test_a_late_row_before_the_last_windows_end_is_not_forgotten_behind_an_empty_answer_after_a_long_pause():
    duo, everything = full(0, 0)
    made, cursor = steps(duo, Cursor(NOW_MS - DAY_MS), NOW_MS)
    duo.publish(NOW_MS - 5 * MINUTE, "late")  # in a window that is read already, and found by the next look back
    duo.hidden_ms, duo.times = NOW_MS - 10 * MINUTE, 10**6
    pause, cursor = steps(duo, cursor, NOW_MS + 3 * HOUR)
    duo.times = 0
    later, cursor = steps(duo, cursor, NOW_MS + 4 * HOUR)

    assert handed(made + pause + later) == [*everything, "late"]
    assert cursor.gaps == ()
