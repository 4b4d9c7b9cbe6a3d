"""How long a sender waits, and for what it gives up.

Place in the flow: ``stream_delivery`` asks it at every wait.

Contract: ``watch`` is called often while waiting and raises ``Stopping`` (the grace period of a shutdown is over),
``BundleReplaced`` (another bundle wants the sender), ``DeliveryTimeout`` (the destination's own limit) or ``OutOfTime`` (the
time that check() or close() gave themselves).
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from transforms.errors import BundleReplaced, DeliveryTimeout, Stopping
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.shutdown import STOP
from transforms.settings import Destination


@dataclass(frozen=True, slots=True)
class Tuning:
    """Times and sizes that nobody configures; tests shorten them.

    Attributes:
      block_bytes: small messages are joined up to this size.
      ack_poll_min_secs, ack_poll_max_secs: pause between two looks at what is not acknowledged; it grows.
      settle_secs: between the last two looks for a FIN or reset that arrives just after the last byte.
      silence_secs: a peer that acknowledged nothing for so long, though asked, is gone.
      stall_secs: a peer that is well but takes nothing for so long is worth a warning.
      backoff_first_secs, backoff_max_secs: bounds of the pauses between attempts to connect.
      mend_secs: how long check() may spend on writing what may be unread again.
      replay_unknown_bytes: size of the replay buffer while the kernel does not say how much the peer takes.
      replay_floor_bytes, replay_cap_bytes: bounds of its size where it does. Kernels with a tcp_rmem of 32 MB were seen to
        acknowledge 10 MB that nobody read; less than that in the buffer is events lost when such a SIEM dies.
      read_within_secs: a connection that was reset after so long counts as a chance to read, see ``replay_buffer``.
      goodbye_idle_secs, goodbye_age_secs, goodbye_bytes: a connection is ended once it is quiet for so long, so old, or has
        carried so much. Each end costs a new connection, and makes what is repeated after a crash smaller.
      goodbye_wait_secs: how long the next bundle waits for the answer to a goodbye. While the receiver still reads the
        connection before, events on the next one may overtake what is left there.
      goodbye_watch_secs: how long after a receiver's own goodbye a reset is still looked for.
      goodbye_doubt_secs, goodbye_doubt_bytes: so much of what was confirmed so shortly before a receiver's own goodbye over TLS
        is sent again. Shorter than the idle times after which load balancers end connections, or each of those would repeat
        what came last; and some TLS records, of which a library holds one.
      goodbye_unanswered_secs: after so long without an answer to a goodbye, what the connection carried is a dead letter.
      goodbyes_at_once: so many of our goodbyes may be without an answer before the next connection is kept open instead.
      goodbye_refused_secs, goodbyes_refused: a reset so soon after a goodbye is taken for the answer to it; after so many of
        them, or of goodbyes without an answer, in a row, none is said to this receiver for a day.
    """

    block_bytes: int = 256 * 1024
    ack_poll_min_secs: float = 0.0001
    ack_poll_max_secs: float = 0.02
    settle_secs: float = 0.0003
    silence_secs: float = 30.0
    stall_secs: float = 10.0
    backoff_first_secs: float = 0.5
    backoff_max_secs: float = 30.0
    mend_secs: float = 5.0
    replay_unknown_bytes: int = 1024 * 1024
    replay_floor_bytes: int = 256 * 1024
    replay_cap_bytes: int = 64 * 1024 * 1024
    read_within_secs: float = 60.0
    goodbye_idle_secs: float = 10.0
    goodbye_age_secs: float = 60.0
    goodbye_bytes: int = 2 * 1024 * 1024
    goodbye_wait_secs: float = 1.0
    goodbye_watch_secs: float = 10.0
    goodbye_doubt_secs: float = 20.0
    goodbye_doubt_bytes: int = 64 * 1024
    goodbye_unanswered_secs: float = 3600.0
    goodbyes_at_once: int = 3
    goodbye_refused_secs: float = 2.0
    goodbyes_refused: int = 3


class OutOfTime(Exception):
    """check() or close() has used up its own time."""


class Patience:
    """The waits of one sender."""

    def __init__(self, destination: Destination, tuning: Tuning, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._name = destination.name
        self._limit_secs = destination.delivery_timeout_secs
        self._connect_secs = destination.connect_timeout_secs
        self._tuning = tuning
        self._failures = 0  # since the last confirmed delivery
        self._next_attempt_at = 0.0
        self._waiting_since: float | None = None
        self._own_deadline: float | None = None
        self._closing = False
        self._interrupted = False

    def begin(self) -> None:
        """A bundle starts: it has waited for nothing yet."""
        self._waiting_since = None
        self._interrupted = False

    def interrupt(self) -> None:
        """Whoever waits shall stop waiting. Called by another thread."""
        self._interrupted = True

    def closing(self) -> None:
        """From now on only the time that close() gave itself counts; the grace period may well be over."""
        self._closing = True

    @contextlib.contextmanager
    def no_longer_than(self, deadline: float | None) -> Iterator[None]:
        """Everything in the block ends by then, with OutOfTime if need be; None is no limit."""
        self._own_deadline = deadline
        try:
            yield
        finally:
            self._own_deadline = None

    def watch(self) -> None:
        """Raises where the wait must end."""
        now = self._clock.monotonic_secs()
        if self._own_deadline is not None and now >= self._own_deadline:
            raise OutOfTime
        if self._closing:
            return
        if self._interrupted:
            raise BundleReplaced(f"{self._name}: another bundle of the same stream has begun.")
        if STOP.expired:
            raise Stopping(f"{self._name}: the grace period is over; what is not confirmed is read again.")
        if self._waiting_since is None:
            self._waiting_since = now
        if self._limit_secs is not None and now - self._waiting_since >= self._limit_secs:
            raise DeliveryTimeout(f"{self._name} did not take a bundle within {self._limit_secs:g} s.")

    def rest(self, secs: float) -> None:
        """Sleeps; raises Stopping where the grace period is over."""
        if self._closing:
            self._clock.sleep(secs)
        else:
            STOP.sleep_in_grace(secs, self._clock)

    @property
    def waited_secs(self) -> float:
        return 0.0 if self._waiting_since is None else self._clock.monotonic_secs() - self._waiting_since

    def moved(self) -> bool:
        """The peer takes bytes; True if that ends a wait. After a failure only a confirmed bundle counts as progress."""
        if self._waiting_since is None or self._failures:
            return False
        self._waiting_since = None
        return True

    def failed(self) -> None:
        """A connection, or an attempt to make one, has failed.

        No pause after the first failure, which is mostly a restart; then exponential with full jitter.
        """
        doublings = min(self._failures - 1, 16)
        self._failures += 1
        longest = min(self._tuning.backoff_max_secs, self._tuning.backoff_first_secs * 2.0**doublings)
        pause = random.uniform(0, longest) if doublings >= 0 else 0.0
        self._next_attempt_at = self._clock.monotonic_secs() + pause

    def succeeded(self) -> None:
        """Something was confirmed."""
        self._failures = 0

    @property
    def pause_secs(self) -> float:
        """What is left until the next attempt to connect may be made; 0 for nothing."""
        return max(0.0, self._next_attempt_at - self._clock.monotonic_secs())

    def connect_deadline(self) -> float:
        deadline = self._clock.monotonic_secs() + self._connect_secs
        return deadline if self._own_deadline is None else min(deadline, self._own_deadline)
