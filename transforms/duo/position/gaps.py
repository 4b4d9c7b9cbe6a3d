"""Gaps: stretches in which Duo counted more rows than it gave, remembered in the cursor and read again beside live reading.

Place in the flow: ``paging`` asks ``most_doubts`` before it closes a window and ``listed`` when it closes one that is short;
``windows`` asks for one that is due when a stream is caught up, and ``after_gap_answer`` says what came.

Contract: pure functions. Duo's count is a witness, not a judge: it is wrong now and then, so it holds nothing up. A window that
ends too early is asked again a few times, then by time, and then closed. What is still missing is listed, and read again at
growing intervals, from the last row that came: nothing that was handed on lies behind that, but for rows published late. So
what is read there is new, and where nothing is, the gap costs one short call a try. After the last try it stays listed.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from transforms.duo.log_types.base import LogType
from transforms.duo.position.deduplication import digest_of, minute_of
from transforms.state.cursor import Cursor, Gap
from transforms.state.seen import DIGEST_BYTES, MINUTE_MS, is_in, packed, with_seen

# How long to wait before Duo is asked again for a page at which a window ended too early.
AGAIN_SECS = (1.0, 4.0, 15.0)
# From one reading of a gap to the next. After as many tries it is given up.
_TRY_AFTER_MS = (600_000, 3_600_000, 6 * 3_600_000, 24 * 3_600_000, 72 * 3_600_000)
_MOST_GAPS = 16
_MOST_KNOWN = 1000
# A try that finds this many rows more than are missing ends, so that a page cursor that runs in a circle ends.
_MOST_BEYOND = 20_000


def most_doubts(cursor: Cursor) -> int:
    """How often Duo is asked again in a window: once where its counts are known to differ, else more often."""
    return 1 if cursor.gaps else len(AGAIN_SECS)


def listed(cursor: Cursor, window_to_ms: int, missing: int, now_ms: int, *, ascending: bool) -> tuple[Gap, ...]:
    """The gaps with one more: the end of the present window, from its last row on. Without an order it is only told."""
    # Also before the last window's end: after a long pause the next overlap does not reach back to what is late there.
    from_ms = max(cursor.reached_ms, cursor.mintime_ms)
    gaps = cursor.gaps
    if gaps and from_ms <= gaps[-1].to_ms < window_to_ms and not gaps[-1].next:
        # Nothing came since the last gap, and windows overlap: it goes on.
        last = gaps[-1]
        return (*gaps[:-1], msgspec.structs.replace(last, to_ms=window_to_ms, missing=max(last.missing, missing)))
    group = b"".join(digests for minute, digests in cursor.seen.items() if minute >= from_ms // MINUTE_MS)
    gap = Gap(
        from_ms,
        window_to_ms,
        missing,
        due_ms=now_ms + _TRY_AFTER_MS[0] if ascending else None,
        known=packed(memoryview(group).cast("Q").tolist()) if len(group) <= _MOST_KNOWN * DIGEST_BYTES else b"",
    )
    return _bounded((*gaps, gap))


def healed(gaps: tuple[Gap, ...], from_ms: int, to_ms: int) -> tuple[Gap, ...]:
    """The gaps without those inside a stretch of which all that Duo counts was read."""
    return tuple(gap for gap in gaps if not (from_ms <= gap.from_ms and gap.to_ms <= to_ms))


def after_gap_answer(
    log_type: LogType, cursor: Cursor, gap: Gap, rows: list[bytes], next_offset: str | None, *, now_ms: int, reach_ms: int
) -> tuple[list[bytes], Cursor, Gap | None]:
    """What a reading of a gap brought: the rows to hand on, the cursor behind them, and the gap as it is now, None once closed.

    Args:
      rows, next_offset: of the answer; None as well where the page cursor is of no use.
      reach_ms: how far back the overlap of live reading can reach, so from when on it must know these rows.
    """
    new, digests = _new_rows(log_type, cursor, gap, rows)
    last_ms = max(gap.reached_ms, _last_inside_ms(log_type, rows, gap))
    found = gap.found + len(new)
    full = len(rows) >= log_type.page_limit
    leads_on = bool(next_offset) and next_offset != gap.next and (bool(new) or last_ms > gap.reached_ms)
    on_by_time = full and not leads_on and last_ms > gap.from_ms
    if (leads_on or on_by_time) and found <= gap.missing + _MOST_BEYOND:
        present: Gap | None = msgspec.structs.replace(
            gap, next=next_offset if leads_on else None, reached_ms=last_ms, found=found
        )
        assert present is not None
        if on_by_time:
            present = msgspec.structs.replace(present, from_ms=last_ms, known=_known(gap, digests, last_ms))
    else:
        present = _after_try(gap, digests, last_ms, found, now_ms)
    others = tuple(present if each is gap else each for each in cursor.gaps)
    end_ms = cursor.end_ms or 0
    recent = [pair for pair in digests if pair[0] * MINUTE_MS >= end_ms - reach_ms - MINUTE_MS]
    after = cursor.step(gaps=tuple(each for each in others if each is not None), seen=with_seen(cursor.seen, recent))
    return new, after, present


def put_off(cursor: Cursor, gap: Gap, now_ms: int) -> Cursor:
    """The cursor after Duo refused to serve a gap: it goes on without its page cursor, or that was one try."""
    if gap.next:
        present = msgspec.structs.replace(gap, next=None, from_ms=max(gap.from_ms, gap.reached_ms))
    else:
        present = _tried(gap, now_ms)
    return cursor.step(gaps=tuple(present if each is gap else each for each in cursor.gaps))


def _new_rows(log_type: LogType, cursor: Cursor, gap: Gap, rows: list[bytes]) -> tuple[list[bytes], list[tuple[int, int]]]:
    copies: Counter[str] = Counter()
    new: list[bytes] = []
    digests: list[tuple[int, int]] = []
    for row in rows:
        time_ms, event_id = log_type.row_key(row)
        digest = digest_of(row, event_id, copies)
        digests.append((minute_of(time_ms), digest))
        if not is_in(gap.known, digest) and not is_in(cursor.seen.get(minute_of(time_ms), b""), digest):
            new.append(row)
    return new, digests


def _last_inside_ms(log_type: LogType, rows: list[bytes], gap: Gap) -> int:
    times_ms = (log_type.row_key(row).time_ms for row in rows)
    return max((time_ms for time_ms in times_ms if time_ms is not None and time_ms <= gap.to_ms), default=0)


def _known(gap: Gap, digests: list[tuple[int, int]], from_ms: int) -> bytes:
    """What of the answer lies in the minute in which the gap begins now."""
    there = [digest for minute, digest in digests if minute in (from_ms // MINUTE_MS, minute_of(None))]
    if from_ms == gap.from_ms:
        there += memoryview(gap.known).cast("Q").tolist()
    return packed(there[-_MOST_KNOWN:])


def _after_try(gap: Gap, digests: list[tuple[int, int]], last_ms: int, found: int, now_ms: int) -> Gap | None:
    if found >= gap.missing:
        return None
    from_ms = max(gap.from_ms, last_ms)
    rest = msgspec.structs.replace(
        gap, from_ms=from_ms, missing=max(1, gap.missing - found), known=_known(gap, digests, from_ms)
    )
    return _tried(rest, now_ms)


def _tried(gap: Gap, now_ms: int) -> Gap:
    tries = gap.tries + 1
    due_ms = now_ms + _TRY_AFTER_MS[tries] if tries < len(_TRY_AFTER_MS) else None
    return msgspec.structs.replace(gap, tries=tries, due_ms=due_ms, next=None, reached_ms=0, found=0)


def _bounded(gaps: tuple[Gap, ...]) -> tuple[Gap, ...]:
    """At most so many: the first to go are those that were given up, the oldest first."""
    while len(gaps) > _MOST_GAPS:
        gone = next((gap for gap in gaps if gap.due_ms is None), gaps[0])
        gaps = tuple(gap for gap in gaps if gap is not gone)
    return gaps
