"""The format step: a page's events → their messages, one step per destination.

Place in the flow: between ``SplitPages`` and ``SendToDestination``, fused with both. An event that the format cannot write
becomes a dead letter with its reason; the stream goes on.

Contract: the order stays. No event fails its bundle here: a bundle that fails is read and sent again, and would fail again, for
ever. So an error that a format does not raise on purpose is a dead letter, too (``format_failed``). It is a bug, and told with
its traceback, once for each place; never with what the error says, which may quote the event. The dead letters of a batch leave
before its messages.
"""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from transforms.coders import DuoEvent, DuoPage, EventBatch, FormattedEvent, MessageBatch
from transforms.errors import Undeliverable
from transforms.formats import Formatter, format_failed, make_formatter
from transforms.records import FormattedPage
from transforms.settings import Destination
from transforms.state.dead_letters.letter import DEAD, DeadLetter, DeadLetterBatch, dead_letter

_LOGGER = logging.getLogger("duologsync.formats")
_PLACES_TOLD = 20


class FormatEvents(beam.DoFn):
    """EventBatch → MessageBatch; what cannot be written goes to the output ``dead``.

    Args:
      destination: whose format is used; dead letters name it.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._formatter: Formatter | None = None
        self._told: set[str] = set()
        self._dropped: Counter[str] = Counter()

    def setup(self) -> None:
        self._formatter = make_formatter(self._destination.format)

    def start_bundle(self) -> None:
        self._dropped.clear()

    @beam.DoFn.yields_batches
    def process(self, event: DuoEvent) -> Iterator[Any]:
        yield from self.process_batch(EventBatch.of([event]))

    def process_batch(self, batch: EventBatch) -> Iterator[Any]:
        letters = DeadLetterBatch()
        pages = [self._formatted(page, letters) for page in batch.pages]
        if letters:
            yield beam.pvalue.TaggedOutput(DEAD, letters)
        pages = [page for page in pages if page.messages]
        if pages:
            yield MessageBatch(tuple(pages))

    def finish_bundle(self) -> None:
        for reason, count in self._dropped.items():
            Metrics.counter("duologsync", f"dropped_{reason}").inc(count)

    def get_input_batch_type(self, input_element_type: Any) -> type:  # noqa: ARG002 - Beam's signature
        return EventBatch

    def get_output_batch_type(self, input_element_type: Any) -> type:  # noqa: ARG002
        return MessageBatch

    def infer_output_type(self, input_type: Any) -> type:  # noqa: ARG002
        return FormattedEvent

    def _formatted(self, page: DuoPage, letters: DeadLetterBatch) -> FormattedPage:
        assert self._formatter is not None
        stream, format_event = page.stream, self._formatter.format
        rows: list[bytes] = []
        messages: list[bytes] = []
        for row in page.rows:
            event = DuoEvent(stream, row)
            try:
                messages.append(format_event(event))
                rows.append(row)
            except Undeliverable as error:
                letters.append(self._dead(event, error))
            except Exception as error:  # see the module
                letters.append(self._dead(event, self._bug(event, error)))
        return FormattedPage(stream, rows, messages)

    def _dead(self, event: DuoEvent, error: Undeliverable) -> DeadLetter:
        self._dropped[error.reason] += 1
        return dead_letter(event, self._destination, error.reason, str(error))

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
