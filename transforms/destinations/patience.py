"""How long a sender waits, and for what it gives up.

Place in the flow: ``stream_delivery`` asks it at every wait.

Contract: ``watch`` is called often while waiting and raises ``Stopping`` (the grace period of a shutdown is over),
``DeliveryTimeout`` (the destination's own limit) or ``OutOfTime`` (the time that check() or close() gave themselves).
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from transforms.errors import DeliveryTimeout, Stopping
from transforms.lifecycle import STOP
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
      mend_secs: how long check() may spend on writing the ring again.
      ring_unknown_bytes: size of the ring while the kernel does not say how much the peer takes.
      ring_floor_bytes, ring_cap_bytes: bounds of the ring's size where it does. Kernels with a tcp_rmem of 32 MB were seen to
        acknowledge 10 MB that nobody read; less than that in the ring is events lost when such a SIEM dies.
      read_within_secs: when a confirmed block is let go, see ``ring``.
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
    ring_unknown_bytes: int = 1024 * 1024
    ring_floor_bytes: int = 256 * 1024
    ring_cap_bytes: int = 64 * 1024 * 1024
    read_within_secs: float = 60.0


class OutOfTime(Exception):
    """check() or close() has used up its own time."""


class Patience:
    """The waits of one sender."""

    def __init__(self, destination: Destination, tuning: Tuning) -> None:
        self._name = destination.name
        self._limit_secs = destination.delivery_timeout_secs
        self._connect_secs = destination.connect_timeout_secs
        self._tuning = tuning
        self._failures = 0  # since the last confirmed delivery
        self._next_attempt_at = 0.0
        self._waiting_since: float | None = None
        self._own_deadline: float | None = None
        self._closing = False

    def begin(self) -> None:
        """A bundle starts: it has waited for nothing yet."""
        self._waiting_since = None

    def closing(self) -> None:
        """From now on only the time that close() gave itself counts; the grace period may well be over."""
        self._closing = True

    @contextlib.contextmanager
    def no_longer_than(self, deadline: float) -> Iterator[None]:
        """Everything in the block ends by then, with OutOfTime if need be."""
        self._own_deadline = deadline
        try:
            yield
        finally:
            self._own_deadline = None

    def watch(self) -> None:
        """Raises where the wait must end."""
        now = time.monotonic()
        if self._own_deadline is not None and now >= self._own_deadline:
            raise OutOfTime
        if self._closing:
            return
        if STOP.expired:
            raise Stopping(f"{self._name}: the grace period is over; what is not confirmed is read again.")
        if self._waiting_since is None:
            self._waiting_since = now
        if self._limit_secs is not None and now - self._waiting_since >= self._limit_secs:
            raise DeliveryTimeout(f"{self._name} did not take a bundle within {self._limit_secs:g} s.")

    def rest(self, secs: float) -> None:
        """Sleeps; raises Stopping where the grace period is over."""
        if self._closing:
            time.sleep(secs)
        else:
            STOP.sleep_in_grace(secs)

    @property
    def waited_secs(self) -> float:
        return 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since

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
        self._next_attempt_at = time.monotonic() + pause

    def succeeded(self) -> None:
        """Something was confirmed."""
        self._failures = 0

    @property
    def pause_secs(self) -> float:
        """What is left until the next attempt to connect may be made; 0 for nothing."""
        return max(0.0, self._next_attempt_at - time.monotonic())

    def connect_deadline(self) -> float:
        deadline = time.monotonic() + self._connect_secs
        return deadline if self._own_deadline is None else min(deadline, self._own_deadline)
