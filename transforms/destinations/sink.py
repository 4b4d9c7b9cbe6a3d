"""The last step: messages of one bundle to one destination, and the bundle's end only when they are delivered.

Place in the flow: format → **SendToDestination** → dead letters of what can never be delivered. Read, format and send are
fused, so a bundle that finishes here is a bundle whose cursor may be committed.

Contract: elements are ``FormattedEvent``, and come in batches. The main output is empty; the output ``DEAD`` holds a
``DeadLetter`` per event that the destination rejected, with the event's timestamp, in the global window. finish_bundle()
returns when every sender that was used has confirmed; the letters leave it then, so they are kept before the bundle is
finished. Until then the rows of a bundle are held, as references. Where nobody else looks after idle connections,
``idle_checks_dir`` says where dead letters of theirs go. The pickled DoFn holds settings and references to secrets, no
connection and no secret.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import Lineage
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.coders import DuoEvent, FormattedEvent, MessageBatch, Stream
from transforms.destinations import pool
from transforms.destinations.circuit_breaker import CIRCUIT_BREAKERS
from transforms.destinations.idle_checker import check_idle_connections
from transforms.destinations.pool import Lease
from transforms.destinations.probe import connect_once
from transforms.destinations.sender import Rejection
from transforms.destinations.tap import TAP
from transforms.errors import BundleReplaced, DuoLogSyncError, Stopping
from transforms.metrics.beam import tell_beam
from transforms.metrics.catalog import BUNDLES_FAILED, EVENTS_DELIVERED, EVENTS_REJECTED, RECONNECTS, SENT_BYTES
from transforms.metrics.latency import Sample, delivered, sample
from transforms.metrics.registry import METRICS, of_stream
from transforms.process.shutdown import FAILURES
from transforms.records import FormattedPage, Subscription
from transforms.settings import Destination
from transforms.state.dead_letters.letter import DEAD, dead_letter
from transforms.state.ledger.pending import PENDING
from transforms.state.receipts import RECEIPTS

_LINE_BREAK = "The message holds a line break, which ends a message for a SIEM."


@dataclass
class _Delivery:
    """What a bundle sends of one stream.

    Attributes:
      rows: the event of each message; timestamps: of those; sizes: of the messages, in bytes; samples: for their latency.
    """

    lease: Lease
    reconnects_before: int
    rows: list[bytes] = field(default_factory=list)
    timestamps: list[Timestamp] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("Q"))
    samples: list[Sample] = field(default_factory=list)

    def send(self, page: FormattedPage, timestamp: Timestamp) -> None:
        self.rows += page.rows
        self.timestamps += [timestamp] * len(page.rows)
        self.sizes.extend(map(len, page.messages))
        self.samples += sample(page.stream, page.rows)
        self.lease.send(page)

    def event(self, stream: Stream, rejection: Rejection) -> DuoEvent:
        return DuoEvent(stream, self.rows[rejection.index])

    def at(self, rejection: Rejection) -> Timestamp:
        return self.timestamps[rejection.index]


class SendToDestination(beam.DoFn):
    """Sends each message; confirms at the end of the bundle."""

    def __init__(self, destination: Destination, *, idle_checks_dir: str | None = None) -> None:
        super().__init__()
        self._destination = destination
        self._idle_checks_dir = idle_checks_dir
        self._clear()

    def _clear(self) -> None:
        self._deliveries: dict[Stream, _Delivery] = {}
        self._subscriptions: set[Subscription] = set()
        self._broken: list[TaggedOutput] = []  # dead letters of messages that are more than one line

    def setup(self) -> None:
        if self._idle_checks_dir is not None:
            check_idle_connections(self._idle_checks_dir)

    def start_bundle(self) -> None:
        self._clear()

    def process(self, element: FormattedEvent, timestamp: Any = beam.DoFn.TimestampParam) -> None:
        self.process_batch(MessageBatch.of([element]), timestamp)

    @beam.DoFn.yields_elements
    def process_batch(self, batch: MessageBatch, timestamp: Any = beam.DoFn.TimestampParam) -> None:
        for given in batch.pages:
            page = self._without_line_breaks(given, timestamp)
            if not page.rows:
                continue
            try:
                delivery = self._deliveries.get(page.stream) or self._begin(page.stream)
                delivery.send(page, timestamp)
            except DuoLogSyncError as error:
                self._failed(page.stream, error)
                raise

    def finish_bundle(self) -> Iterator[TaggedOutput]:
        rejected = self._broken
        for stream, delivery in self._deliveries.items():
            try:
                confirmed = delivery.lease.confirm()
            except DuoLogSyncError as error:
                self._failed(stream, error)
                raise
            rejected += [self._dead(delivery.event(stream, r), r.reason, r.detail, delivery.at(r)) for r in confirmed.rejected]
            subscription = Subscription(stream, self._destination.name)
            _count(subscription, delivery, confirmed.rejected)
            if TAP.watched:
                rejected_at = {each.index for each in confirmed.rejected}
                TAP.offer(subscription, [row for index, row in enumerate(delivery.rows) if index not in rejected_at])
            RECEIPTS.confirmed(subscription, confirmed.receipt)
            pool.done(self._destination, delivery.lease)
            CIRCUIT_BREAKERS.delivered(subscription, self._destination.name)
            Lineage.sinks().add("siem", self._destination.name, subtype=self._destination.kind)
        tell_beam("send", self._subscriptions)
        self._clear()
        return iter(rejected)

    def get_input_batch_type(self, input_element_type: Any) -> type:  # noqa: ARG002 - Beam's signature
        return MessageBatch

    def _begin(self, stream: Stream) -> _Delivery:
        lease = pool.begin(self._destination, stream)
        delivery = self._deliveries[stream] = _Delivery(lease, lease.sender.reconnects)
        self._subscriptions.add(Subscription(stream, self._destination.name))
        return delivery

    def _failed(self, stream: Stream, error: DuoLogSyncError) -> None:
        if isinstance(error, BundleReplaced):
            return  # what fails is nobody's bundle any more
        subscription = Subscription(stream, self._destination.name)
        FAILURES.record(subscription, error)
        if not isinstance(error, Stopping):
            METRICS.add(BUNDLES_FAILED, of_stream(subscription))
            CIRCUIT_BREAKERS.hold(subscription, self._destination.name, partial(connect_once, self._destination))

    def _without_line_breaks(self, page: FormattedPage, timestamp: Timestamp) -> FormattedPage:
        """Our formats write none. A step of somebody's own may; what followed one would be an event of its own to a SIEM, and
        who chooses a name in it could write that.
        """
        broken = {index for index, message in enumerate(page.messages) if b"\n" in message}
        if not broken:
            return page
        self._broken += [self._dead(page.event(i), "line_break", _LINE_BREAK, timestamp) for i in sorted(broken)]
        subscription = Subscription(page.stream, self._destination.name)
        self._subscriptions.add(subscription)
        METRICS.add(EVENTS_REJECTED, (*of_stream(subscription), "line_break"), len(broken))
        kept = [index for index in range(len(page.messages)) if index not in broken]
        return FormattedPage(page.stream, [page.rows[i] for i in kept], [page.messages[i] for i in kept])

    def _dead(self, event: DuoEvent, reason: str, detail: str, timestamp: Timestamp) -> TaggedOutput:
        PENDING.dead(Subscription(event.stream, self._destination.name), event.raw)
        letter = dead_letter(event, self._destination.name, self._destination.format.name, reason, detail)
        return TaggedOutput(DEAD, WindowedValue(letter, timestamp, (GlobalWindow(),)))


def _count(subscription: Subscription, delivery: _Delivery, rejected: tuple[Rejection, ...]) -> None:
    """A bundle of a stream was confirmed."""
    stream, destination = of_stream(subscription), (subscription.destination,)
    METRICS.add(EVENTS_DELIVERED, stream, len(delivery.sizes) - len(rejected))
    METRICS.add(SENT_BYTES, destination, sum(delivery.sizes) - sum(delivery.sizes[each.index] for each in rejected))
    METRICS.add(RECONNECTS, destination, delivery.lease.sender.reconnects - delivery.reconnects_before)
    METRICS.add_each(EVENTS_REJECTED, stream, Counter(each.reason for each in rejected))
    delivered(subscription, delivery.samples, time.time_ns() // 1_000_000)
