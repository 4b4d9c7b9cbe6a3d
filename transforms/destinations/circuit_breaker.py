"""What a streaming runner must not read on for now, because its destination did not take a bundle.

Place in the flow: the sink tells whose bundle failed; the endless reader asks before each page; nobody else. Local passes have
their own back-off and ask nothing here.

Why: on Flink a bundle that waits for a SIEM holds the checkpoint barrier, and one checkpoint belongs to all log types of a job.
So the sink gives up after ``delivery_timeout_secs`` and fails its bundle; what one log type sends to one destination is started
again, from the last checkpoint, and nothing else. If it read on at once it would fail again and again, and no checkpoint would
fit in between. Held back, its bundles are empty, checkpoints complete, and a connection is tried now and then from outside of
any bundle. When one succeeds it goes on where it was. Other destinations of the same log never notice. A destination that takes
connections but no data is found out by the next bundle; each makes the hold longer.

A new process knows nothing of that, and on Flink a worker often ends with the bundle that failed. So nothing is read there
before its destination was connected to once: who asks first says how to connect.

Contract: thread-safe; a process has one ``CIRCUIT_BREAKERS``; ``held`` waits half a second for the first look, and never again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from transforms.errors import FatalError
from transforms.process.lifetime import per_process
from transforms.process.log_once import LogOnce
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
class _OpenBreaker:
    """Something that a subscription waits for: its destination, or the directory of its dead letters.

    Attributes:
      backoff: of bundles that it did not take since it last took one.
      not_before: monotonic time of the next probe.
      released: it could be connected to: the next bundle may try.
      quiet: nothing is said before the first look is over.
      waits: that it is waited for. fatal: what only a person can mend about it.
      looked: a first look at it is over.
    """

    probe: Probe
    backoff: Backoff
    not_before: float = 0.0
    probing: bool = False
    released: bool = False
    quiet: bool = False
    waits: LogOnce = field(default_factory=LogOnce)
    fatal: LogOnce = field(default_factory=LogOnce)
    looked: threading.Event = field(default_factory=threading.Event)


class CircuitBreakers:
    """Which subscriptions are held, and for what."""

    def __init__(self, policy: RetryPolicy = _RETRY) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._holds: dict[Subscription, dict[str, _OpenBreaker]] = {}
        self._connected: set[str] = set()  # destinations that this process has connected to
        self._asked: set[Subscription] = set()  # of which somebody has asked before

    def hold(self, subscription: Subscription, what: str, probe: Probe) -> None:
        """A bundle was not taken: hold its like until the destination, or what else it is, can be used."""
        with self._lock:
            hold = self._holds.setdefault(subscription, {}).setdefault(what, self._open(probe))
            hold.probe = probe
            hold.released = False
            hold.not_before = time.monotonic() + hold.backoff.failed()
            hold.quiet = False
            hold.waits.over()

    def delivered(self, subscription: Subscription, what: str) -> None:
        """It took a bundle."""
        if subscription not in self._holds:  # nearly always; a look without the lock is enough
            return
        with self._lock:
            holds = self._holds.get(subscription, {})
            holds.pop(what, None)
            if not holds:
                self._holds.pop(subscription, None)

    def held(self, subscription: Subscription, probe: Probe | None = None) -> bool:
        """Whether it waits for something. Starts a look at that, elsewhere, where one is due.

        Args:
          probe: connects to the destination; whoever asks first in a process is told only once that has worked.
        """
        if probe is not None and subscription not in self._asked:
            self._look_first(subscription, probe)
        if subscription not in self._holds:
            return False
        with self._lock:
            waiting = [(what, hold) for what, hold in self._holds.get(subscription, {}).items() if not hold.released]
            now = time.monotonic()
            for what, hold in waiting:
                self._tell(subscription, what, hold, now)
                if not hold.probing and now >= hold.not_before:
                    self._start_look(subscription, what, hold)
            return bool(waiting)

    def _open(self, probe: Probe, *, quiet: bool = False) -> _OpenBreaker:
        return _OpenBreaker(probe, Backoff(self._policy), quiet=quiet)

    def _look_first(self, subscription: Subscription, probe: Probe) -> None:
        destination = subscription.destination
        with self._lock:
            self._asked.add(subscription)
            if destination in self._connected or destination in self._holds.get(subscription, {}):
                return
            hold = self._holds.setdefault(subscription, {})[destination] = self._open(probe, quiet=True)
            self._start_look(subscription, destination, hold)
        hold.looked.wait(_FIRST_LOOK_SECS)

    def _start_look(self, subscription: Subscription, what: str, hold: _OpenBreaker) -> None:
        hold.probing = started(self._look, f"look at {what}", subscription, what, hold) is not None
        if not hold.probing:
            hold.not_before = time.monotonic() + _PROBE_EVERY_SECS
            hold.quiet = False
            hold.waits.over()
            hold.looked.set()
            _LOGGER.warning("%s cannot be looked at: %s. It is tried again.", what, NO_THREAD)

    @staticmethod
    def _tell(subscription: Subscription, what: str, hold: _OpenBreaker, now: float) -> None:
        if not hold.quiet and hold.waits.due() is not None:
            _LOGGER.warning(
                "%s is not read on until %s can be used; all else goes on. The next look is in %.0f s.",
                subscription, what, max(0.0, hold.not_before - now),
            )  # fmt: skip

    def _look(self, subscription: Subscription, what: str, hold: _OpenBreaker) -> None:
        try:
            hold.probe()
        except Exception as error:  # whatever it is, it is no connection; the next look may find one
            _LOGGER.debug("%s still waits for %s: %s", subscription, what, error)
            if isinstance(error, FatalError) and hold.fatal.due(str(error)) is not None:
                _LOGGER.error("%s", error)
            found = False
        else:
            _LOGGER.info("%s is read on: %s can be used.", subscription, what)
            found = True
        with self._lock:
            hold.probing = False
            hold.released = found
            hold.not_before = time.monotonic() + _PROBE_EVERY_SECS
            if found:
                self._connected.add(what)
            elif not hold.looked.is_set():
                hold.quiet = False
                hold.waits.over()
        hold.looked.set()


CIRCUIT_BREAKERS = per_process("circuit breakers", CircuitBreakers)
