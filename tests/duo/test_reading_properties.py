"""Properties of reading: whatever arrives whenever, in pages of any size, cut and restarted anywhere, every row is handed on.

A model of Duo publishes rows (some late), serves pages, forgets page cursors and gives odd ones; the rules read it through
restarts from any committed cursor. Virtual time, no network.
"""

import json
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.duo.fake_duo import BY_TIME, NOW_MS, FakeDuo, row
from transforms.duo.position.paging import Answer, after_answer, without_page_cursor
from transforms.duo.position.windows import DAY_MS, Call, next_call
from transforms.settings import Reading
from transforms.state.cursor import Cursor
from transforms.state.seen import count_seen

OVERLAP_SECS = 600
POLL_MS = 120_000
MEMORY_ROWS = 400
READING = Reading(poll_interval_secs=POLL_MS / 1000, lag_secs=120, overlap_secs=OVERLAP_SECS, overlap_max_rows=MEMORY_ROWS)

# (poll in which it is published, how old it is then beyond the lag, in ms): late by up to the overlap, many alike.
arrivals = st.lists(
    st.tuples(st.integers(0, 12), st.one_of(st.integers(0, 3), st.integers(0, 90_000), st.integers(0, OVERLAP_SECS * 900))),
    max_size=60,
)
cuts = st.lists(st.integers(0, 5), min_size=1, max_size=12)


class Reader:
    """Reads poll by poll; ``cuts`` says after how many pages it is killed and resumed from an older committed cursor."""

    def __init__(self, duo: FakeDuo, cuts: list[int], odd_offsets: list[str | None]) -> None:
        self.duo = duo
        self.cuts = list(cuts)
        self.odd_offsets = list(odd_offsets)
        self.committed = Cursor(NOW_MS - DAY_MS)
        self.handed: Counter[str] = Counter()
        self.most_remembered = 0

    def poll(self, now_ms: int) -> None:
        cursor, pages, budget = self.committed, 0, 10_000
        while isinstance(call := next_call(cursor, now_ms, READING), Call):
            budget -= 1
            assert budget, "does not end"
            answer = self._answer(call)
            if answer is None:
                cursor = without_page_cursor(call.cursor)
                continue
            step = after_answer(self.duo.log_type, call, answer, READING)
            for raw in step.rows:
                self.handed[json.loads(raw)["activity_id"]] += 1
            cursor = Cursor.from_json(step.cursor.to_json())
            self.most_remembered = max(self.most_remembered, count_seen(cursor.seen))
            pages += 1
            if self.cuts and pages > self.cuts[0]:
                # Killed: what was handed on since the last commit is handed on again.
                self.cuts.pop(0)
                cursor, pages = self.committed, 0
            elif pages % 2 == 0:
                self.committed = cursor
        self.committed = cursor

    def _answer(self, call: Call) -> Answer | None:
        answer = self.duo.serve(call)
        if call.next_offset and self.odd_offsets:
            odd = self.odd_offsets.pop()
            if odd == "expired":
                return None
            if odd == "empty":
                return Answer([], None, answer.total)
            if answer.next_offset is not None and odd != "well":
                return replace(answer, next_offset=call.next_offset if odd == "repeated" else odd)
        return answer


@given(
    arrivals=arrivals,
    page_limit=st.integers(2, 7),
    cuts=cuts,
    odd_offsets=st.lists(st.sampled_from(["well", "well", "expired", "empty", "empty", "repeated", None]), max_size=12),
)
@settings(max_examples=300, deadline=None)
def test_every_row_is_handed_on_whatever_happens(arrivals, page_limit, cuts, odd_offsets):
    """Rows of one millisecond fit into a page here; where they do not, only Duo's cursor can lead through them."""
    duo = FakeDuo(page_limit)
    reader = Reader(duo, cuts, odd_offsets)
    published: set[str] = set()
    per_ms: Counter[int] = Counter()
    for poll in range(13):
        now_ms = NOW_MS + poll * POLL_MS
        for number, (at_poll, age_ms) in enumerate(arrivals):
            time_ms = now_ms - 120_000 - age_ms
            if at_poll == poll and per_ms[time_ms] < page_limit - 1:
                per_ms[time_ms] += 1
                duo.publish(time_ms, f"event-{number}")
                published.add(f"event-{number}")
        reader.poll(now_ms)
    for poll in range(13, 13 + 2 * OVERLAP_SECS * 1000 // POLL_MS):
        reader.poll(NOW_MS + poll * POLL_MS)

    assert set(reader.handed) == published


@given(arrivals=arrivals, page_limit=st.integers(1, 7))
@settings(max_examples=200, deadline=None)
def test_without_crashes_every_row_is_handed_on_once_and_memory_is_bounded(arrivals, page_limit):
    duo = FakeDuo(page_limit)
    reader = Reader(duo, [], [])
    for poll in range(13):
        now_ms = NOW_MS + poll * POLL_MS
        for number, (at_poll, age_ms) in enumerate(arrivals):
            if at_poll == poll:
                duo.publish(now_ms - 120_000 - age_ms, f"event-{number}")
        reader.poll(now_ms)
    for poll in range(13, 13 + 2 * OVERLAP_SECS * 1000 // POLL_MS):
        reader.poll(NOW_MS + poll * POLL_MS)

    assert reader.handed == Counter(event_id for _, event_id in duo.rows)
    assert reader.most_remembered <= MEMORY_ROWS + page_limit


@given(
    seconds=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), max_size=20),
    cut_after=st.integers(0, 10),
)
@settings(max_examples=200, deadline=None)
def test_logs_without_a_cursor_lose_nothing_while_a_second_fits_into_a_page(seconds, cut_after):
    per_second: Counter[int] = Counter()
    for second, count in seconds:
        per_second[second] = min(BY_TIME.page_limit - 1, per_second[second] + count)
    rows = [(NOW_MS - 100_000 + s * 1_000, f"{s}-{n}") for s in sorted(per_second) for n in range(per_second[s])]
    handed: Counter[str] = Counter()
    cursor, calls = Cursor(NOW_MS - DAY_MS), 0
    while isinstance(call := next_call(cursor, NOW_MS + 120_000, READING), Call):
        calls += 1
        assert calls < 200, "does not end"
        from_ms = call.mintime_ms // 1000 * 1000
        page = [row(t, i) for t, i in rows if t >= from_ms][: BY_TIME.page_limit]
        step = after_answer(BY_TIME, call, Answer(page), READING)
        handed.update(json.loads(r)["activity_id"] for r in step.rows)
        cursor = Cursor.from_json(step.cursor.to_json())

    assert handed == Counter(i for _, i in rows)


