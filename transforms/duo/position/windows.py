"""The windows in which a stream is read: which call comes next, or how long there is none.

Place in the flow: above the cursor, below ``paging``, which reads what a call brought; the feed asks here before each call.
Contract: pure functions. Nothing here waits, calls or keeps anything, so that every rule can be tested with values.

    next_call(cursor, now_ms, reading, others)  → Call: ask for this page · Wait: caught up, look again in so many seconds
                                                  · Finished: a backfill has reached its end

Overlap. Duo can publish a row later than its neighbours, in a window that was already read. So a window reaches back behind the
end of the last one, and rows that were handed on before are left out (``deduplication``):

    a quiet stream  (what is read again fits into one page) reaches back by twice ``overlap_secs`` with every window: it costs
                    nothing
    a busy stream   does so with one window in every ``overlap_secs``, so that whatever is published at most ``overlap_secs``
                    late is found; the others reach back to the last one's last millisecond only. A stream that is behind
                    catches up first, and then looks back over all of that stretch.

A stream that is caught up has time for its gaps (``gaps``); a window that is due comes first, also between two pages of a gap.
A backfill reads each of its gaps once more before it ends, ten minutes later: started again, it would not look at them.

Several destinations. Each position of a stream is read on its own, and one answer serves all of them only where they open the
same windows (``OtherPositions``). So whoever opens a window takes over one that begins where it stands and whose answers are at
hand; else it ends where the furthest of the others is, or will be behind the window that it is in. From there on all of them
stand at the same ends. How far such a window reaches back is the other one's choice, where that is enough: what is older than
``seen_from_ms`` is not remembered here and was never wanted, so ``deduplication`` leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from transforms.days import DAY_MS
from transforms.settings import Reading
from transforms.state.cursor import Cursor, Gap
from transforms.state.seen import count_seen

# Duo serves 180 days and refuses older windows. The margin is for the time that a call and a slow clock take.
RETENTION_MS = 180 * DAY_MS - 10 * 60_000
# So few rows are read again with every window: they share a page with the new ones.
QUIET_ROWS = 500
# A window that is so long is no sign of being behind: Duo may allow one call in some minutes only.
_NOT_BEHIND_MS = 300_000
# Positions that begin anew together choose their beginnings so shortly one after the other.
_BEGIN_TOGETHER_MS = 60_000


@dataclass(frozen=True, slots=True)
class Call:
    """One page to ask for: the next one of the window that ``cursor`` is in, or of one of its gaps.

    Attributes:
      mintime_ms: what to send; the cursor's, unless Duo would refuse that as too old.
      now_ms: when it was decided.
      gap: one of the cursor's, where that is read again; the cursor is between two windows then.
    """

    cursor: Cursor
    mintime_ms: int
    now_ms: int = 0
    gap: Gap | None = None

    @property
    def maxtime_ms(self) -> int:
        """The window's end."""
        if self.gap is not None:
            return self.gap.to_ms
        assert self.cursor.maxtime_ms is not None
        return self.cursor.maxtime_ms

    @property
    def next_offset(self) -> str | None:
        """The page cursor to send."""
        return self.cursor.next_offset if self.gap is None else self.gap.next

    @property
    def opens_window(self) -> bool:
        """Whether it is the first call of its window: nothing is kept of that before it is answered."""
        return self.gap is None and self.next_offset is None and not self.cursor.window_rows and not self.cursor.doubts


@dataclass(frozen=True, slots=True)
class OtherPositions:
    """Where the other positions of the stream are, one for each of its other destinations.

    Attributes:
      openings: calls that opened a window and whose answers are at hand or on their way.
      furthest_ms: the furthest end of a window that one of them has reached, or will reach with the window that it is in.
      beginnings_ms: where those begin that have read nothing yet.
    """

    openings: tuple[Call, ...] = ()
    furthest_ms: int | None = None
    beginnings_ms: tuple[int, ...] = ()


ALONE = OtherPositions()


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to ask for yet."""

    secs: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A backfill has reached its end: nothing will ever be asked for again."""


def first_cursor(now_ms: int, reading: Reading) -> Cursor:
    """Where a stream without a checkpoint begins."""
    if reading.from_ms is not None:
        return Cursor(mintime_ms=max(0, reading.from_ms, now_ms - RETENTION_MS))
    # A machine that boots without a clock is in 1970.
    return Cursor(mintime_ms=max(0, now_ms - min(int(reading.start_days * DAY_MS), RETENTION_MS)))


def beginning(cursor: Cursor, now_ms: int, reading: Reading) -> Cursor:
    """A beginning, or an earlier one where the clock says an earlier time than when it was chosen.

    It is chosen by this machine's clock, before a call was answered, and Duo answers none while the clock is off. So a clock
    that is set back afterwards was ahead then, and events between would be skipped.
    """
    first = first_cursor(now_ms, reading)
    if not cursor.is_beginning or first.mintime_ms >= cursor.mintime_ms:
        return cursor
    return cursor.step(mintime_ms=first.mintime_ms)


