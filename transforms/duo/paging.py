"""The rules of reading one stream, as pure functions: which call comes next, and what an answer means.

Place in the flow: between the client (which knows HTTP) and the feed (which knows threads and waiting). Nothing here waits,
calls or keeps anything, so that every rule can be tested with values.

    next_call(cursor, now_ms, reading)             → Call: ask for this page · Wait: caught up, look again in so many seconds
                                                     · Finished: a backfill has reached its end
    after_answer(log_type, call, answer, reading)  → Step: the rows to hand on and the cursor behind them

Overlap. Duo can publish a row later than its neighbours, in a window that was already read. So a window reaches back behind the
end of the last one, and rows that were handed on before are left out by their digests (``Cursor.seen``):

    a quiet stream  (what is read again fits into one page) reaches back by twice ``overlap_secs`` with every window: it costs
                    nothing
    a busy stream   does so with one window in every ``overlap_secs``, so that whatever is published at most ``overlap_secs``
                    late is found; the others reach back to the last one's last millisecond only. A stream that is behind
                    catches up first, and then looks back over all of that stretch.

Progress. A window ends with a page that has no rows, or a short one without a cursor. Where Duo gives a full page without a
cursor, the cursor that was sent, or one that leads back, reading goes on by time, from the last row's time on: it never loops,
and skips nothing that Duo can still give. Logs of API v1, which have no cursor at all, are read that way throughout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from transforms.duo.cursor import MINUTE_MS, Cursor, count_seen, row_digest, with_seen, without_old
from transforms.duo.log_types.base import LogType
from transforms.settings import Reading

DAY_MS = 86_400_000
SECOND_MS = 1000
# Duo serves 180 days and refuses older windows. The margin is for the time that a call and a slow clock take.
RETENTION_MS = 180 * DAY_MS - 10 * 60_000
# So few rows are read again with every window: they share a page with the new ones.
QUIET_ROWS = 500
# Pages in a row that may hold nothing new and stay in one millisecond, before Duo's cursor is taken to run in a circle.
_MOST_STUCK_PAGES = 20


@dataclass(frozen=True, slots=True)
class Call:
    """One page to ask for: the next one of the window that ``cursor`` is in.

    Attributes:
      mintime_ms: what to send; the cursor's, unless Duo would refuse that as too old.
    """

    cursor: Cursor
    mintime_ms: int

    @property
    def maxtime_ms(self) -> int:
        """The window's end."""
        assert self.cursor.maxtime_ms is not None
        return self.cursor.maxtime_ms

    @property
    def next_offset(self) -> str | None:
        """The page cursor to send."""
        return self.cursor.next_offset


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to ask for yet."""

    secs: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A backfill has reached its end: nothing will ever be asked for again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One page as Duo gave it: raw rows, its cursor, and how many rows it says the window has (None where it says nothing)."""

    rows: list[bytes]
    next_offset: str | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What one answer moved.

    Attributes:
      rows: to hand on. skipped: rows of the answer that had been handed on before.
      cursor: the position behind the answer.
      window_done: the window was read to its end.
      counted: with window_done, where Duo told: (rows in the window as Duo counted them, rows that were read).
      unreachable_ms: a time at which Duo has more rows than it can be made to give; reading went on behind it.
      circled: Duo's page cursor did not lead on, and reading goes on by time.
    """

    rows: list[bytes]
    cursor: Cursor
    window_done: bool
    skipped: int = 0
    counted: tuple[int, int] | None = None
    unreachable_ms: int | None = None
    circled: bool = False


@dataclass(frozen=True, slots=True)
class _Onward:
    """Where reading goes on inside a window: at a page cursor, or at a time."""

    next_offset: str | None = None
    mintime_ms: int = 0
    unreachable_ms: int | None = None
    circled: bool = False


def first_cursor(now_ms: int, reading: Reading) -> Cursor:
    """Where a stream without a checkpoint begins."""
    if reading.from_ms is not None:
        return Cursor(mintime_ms=max(reading.from_ms, now_ms - RETENTION_MS))
    return Cursor(mintime_ms=now_ms - min(int(reading.start_days * DAY_MS), RETENTION_MS))


def days_out_of_reach(cursor: Cursor, now_ms: int) -> float:
    """How many days after the cursor Duo no longer serves; 0 where all of them can be read."""
    return max(0, now_ms - RETENTION_MS - cursor.position_ms) / DAY_MS


def without_page_cursor(cursor: Cursor) -> Cursor:
    """For a page cursor that Duo no longer takes: the rest of the window by time, from the millisecond that the cursor named.

    What was handed on of that millisecond is remembered, so nothing repeats and nothing is lost. A cursor that names no time
    leads back to the window's start, which repeats its pages.
    """
    reached_ms = _offset_ms(cursor.next_offset or "")
    mintime_ms = cursor.mintime_ms if reached_ms is None else max(cursor.mintime_ms, reached_ms)
    return cursor.step(mintime_ms=mintime_ms, next_offset=None, window_rows=0, window_total=None)


# --- which call comes next ------------------------------------------------------------------------------------------------


def next_call(cursor: Cursor, now_ms: int, reading: Reading) -> Call | Wait | Finished:
    """The page behind the cursor, or how long to wait until there may be one."""
    if cursor.maxtime_ms is None and reading.until_ms is not None:
        if (cursor.mintime_ms if cursor.end_ms is None else cursor.end_ms) >= reading.until_ms:
            return Finished()
        cursor = _open_window(cursor, reading.until_ms, reading)
    if cursor.maxtime_ms is None:
        began_ms = cursor.mintime_ms if cursor.end_ms is None else cursor.end_ms
        lag_ms = int(reading.lag_secs * 1000)
        # The last window's end was lag behind the moment when it was opened: its successor is due one interval later.
        due_ms = began_ms + lag_ms + int(reading.poll_interval_secs * 1000)
        maxtime_ms = now_ms - lag_ms
        if now_ms < due_ms or maxtime_ms <= began_ms:
            return Wait(max(due_ms - now_ms, began_ms + lag_ms + 1 - now_ms) / 1000)
        cursor = _open_window(cursor, maxtime_ms, reading)
    assert cursor.maxtime_ms is not None
    # While paging the times stay as they are. The one exception: a window so old that Duo would refuse it.
    oldest_ms = min(now_ms - RETENTION_MS, cursor.maxtime_ms - 1)
    return Call(cursor, max(cursor.mintime_ms, oldest_ms))


def _open_window(cursor: Cursor, maxtime_ms: int, reading: Reading) -> Cursor:
    mintime_ms, known_from_ms, deep = cursor.mintime_ms, cursor.seen_from_ms, False
    if cursor.end_ms is None:
        known_from_ms = mintime_ms if known_from_ms is None else known_from_ms
    else:
        depth_ms, deep = _depth(cursor, cursor.end_ms, maxtime_ms, reading)
        known_from_ms = cursor.end_ms if known_from_ms is None else known_from_ms
        mintime_ms = min(cursor.end_ms, max(cursor.end_ms - depth_ms, known_from_ms))
    return replace(
        cursor,
        mintime_ms=mintime_ms,
        maxtime_ms=maxtime_ms,
        deep=deep,
        seen_from_ms=known_from_ms,
        window_rows=0,
        window_total=None,
    )


def _depth(cursor: Cursor, end_ms: int, maxtime_ms: int, reading: Reading) -> tuple[int, bool]:
    """How far the next window reaches back behind the last one's end, and whether that finds rows published late."""
    overlap_ms = int(reading.overlap_secs * 1000)
    if not overlap_ms:
        return 0, False
    reach_ms = _reach_ms(reading)
    # A look back that was put off reaches as far as it should have reached then.
    depth_ms = end_ms - _sweep_from_ms(cursor, end_ms, reading)
    if count_seen(cursor.seen, end_ms - reach_ms) <= QUIET_ROWS:
        return depth_ms, True
    gap_ms = maxtime_ms - end_ms
    # After a long outage what is read again is little beside what is new; otherwise a stream that is behind catches up first.
    keeps_up = gap_ms <= 2 * reading.poll_interval_secs * 1000 or gap_ms >= 3 * reach_ms
    return (depth_ms, True) if maxtime_ms - cursor.swept_ms >= overlap_ms and keeps_up else (0, False)


