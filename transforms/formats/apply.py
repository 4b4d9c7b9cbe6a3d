"""The format step: events → ``(event, message)``, one per destination.

Place in the flow: between ``SplitPages`` and ``SendToDestination``, fused with both. An event that the format cannot write
becomes a dead letter with its reason; the stream goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from transforms.dead_letters import DEAD, dead_letter
from transforms.errors import Undeliverable
from transforms.events import DuoEvent
from transforms.formats import FORMATS, Formatter
from transforms.settings import Destination


class FormatEvents(beam.DoFn):
    """DuoEvent → ``(DuoEvent, bytes)``; what cannot be written goes to the output ``dead``.

    Args:
      destination: whose format is used; dead letters name it.
      accounts: only events of these accounts; None for all.
    """

    def __init__(self, destination: Destination, accounts: frozenset[str] | None = None) -> None:
        self._destination = destination
        self._accounts = accounts
        self._formatter: Formatter | None = None

    def setup(self) -> None:
        self._formatter = FORMATS[self._destination.format.name](self._destination.format)

    def process(self, event: DuoEvent) -> Sequence[Any]:
        # Sequences of one, not a generator: to make and to resume one costs more than writing a row as JSON.
        if self._accounts is not None and event.stream.account not in self._accounts:
            return ()
        assert self._formatter is not None
        try:
            return ((event, self._formatter.format(event)),)
        except Undeliverable as error:
            Metrics.counter("duologsync", f"dropped_{error.reason}").inc()
            return (beam.pvalue.TaggedOutput(DEAD, dead_letter(event, self._destination, error)),)