class DuoOfLikes(FakeDuo):
    """Serves rows without an id (name ""), and rows of one id with two contents (names "a" and "A")."""

    def raw_of(self, time_ms: int, event_id: str) -> bytes:
        return row(time_ms, event_id.lower()).replace(b"}", b', "as": "%s"}' % event_id.encode())


names = st.sampled_from(["", "", "a", "A", "b"])


@given(
    arrivals=st.lists(
        st.tuples(st.integers(0, 6), st.one_of(st.integers(0, 2), st.integers(0, OVERLAP_SECS * 900)), names), max_size=40
    ),
    page_limit=st.integers(1, 7),
    asked_twice=st.lists(st.booleans(), max_size=40),
)
@settings(max_examples=300, deadline=None)
def test_rows_that_are_alike_are_as_many_events_as_there_are_rows(arrivals, page_limit, asked_twice):
    """Across borders of pages, in pages that are asked for twice, and where windows overlap."""
    duo = DuoOfLikes(page_limit)
    handed: Counter[bytes] = Counter()
    cursor, again = Cursor(NOW_MS - DAY_MS), list(asked_twice)
    for poll in range(7 + 2 * OVERLAP_SECS * 1000 // POLL_MS):
        now_ms = NOW_MS + poll * POLL_MS
        for at_poll, age_ms, name in arrivals:
            if at_poll == poll:
                published = (now_ms - 120_000 - age_ms, name)
                if not name or published not in duo.rows:  # Duo gives a row that has an id once
                    duo.publish(*published)
        while isinstance(call := next_call(cursor, now_ms, READING), Call):
            step = after_answer(duo.log_type, call, duo.serve(call), READING)
            if again and again.pop():
                step = after_answer(duo.log_type, call, duo.serve(call), READING)  # the first answer was thrown away
            handed.update(step.rows)
            cursor = Cursor.from_json(step.cursor.to_json())

    assert handed == Counter(duo.raw_of(time_ms, name) for time_ms, name in duo.rows)


@given(
    seconds=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3), st.booleans()), max_size=20),
    polls=st.integers(1, 4),
)
@settings(max_examples=300, deadline=None)
def test_rows_that_are_alike_in_a_log_without_a_cursor_are_as_many_events(seconds, polls):
    per_second: Counter[int] = Counter()
    rows: list[tuple[int, bytes]] = []
    for second, count, alike in seconds:
        for number in range(min(count, BY_TIME.page_limit - 1 - per_second[second])):
            per_second[second] += 1
            time_ms = NOW_MS - 100_000 + second * 1_000
            rows.append((time_ms, row(time_ms, "").replace(b"}", b', "n": %d}' % (0 if alike else number))))
    rows.sort(key=lambda pair: pair[0])
    handed: Counter[bytes] = Counter()
    cursor, calls = Cursor(NOW_MS - DAY_MS), 0
    for poll in range(polls):
        while isinstance(call := next_call(cursor, NOW_MS + 120_000 + poll * POLL_MS, READING), Call):
            calls += 1
            assert calls < 500, "does not end"
            from_ms = call.mintime_ms // 1000 * 1000
            page = [raw for time_ms, raw in rows if time_ms >= from_ms][: BY_TIME.page_limit]
            step = after_answer(BY_TIME, call, Answer(page), READING)
            handed.update(step.rows)
            cursor = Cursor.from_json(step.cursor.to_json())

    assert handed == Counter(raw for _, raw in rows)