def _sweep_from_ms(cursor: Cursor, end_ms: int, reading: Reading) -> int:
    """From when on the next look back must begin: late rows of the stretch before the last one may have come since."""
    usual_ms = end_ms - _reach_ms(reading)
    if not reading.overlap_secs or not cursor.swept_ms:
        return usual_ms
    return min(usual_ms, cursor.swept_ms - int(reading.overlap_secs * 1000))


def _reach_ms(reading: Reading) -> int:
    """The furthest that a window ever reaches back, so from when on rows must be remembered."""
    return 2 * int(reading.overlap_secs * 1000)


# --- what an answer means -------------------------------------------------------------------------------------------------


def after_answer(log_type: LogType, call: Call, answer: Answer, reading: Reading) -> Step:
    """The rows of the answer that were not handed on before, and the cursor behind them."""
    given = _inside(log_type, call, answer.rows)
    rows = _not_seen(log_type, call, given)
    is_first = call.next_offset is None and not call.cursor.window_rows
    total = answer.total if is_first else call.cursor.window_total
    read = call.cursor.window_rows + len(given) - (0 if is_first else _met_again(log_type, call, given, rows))
    complete = total is not None and read >= total
    onward = _onward(log_type, call, answer, given, new=bool(rows), complete=complete)
    seen = with_seen(call.cursor.seen, _to_remember(log_type, call, given, reading))
    skipped = len(given) - len(rows)
    if onward is None:
        counted = (total, read) if total is not None else None
        # A log without an order cannot be read on by time: the window ends, and that is told.
        circled = bool(given and answer.next_offset) and not log_type.ascending
        behind = _behind_window(call, seen, reading)
        return Step(rows, behind, window_done=True, skipped=skipped, counted=counted, circled=circled)
    inside = {"seen": seen, "window_rows": read, "window_total": total, "next_offset": onward.next_offset}
    if onward.next_offset is None:
        inside["mintime_ms"] = onward.mintime_ms
    cursor = call.cursor.step(maxtime_ms=call.maxtime_ms, stuck=_stuck(call, onward, new=bool(rows)), **inside)
    return Step(rows, cursor, window_done=False, skipped=skipped, unreachable_ms=onward.unreachable_ms, circled=onward.circled)