def days_out_of_reach(cursor: Cursor, now_ms: int, reading: Reading) -> float:
    """How many days after the cursor Duo no longer serves; 0 where all of them can be read.

    A look-back over all that Duo serves has missed nothing for as long as nothing was read: it begins later, that is all.
    """
    if cursor.is_beginning and first_cursor(now_ms, reading).mintime_ms <= now_ms - RETENTION_MS:
        return 0.0
    return max(0, now_ms - RETENTION_MS - cursor.position_ms) / DAY_MS


def next_call(cursor: Cursor, now_ms: int, reading: Reading, others: OtherPositions = ALONE) -> Call | Wait | Finished:
    """The page behind the cursor, or how long to wait until there may be one."""
    if cursor.maxtime_ms is None and reading.until_ms is not None:
        if (cursor.mintime_ms if cursor.end_ms is None else cursor.end_ms) >= reading.until_ms:
            return _before_the_end(cursor, now_ms)
        cursor = _open_window(cursor, reading.until_ms, reading, others)
    if cursor.maxtime_ms is None:
        began_ms = cursor.mintime_ms if cursor.end_ms is None else cursor.end_ms
        lag_ms = int(reading.lag_secs * 1000)
        # The last window's end was lag behind the moment when it was opened: its successor is due one interval later.
        due_ms = began_ms + lag_ms + int(reading.longest_poll_secs * 1000)
        maxtime_ms = now_ms - lag_ms
        meeting_ms = None if others is ALONE else _meeting_ms(cursor, began_ms, maxtime_ms, others)
        if meeting_ms is None and (now_ms < due_ms or maxtime_ms <= began_ms):
            gap = _due_gap(cursor, now_ms)
            if gap is not None:
                return _call_of_gap(cursor, gap, now_ms)
            return Wait(max(due_ms - now_ms, began_ms + lag_ms + 1 - now_ms) / 1000)
        cursor = _open_window(cursor, maxtime_ms if meeting_ms is None else meeting_ms, reading, others)
    assert cursor.maxtime_ms is not None
    # While paging the times stay as they are. The exceptions: windows that Duo would refuse, because they are too old or empty.
    mintime_ms = min(max(cursor.mintime_ms, now_ms - RETENTION_MS), cursor.maxtime_ms - 1)
    return Call(cursor, mintime_ms, now_ms)


def _before_the_end(cursor: Cursor, now_ms: int) -> Call | Wait | Finished:
    """What is left of a backfill that has read all its windows: each gap once more, because nobody comes back to it."""
    served = [g for g in cursor.gaps if g.due_ms is not None and not g.tries and g.to_ms > now_ms - RETENTION_MS]
    if not served:
        return Finished()
    gap = min(served, key=lambda each: each.due_ms or 0)
    wait_ms = (gap.due_ms or 0) - now_ms
    return Wait(wait_ms / 1000) if wait_ms > 0 else _call_of_gap(cursor, gap, now_ms)


def _call_of_gap(cursor: Cursor, gap: Gap, now_ms: int) -> Call:
    return Call(cursor, min(max(gap.from_ms, now_ms - RETENTION_MS), gap.to_ms - 1), now_ms, gap)


def _due_gap(cursor: Cursor, now_ms: int) -> Gap | None:
    """A gap that is to be read now: one that was begun, else the first that is due."""
    due = [g for g in cursor.gaps if g.due_ms is not None and g.due_ms <= now_ms and g.to_ms > now_ms - RETENTION_MS]
    return next((gap for gap in due if gap.next), due[0] if due else None)


def _meeting_ms(cursor: Cursor, began_ms: int, latest_ms: int, others: OtherPositions) -> int | None:
    """Where the window ends, so that it can be shared, or meets the others; None where this position is the furthest.

    It does not wait for the poll interval: the furthest has waited for that.
    """
    shared = _same_opening(cursor, others)
    if shared is not None and began_ms < shared.maxtime_ms <= latest_ms:
        return shared.maxtime_ms
    furthest_ms = others.furthest_ms
    return furthest_ms if furthest_ms is not None and began_ms < furthest_ms <= latest_ms else None


def _same_opening(cursor: Cursor, others: OtherPositions) -> Call | None:
    """The call that opened another position's window at the same place; the newest of several."""
    for call in reversed(others.openings):
        if cursor.end_ms is not None and call.cursor.end_ms == cursor.end_ms:
            return call
        if cursor.end_ms is None and call.cursor.end_ms is None and _begins_with(cursor, call.cursor.mintime_ms):
            return call
    return None


