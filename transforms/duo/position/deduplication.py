"""What of an answer was handed on before: windows overlap and pages meet at a border, and each row is handed on once.

Place in the flow: below ``paging``. The memory is the cursor's: short digests of rows, grouped by minute (``Cursor.seen``).
Contract: pure functions. A row is known by its bytes: Duo's id of it is among them, and one id with two contents is two events.
Rows without an id are known by their bytes and their number: two that are alike are two events, in one page or in two. What
cannot be met again is not remembered.

Numbers. Rows that are alike have the same time, and Duo gives all rows of a time each time that it is asked from that time on.
So they are counted anew with every call by time, and a page that follows by Duo's cursor counts on where the last one ended
(``Cursor.border``). A page that is asked for again begins with the same numbers as before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from transforms.duo.log_types.base import LogType
from transforms.duo.position.windows import Call, remember_from_ms
from transforms.settings import Reading
from transforms.state.cursor import SECOND_MS
from transforms.state.seen import IMPORTED_IDS, MINUTE_MS, NO_TIME, is_in, row_digest

# Rows without an id that lie at the border of a page; more are not expected, and cost a repeat or a row that is left out.
_MOST_AT_BORDER = 500


@dataclass(frozen=True, slots=True)
class Remembered:
    """What to remember of an answer: ``(minute, digest)`` of its rows, and ``Cursor.border`` for the page behind it."""

    digests: list[tuple[int, int]]
    border: dict[str, int]


def not_seen(log_type: LogType, call: Call, rows: list[bytes]) -> list[bytes]:
    """Rows that were not handed on before. Past the times that were read before, no row is looked at."""
    cursor = call.cursor
    rows = _wanted(log_type, call, rows)
    if not cursor.seen:
        return rows
    # By time it goes on from the second before the last row's, so what may be known reaches to the end of the one behind that.
    known_ms = 2 * SECOND_MS - 1 if log_type.pages_by_time else 0
    until_ms = max(cursor.end_ms or 0, cursor.position_ms + known_ms)
    imported = cursor.seen.get(IMPORTED_IDS, b"")
    copies = Counter(cursor.border)
    kept: list[bytes] = []
    for index, row in enumerate(rows):
        time_ms, event_id = log_type.row_key(row)
        if log_type.ascending and time_ms is not None and time_ms > until_ms:
            return kept + rows[index:]
        if imported and event_id and is_in(imported, row_digest(event_id.encode("utf-8", "surrogatepass"))):
            continue
        if not is_in(cursor.seen.get(minute_of(time_ms), b""), digest_of(row, event_id, copies)):
            kept.append(row)
    return kept


def _wanted(log_type: LogType, call: Call, rows: list[bytes]) -> list[bytes]:
    """Rows without those before all that is remembered. A window holds some only where another position has opened it."""
    from_ms, begin_ms = call.cursor.seen_from_ms, call.cursor.begin_ms
    if from_ms is None or begin_ms is None or begin_ms >= from_ms:
        return rows
    if log_type.pages_by_time:
        from_ms = from_ms // SECOND_MS * SECOND_MS
    times_ms = ((row, log_type.row_key(row).time_ms) for row in rows)
    return [row for row, time_ms in times_ms if time_ms is None or time_ms >= from_ms]


def to_remember(log_type: LogType, call: Call, rows: list[bytes], reading: Reading) -> Remembered:
    """What of the rows a later call can meet again: by an overlap, or at the border where it goes on."""
    floor_ms = remember_from_ms(call, reading)
    last_ms = log_type.last_time_ms(rows) if log_type.ascending and rows else 0
    if last_ms:
        floor_ms = min(floor_ms, last_ms // SECOND_MS * SECOND_MS - SECOND_MS if log_type.pages_by_time else last_ms)
    found: list[tuple[bytes, int | None, str | None]] = []
    for row in reversed(rows):
        time_ms, event_id = log_type.row_key(row)
        if time_ms is None or time_ms >= floor_ms:
            found.append((row, time_ms, event_id))
        elif log_type.ascending:
            break
    copies = Counter(call.cursor.border)
    found.reverse()
    digests = [(minute_of(time_ms), digest_of(row, event_id, copies)) for row, time_ms, event_id in found]
    at_border = {_plain(row) for row, time_ms, event_id in found if not event_id and (time_ms is None or time_ms >= last_ms)}
    kept = {name: number for name, number in call.cursor.border.items() if name not in at_border}
    border = {name: copies[name] for name in at_border}
    return Remembered(digests, border if len(kept) + len(border) > _MOST_AT_BORDER else kept | border)


def digest_of(row: bytes, event_id: str | None, copies: Counter[str]) -> int:
    """A row's digest. Rows without an id are named by content and number: two alike are two events."""
    if event_id:
        return row_digest(row)
    name = _plain(row)
    copies[name] += 1
    return row_digest(b"%b#%d" % (row, copies[name]))


def minute_of(time_ms: int | None) -> int:
    """The group in which a row is remembered; rows without a time have one of their own."""
    return NO_TIME if time_ms is None else time_ms // MINUTE_MS


def _plain(row: bytes) -> str:
    return f"{row_digest(row):016x}"
