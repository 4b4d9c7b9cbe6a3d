"""``SelectEvents``: which events go on to a destination, and what of each.

Place in the flow: a public transform between ``ReadFromDuo`` and ``FormatEvents``, fused with both.

Contract: see ``transforms.events.selection``. The order stays, and rows that were made of one event follow each other. What is
left out is counted and not sent, and the stream's position goes on as with everything that is delivered. No event fails its
bundle here; what cannot be done with one makes it a dead letter. A key that cannot be read fails the bundle: nothing is sent
unredacted. Metrics: ``events_filtered``, ``filter_failures``, ``events_rejected_REASON``, ``dead_letters_REASON``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.transforms.display import DisplayDataItem

from transforms.coders import DuoEvent, EventBatch, events_of
from transforms.destinations.circuit_breaker import CIRCUIT_BREAKERS
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import DuoLogSyncError, Undeliverable
from transforms.events import filters
from transforms.events.functions import wrong_function_name
from transforms.events.redact_settings import Redaction
from transforms.events.selection import FILTER_FAILED, FILTERED, Failed, Selection
from transforms.metrics.beam import tell_beam
from transforms.metrics.catalog import EVENTS_FILTERED, EVENTS_REJECTED, FILTER_FAILURES
from transforms.metrics.registry import METRICS, of_stream
from transforms.notices import events
from transforms.notices.notice import tell
from transforms.parameters import made
from transforms.process.log_once import LogOncePerKey
from transforms.process.places import place_of
from transforms.process.shutdown import FAILURES
from transforms.records import DuoPage, Stream, Subscription
from transforms.settings import Route
from transforms.state.dead_letters.letter import DEAD, DeadLetter, DeadLetterBatch, dead_letter
from transforms.state.dead_letters.write import WriteDeadLetters
from transforms.state.ledger.pending import PENDING

_LOGGER = logging.getLogger("duologsync.events")
_PLACES_TOLD = 20


class SelectEvents(beam.PTransform):
    """Filters and changes ``DuoEvent``s.

    ::

        events | SelectEvents(where="event.result != 'success'", redact={"drop": ["email"]}, dead_letter_dir="/var/lib/duo")

    Args:
      where: a filter in CEL over ``event``, ``log`` and ``account``; without it, every event goes on.
      redact: a ``Redaction``, or a mapping with ``drop``, ``hash``, ``mask`` and ``key``, a reference to a secret.
      function: ``module:function``, which makes none, one or many rows of a row; it must be installed on the workers.
      log_types: the logs that the filter is checked against; without it, all of them.
      dead_letter_dir: where events are kept that cannot be changed as they should: a directory or a URL of a Beam file system.
      destination: the name of the ``WriteToSiem`` that the events go to; dead letters have it, for their replay.
      dead_letter_timeout_secs: for how long a bundle may wait until that directory can be written; None for ever.
      routes: in the place of the first four: several of them, of which the first that takes an event decides.
    """

    def __init__(
        self,
        where: str | None = None,
        *,
        dead_letter_dir: str,
        redact: Redaction | Mapping[str, Any] | None = None,
        function: str | None = None,
        log_types: Sequence[str] = (),
        destination: str = "siem",
        dead_letter_timeout_secs: float | None = None,
        routes: tuple[Route, ...] = (),
    ) -> None:
        super().__init__()
        if not dead_letter_dir:
            raise ValueError("SelectEvents needs dead_letter_dir: give the directory, or the URL, that keeps odd events.")
        self._routes = routes or (_route(where, redact, function, log_types, destination),)
        self._destination = destination
        self._dead_letter_dir = dead_letter_dir
        self._dead_letter_timeout_secs = dead_letter_timeout_secs

    def expand(self, events: beam.PCollection) -> beam.PCollection:
        selecting = beam.ParDo(SelectBatches(self._routes, self._destination)).with_outputs(DEAD, main="selected")
        selected, dead = events_of(events) | "Select" >> selecting
        selected.element_type, dead.element_type = DuoEvent, DeadLetter
        dead | "Keep" >> beam.ParDo(WriteDeadLetters(self._dead_letter_dir, self._dead_letter_timeout_secs))
        return selected

    def display_data(self) -> dict[str, Any]:
        return {
            "routes": DisplayDataItem(len(self._routes), label="Routes"),
            "dead_letter_dir": DisplayDataItem(self._dead_letter_dir, label="Dead letters"),
        }


def _route(
    where: str | None,
    redact: Redaction | Mapping[str, Any] | None,
    function: str | None,
    log_types: Sequence[str],
    destination: str,
) -> Route:
    if isinstance(log_types, str):
        raise ValueError(f"SelectEvents: log_types is a list: write [{log_types!r}].")  # noqa: TRY004 - as of all parameters
    for name in log_types:
        if name not in LOG_TYPES:
            raise ValueError(f"SelectEvents: there is no log {name!r}. There are {', '.join(LOG_TYPES)}.")
    if isinstance(redact, Mapping):
        redact = made(Redaction, redact, "SelectEvents: redact")
    # Of a function only the name is checked: its module may be installed on the workers alone.
    if function is not None and (wrong := wrong_function_name(function)) is not None:
        raise ValueError(f"SelectEvents: function: {wrong.what}. {wrong.fix}")
    if where is not None and filters.is_installed():
        for mistake in filters.mistakes(where, log_types or LOG_TYPES):
            raise ValueError(f"SelectEvents: where: {mistake}.")
    return Route(tuple(log_types) or tuple(LOG_TYPES), (destination,), where=where, redact=redact, function=function)


def _try_out(routes: tuple[Route, ...], stream: Stream) -> None:
    Selection(routes, stream)


class SelectBatches(beam.DoFn):
    """EventBatch → EventBatch; what cannot be changed goes to the output ``dead``.

    Args:
      routes: those that lead to the destination, in order.
      destination: the name that dead letters have.
    """

    def __init__(self, routes: tuple[Route, ...], destination: str) -> None:
        super().__init__()
        self._routes = routes
        self._destination = destination
        self._selections: dict[Stream, Selection] = {}
        self._told: LogOncePerKey[str] | None = None
        self._subscriptions: set[Subscription] = set()  # of which this bundle has counted something

    def setup(self) -> None:
        self._selections = {}
        self._told = LogOncePerKey(most=_PLACES_TOLD)

    def start_bundle(self) -> None:
        self._subscriptions.clear()

    @beam.DoFn.yields_batches
    def process(self, event: DuoEvent) -> Iterator[Any]:
        yield from self.process_batch(EventBatch.of([event]))

    def process_batch(self, batch: EventBatch) -> Iterator[Any]:
        letters = DeadLetterBatch()
        pages = [self._selected(page, letters) for page in batch.pages]
        if letters:
            yield beam.pvalue.TaggedOutput(DEAD, letters)
        pages = [page for page in pages if page.rows]
        if pages:
            yield EventBatch(tuple(pages))

    def finish_bundle(self) -> None:
        tell_beam("send", self._subscriptions)

    def get_input_batch_type(self, input_element_type: Any) -> type:  # noqa: ARG002 - Beam's signature
        return EventBatch

    def get_output_batch_type(self, input_element_type: Any) -> type:  # noqa: ARG002
        return EventBatch

    def infer_output_type(self, input_type: Any) -> type:  # noqa: ARG002
        return DuoEvent

    def _selected(self, page: DuoPage, letters: DeadLetterBatch) -> DuoPage:
        selection = self._selection(page.stream)
        subscription = Subscription(page.stream, self._destination)
        rows: list[bytes] = []
        left_out: list[bytes] = []
        for row in page.rows:
            made_of_it = selection.rows_of(row)
            if isinstance(made_of_it, Failed):
                letters.append(self._dead(page.stream, made_of_it))
                PENDING.dead(subscription, row)
            elif made_of_it:
                rows += made_of_it
            else:
                left_out.append(row)
        if left_out:
            PENDING.filtered(subscription, left_out)
        self._count(page.stream, selection)
        return DuoPage(page.stream, rows)

    def _selection(self, stream: Stream) -> Selection:
        selection = self._selections.get(stream)
        if selection is None:
            subscription, title = Subscription(stream, self._destination), f"routes to {self._destination}"
            try:
                selection = self._selections[stream] = Selection(self._routes, stream)
            except DuoLogSyncError as error:
                FAILURES.record(subscription, error)
                CIRCUIT_BREAKERS.hold(subscription, title, partial(_try_out, self._routes, stream))
                raise
            CIRCUIT_BREAKERS.delivered(subscription, title)
        return selection

    def _count(self, stream: Stream, selection: Selection) -> None:
        if selection.counts:
            if selection.counts[FILTER_FAILED] and self._once(f"{stream} filter"):
                tell(
                    _LOGGER, events.FILTER_FAILED,
                    "%s to %s: a filter cannot be applied to some events, which are sent all the same, with everything "
                    "redacted that any route redacts. The metric filter_failures counts them.",
                    stream, self._destination, stream=stream, destination=self._destination,
                )  # fmt: skip
            subscription = self._counted(stream)
            METRICS.add(EVENTS_FILTERED, of_stream(subscription), selection.counts[FILTERED])
            METRICS.add(FILTER_FAILURES, of_stream(subscription), selection.counts[FILTER_FAILED])
            selection.counts.clear()

    def _counted(self, stream: Stream) -> Subscription:
        subscription = Subscription(stream, self._destination)
        self._subscriptions.add(subscription)
        return subscription

    def _dead(self, stream: Stream, failed: Failed) -> DeadLetter:
        error = failed.error
        METRICS.add(EVENTS_REJECTED, (*of_stream(self._counted(stream)), error.reason))
        if error.__cause__ is not None:
            self._tell(stream, error)
        return dead_letter(DuoEvent(stream, failed.row), self._destination, "", error.reason, str(error))

    def _tell(self, stream: Stream, error: Undeliverable) -> None:
        place = place_of(error.__cause__) if error.__cause__ else ""
        if self._once(place):
            text = "%s: %s The event is a dead letter; the stream goes on. At %s."
            subscription = Subscription(stream, self._destination)
            tell(_LOGGER, events.EVENT_FAILED, text, subscription, error, place, **subscription.about)

    def _once(self, what: str) -> bool:
        assert self._told is not None
        return self._told.due(what) is not None