def _begins_with(cursor: Cursor, begin_ms: int) -> bool:
    return 0 <= cursor.mintime_ms - begin_ms <= _BEGIN_TOGETHER_MS


def _open_window(cursor: Cursor, maxtime_ms: int, reading: Reading, others: OtherPositions) -> Cursor:
    mintime_ms, known_from_ms, deep = cursor.mintime_ms, cursor.seen_from_ms, False
    if cursor.end_ms is None:
        known_from_ms = mintime_ms if known_from_ms is None else known_from_ms
        # Of several that begin together the earliest beginning counts, also where another one is the first to call.
        mintime_ms = min((ms for ms in others.beginnings_ms if _begins_with(cursor, ms)), default=mintime_ms)
    else:
        depth_ms, deep = _depth(cursor, cursor.end_ms, maxtime_ms, reading)
        known_from_ms = cursor.end_ms if known_from_ms is None else known_from_ms
        mintime_ms = min(cursor.end_ms, max(cursor.end_ms - depth_ms, known_from_ms))
    shared = None if others is ALONE else _same_opening(cursor, others)
    if shared is not None and shared.maxtime_ms == maxtime_ms:
        mintime_ms, deep = _reach_of_shared(cursor, shared.cursor, mintime_ms, known_from_ms, deep=deep, reading=reading)
    return replace(
        cursor,
        mintime_ms=mintime_ms,
        maxtime_ms=maxtime_ms,
        begin_ms=mintime_ms,
        deep=deep,
        seen_from_ms=known_from_ms,
        window_rows=0,
        window_total=None,
    )


def _reach_of_shared(
    cursor: Cursor, shared: Cursor, mintime_ms: int, known_from_ms: int, *, deep: bool, reading: Reading
) -> tuple[int, bool]:
    """Where a window begins that another position has opened at the same place, and whether that finds rows published late.

    ``mintime_ms`` and ``deep`` are what this position would do alone. The look back of the other one counts where it reaches
    as far as this one's must. Where it does not, this one's is put off until the other one looks back, too: then each does so
    by its own needs, once, and both have looked back at the same end. Put off for too long, it is not shared.
    """
    if cursor.end_ms is None:
        return shared.mintime_ms, False
    assert shared.maxtime_ms is not None
    needed_ms = min(cursor.end_ms, max(_sweep_from_ms(cursor, cursor.end_ms, reading), known_from_ms))
    if shared.mintime_ms <= needed_ms:
        return shared.mintime_ms, reading.overlap_secs > 0
    put_off_too_long = shared.maxtime_ms - cursor.swept_ms >= reach_ms_of(reading)
    if deep and (shared.deep or put_off_too_long):
        return mintime_ms, True
    return shared.mintime_ms, False


def _depth(cursor: Cursor, end_ms: int, maxtime_ms: int, reading: Reading) -> tuple[int, bool]:
    """How far the next window reaches back behind the last one's end, and whether that finds rows published late."""
    overlap_ms = int(reading.overlap_secs * 1000)
    if not overlap_ms:
        return 0, False
    reach_ms = reach_ms_of(reading)
    # A look back that was put off reaches as far as it should have reached then.
    depth_ms = end_ms - _sweep_from_ms(cursor, end_ms, reading)
    if count_seen(cursor.seen, end_ms - reach_ms) <= QUIET_ROWS:
        return depth_ms, True
    gap_ms = maxtime_ms - end_ms
    # After a long outage what is read again is little beside what is new; otherwise a stream that is behind catches up first.
    keeps_up = gap_ms <= max(2000 * reading.longest_poll_secs, _NOT_BEHIND_MS) or gap_ms >= 3 * reach_ms
    return (depth_ms, True) if maxtime_ms - cursor.swept_ms >= overlap_ms and keeps_up else (0, False)


def _sweep_from_ms(cursor: Cursor, end_ms: int, reading: Reading) -> int:
    """From when on the next look back must begin: late rows of the stretch before the last one may have come since."""
    usual_ms = end_ms - reach_ms_of(reading)
    if not reading.overlap_secs or not cursor.swept_ms:
        return usual_ms
    return min(usual_ms, cursor.swept_ms - int(reading.overlap_secs * 1000))


def reach_ms_of(reading: Reading) -> int:
    """The furthest that a window ever reaches back, so from when on rows must be remembered."""
    return 2 * int(reading.overlap_secs * 1000)


def remember_from_ms(call: Call, reading: Reading) -> int:
    """From when on rows must be remembered: as far back as the look back after this window can reach."""
    sweeps = call.cursor.deep or call.cursor.end_ms is None
    return call.maxtime_ms - reach_ms_of(reading) if sweeps else _sweep_from_ms(call.cursor, call.maxtime_ms, reading)
