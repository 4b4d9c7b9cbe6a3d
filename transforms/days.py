"""Days as events are kept, counted and audited under: UTC, by the time that Duo gives the event.

Place in the flow: under archives, the ledger and the audit, which so mean the same day.
"""

from __future__ import annotations

import datetime as dt

UNDATED = "undated"
"""In the place of a day, for events that do not say when they happened."""
DAY_MS = 86_400_000

_LAST_MS = 253_402_300_799_999  # the end of the year 9999: a reader could not turn more into a date


def day_of(time_ms: int | None) -> str:
    """The day (UTC) of a time: ``2026-11-27``."""
    if time_ms is None or not 0 <= time_ms <= _LAST_MS:
        return UNDATED
    return dt.datetime.fromtimestamp(time_ms // 1000, dt.timezone.utc).strftime("%Y-%m-%d")


def begin_of(day: str) -> int:
    """When a day begins, milliseconds since the epoch. Raises ValueError for what is no day."""
    return int(dt.datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=dt.timezone.utc).timestamp()) * 1000