def _behind_window(call: Call, seen: object, reading: Reading) -> Cursor:
    """The cursor after a window that was read to its end."""
    known_from_ms = call.cursor.mintime_ms if call.cursor.seen_from_ms is None else call.cursor.seen_from_ms
    from_ms = max(known_from_ms, _remember_from_ms(call, reading))
    kept, whole_from_ms = without_old(seen, from_ms, reading.overlap_max_rows)  # type: ignore[arg-type]
    first = call.cursor.end_ms is None
    return call.cursor.step(
        mintime_ms=call.maxtime_ms,
        maxtime_ms=None,
        next_offset=None,
        end_ms=call.maxtime_ms,
        swept_ms=call.maxtime_ms if call.cursor.deep or first else call.cursor.swept_ms,
        deep=False,
        stuck=0,
        window_rows=0,
        window_total=None,
        seen=kept,
        # The last millisecond can still grow: what of it was read is remembered, so the window may begin in it again.
        seen_from_ms=min(whole_from_ms, call.maxtime_ms),
    )


def _onward(log_type: LogType, call: Call, answer: Answer, given: list[bytes], *, new: bool, complete: bool) -> _Onward | None:
    """Where reading goes on inside the window; None where the window is at its end."""
    if not given:
        return None
    if log_type.pages_by_time:
        return _onward_by_time(log_type, call, answer, given, new=new)
    full = len(answer.rows) >= log_type.page_limit
    # A full page without a cursor is the last one where all that Duo counted is here; else it is looked behind.
    if not answer.next_offset and (complete or not full):
        return None
    if answer.next_offset and _leads_on(call, answer.next_offset) and call.cursor.stuck < _MOST_STUCK_PAGES:
        return _Onward(next_offset=answer.next_offset)
    if not log_type.ascending:
        return None
    last_ms = _last_ms(log_type, given)
    # A page that ends where it began: no time to go on from, so the rest of that millisecond is out of reach.
    at_a_stand = last_ms <= call.cursor.mintime_ms or call.cursor.stuck >= _MOST_STUCK_PAGES
    return (
        _Onward(
            mintime_ms=last_ms + 1 if at_a_stand else last_ms,
            unreachable_ms=last_ms if at_a_stand and full else None,
            circled=bool(answer.next_offset),
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
    last_ms = _last_ms(log_type, given) // SECOND_MS * SECOND_MS
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
    if offset.isdigit() and (sent or "0").isdigit():
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
    return int(milliseconds) if comma and milliseconds.isdigit() else None


def _last_ms(log_type: LogType, rows: list[bytes]) -> int:
    """The time of the last row that has one; 0 where none has."""
    return next((key.time_ms for row in reversed(rows) if (key := log_type.row_key(row)).time_ms is not None), 0)


# --- what was handed on before --------------------------------------------------------------------------------------------


def _inside(log_type: LogType, call: Call, rows: list[bytes]) -> list[bytes]:
    """Rows without those behind the window's end, which logs without maxtime give too; they are for the next window."""
    if not log_type.pages_by_time:
        return rows
    return [row for row in rows if (log_type.row_key(row).time_ms or 0) <= call.maxtime_ms]


def _not_seen(log_type: LogType, call: Call, rows: list[bytes]) -> list[bytes]:
    """Rows that were not handed on before. Past the times that were read before, no row is looked at."""
    cursor = call.cursor
    if not cursor.seen:
        return rows
    # By time it goes on from the second before the last row's, so what may be known reaches to the end of the one behind that.
    known_ms = 2 * SECOND_MS - 1 if log_type.pages_by_time else 0
    until_ms = max(cursor.end_ms or 0, cursor.position_ms + known_ms)
    copies: Counter[bytes] = Counter()
    kept: list[bytes] = []
    for index, row in enumerate(rows):
        time_ms, event_id = log_type.row_key(row)
        if log_type.ascending and time_ms is not None and time_ms > until_ms:
            return kept + rows[index:]
        if _digest(row, event_id, copies) not in cursor.seen.get(_minute(time_ms), ()):
            kept.append(row)
    return kept


def _to_remember(log_type: LogType, call: Call, rows: list[bytes], reading: Reading) -> Iterable[tuple[int, str]]:
    """Minute and digest of the rows that a later call can meet again: by an overlap, or at the border where it goes on."""
    floor_ms = _remember_from_ms(call, reading)
    if log_type.ascending and rows:
        last_ms = _last_ms(log_type, rows)
        floor_ms = min(floor_ms, last_ms // SECOND_MS * SECOND_MS - SECOND_MS if log_type.pages_by_time else last_ms)
    found: list[tuple[bytes, int | None, str | None]] = []
    for row in reversed(rows):
        time_ms, event_id = log_type.row_key(row)
        if time_ms is None or time_ms >= floor_ms:
            found.append((row, time_ms, event_id))
        elif log_type.ascending:
            break
    copies: Counter[bytes] = Counter()
    return [(_minute(time_ms), _digest(row, event_id, copies)) for row, time_ms, event_id in reversed(found)]


def _remember_from_ms(call: Call, reading: Reading) -> int:
    """From when on rows must be remembered: as far back as the look back after this window can reach."""
    sweeps = call.cursor.deep or call.cursor.end_ms is None
    return call.maxtime_ms - _reach_ms(reading) if sweeps else _sweep_from_ms(call.cursor, call.maxtime_ms, reading)


def _digest(row: bytes, event_id: str | None, copies: Counter[bytes]) -> str:
    """A row's digest. Rows without an id are named by content and number: two alike in one answer are two events."""
    if event_id:
        return row_digest(event_id.encode("utf-8", "surrogatepass"))
    copies[row] += 1
    return row_digest(b"%s#%d" % (row, copies[row]))


def _minute(time_ms: int | None) -> int:
    """The group in which a row is remembered; rows without a time have one of their own."""
    return -1 if time_ms is None else time_ms // MINUTE_MS
