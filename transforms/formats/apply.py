"""The format step: events → ``(event, message)``, one per destination.

Place in the flow: between ``SplitPages`` and ``SendToDestination``, fused with both. An event that the format cannot write
becomes a dead letter with its reason; the stream goes on.

Contract: no event fails its bundle here. A bundle that fails is read and sent again, and would fail again, for ever. So an
error that a format does not raise on purpose is a dead letter, too (``format_failed``). It is a bug, and told with its
traceback, once for each place; never with what the error says, which may quote the event.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from transforms.coders import DuoEvent
from transforms.errors import Undeliverable
from transforms.formats import FORMATS, Formatter, format_failed
from transforms.settings import Destination
from transforms.state.dead_letters.local import DEAD, dead_letter

_LOGGER = logging.getLogger("duologsync.formats")
_PLACES_TOLD = 20


class FormatEvents(beam.DoFn):
    """DuoEvent → ``(DuoEvent, bytes)``; what cannot be written goes to the output ``dead``.

    Args:
      destination: whose format is used; dead letters name it.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._formatter: Formatter | None = None
        self._told: set[str] = set()

    def setup(self) -> None:
        self._formatter = FORMATS[self._destination.format.name](self._destination.format)

    def process(self, event: DuoEvent) -> Sequence[Any]:
        # Sequences of one, not a generator: to make and to resume one costs more than writing a row as JSON.
        assert self._formatter is not None
        try:
            return ((event, self._formatter.format(event)),)
        except Undeliverable as error:
            return self._dead(event, error)
        except Exception as error:  # see the module
            return self._dead(event, self._bug(event, error))

    def _dead(self, event: DuoEvent, error: Undeliverable) -> Sequence[Any]:
        Metrics.counter("duologsync", f"dropped_{error.reason}").inc()
        return (beam.pvalue.TaggedOutput(DEAD, dead_letter(event, self._destination, error)),)

    def _bug(self, event: DuoEvent, error: Exception) -> Undeliverable:
        kind = type(error).__name__
        place = "".join(traceback.format_tb(error.__traceback__)[-3:])
        if place not in self._told and len(self._told) < _PLACES_TOLD:
            self._told.add(place)
            _LOGGER.error(
                "%s: an event could not be written as %s, for a reason that nobody expected (%s). It is a dead letter; the "
                "stream goes on.\n%s",
                event.stream, self._destination.format.name, kind, place,
            )  # fmt: skip
        return format_failed(error)
