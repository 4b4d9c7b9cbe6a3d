"""The last step: messages of one bundle to one destination, and the bundle's end only when they are delivered.

Place in the flow: format → **SendToDestination** → dead letters of what can never be delivered. Read, format and send are
fused, so a bundle that finishes here is a bundle whose cursor may be committed.

Contract: an element is ``(DuoEvent, message)``, the message without line break or framing. The main output is empty; the output
``DEAD`` holds a ``DeadLetter`` per event that the destination can never take. finish_bundle() returns when every sender that
was used has confirmed. Where nobody else looks after idle connections, ``caretaker_dir`` says where dead letters of theirs go.
The pickled DoFn holds settings and references to secrets, no connection and no secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from transforms.coders import DuoEvent, Stream
from transforms.destinations import pool
from transforms.destinations.circuit_breaker import CIRCUIT_BREAKERS
from transforms.destinations.idle_checker import check_idle_connections
from transforms.destinations.pool import Lease
from transforms.destinations.probe import connect_once
from transforms.errors import BundleReplaced, DuoLogSyncError, Stopping, Undeliverable
from transforms.process.shutdown import FAILURES
from transforms.records import Subscription
from transforms.settings import Destination
from transforms.state.dead_letters.local import DEAD, dead_letter
from transforms.state.receipts import RECEIPTS

NAMESPACE = "duologsync"
_NOTHING: tuple[TaggedOutput, ...] = ()


class SendToDestination(beam.DoFn):
    """Sends each message; confirms at the end of the bundle."""

    def __init__(self, destination: Destination, *, caretaker_dir: str | None = None) -> None:
        super().__init__()
        self._destination = destination
        self._caretaker_dir = caretaker_dir
        self._clear()

    def _clear(self) -> None:
        self._used: dict[Stream, tuple[Lease, int]] = {}  # with how often it had connected again before this bundle
        self._stream: Stream | None = None
        self._lease: Lease | None = None
        self._sent = 0
        self._sent_bytes = 0
        self._dropped: dict[str, int] = {}

    def setup(self) -> None:
        if self._caretaker_dir is not None:
            check_idle_connections(self._caretaker_dir)

    def start_bundle(self) -> None:
        self._clear()

    def process(self, element: tuple[DuoEvent, bytes]) -> Sequence[TaggedOutput]:
        event, message = element
        # The events of a page share one Stream object, so a glance is enough; a lookup compares by value.
        if event.stream is not self._stream or self._lease is None:
            self._turn_to(event.stream)
        try:
            self._lease.send(message)  # type: ignore[union-attr]  # set by _turn_to
        except Undeliverable as never:
            self._dropped[never.reason] = self._dropped.get(never.reason, 0) + 1
            return [TaggedOutput(DEAD, dead_letter(event, self._destination, never))]
        except DuoLogSyncError as error:
            self._failed(event.stream, error)
            raise
        self._sent += 1
        self._sent_bytes += len(message)
        return _NOTHING

    def finish_bundle(self) -> None:
        for stream, (lease, _) in self._used.items():
            try:
                receipt = lease.confirm()
            except DuoLogSyncError as error:
                self._failed(stream, error)
                raise
            subscription = Subscription(stream, self._destination.name)
            RECEIPTS.confirmed(subscription, receipt)
            pool.done(self._destination, lease)
            CIRCUIT_BREAKERS.delivered(subscription, self._destination.name)
        self._count()
        self._clear()

    def _failed(self, stream: Stream, error: DuoLogSyncError) -> None:
        if isinstance(error, BundleReplaced):
            return  # what fails is nobody's bundle any more
        subscription = Subscription(stream, self._destination.name)
        FAILURES.record(subscription, error)
        if not isinstance(error, Stopping):
            CIRCUIT_BREAKERS.hold(subscription, self._destination.name, partial(connect_once, self._destination))

    def _turn_to(self, stream: Stream) -> None:
        if stream not in self._used:
            try:
                lease = pool.begin(self._destination, stream)
            except DuoLogSyncError as error:
                self._failed(stream, error)
                raise
            self._used[stream] = (lease, lease.sender.reconnects)
        self._stream = stream
        self._lease = self._used[stream][0]

    def _count(self) -> None:
        """Counters are updated once per bundle: one update costs more than sending a message."""
        _add("sent", self._sent)
        _add("sent_bytes", self._sent_bytes)
        _add("reconnects", sum(lease.sender.reconnects - before for lease, before in self._used.values()))
        for reason, count in self._dropped.items():
            _add(f"dropped_{reason}", count)


def _add(name: str, count: int) -> None:
    if count:
        Metrics.counter(NAMESPACE, name).inc(count)
