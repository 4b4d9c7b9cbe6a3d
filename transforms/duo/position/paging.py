"""What one page of an answer means: the rows to hand on, and where reading goes on.

Place in the flow: between the client (which knows HTTP) and the feed (which knows threads and waiting). Which call was made is
``windows``' word, which rows are new ``deduplication``'s.
Contract: pure functions. Nothing here waits, calls or keeps anything, so that every rule can be tested with values.

    after_answer(log_type, call, answer, reading)  → Step: the rows to hand on and the cursor behind them
    after_refusal(call)                            → the cursor to go on with where Duo no longer takes a page cursor

Progress. A window ends with a page that has no rows, or a short one without a cursor. Where Duo gives a full page without a
cursor, the cursor that was sent, or one that leads back, reading goes on by time, from the last row's time on: it never loops,
and skips nothing that Duo can still give. Logs of API v1, which have no cursor at all, are read that way throughout.

Count. A window that ends before all that Duo counted in it was read is asked again, then by time, and then closed as it is:
what is missing is a gap (``gaps``). A long window whose first answer has no row is asked for once more, whatever that counts:
after an outage, or at the first start, one answer that is empty by mistake would cost days or months.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from transforms.duo.log_types.base import LogType
from transforms.duo.position.deduplication import not_seen, to_remember
from transforms.duo.position.gaps import AGAIN_SECS, after_gap_answer, healed, listed, most_doubts, put_off
from transforms.duo.position.windows import Call, reach_ms_of, remember_from_ms
from transforms.settings import Reading
from transforms.state.cursor import SECOND_MS, Cursor, Gap
from transforms.state.seen import with_seen, without_old

# Pages in a row that may hold nothing new and stay in one millisecond, before Duo's cursor is taken to run in a circle.
_MOST_STUCK_PAGES = 20
# A window without a row that is not longer is believed at once: without an overlap each poll would be two calls.
_SHORT_MS = 600_000


@dataclass(frozen=True, slots=True)
class Answer:
    """One page as Duo gave it.

    Attributes:
      rows: raw. next_offset: Duo's page cursor.
      total: how many rows it says the window has; None where it says nothing.
      cursor_lost: there was a page cursor, but not one that could be read or sent.
      odd_rows: how many of the rows are not JSON as it should be.
    """

    rows: list[bytes]
    next_offset: str | None = None
    total: int | None = None
    cursor_lost: bool = False
    odd_rows: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What one answer moved.

    Attributes:
      rows: to hand on. skipped: rows of the answer that had been handed on before.
      cursor: the position behind the answer.
      window_done: the window was read to its end.
      counted: with window_done, where Duo told: (rows in the window as Duo counted them, rows that were read).
      unreachable_ms: a time at which Duo has more rows than it can be made to give; reading went on behind it.
      circled: Duo's page cursor did not lead on, or could not be read, and reading goes on by time.
      again_secs: so long to wait before the next call, because the window ended before all that Duo counted was read.
      gap: with window_done, what is missing and was listed; behind a reading of a gap, the gap as it is now.
      closed_gap: a gap that is a gap no more.
      shortened_ms: with window_done, by how much the overlap is shorter than wanted, because memory is bounded.
      odd_rows: rows of the answer that are not JSON as it should be.
    """

    rows: list[bytes]
    cursor: Cursor
    window_done: bool
    skipped: int = 0
    counted: tuple[int, int] | None = None
    unreachable_ms: int | None = None
    circled: bool = False
    again_secs: float = 0.0
    gap: Gap | None = None
    closed_gap: Gap | None = None
    shortened_ms: int = 0
    odd_rows: int = 0


@dataclass(frozen=True, slots=True)
class _Onward:
    """Where reading goes on inside a window: at a page cursor, or at a time."""

    next_offset: str | None = None
    mintime_ms: int = 0
    unreachable_ms: int | None = None
    circled: bool = False


