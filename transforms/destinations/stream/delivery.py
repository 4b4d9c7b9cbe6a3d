"""Delivery over a byte stream: the state machine that TCP and TLS share.

Place in the flow: ``tcp`` and ``tls`` give it a way to connect; the sink hands it messages bundle by bundle.

Messages are joined into blocks of complete frames. A block is kept until confirm() has seen that the peer's kernel acknowledged
every byte and that neither FIN nor reset has arrived. If the connection ends before, the whole unconfirmed bundle is written
again on a new one, beginning with a complete frame.

Acknowledged by the kernel is not read by the SIEM: what lies in the peer's receive buffer when it crashes is lost without a
word. So what was confirmed stays in a replay buffer until it must have been read:
- as many later bytes were acknowledged on the same connection as the peer's kernel can hold unread, or
- the connection ended in good order. Each is ended when it is quiet or old, because nothing else shows it (``goodbyes``).
After a reset or a silence it is written again, before anything new; over TLS also after a receiver's own goodbye, where it was
confirmed just before (``replay_buffer.parted_by_doubt`` says why). A ``Receipt`` says of a bundle when it has come to that;
the checkpoint's safe position follows it, so that what is in the buffer is sent again also where this process dies.

What stays unknowable, and is not promised:
- A SIEM that read bytes and crashed before it stored them. Only a protocol with acknowledgements of its own can tell.
- A load balancer or proxy in between acknowledges and ends in its own name; that says nothing about the SIEM behind it.
- A receiver whose kernel sends a FIN although bytes were unread and no reset for ``goodbye_watch_secs``, or that buffers more
  than ``replay_cap_bytes`` unread. Over TLS also one that reads nothing for ``goodbye_doubt_secs``, then ends the connection
  itself and throws away what was left.
- Repeats: after a lost connection, up to the buffer and the bundle once more. Where a delivery timeout ends the wait for a
  stalled receiver, the blocks already on their way arrive and are read again from the checkpoint too.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from itertools import accumulate

from transforms.destinations.health import health_of
from transforms.destinations.sender import Confirmation, Rejection, oversize
from transforms.destinations.stream.connection import Connection, ConnectionLost, Watch
from transforms.destinations.stream.framing import FRAMINGS
from transforms.destinations.stream.replay_buffer import Block
from transforms.destinations.stream.settings import StreamSettings
from transforms.destinations.stream.tuning import Tuning
from transforms.destinations.stream.unread import BlockReceipt, Unread, by_owner
from transforms.destinations.waits import OutOfTime, Waits
from transforms.errors import BundleReplaced, DeliveryTimeout, FatalError, RetryLater, Stopping
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.shutdown import STOP
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination

_LOGGER = logging.getLogger("duologsync.destinations")
_LOOK_SECS = 0.02

Connect = Callable[[float, Watch], Connection]
"""(monotonic deadline, watch) → a connection that may be trusted. Raises OSError, RetryLater or FatalError."""


class StreamSender:
    """A ``Sender`` over TCP or TLS. See the module's text for what it promises.

    Attributes:
      reconnects: connections opened because the one before them was lost.
      resent: messages that were written once more.
    """

    def __init__(
        self,
        destination: Destination[StreamSettings],
        connect: Connect,
        tuning: Tuning | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._destination = destination
        self._connect = connect
        self._tuning = tuning or Tuning()
        self._clock = clock
        self._framing = FRAMINGS[destination.settings.framing or "lf"]
        self._max_bytes = destination.max_message_bytes
        self._block_bytes = self._tuning.block_bytes
        self._health = health_of(destination)
        self._waits = Waits(destination, self._tuning.connecting, clock, connect_secs=destination.settings.connect_timeout_secs)
        self._connection: Connection | None = None
        self._opened_at = 0.0
        self._used_at = 0.0
        self._lost_before = False  # the connection before the present one was lost
        self._owner: Stream | None = None  # whose messages follow: streams take turns on a sender, one bundle each
        self._taken = 0  # messages of this bundle
        self._rejected: list[Rejection] = []  # of them
        self._small: list[bytes] = []  # not yet a block
        self._small_bytes = 0
        self._number = 0  # of the last block
        self._bundle: list[Block] = []  # blocks of this bundle, unconfirmed
        self._queue: deque[Block] = deque()  # what this connection has not taken yet: what is sent again, then the bundle
        self._offset = 0  # of the queue's first block
        self._begun = False  # something of the queue's first block may be on its way
        self._unread = Unread(self._tuning, self._health)
        self.reconnects = 0
        self.resent = 0

    # ---- the contract ----

    def begin(self, owner: Stream | None = None) -> None:
        self._owner = owner
        self._forget_bundle()
        self._waits.begin()
        self._look_at_endings()
        if self._since(self._opened_at) >= self._tuning.goodbye_age_secs and self._may_say_goodbye():
            self._say_goodbye()
            self._wait_for_answer()
        self._queue_unread()

    def _forget_bundle(self) -> None:
        """What a bundle that failed has left: whoever reads it again sends it again."""
        self._taken = 0
        self._rejected = []
        self._small = []
        self._small_bytes = 0
        self._bundle = []
        # A block under way must be finished, or half a frame would stand before the next one. What is sent again must go out
        # anyway.
        keep = set(map(id, self._unread.again))
        first = [self._queue[0]] if self._begun else []
        rest = list(self._queue)[len(first) :]
        self._queue = deque(first + [block for block in rest if id(block) in keep])

    def send(self, page: FormattedPage) -> None:
        messages = page.messages
        sizes = list(map(len, messages))
        if self._max_bytes and max(sizes, default=0) > self._max_bytes:
            messages = self._without_oversize(messages, self._max_bytes)
            sizes = list(map(len, messages))
        else:
            self._taken += len(messages)
        self._small += messages
        self._small_bytes += sum(sizes)
        if self._small_bytes >= self._block_bytes:
            self._close_full_blocks()
            self._insist(acknowledged=False)

    def _without_oversize(self, messages: list[bytes], most_bytes: int) -> list[bytes]:
        taken = []
        for message in messages:
            if len(message) > most_bytes:
                self._rejected.append(oversize(self._taken, len(message), self._destination.name, most_bytes))
            else:
                taken.append(message)
            self._taken += 1
        return taken

    def confirm(self) -> Confirmation:
        if self._small:
            self._close_block(self._small)
            self._small, self._small_bytes = [], 0
        if self._bundle:
            self._insist(acknowledged=True)
            self._commit()
            if self._unread.replay.size_bytes >= self._tuning.goodbye_bytes and self._may_say_goodbye():
                self._say_goodbye()
                self._wait_for_answer()
        return Confirmation(BlockReceipt(self._unread, self._number), tuple(self._rejected))

    def check(self) -> None:
        self._forget_bundle()  # its stream may have left without beginning another one
        self._waits.begin()
        self._look()
        self._look_at_endings()
        if self._unread.in_doubt and not self._waits.pause_secs:
            self._mend(self._clock.monotonic_secs() + self._tuning.mend_secs)
        if self._since(self._used_at) >= self._tuning.goodbye_idle_secs and self._may_say_goodbye():
            self._say_goodbye()

    def close(self, grace_secs: float) -> None:
        deadline = self._clock.monotonic_secs() + grace_secs
        self._waits.closing()
        self.begin()
        self._look()
        refused_before = self._health.goodbyes_refused
        while (left_secs := deadline - self._clock.monotonic_secs()) > 0:
            if self._unread.in_doubt:
                self._waits.rest(min(self._waits.pause_secs, left_secs))
                self._mend(deadline)
            elif self._connection is not None:
                self._say_goodbye(deadline)
            elif not len(self._unread.endings):
                break
            else:
                self._waits.rest(_LOOK_SECS)
            self._look_at_endings()
            if self._health.goodbyes_refused - refused_before >= self._tuning.goodbyes_refused:
                break  # a receiver that resets at every end must not keep us here
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None
        self._queue.clear()
        self._unread.let_go()

    def interrupt(self) -> None:
        self._waits.interrupt()

    def given_up(self) -> list[tuple[Stream | None, list[bytes]]]:
        return by_owner(self._unread.given_up, self._framing.split)

    def given_up_is_kept(self) -> None:
        self._unread.given_up_is_kept()

    def unread(self) -> list[tuple[Stream | None, list[bytes]]]:
        return by_owner(sorted(self._unread.blocks(), key=lambda block: block.number), self._framing.split)

    @property
    def waited_secs(self) -> float:
        """How long this bundle has waited for the destination to take something."""
        return self._waits.waited_secs

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def held_bytes(self) -> int:
        return self._unread.held_bytes

    def test_connection(self) -> None:
        """Connects once, for the command that checks a configuration. Raises FatalError or RetryLater."""
        try:
            connection = self._connect(self._waits.connect_deadline(), _do_nothing)
            connection.shut()
            connection.abandon()
        except OSError as error:
            raise RetryLater(f"{self._destination.name} cannot be reached: {_cause(error)}.", kind="network") from error

    # ---- writing ----

    def _close_full_blocks(self) -> None:
        """Makes blocks of what is not in one yet, each just as large as it must be; the rest waits for more."""
        ends = list(accumulate(map(len, self._small)))
        begin, begin_bytes = 0, 0
        while ends[-1] - begin_bytes >= self._block_bytes:
            end = bisect_left(ends, begin_bytes + self._block_bytes, begin) + 1
            self._close_block(self._small[begin:end])
            begin, begin_bytes = end, ends[end - 1]
        self._small = self._small[begin:]
        self._small_bytes = ends[-1] - begin_bytes

    def _close_block(self, messages: list[bytes]) -> None:
        self._number += 1
        block = Block(self._framing.join(messages), len(messages), self._number, self._owner)
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
            except FatalError as gone:
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
            self._waits.rest(self._tuning.settle_secs)
            connection.look()

    def _moved(self) -> None:
        if self._waits.moved():
            self._health.back(0)

    def _drop_first(self) -> None:
        self._queue.popleft()
        self._offset = 0
        self._begun = False

    def _wait_writable(self, connection: Connection) -> None:
        self._waits.watch()
        connection.wait_writable(0.2)
        connection.look()
        self._doubt_silence(connection)

    def _await_acknowledgement(self, connection: Connection) -> None:
        pause = self._tuning.ack_poll_min_secs
        before = None
        while left := connection.unacknowledged_bytes():
            connection.look()
            if left == before:
                self._waits.watch()
                self._doubt_silence(connection)
            else:
                self._moved()
            before = left
            self._waits.rest(pause)
            pause = min(pause * 1.5, self._tuning.ack_poll_max_secs)

    def _doubt_silence(self, connection: Connection) -> None:
        waited = self._waits.waited_secs
        if waited < min(self._tuning.silence_secs, self._tuning.stall_secs):
            return
        facts = connection.facts()
        if facts is not None and facts.silent_for(self._tuning.silence_secs):
            raise ConnectionLost(f"the receiver acknowledged nothing for {facts.last_ack_ms / 1000:.0f} s")
        self._health.stalled(f"connected, but it took nothing for {waited:.0f} s")

    def _commit(self) -> None:
        facts = self._connection.facts() if self._connection is not None else None
        if facts is not None and facts.window_bytes is not None:
            # What was written just now may already fill a part of the buffer that the window no longer shows.
            self._unread.replay.allow_for(facts.window_bytes + sum(len(block.frames) for block in self._bundle))
        self._used_at = self._clock.monotonic_secs()
        again = sum(block.messages for block in self._unread.again)
        self._unread.confirmed(self._bundle, self._used_at)
        if self._bundle:
            self._bundle = []
            self._waits.succeeded()
        self._waits.moved()
        self._health.back(again)
        self._health.ever_delivered = True

    # ---- connecting ----

    def _connected(self) -> Connection:
        while self._connection is None:
            self._waits.watch()
            if pause := self._waits.pause_secs:
                self._waits.rest(min(pause, 0.2))
            else:
                self._try_to_connect()
        return self._connection

    def _try_to_connect(self) -> None:
        try:
            self._connection = self._connect(self._waits.connect_deadline(), self._waits.watch)
        except (DeliveryTimeout, BundleReplaced):
            raise
        except (OSError, RetryLater) as error:
            raise ConnectionLost(_cause(error)) from error
        self._opened_at = self._used_at = self._clock.monotonic_secs()
        self._queue_unread()
        self._queue.extend(self._bundle)
        self.reconnects += self._lost_before
        self._lost_before = False
        self._health.back(sum(block.messages for block in self._queue if block.begun))

    def _queue_unread(self) -> None:
        """What may be unread goes out before anything new. Only where the queue holds nothing of this bundle."""
        if self._connection is not None:
            self._queue.extend(self._unread.to_write())

    def _lose(self, gone: ConnectionLost | FatalError) -> None:
        """The connection, or an attempt to make one, has failed: what follows from it for what it carried."""
        connection, self._connection = self._connection, None
        idle = connection is not None and not self._bundle and not self._queue
        if connection is not None:
            self._lost_before = True
            if isinstance(gone, ConnectionLost) and gone.goodbye:
                self._unread.ending(connection, self._clock.monotonic_secs(), by_peer=True)
            else:
                connection.abandon()
                self._unread.reset(self._clock.monotonic_secs())
        self._queue.clear()
        self._offset = 0
        self._begun = False
        self._waits.failed()
        if idle and not self._unread.in_doubt:
            _LOGGER.debug("Destination %s: %s while idle.", self._destination.name, gone)
        elif isinstance(gone, FatalError):
            self._health.wrong(str(gone).rstrip("."))
        else:
            self._health.away(str(gone))

    # ---- between bundles ----

    def _since(self, moment: float) -> float:
        return self._clock.monotonic_secs() - moment

    def _may_say_goodbye(self) -> bool:
        """Whether the present connection carried something worth asking for, and the receiver answers such questions."""
        return (
            self._connection is not None
            and len(self._unread.replay) > 0
            and not self._queue
            and len(self._unread.endings) < self._tuning.goodbyes_at_once
            and self._health.answers_goodbyes(self._tuning.goodbyes_refused)
        )

    def _say_goodbye(self, deadline: float | None = None) -> None:
        """Ends the connection in good order; with a deadline after the rest of a block under way, if that goes out by then."""
        connection = self._connection
        assert connection is not None
        try:
            with self._waits.no_longer_than(deadline):
                self._write_all(connection, acknowledged=False)
        except OutOfTime:
            return
        except (ConnectionLost, FatalError) as gone:
            self._lose(gone)
        else:
            self._connection = None
            self._unread.ending(connection, self._clock.monotonic_secs(), by_peer=False)

    def _wait_for_answer(self) -> None:
        """For a moment. Never raises: what there is to wait for was delivered."""
        end = self._clock.monotonic_secs() + self._tuning.goodbye_wait_secs
        pause = self._tuning.ack_poll_min_secs
        while self._unread.endings.unanswered and self._clock.monotonic_secs() < end and not STOP.expired:
            self._clock.sleep(pause)
            pause = min(pause * 1.5, self._tuning.ack_poll_max_secs)
            self._look_at_endings()

    def _look_at_endings(self) -> None:
        self._unread.look(self._clock.monotonic_secs())

    def _look(self) -> None:
        if self._connection is not None:
            try:
                self._connection.look()
            except (ConnectionLost, FatalError) as gone:
                self._lose(gone)

    def _mend(self, deadline: float) -> None:
        """Tries once, within its time, to write again what may be unread and to see it acknowledged."""
        try:
            with self._waits.no_longer_than(deadline):
                if self._connection is None:
                    self._try_to_connect()
                if self._connection is not None:
                    self._queue_unread()
                    self._write_all(self._connection, acknowledged=True)
                    self._commit()
        except (ConnectionLost, FatalError) as gone:
            self._lose(gone)
        except (OutOfTime, Stopping, DeliveryTimeout, BundleReplaced):
            pass  # what is left stays in the queue, to be written by the next one


def _cause(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__).rstrip(".")


def _do_nothing() -> None:
    """A test connection waits for nothing but its own deadline."""
