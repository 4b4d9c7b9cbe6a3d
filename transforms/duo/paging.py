"""The rules of reading one stream, as pure functions: which call comes next, and what an answer means.

Place in the flow: between the client (which knows HTTP) and the feed (which knows threads and waiting). Nothing here waits,
calls or keeps anything, so that every rule can be tested with values.

    next_call(cursor, now_ms, reading)     → Call: ask for this page · Wait: caught up, look again in so many seconds
    after_answer(log_type, cursor, call, answer) → Step: the rows to hand on and the cursor behind them
"""

from __future__ import annotations

from dataclasses import dataclass

from transforms.duo.cursor import MAX_REMEMBERED_ROWS, Cursor, row_digest
from transforms.duo.log_types.base import LogType
from transforms.settings import Reading

DAY_MS = 86_400_000
# Duo serves 180 days and refuses older windows. The margin is for the time that a call and a slow clock take.
RETENTION_MS = 180 * DAY_MS - 10 * 60_000


@dataclass(frozen=True, slots=True)
class Call:
    """One page to ask for."""

    mintime_ms: int
    maxtime_ms: int
    next_offset: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to ask for yet."""

    secs: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One page as Duo gave it: raw rows, and its cursor (None where it gave none)."""

    rows: list[bytes]
    next_offset: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What one answer moved: rows to hand on, the cursor behind them, rows left out because they had been handed on before."""

    rows: list[bytes]
    cursor: Cursor
    window_done: bool
    skipped: int = 0


def first_cursor(now_ms: int, start_days: float) -> Cursor:
    """Where a stream without a checkpoint begins."""
    return Cursor(mintime_ms=now_ms - min(int(start_days * DAY_MS), RETENTION_MS))


def days_out_of_reach(cursor: Cursor, now_ms: int) -> float:
    """How many days after the cursor Duo no longer serves; 0 where all of them can be read."""
    return max(0, now_ms - RETENTION_MS - cursor.position_ms) / DAY_MS


def next_call(cursor: Cursor, now_ms: int, reading: Reading) -> Call | Wait:
    """The page behind the cursor, or how long to wait until there may be one."""
    oldest_ms = now_ms - RETENTION_MS
    if cursor.maxtime_ms is not None:
        # While paging the times stay as they are. The one exception: a window so old that Duo would refuse it.
        return Call(max(cursor.mintime_ms, min(oldest_ms, cursor.maxtime_ms - 1)), cursor.maxtime_ms, cursor.next_offset)
    lag_ms = int(reading.lag_secs * 1000)
    # The last window ended at mintime, lag behind the moment when it was opened: its successor is due one interval later.
    due_ms = cursor.mintime_ms + lag_ms + int(reading.poll_interval_secs * 1000)
    maxtime_ms = now_ms - lag_ms
    if now_ms < due_ms or maxtime_ms <= cursor.mintime_ms:
        return Wait(max(due_ms - now_ms, cursor.mintime_ms + lag_ms + 1 - now_ms) / 1000)
    return Call(max(cursor.mintime_ms, oldest_ms), maxtime_ms)


def after_answer(log_type: LogType, cursor: Cursor, call: Call, answer: Answer) -> Step:
    """The rows of the answer that were not handed on before, and the cursor behind them.

    A window ends with the first page that has no rows, no cursor, or the cursor that was sent (which would loop).
    """
    rows, skip = _leave_out_seen(log_type, cursor, call, answer.rows)
    tail = _remember_border(log_type, cursor.tail, call.maxtime_ms, rows)
    done = not answer.rows or not answer.next_offset or answer.next_offset == call.next_offset
    if done:
        after = cursor.step(mintime_ms=call.maxtime_ms, maxtime_ms=None, next_offset=None, skip=tail, tail=())
    else:
        after = cursor.step(
            mintime_ms=call.mintime_ms, maxtime_ms=call.maxtime_ms, next_offset=answer.next_offset, skip=skip, tail=tail
        )
    return Step(rows, after, done, len(answer.rows) - len(rows))


def restart_window(cursor: Cursor) -> Cursor:
    """The present window from its first page: for a page cursor that Duo no longer takes. Repeats its pages, loses nothing."""
    return cursor.step(next_offset=None, tail=())


def _leave_out_seen(log_type: LogType, cursor: Cursor, call: Call, rows: list[bytes]) -> tuple[list[bytes], tuple[str, ...]]:
    """Rows without those of the border millisecond that the last window delivered, and what is still to be left out."""
    if not cursor.skip:
        return rows, ()
    seen = set(cursor.skip)
    kept: list[bytes] = []
    for index, row in enumerate(rows):
        time_ms, event_id = log_type.row_key(row)
        if log_type.ascending and time_ms is not None and time_ms > call.mintime_ms:
            # Past the border: nothing behind it can have been delivered by the last window.
            return kept + rows[index:], ()
        if row_digest(event_id, row) not in seen:
            kept.append(row)
    return kept, cursor.skip


def _remember_border(log_type: LogType, tail: tuple[str, ...], maxtime_ms: int, rows: list[bytes]) -> tuple[str, ...]:
    """Digests of the rows in the window's last millisecond; in ascending order they are at the page's end."""
    found: list[str] = []
    for row in reversed(rows):
        time_ms, event_id = log_type.row_key(row)
        if time_ms is not None and time_ms >= maxtime_ms:
            found.append(row_digest(event_id, row))
        elif log_type.ascending and time_ms is not None:
            break
    return (tail + tuple(reversed(found)))[:MAX_REMEMBERED_ROWS]
