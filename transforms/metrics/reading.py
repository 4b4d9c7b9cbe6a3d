"""What reading one stream for one destination counts.

Place in the flow: held by a feed, whose thread counts here; ``METRICS`` has the numbers. Contract: thread-safe, a few additions
for each call of Duo.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from transforms.metrics.catalog import DUO_CALLS, DUO_THROTTLED_SECONDS, EVENTS_READ, READING_NOTES, RECEIVED_BYTES
from transforms.metrics.registry import METRICS, of_log, of_stream
from transforms.records import Subscription

Outcome = Literal["ok", "throttled", "refused", "failed"]


class ReadingNotes:
    """The counters of one stream and destination, under the names that ``READING_NOTES`` has for them."""

    def __init__(self, subscription: Subscription) -> None:
        self._stream = of_stream(subscription)
        self._log = of_log(subscription.stream)

    def add(self, what: str, count: int = 1) -> None:
        """Something was met, so often."""
        METRICS.add(READING_NOTES, (*self._stream, what), count)

    def page(self, *, rows: int, left_out: int, shared: bool) -> None:
        """A page was read. ``left_out``: of its rows, because they were known; ``shared``: another feed had asked for it."""
        METRICS.add(EVENTS_READ, self._stream, rows)
        METRICS.add_each(READING_NOTES, self._stream, {"pages": 1, "rows_left_out": left_out, "pages_shared": int(shared)})

    def call(self, outcome: Outcome, received_bytes: int = 0) -> None:
        """Duo was called."""
        METRICS.add(DUO_CALLS, (*self._log, outcome))
        METRICS.add(RECEIVED_BYTES, self._log, received_bytes)

    def throttled(self, secs: float) -> None:
        """Reading is held back by the rate limit for so long, while there is more."""
        METRICS.add(DUO_THROTTLED_SECONDS, self._log, secs)

    @property
    def counts(self) -> Counter[str]:
        """What was met since the process began; ``rows`` are the events that were read."""
        begin = len(self._stream)
        notes = METRICS.of(READING_NOTES)
        counts = Counter({key[-1]: int(value) for key, value in notes.items() if key[:begin] == self._stream})
        rows = int(METRICS.total(EVENTS_READ, self._stream))
        if rows or counts:
            counts["rows"] = rows
        return counts