def after_answer(log_type: LogType, call: Call, answer: Answer, reading: Reading) -> Step:
    """The rows of the answer that were not handed on before, and the cursor behind them."""
    if call.gap is not None:
        return _after_gap_answer(log_type, call, call.gap, answer, reading)
    given = _inside(log_type, call, answer.rows)
    rows = not_seen(log_type, call, given)
    is_first = call.next_offset is None and not call.cursor.window_rows
    total = answer.total if is_first else call.cursor.window_total
    read = call.cursor.window_rows + len(given) - (0 if is_first else _met_again(log_type, call, given, rows))
    onward = _onward(log_type, call, answer, given, new=bool(rows), complete=total is not None and read >= total)
    memory = to_remember(log_type, call, given, reading)
    so_far = replace(
        call.cursor,
        maxtime_ms=call.maxtime_ms,
        seen=with_seen(call.cursor.seen, memory.digests),
        window_rows=read,
        window_total=total,
        reached_ms=_reached_ms(log_type, call, given),
        doubts=0 if rows else call.cursor.doubts,
    )
    step = Step(rows, so_far, window_done=False, skipped=len(given) - len(rows), odd_rows=answer.odd_rows)
    if onward is None:
        # A log without an order cannot be read on by time: the window ends, and that is told.
        circled = bool(given) and (bool(answer.next_offset) or answer.cursor_lost) and not log_type.ascending
        short = total is not None and read < total and not circled
        if not short and not answer.rows and _hard_to_believe(call, reading):
            again: dict[str, Any] | None = {"cursor": so_far.step(doubts=1), "again_secs": AGAIN_SECS[0]}
        else:
            again = _asked_again(log_type, so_far, had_rows=bool(given)) if short else None
        return replace(step, **again) if again else _at_the_end(log_type, call, step, reading, circled=circled)
    changes: dict[str, object] = {"next_offset": onward.next_offset, "border": memory.border}
    if onward.next_offset is None:
        changes = {"next_offset": None, "border": {}, "mintime_ms": onward.mintime_ms}
    cursor = so_far.step(stuck=_stuck(call, onward, new=bool(rows)), **changes)
    return replace(step, cursor=cursor, unreachable_ms=onward.unreachable_ms, circled=onward.circled)


def without_page_cursor(cursor: Cursor) -> Cursor:
    """For a page cursor that Duo no longer takes: the rest of the window by time, from the millisecond that the cursor named.

    What was handed on of that millisecond is remembered, so nothing repeats and nothing is lost. A cursor that names no time
    of the window leads back to the last row's, or to the window's start, which repeats its pages.
    """
    reached_ms = _offset_ms(cursor.next_offset or "") or cursor.reached_ms
    if cursor.maxtime_ms is not None and reached_ms > cursor.maxtime_ms:
        reached_ms = cursor.reached_ms  # a time behind the window's end is none that was read up to
    mintime_ms = max(cursor.mintime_ms, reached_ms)
    return cursor.step(mintime_ms=mintime_ms, next_offset=None, window_rows=0, window_total=None, border={})


def after_refusal(call: Call) -> Cursor | None:
    """Where reading goes on after Duo refused the parameters of a call; None where it cannot go on."""
    if call.gap is not None:
        return put_off(call.cursor, call.gap, call.now_ms)
    return without_page_cursor(call.cursor) if call.next_offset else None


def _after_gap_answer(log_type: LogType, call: Call, gap: Gap, answer: Answer, reading: Reading) -> Step:
    rows, cursor, present = after_gap_answer(
        log_type, call.cursor, gap, answer.rows, answer.next_offset, now_ms=call.now_ms, reach_ms=reach_ms_of(reading)
    )
    skipped = len(answer.rows) - len(rows)
    closed = gap if present is None else None
    return Step(rows, cursor, window_done=False, skipped=skipped, gap=present, closed_gap=closed, odd_rows=answer.odd_rows)


def _hard_to_believe(call: Call, reading: Reading) -> bool:
    """Whether a window that begins without a row is asked for once more: one that no later window would look into again."""
    cursor = call.cursor
    began_ms = cursor.mintime_ms if cursor.end_ms is None else cursor.end_ms
    is_long = call.maxtime_ms - began_ms > max(_SHORT_MS, reach_ms_of(reading))
    return is_long and not (cursor.window_rows or cursor.doubts or call.next_offset)


