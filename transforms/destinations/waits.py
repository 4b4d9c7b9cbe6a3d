"""For what a sender waits, and when it must stop waiting.

Place in the flow: every sender asks it at every wait. How long the pauses between its attempts are is the retry policy's word.

Contract: ``watch`` is called often while waiting and raises ``Stopping`` (the grace period of a shutdown is over),
``BundleReplaced`` (another bundle wants the sender), ``DeliveryTimeout`` (the destination's own limit) or ``OutOfTime`` (the
time that check() or close() gave themselves).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from transforms.errors import BundleReplaced, DeliveryTimeout, Stopping
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.retry import Backoff, RetryPolicy
from transforms.process.shutdown import STOP
from transforms.settings import Destination

CONNECTING = RetryPolicy(first_secs=0.5, longest_secs=30.0, immediate_first=True)
"""Between attempts to reach a destination."""


class OutOfTime(Exception):
    """check() or close() has used up its own time."""


class Waits:
    """The waits of one sender."""

    def __init__(
        self,
        destination: Destination,
        policy: RetryPolicy,
        clock: Clock = SYSTEM_CLOCK,
        *,
        connect_secs: float = float("inf"),
    ) -> None:
        self._clock = clock
        self._name = destination.name
        self._limit_secs = destination.delivery_timeout_secs
        self._connect_secs = connect_secs
        if self._limit_secs is not None:
            # However often it failed before, idle or in other bundles: a bundle gets an attempt within its own time.
            policy = replace(policy, longest_secs=min(policy.longest_secs, self._limit_secs / 2))
        self._backoff = Backoff(policy)  # of failures since the last confirmed delivery
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
        if self._waiting_since is None or self._backoff.failures:
            return False
        self._waiting_since = None
        return True

    def failed(self, asked_secs: float | None = None) -> None:
        """A connection, or an attempt to make one, has failed; the other side may have asked for so long a pause."""
        self._next_attempt_at = self._clock.monotonic_secs() + self._backoff.failed(asked_secs)

    def back_off(self) -> None:
        """An attempt has failed: returns when the next one may be made. Raises as ``watch``."""
        self.failed()
        self.watch()
        while pause_secs := self.pause_secs:
            self.rest(min(pause_secs, 0.2))
            self.watch()

    def succeeded(self) -> None:
        """Something was confirmed."""
        self._backoff.succeeded()

    @property
    def pause_secs(self) -> float:
        """What is left until the next attempt to connect may be made; 0 for nothing."""
        return max(0.0, self._next_attempt_at - self._clock.monotonic_secs())

    def connect_deadline(self) -> float:
        deadline = self._clock.monotonic_secs() + self._connect_secs
        return deadline if self._own_deadline is None else min(deadline, self._own_deadline)
