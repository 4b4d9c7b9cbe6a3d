"""Events of a bundle under way that are not delivered: counted where that happens, taken when the bundle is committed.

Place in the flow: filters, formats and the sink note here what they do not deliver; finalizing the bundle takes it, together
with how many events it read, into the ``Tally`` of the checkpoint. All are in one process, because they are fused into one
stage.

Contract: thread-safe. A process has one ``PENDING``. What a bundle noted that failed is forgotten when the next one begins.
Costs nothing for an event that is delivered.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from transforms.days import UNDATED, day_of
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.log_types.base import LogType
from transforms.process.lifetime import per_process
from transforms.records import Subscription
from transforms.state.ledger.tally import NOTHING, Counts


class Pending:
    """See the module."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[tuple[str, ...], dict[str, Counts]] = {}  # by identity

    def begin(self, subscription: Subscription) -> None:
        """It is read from its last commit on: what was noted since belongs to a bundle that failed."""
        with self._lock:
            self._noted.pop(subscription.identity, None)

    def filtered(self, subscription: Subscription, rows: Sequence[bytes]) -> None:
        """Of these events of a page nothing is sent, because the routes say so."""
        self._note(subscription, rows, Counts(0, 1, 0))

    def dead(self, subscription: Subscription, row: bytes) -> None:
        """This event becomes a dead letter."""
        self._note(subscription, (row,), Counts(0, 0, 1))

    def _note(self, subscription: Subscription, rows: Sequence[bytes], each: Counts) -> None:
        log_type = LOG_TYPES.get(subscription.stream.log_type)
        found = rows_by_day(log_type, rows) if log_type is not None else {UNDATED: len(rows)}
        with self._lock:
            days = self._noted.setdefault(subscription.identity, {})
            for day, count in found.items():
                days[day] = days.get(day, NOTHING) + Counts(0, each.filtered * count, each.dead * count)

    def take(self, subscription: Subscription) -> dict[str, Counts]:
        """What was noted since the last commit, by day."""
        with self._lock:
            return self._noted.pop(subscription.identity, {})


PENDING = per_process("events that are not delivered", Pending)


def rows_by_day(log_type: LogType, rows: Sequence[bytes]) -> dict[str, int]:
    """How many rows of a page are of which day. Of a log in order two rows are looked at, unless a midnight is between."""
    if not rows:
        return {}
    first, last = (day_of(log_type.row_key(row).time_ms) for row in (rows[0], rows[-1]))
    if log_type.ascending and first == last:
        return {first: len(rows)}
    found: dict[str, int] = {}
    for row in rows:
        day = day_of(log_type.row_key(row).time_ms)
        found[day] = found.get(day, 0) + 1
    return found