def _asked_again(log_type: LogType, so_far: Cursor, *, had_rows: bool) -> dict[str, Any] | None:
    """For a window that ended before all that Duo counted was read: what to ask then; None once it was asked for often enough.

    First the same page some times, then by time from the last row on, once. Where the page had rows, it is by time at once.
    Asking ends: ``doubts`` grows until a new row comes.
    """
    doubts, most = so_far.doubts, most_doubts(so_far)
    by_time = log_type.ascending and so_far.mintime_ms <= so_far.reached_ms <= (so_far.maxtime_ms or 0)
    last_resort = doubts == most and (so_far.next_offset is None or not by_time)
    if doubts > most or last_resort or (had_rows and not by_time):
        return None
    changes: dict[str, object] = {"doubts": doubts + 1}
    if had_rows or doubts == most:
        changes |= {"next_offset": None, "border": {}, "mintime_ms": so_far.reached_ms}
    return {"cursor": so_far.step(**changes), "again_secs": AGAIN_SECS[min(doubts, len(AGAIN_SECS) - 1)]}


def _at_the_end(log_type: LogType, call: Call, step: Step, reading: Reading, *, circled: bool) -> Step:
    """The step out of a window that was read to its end, as far as Duo lets it be read."""
    so_far = step.cursor
    total, read = so_far.window_total, so_far.window_rows
    missing = 0 if total is None else max(0, total - read)
    gaps = so_far.gaps
    if missing:
        gaps = listed(so_far, call.maxtime_ms, missing, call.now_ms, ascending=log_type.ascending)
    elif total is not None:
        begin_ms = so_far.mintime_ms if so_far.begin_ms is None else so_far.begin_ms
        gaps = healed(gaps, begin_ms, call.maxtime_ms)
    cursor, shortened_ms = _behind_window(call, replace(so_far, gaps=gaps), reading)
    return replace(
        step,
        cursor=cursor,
        window_done=True,
        counted=None if total is None else (total, read),
        circled=circled,
        gap=gaps[-1] if missing else None,
        shortened_ms=shortened_ms,
    )


def _reached_ms(log_type: LogType, call: Call, given: list[bytes]) -> int:
    if not log_type.ascending or not given:
        return call.cursor.reached_ms
    return max(call.cursor.reached_ms, _last_inside_ms(log_type, call, given))


def _last_inside_ms(log_type: LogType, call: Call, given: list[bytes]) -> int:
    """The time of the last row that lies in the window, whatever else an odd row says; at least the window's beginning."""
    times_ms = (log_type.row_key(row).time_ms for row in reversed(given))
    inside = (time_ms for time_ms in times_ms if time_ms is not None and time_ms <= call.maxtime_ms)
    return max(next(inside, 0), call.cursor.mintime_ms)


def _inside(log_type: LogType, call: Call, rows: list[bytes]) -> list[bytes]:
    """Rows without those behind the window's end, which logs without maxtime give too; they are for the next window."""
    if not log_type.pages_by_time:
        return rows
    return [row for row in rows if (log_type.row_key(row).time_ms or 0) <= call.maxtime_ms]


def _behind_window(call: Call, so_far: Cursor, reading: Reading) -> tuple[Cursor, int]:
    """The cursor after a window that was read to its end, and by how much memory is shorter than the overlap asks for."""
    known_from_ms = so_far.mintime_ms if so_far.seen_from_ms is None else so_far.seen_from_ms
    from_ms = max(known_from_ms, remember_from_ms(call, reading))
    kept, whole_from_ms = without_old(so_far.seen, from_ms, reading.overlap_max_rows)
    first = so_far.end_ms is None
    cursor = so_far.step(
        mintime_ms=call.maxtime_ms,
        maxtime_ms=None,
        next_offset=None,
        end_ms=call.maxtime_ms,
        swept_ms=call.maxtime_ms if so_far.deep or first else so_far.swept_ms,
        deep=False,
        stuck=0,
        window_rows=0,
        window_total=None,
        begin_ms=None,
        reached_ms=0,
        doubts=0,
        border={},
        seen=kept,
        # The last millisecond can still grow: what of it was read is remembered, so the window may begin in it again.
        seen_from_ms=min(whole_from_ms, call.maxtime_ms),
    )
    return cursor, max(0, whole_from_ms - from_ms)


