"""What of an answer was handed on before: windows overlap and pages meet at a border, and each row is handed on once.

Place in the flow: below ``paging``. The memory is the cursor's: short digests of rows, grouped by minute (``Cursor.seen``).
Contract: pure functions. A row is known by Duo's id of it; without one by its content and number, so that two alike in one
answer stay two events. What cannot be met again is not remembered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from transforms.duo.cursor import MINUTE_MS, SECOND_MS, row_digest
from transforms.duo.log_types.base import LogType
from transforms.duo.windows import Call, remember_from_ms
from transforms.settings import Reading


def not_seen(log_type: LogType, call: Call, rows: list[bytes]) -> list[bytes]:
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


def to_remember(log_type: LogType, call: Call, rows: list[bytes], reading: Reading) -> Iterable[tuple[int, str]]:
    """Minute and digest of the rows that a later call can meet again: by an overlap, or at the border where it goes on."""
    floor_ms = remember_from_ms(call, reading)
    if log_type.ascending and rows:
        last_ms = log_type.last_time_ms(rows)
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


def _digest(row: bytes, event_id: str | None, copies: Counter[bytes]) -> str:
    """A row's digest. Rows without an id are named by content and number: two alike in one answer are two events."""
    if event_id:
        return row_digest(event_id.encode("utf-8", "surrogatepass"))
    copies[row] += 1
    return row_digest(b"%s#%d" % (row, copies[row]))


def _minute(time_ms: int | None) -> int:
    """The group in which a row is remembered; rows without a time have one of their own."""
    return -1 if time_ms is None else time_ms // MINUTE_MS
