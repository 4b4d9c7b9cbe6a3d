"""The last step: messages of one bundle to one destination, and the bundle's end only when they are delivered.

Place in the flow: format → **SendToDestination** → dead letters of what can never be delivered. Read, format and send are
fused, so a bundle that finishes here is a bundle whose cursor may be committed.

Contract: an element is ``(DuoEvent, message)``, the message without line break or framing. The main output is empty; the output
``DEAD`` holds a ``DeadLetter`` per event that the destination rejected. finish_bundle() returns when every sender that was used
has confirmed; the letters leave it then, so that they are kept before the bundle is finished. Until then the events of a bundle
are held, as references. Where nobody else looks after idle connections, ``caretaker_dir`` says where dead letters of theirs go.
The pickled DoFn holds settings and references to secrets, no connection and no secret.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindows

from transforms.coders import DuoEvent, Stream
from transforms.destinations import TRANSPORTS, Rejection, pool
from transforms.destinations.circuit_breaker import CIRCUIT_BREAKERS
from transforms.destinations.idle_checker import check_idle_connections
from transforms.destinations.pool import Lease
from transforms.errors import BundleReplaced, DuoLogSyncError, Stopping
from transforms.process.shutdown import FAILURES
from transforms.settings import Destination
from transforms.state.dead_letters.local import DEAD, DeadLetter, dead_letter
from transforms.state.receipts import RECEIPTS

NAMESPACE = "duologsync"
_NOTHING: tuple[TaggedOutput, ...] = ()
_BATCH_MESSAGES = 500


class _Sending:
    """What a bundle sends of one stream.

    Attributes:
      events: all of them, in the order of their messages; sizes: of their messages.
      waiting: messages that the sender does not have yet.
      reconnects: how often the sender had connected again before this bundle.
    """

    def __init__(self, stream: Stream, lease: Lease) -> None:
        self.stream = stream
        self.lease = lease
        self.events: list[DuoEvent] = []
        self.sizes = array("Q")
        self.waiting: list[bytes] = []
        self.reconnects = lease.sender.reconnects


class SendToDestination(beam.DoFn):
    """Sends each message; confirms at the end of the bundle."""

    def __init__(self, destination: Destination, *, caretaker_dir: str | None = None) -> None:
        super().__init__()
        self._destination = destination
        self._caretaker_dir = caretaker_dir
        self._clear()

    def _clear(self) -> None:
        self._sendings: dict[Stream, _Sending] = {}
        self._now: _Sending | None = None

    def setup(self) -> None:
        if self._caretaker_dir is not None:
            CIRCUIT_BREAKERS.know(self._destination.name, self._probe)
            check_idle_connections(self._caretaker_dir)

    def start_bundle(self) -> None:
        self._clear()

    def process(self, element: tuple[DuoEvent, bytes]) -> Sequence[TaggedOutput]:
        event, message = element
        sending = self._now
        # The events of a page share one Stream object, so a glance is enough; a lookup compares by value.
        if sending is None or event.stream is not sending.stream:
            sending = self._now = self._sending(event.stream)
        sending.events.append(event)
        sending.waiting.append(message)
        if len(sending.waiting) >= _BATCH_MESSAGES:
            self._send(sending)
        return _NOTHING

    def finish_bundle(self) -> list[TaggedOutput]:
        dead = [letter for sending in self._sendings.values() for letter in self._finish(sending)]
        self._clear()
        return [TaggedOutput(DEAD, GlobalWindows.windowed_value_at_end_of_window(letter)) for letter in dead]

    def _finish(self, sending: _Sending) -> list[DeadLetter]:
        """Returns when all of it is delivered; a letter for each event that was rejected."""
        self._send(sending)
        stream, lease = sending.stream, sending.lease
        try:
            confirmed = lease.confirm()
        except DuoLogSyncError as error:
            self._failed(stream, error)
            raise
        RECEIPTS.confirmed(stream, self._destination.name, confirmed.receipt)
        pool.done(self._destination, lease)
        CIRCUIT_BREAKERS.delivered(stream, self._destination.name)
        _count(sending, confirmed.rejected)
        return [dead_letter(sending.events[r.index], self._destination, r.reason, r.detail) for r in confirmed.rejected]

    def _send(self, sending: _Sending) -> None:
        messages, sending.waiting = sending.waiting, []
        sending.sizes.extend(map(len, messages))
        try:
            sending.lease.send(messages)
        except DuoLogSyncError as error:
            self._failed(sending.stream, error)
            raise

    def _failed(self, stream: Stream, error: DuoLogSyncError) -> None:
        if isinstance(error, BundleReplaced):
            return  # what fails is nobody's bundle any more
        FAILURES.record(stream, error)
        if not isinstance(error, Stopping):
            CIRCUIT_BREAKERS.hold(stream, self._destination.name, self._probe)

    def _probe(self) -> None:
        """Connects and closes again, beside the sender, which belongs to the bundles."""
        sender = TRANSPORTS[self._destination.transport](self._destination)
        try:
            sender.test_connection()
        finally:
            sender.close(0.0)

    def _sending(self, stream: Stream) -> _Sending:
        if stream not in self._sendings:
            try:
                lease = pool.begin(self._destination, stream)
            except DuoLogSyncError as error:
                self._failed(stream, error)
                raise
            self._sendings[stream] = _Sending(stream, lease)
        return self._sendings[stream]


def _count(sending: _Sending, rejected: Sequence[Rejection]) -> None:
    """Counters are updated once per bundle: one update costs more than sending a message."""
    _add("sent", len(sending.events) - len(rejected))
    _add("sent_bytes", sum(sending.sizes) - sum(sending.sizes[rejection.index] for rejection in rejected))
    _add("reconnects", sending.lease.sender.reconnects - sending.reconnects)
    for reason, count in Counter(rejection.reason for rejection in rejected).items():
        _add(f"dropped_{reason}", count)


def _add(name: str, count: int) -> None:
    if count:
        Metrics.counter(NAMESPACE, name).inc(count)