def _onward(log_type: LogType, call: Call, answer: Answer, given: list[bytes], *, new: bool, complete: bool) -> _Onward | None:
    """Where reading goes on inside the window; None where the window is at its end."""
    if not given:
        return None
    if log_type.pages_by_time:
        return _onward_by_time(log_type, call, answer, given, new=new)
    full = len(answer.rows) >= log_type.page_limit
    # A full page without a cursor is the last one where all that Duo counted is here; else it is looked behind.
    if not answer.next_offset and (complete or not (full or answer.cursor_lost)):
        return None
    if answer.next_offset and _leads_on(call, answer.next_offset) and call.cursor.stuck < _MOST_STUCK_PAGES:
        return _Onward(next_offset=answer.next_offset)
    if not log_type.ascending:
        return None
    last_ms = _last_inside_ms(log_type, call, given)
    # A page that ends where it began: no time to go on from, so the rest of that millisecond is out of reach.
    at_a_stand = last_ms <= call.cursor.mintime_ms or call.cursor.stuck >= _MOST_STUCK_PAGES
    return (
        _Onward(
            mintime_ms=last_ms + 1 if at_a_stand else last_ms,
            unreachable_ms=last_ms if at_a_stand and full else None,
            circled=bool(answer.next_offset) or answer.cursor_lost,
        )
        if last_ms < call.maxtime_ms
        else None
    )


def _onward_by_time(log_type: LogType, call: Call, answer: Answer, given: list[bytes], *, new: bool) -> _Onward | None:
    """For logs without a cursor: from about the last row's second on, as long as that brings something."""
    full = len(answer.rows) >= log_type.page_limit
    if len(given) < len(answer.rows) or not (new or full):
        return None
    began_ms = call.cursor.mintime_ms // SECOND_MS * SECOND_MS
    last_ms = log_type.last_time_ms(given) // SECOND_MS * SECOND_MS
    if last_ms > began_ms:
        # Sources disagree on whether Duo gives the second that it is asked from, or only what is behind it. Where progress
        # allows, the second before is asked from, which is right in both cases; what is known of it is left out.
        return _Onward(mintime_ms=max(last_ms - SECOND_MS, began_ms + SECOND_MS))
    # A page that does not leave the second in which it began: a full one hides the rest of that second.
    behind_ms = last_ms + SECOND_MS
    if not call.cursor.mintime_ms < behind_ms <= call.maxtime_ms:
        return None
    told_before = behind_ms <= (call.cursor.end_ms or 0)
    return _Onward(mintime_ms=behind_ms, unreachable_ms=last_ms if full and not told_before else None)


def _leads_on(call: Call, offset: str) -> bool:
    """Whether a page cursor leads on: a time that does not go back, or a number that grows; any other text must be new."""
    sent = call.next_offset
    if offset == sent:
        return False
    if offset.isdecimal() and (sent or "0").isdecimal():
        return int(offset) > int(sent or "0") or sent is None
    before, after = (_offset_ms(sent) if sent else call.cursor.mintime_ms), _offset_ms(offset)
    return before is None or after is None or after >= before


def _stuck(call: Call, onward: _Onward, *, new: bool) -> int:
    """Counts pages in a row that held nothing new and stayed in one millisecond."""
    if new or onward.next_offset is None or call.next_offset is None:
        return 0
    return call.cursor.stuck + 1 if _offset_ms(onward.next_offset) == _offset_ms(call.next_offset) else 0


def _met_again(log_type: LogType, call: Call, given: list[bytes], rows: list[bytes]) -> int:
    """Rows of the border that a page read on by time has in common with the page before it; they count once."""
    if call.next_offset is not None or not log_type.ascending:
        return 0
    border_ms = call.cursor.mintime_ms + (999 if log_type.pages_by_time else 0)
    fresh = set(map(id, rows))
    return sum(1 for row in given if id(row) not in fresh and (log_type.row_key(row).time_ms or 0) <= border_ms)


def _offset_ms(offset: str) -> int | None:
    milliseconds, comma, _ = offset.partition(",")
    return int(milliseconds) if comma and milliseconds.isdecimal() else None
