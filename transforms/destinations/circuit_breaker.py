"""What a streaming runner must not read on for now, because its destination did not take a bundle.

Place in the flow: the sink tells whose bundle failed; the endless reader asks before each page; nobody else. Local passes have
their own back-off and ask nothing here.

Why: on Flink a bundle that waits for a SIEM holds the checkpoint barrier, and one checkpoint belongs to all log types of a job.
So the sink gives up after ``delivery_timeout_secs`` and fails its bundle; what one log type sends to one destination is started
again, from the last checkpoint, and nothing else. If it read on at once it would fail again and again, and no checkpoint would
fit in between. Held back, its bundles are empty, checkpoints complete, and a connection is tried now and then from outside of
any bundle. When one succeeds it goes on where it was. Other destinations of the same log never notice.

Two rules say what is held:
  * The subscription whose bundle failed waits for a while, for longer after each failure, and then for a connection. So a
    destination that takes connections but no data costs a bundle now and then.
  * All others that go to that destination wait for a connection, too, and no longer: each of them would else find out with a
    bundle of its own, and each such bundle costs a restart. One look serves all. A bundle that one of them delivers is as good.

A new process knows nothing of that, and on Flink a worker often ends with the bundle that failed. So nothing is read there
before its destination was connected to once: who asks first says how to connect.

Contract: thread-safe; a process has one ``CIRCUIT_BREAKERS``; ``held`` waits half a second for the first look, and never again.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from transforms.errors import FatalError
from transforms.notices import destinations
from transforms.notices.notice import tell
from transforms.process.lifetime import per_process
from transforms.process.log_once import REMIND_SECS, LogOnce, LogOncePerKey
from transforms.process.retry import Backoff, RetryPolicy
from transforms.process.threads import NO_THREAD, started
from transforms.records import Subscription

_LOGGER = logging.getLogger("duologsync.destinations")
# A bundle that is read on too soon fails again, and no checkpoint fits in between.
_RETRY = RetryPolicy(first_secs=2.0, longest_secs=300.0, least_secs=1.0)
_PROBE_EVERY_SECS = 5.0
_FIRST_LOOK_SECS = 0.5

Probe = Callable[[], None]
"""Returns where the destination can be connected to; raises where it cannot. May take seconds."""


@dataclass
class _Breaker:
    """A destination, or a directory of dead letters: whether it can be used, for all that wait for it.

    Attributes:
      failed_at: monotonic time at which it did not take a bundle. found_at: at which the last look that found it began.
      next_look_at: monotonic; no earlier.
      waits: that a subscription waits for it, which has not failed itself. fatal: what only a person can mend about it.
      threadless: there is no thread for a look at it.
      looked: a first look at it is over; before that, nothing is said.
    """

    probe: Probe
    failed_at: float = 0.0
    found_at: float = -math.inf
    next_look_at: float = 0.0
    probing: bool = False
    waits: LogOncePerKey[Subscription] = field(default_factory=LogOncePerKey)
    fatal: LogOnce = field(default_factory=LogOnce)
    threadless: LogOnce = field(default_factory=lambda: LogOnce(REMIND_SECS))
    looked: threading.Event = field(default_factory=threading.Event)

    @property
    def usable(self) -> bool:
        return self.found_at >= self.failed_at

    def found(self, at: float) -> None:
        self.found_at = at
        if self.usable:
            self.waits = LogOncePerKey()
            self.fatal.over()


@dataclass
class _Hold:
    """Of a subscription whose own bundle was not taken.

    Attributes:
      backoff: of bundles that failed since the last one that was taken.
      not_before: monotonic; when a look that began then or later finds it, the next bundle may try.
      waits: that it is waited for.
    """

    backoff: Backoff
    not_before: float = 0.0
    waits: LogOnce = field(default_factory=LogOnce)


class CircuitBreakers:
    """Which subscriptions are held, and for what."""

    def __init__(self, policy: RetryPolicy = _RETRY) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._breakers: dict[str, _Breaker] = {}  # of all that this process has looked at, or that failed here
        self._holds: dict[Subscription, dict[str, _Hold]] = {}
        self._asked: set[Subscription] = set()  # of which somebody has asked before

    def hold(self, subscription: Subscription, what: str, probe: Probe) -> None:
        """A bundle was not taken: hold its like until the destination, or what else it is, can be used."""
        with self._lock:
            breaker = self._breakers.setdefault(what, _Breaker(probe))
            breaker.probe = probe
            breaker.failed_at = time.monotonic()
            breaker.looked.set()
            hold = self._holds.setdefault(subscription, {}).setdefault(what, _Hold(Backoff(self._policy)))
            hold.not_before = breaker.failed_at + hold.backoff.failed()
            hold.waits.over()

    def delivered(self, subscription: Subscription, what: str) -> None:
        """It took a bundle."""
        breaker = self._breakers.get(what)
        if subscription not in self._holds and (breaker is None or breaker.usable):
            return  # nearly always; a look without the lock is enough
        with self._lock:
            holds = self._holds.get(subscription, {})
            holds.pop(what, None)
            if not holds:
                self._holds.pop(subscription, None)
            if breaker is not None and not breaker.usable:
                breaker.found(time.monotonic())

    def held(self, subscription: Subscription, probe: Probe | None = None) -> bool:
        """Whether it waits for something. Starts a look at that, elsewhere, where one is due.

        Args:
          probe: connects to the destination; whoever asks first in a process is told only once that has worked.
        """
        if probe is not None and subscription not in self._asked:
            self._look_first(subscription, probe)
        breaker = self._breakers.get(subscription.destination)
        if subscription not in self._holds and (breaker is None or breaker.usable):
            return False
        with self._lock:
            waiting = self._waiting(subscription)
            now = time.monotonic()
            for what, hold in waiting.items():
                breaker = self._breakers[what]
                look_at = max(breaker.next_look_at, hold.not_before if hold is not None else 0.0)
                if breaker.looked.is_set():
                    due = hold.waits.due() if hold is not None else breaker.waits.due(subscription)
                    if due is not None:
                        self._tell(subscription, what, max(0.0, look_at - now))
                if not breaker.probing and now >= look_at:
                    self._start_look(what, breaker)
            return bool(waiting)

    def _waiting(self, subscription: Subscription) -> dict[str, _Hold | None]:
        """What it waits for, with its own hold, or None where another one's bundle failed. The caller holds the lock."""
        waiting: dict[str, _Hold | None] = {}
        destination = self._breakers.get(subscription.destination)
        if destination is not None and not destination.usable:
            waiting[subscription.destination] = None
        holds = self._holds.get(subscription, {}).items()
        return waiting | {what: hold for what, hold in holds if self._breakers[what].found_at < hold.not_before}

    @staticmethod
    def _tell(subscription: Subscription, what: str, next_look_secs: float) -> None:
        tell(
            _LOGGER, destinations.HELD,
            "%s is not read on until %s can be used; all else goes on. The next look is in %.0f s.",
            subscription, what, next_look_secs, **subscription.about,
        )  # fmt: skip

    def _look_first(self, subscription: Subscription, probe: Probe) -> None:
        """Where nobody knows of its destination yet, a look is begun, and waited for shortly."""
        destination = subscription.destination
        with self._lock:
            self._asked.add(subscription)
            breaker = self._breakers.get(destination)
            if breaker is None:
                breaker = self._breakers[destination] = _Breaker(probe)
                self._start_look(destination, breaker)
        breaker.looked.wait(_FIRST_LOOK_SECS)

    def _start_look(self, what: str, breaker: _Breaker) -> None:
        breaker.probing = started(self._look, f"look at {what}", what, breaker) is not None
        if not breaker.probing:
            breaker.next_look_at = time.monotonic() + _PROBE_EVERY_SECS
            breaker.looked.set()
            if breaker.threadless.due() is not None:
                tell(_LOGGER, destinations.NOT_LOOKED_AT, "%s cannot be looked at: %s. It is tried again.", what, NO_THREAD)

    def _look(self, what: str, breaker: _Breaker) -> None:
        began_at, found = time.monotonic(), False
        try:
            breaker.probe()
        except Exception as error:  # whatever it is, it is no connection; the next look may find one
            _LOGGER.debug("%s cannot be used: %s", what, error)
            if isinstance(error, FatalError) and breaker.fatal.due(str(error)) is not None:
                tell(_LOGGER, error.notice, "%s", error)
        else:
            _LOGGER.info("%s can be used; what waited for it is read on.", what)
            found = True
        with self._lock:
            breaker.probing = False
            breaker.next_look_at = time.monotonic() + _PROBE_EVERY_SECS
            if found:
                breaker.found(began_at)
        breaker.looked.set()


CIRCUIT_BREAKERS = per_process("circuit breakers", CircuitBreakers)
