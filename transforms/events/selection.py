"""What becomes of a row on its way to one destination: which of the routes takes it, and what it makes of it.

Place in the flow: ``SelectEvents`` asks a ``Selection`` for every row between reading and formatting; ``replay``, ``explain``
and ``test`` ask it for single ones. Nothing of Beam is here.

Contract, for one log, one account and one destination:
  * The routes are asked in their order; the first whose filter takes the event decides what is made of it: redaction first,
    then the user's own function, which so never sees what is redacted. The event is sent once, however many routes would take
    it. One that no route takes is not sent, and counted as ``filtered``.
  * A filter that cannot be applied to an event never holds it back: the event goes along that route, and whatever any route of
    the same log and account to this destination redacts is redacted. Counted as ``filter_failed``.
  * A redaction that cannot be applied makes a dead letter without the row. A function that fails makes one of the redacted row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from transforms.errors import Undeliverable
from transforms.events.filters import Filter
from transforms.events.functions import OwnFunction
from transforms.events.redaction import Redactor
from transforms.events.rows import ODD, Fields, read_fields
from transforms.records import Stream
from transforms.settings import Route

FILTERED, FILTER_FAILED = "filtered", "filter_failed"


class Taken(Enum):
    """What a route's filter says of an event."""

    YES = "takes it"
    NO = "does not take it"
    UNSURE = "cannot be applied to it"


class Failed(NamedTuple):
    """An event that cannot be sent: what is kept of it, and why."""

    row: bytes
    error: Undeliverable


class _Step:
    """What one route does."""

    def __init__(self, route: Route, stream: Stream) -> None:
        self.filter = Filter(route.where, stream, route.log_types) if route.where is not None else None
        self.redactor = Redactor(route.redact) if route.redact is not None else None
        self.function = OwnFunction(route.function, stream) if route.function is not None else None

    def taken(self, row: bytes, fields: Fields | None = None) -> Taken:
        """What its filter says of a row, of which the fields may have been read already."""
        if self.filter is None:
            return Taken.YES
        verdict = self.filter.takes(row) if fields is None else self.filter.takes_fields(fields, row)
        return Taken.UNSURE if verdict is None else Taken.YES if verdict else Taken.NO


class Selection:
    """The routes of one stream to one destination; made on the worker, used by one thread.

    Args:
      routes: those of the stream's log to the destination, in order. Of another account they are left out.

    Attributes:
      counts: how many events no route has taken, and of how many a filter could not tell; the owner clears it.
    """

    def __init__(self, routes: Iterable[Route], stream: Stream) -> None:
        self.routes = tuple(route for route in routes if route.takes(stream.account))
        self.counts: Counter[str] = Counter()
        self._steps = [_Step(route, stream) for route in self.routes]
        self._redactors = [step.redactor for step in self._steps if step.redactor is not None]

    @property
    def redacts(self) -> bool:
        """Whether any of the routes redacts something."""
        return bool(self._redactors)

    def rows_of(self, row: bytes) -> list[bytes] | Failed:
        """The rows that are sent of one."""
        # A redaction reads the fields of the row in any case: filters then need not.
        fields = _fields_of(row) if self._redactors else None
        for step in self._steps:
            taken = step.taken(row, fields)
            if taken is Taken.YES:
                return self._changed(row, step, [step.redactor] if step.redactor else [], fields)
            if taken is Taken.UNSURE:
                self.counts[FILTER_FAILED] += 1
                return self._changed(row, step, self._redactors)
        self.counts[FILTERED] += 1
        return []

    def again(self, row: bytes, *, was_changed: bool) -> list[bytes] | Failed:
        """The rows that are sent of one that was a dead letter: no filter keeps it back.

        Args:
          was_changed: whether a route's function has been applied to it, of which there is then no second time.
        """
        taken = next((step for step in self._steps if step.taken(row) is not Taken.NO), None)
        if taken is None or was_changed:
            return self._redacted(row, self._redactors)
        return self._changed(row, taken, self._redactors)

    def verdicts(self, row: bytes) -> list[Taken]:
        """What the filter of each route says of an event."""
        return [step.taken(row) for step in self._steps]

    def _changed(
        self, row: bytes, step: _Step, redactors: list[Redactor], fields: Fields | None = None
    ) -> list[bytes] | Failed:
        redacted = self._redacted(row, redactors, fields)
        if isinstance(redacted, Failed) or step.function is None:
            return redacted
        try:
            return step.function.rows_of(redacted[0])
        except Undeliverable as error:
            return Failed(redacted[0], error)

    def _redacted(self, row: bytes, redactors: list[Redactor], fields: Fields | None = None) -> list[bytes] | Failed:
        try:
            if fields is not None and len(redactors) == 1:
                return [redactors[0].redact_fields(fields, row)]
            for redactor in redactors:
                row = redactor.redact(row)
        except Undeliverable as error:
            return Failed(b"", error)
        return [row]


def _fields_of(row: bytes) -> Fields | None:
    try:
        return read_fields(row)
    except ODD:
        return None
