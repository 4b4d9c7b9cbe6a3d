"""Delivery over a byte stream: the state machine that TCP and TLS share.

Place in the flow: ``tcp`` and ``tls`` give it a way to connect; the sink hands it messages bundle by bundle.

Messages are joined into blocks of complete frames. A block is kept until confirm() has seen that the peer's kernel acknowledged
every byte and that neither FIN nor reset has arrived. If the connection ends before, the whole unconfirmed bundle is written
again on a new one, beginning with a complete frame.

Acknowledged by the kernel is not read by the SIEM: what lies in the peer's receive buffer when it crashes is lost without a
word. So the last confirmed blocks stay in a ring, as many as the peer's kernel can hold unread. After a reset or a silence they
are written again, before anything new. After a FIN with nothing outstanding they are let go: kernels answer a close with unread
bytes by a reset, so what was acknowledged before a FIN had been read.

What stays unknowable, and is not promised:
- A SIEM that read bytes and crashed before it stored them. Only a protocol with acknowledgements of its own can tell.
- A load balancer or proxy in between acknowledges in its own name; its FIN says nothing about the SIEM behind it.
- A receiver whose kernel sends a FIN although bytes were unread, or that buffers more than ``ring_cap_bytes`` unread.
- A crash of this process (kill -9, power) within the time in which the SIEM also loses what its kernel holds: the ring dies
  with the process. At an orderly end close() waits for the peer's own end, which rsyslog and syslog-ng give after reading all.
- Repeats: after a lost connection, up to the ring and the bundle once more. Where a delivery timeout ends the wait for a
  stalled receiver, the blocks already on their way arrive and are read again from the checkpoint too.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from transforms.destinations.connection import Connection, ConnectionLost, Watch
from transforms.destinations.framing import FRAMINGS
from transforms.destinations.health import health_of
from transforms.destinations.patience import OutOfTime, Patience, Tuning
from transforms.destinations.ring import Block, Ring
from transforms.destinations.socket_probe import Peer
from transforms.errors import DeliveryTimeout, RetryLater, Stopping, Undeliverable, WontHeal
from transforms.events import Stream
from transforms.settings import Destination

_LOG = logging.getLogger(__name__)
_CLOSING_ROUNDS = 3  # a receiver that resets at every end must not keep us here

Connect = Callable[[float, Watch], Connection]
"""(monotonic deadline, watch) → a connection that may be trusted. Raises OSError, RetryLater or WontHeal."""


class StreamSender:
    """A ``Sender`` over TCP or TLS. See the module's text for what it promises.

    Attributes:
      reconnects: connections opened after the first one.
      resent: messages that were written once more.
      owner: whose messages follow. Streams take turns on a sender, one bundle each.
    """

    def __init__(self, destination: Destination, connect: Connect, tuning: Tuning | None = None) -> None:
        self._destination = destination
        self._connect = connect
        self._tuning = tuning or Tuning()
        self._framing = FRAMINGS[destination.framing]
        self._max_bytes = destination.max_message_bytes or float("inf")
        self._block_bytes = self._tuning.block_bytes
        self._health = health_of(destination)
        self._connection: Connection | None = None
        self._patience = Patience(destination, self._tuning)
        self._connected_before = False
        self._small: list[bytes] = []  # not yet a block
        self._small_bytes = 0
        self._bundle: list[Block] = []  # blocks of this bundle, unconfirmed
        self._queue: deque[Block] = deque()  # what this connection has not taken yet: ring again, then bundle
        self._offset = 0  # of the queue's first block
        self._begun = False  # something of the queue's first block may be on its way
        self._again = 0  # how many blocks at the head of the queue are the ring's
        self._ring = Ring(self._tuning.ring_unknown_bytes, self._tuning.ring_floor_bytes, self._tuning.ring_cap_bytes)
        self._ring_in_doubt = False  # the connection that carried it died, and it was not confirmed once more
        self.reconnects = 0
        self.resent = 0
        self.owner: Stream | None = None

    # ---- the contract ----

    def begin(self) -> None:
        self._small = []
        self._small_bytes = 0
        self._bundle = []
        self._patience.begin()
        # A block under way must be finished, or half a frame would stand before the next one. The ring's must go out anyway.
        keep = max(self._again, 1 if self._begun else 0)
        while len(self._queue) > keep:
            self._queue.pop()

    def send(self, message: bytes) -> None:
        size = len(message)
        if size > self._max_bytes:
            raise Undeliverable(
                f"The message has {size} bytes; {self._destination.name} takes {self._destination.max_message_bytes}.",
                reason="oversize",
            )
        self._small.append(message)
        self._small_bytes += size
        if self._small_bytes >= self._block_bytes:
            self._close_block()
            self._insist(acknowledged=False)

    def confirm(self) -> None:
        if self._small:
            self._close_block()
        if self._bundle:
            self._insist(acknowledged=True)
            self._commit()

    def check(self) -> None:
        self._patience.begin()
        self._look()
        if self._ring_in_doubt and not self._patience.pause_secs:
            self._mend(time.monotonic() + self._tuning.mend_secs)

    def close(self, grace_secs: float) -> None:
        deadline = time.monotonic() + grace_secs
        self._patience.closing()
        self.begin()
        self._look()
        for _ in range(_CLOSING_ROUNDS):
            while self._ring_in_doubt and time.monotonic() < deadline:
                self._patience.rest(max(0.0, min(self._patience.pause_secs, deadline - time.monotonic())))
                self._mend(deadline)
            if not self._finish(deadline):
                break
        if not self._ring_in_doubt:
            self._ring.clear()
        elif len(self._ring):
            _LOG.warning(
                "Destination %s: the receiver may never have read the last %d messages before its connection was lost, "
                "and they could not be sent again before the end.",
                self._destination.name,
                self._ring.messages,
            )

    @property
    def unreplayed(self) -> list[bytes]:
        """After close(): confirmed messages that the SIEM may not have read and that could not be sent again."""
        return [message for messages in self.unreplayed_by_owner().values() for message in messages]

    def unreplayed_by_owner(self) -> dict[Stream | None, list[bytes]]:
        """The same, for each stream."""
        left: dict[Stream | None, list[bytes]] = {}
        for block in self._ring if self._ring_in_doubt else ():
            left.setdefault(block.owner, []).extend(self._framing.split(block.frames))
        return left

    @property
    def waited_secs(self) -> float:
        """How long this bundle has waited for the destination to take something."""
        return self._patience.waited_secs

    def test_connection(self) -> None:
        """Connects once, for the command that checks a configuration. Raises WontHeal or RetryLater."""
        try:
            self._connect(self._patience.connect_deadline(), _do_nothing).finish(time.monotonic() + 1)
        except OSError as error:
            raise RetryLater(f"{self._destination.name} cannot be reached: {_cause(error)}.", kind="network") from error

    # ---- writing ----

    def _close_block(self) -> None:
        block = Block(self._framing.join(self._small), len(self._small), self.owner)
        self._small = []
        self._small_bytes = 0
        self._bundle.append(block)
        if self._connection is not None:
            self._queue.append(block)

    def _insist(self, *, acknowledged: bool) -> None:
        """Writes everything, on as many connections as it takes."""
        while True:
            try:
                self._write_all(self._connected(), acknowledged=acknowledged)
            except ConnectionLost as gone:
                self._lose(gone)
            except WontHeal as gone:
                if not self._health.ever_delivered:
                    raise
                self._lose(gone)
            else:
                return

    def _write_all(self, connection: Connection, *, acknowledged: bool) -> None:
        # The first write after a FIN succeeds and its bytes are lost, so look before it.
        connection.look()
        while self._queue:
            block = self._queue[0]
            if not self._begun:
                self._begun = True
                self.resent += block.messages if block.begun else 0
                block.begun = True
            taken = connection.write(memoryview(block.frames)[self._offset :])
            self._offset += taken
            if self._offset == len(block.frames):
                self._drop_first()
            if taken:
                self._moved()
            else:
                self._wait_writable(connection)
        if acknowledged:
            self._await_acknowledgement(connection)
            connection.look()
            self._patience.rest(self._tuning.settle_secs)
            connection.look()

    def _moved(self) -> None:
        if self._patience.moved():
            self._health.back(0)

    def _drop_first(self) -> None:
        self._queue.popleft()
        self._offset = 0
        self._begun = False
        self._again = max(0, self._again - 1)

    def _wait_writable(self, connection: Connection) -> None:
        self._patience.watch()
        connection.wait_writable(0.2)
        connection.look()
        self._doubt_silence(connection)

    def _await_acknowledgement(self, connection: Connection) -> None:
        pause = self._tuning.ack_poll_min_secs
        before = None
        while left := connection.unacknowledged_bytes():
            connection.look()
            if left == before:
                self._patience.watch()
                self._doubt_silence(connection)
            else:
                self._moved()
            before = left
            self._patience.rest(pause)
            pause = min(pause * 1.5, self._tuning.ack_poll_max_secs)

    def _doubt_silence(self, connection: Connection) -> None:
        waited = self._patience.waited_secs
        if waited < min(self._tuning.silence_secs, self._tuning.stall_secs):
            return
        facts = connection.facts()
        silence_ms = self._tuning.silence_secs * 1000
        if facts is not None and facts.unanswered >= 2 and facts.last_ack_ms >= silence_ms:
            raise ConnectionLost(f"the receiver acknowledged nothing for {facts.last_ack_ms / 1000:.0f} s", maybe_unread=True)
        self._health.stalled(f"connected, but it took nothing for {waited:.0f} s")

    def _commit(self) -> None:
        facts = self._connection.facts() if self._connection is not None else None
        if facts is not None and facts.window_bytes is not None:
            # What was written just now may already fill a part of the buffer that the window no longer shows.
            self._ring.allow_for(facts.window_bytes + sum(len(block.frames) for block in self._bundle))
        if self._ring_in_doubt:
            self._ring.confirmed_again()
            self._ring_in_doubt = False
        if self._bundle:
            self._ring.extend(self._bundle)
            self._bundle = []
            self._patience.succeeded()
        self._moved()
        self._health.ever_delivered = True

    # ---- connecting ----

    def _connected(self) -> Connection:
        while self._connection is None:
            self._patience.watch()
            if pause := self._patience.pause_secs:
                self._patience.rest(min(pause, 0.2))
            else:
                self._try_to_connect()
        return self._connection

    def _try_to_connect(self) -> None:
        try:
            self._connection = self._connect(self._patience.connect_deadline(), self._patience.watch)
        except DeliveryTimeout:
            raise
        except (OSError, RetryLater) as error:
            raise ConnectionLost(_cause(error), maybe_unread=self._ring_in_doubt) from error
        again = list(self._ring) if self._ring_in_doubt else []
        self._queue = deque([*again, *self._bundle])
        self._again = len(again)
        self._offset = 0
        self._begun = False
        self.reconnects += self._connected_before
        self._connected_before = True
        self._health.back(sum(block.messages for block in self._queue if block.begun))

    def _lose(self, gone: ConnectionLost | WontHeal) -> None:
        """The connection, or an attempt to make one, has failed: what follows from it for the ring and the next attempt."""
        connection, self._connection = self._connection, None
        idle = connection is not None and not self._bundle and not self._queue
        if connection is not None:
            connection.abandon()
        if isinstance(gone, ConnectionLost) and not gone.maybe_unread and not self._ring_in_doubt:
            self._ring.clear()
        elif not self._ring_in_doubt:
            self._ring.doubt(self._tuning.read_within_secs)
            self._ring_in_doubt = len(self._ring) > 0
        self._queue.clear()
        self._offset = self._again = 0
        self._begun = False
        self._patience.failed()
        if idle and not self._ring_in_doubt:
            _LOG.debug("Destination %s: %s while idle.", self._destination.name, gone)
        elif isinstance(gone, WontHeal):
            self._health.wrong(str(gone).rstrip("."))
        else:
            self._health.away(str(gone))

    # ---- the ring, outside of bundles ----

    def _mend(self, deadline: float) -> None:
        """Tries once, within its time, to write the ring again and to see it acknowledged."""
        try:
            with self._patience.no_longer_than(deadline):
                if self._connection is None:
                    self._try_to_connect()
                if self._connection is not None:
                    self._write_all(self._connection, acknowledged=True)
                    self._commit()
        except (ConnectionLost, WontHeal) as gone:
            self._lose(gone)
        except (OutOfTime, Stopping, DeliveryTimeout):
            pass  # what is left stays in the queue, and the ring in doubt

    def _finish(self, deadline: float) -> bool:
        """Ends the connection in good order, after the rest of a block under way; True where the ring is in doubt after it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return False
        try:
            with self._patience.no_longer_than(deadline):
                if self._queue:
                    self._write_all(connection, acknowledged=False)
                if connection.finish(deadline) is not Peer.RESET:
                    return False
        except OutOfTime:
            # The receiver stalls. What it acknowledged lies in its kernel, and a close in good order leaves it there.
            connection.abandon()
            return False
        except (ConnectionLost, WontHeal) as gone:
            connection.abandon()
            self._lose(gone)
        else:
            self._lose(ConnectionLost("the receiver reset the connection at its end", maybe_unread=True))
        return self._ring_in_doubt

    def _look(self) -> None:
        if self._connection is not None:
            try:
                self._connection.look()
            except (ConnectionLost, WontHeal) as gone:
                self._lose(gone)


def _cause(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__).rstrip(".")


def _do_nothing() -> None:
    """A test connection waits for nothing but its own deadline."""
