"""Which subscriptions of a local run may be in a pass at the same time.

Place in the flow: a subscription's thread asks for a slot before it runs the graph; the reader inside asks whether others wait,
and ends its pass at a good moment if so. Streaming runners ask nothing here.

Why: a pass holds pages, messages and a connection, about 25 MB while a backlog is drained. Python runs one thread at a time, so
two hundred passes at once are no faster than four, only larger.

Contract, so that nobody waits for another's trouble:
  * A pass that waits for its destination holds no slot: it is not counted once its bundle has waited for ``stuck_secs``.
  * A pass counts for ``lease_secs`` at the longest, whatever it does.
  * Where ``most_stuck`` passes wait for a destination, further streams to it wait outside, without pages. One more of them is
    let in every ``try_secs``: what stops some connections need not stop all. What goes to other destinations goes past them.
  * Else it is first come, first served, and a pass that meets others waiting ends after a few pages.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from transforms.process.lifetime import per_process
from transforms.records import Stream, Subscription
from transforms.settings import Destination

Waiting = Callable[[Destination, float], list[Stream]]
"""Streams whose bundle has waited for longer than so many seconds for a destination (``registry.waiting``)."""

_LOOK_SECS = 1.0


@dataclass(eq=False, slots=True)
class _SlotRequest:
    subscription: Subscription
    destination: Destination
    granted: threading.Event = field(default_factory=threading.Event)
    since: float = 0.0
    blocked: bool = False  # by a destination, not by other passes


class PassSlots:
    """The slots of one process. Thread-safe.

    Attributes:
      wanted: somebody waits for a slot that a running pass could give.
      slots: how many passes may run. waiting: who says which bundles wait for a destination. The local supervisor sets both.
    """

    def __init__(
        self,
        waiting: Waiting | None = None,
        *,
        slots: int = 4,
        most_stuck: int = 4,
        stuck_secs: float = 0.5,
        lease_secs: float = 10.0,
        try_secs: float = 60.0,
    ) -> None:
        self.wanted = False
        self.waiting = waiting or _nobody_waits
        self.slots = slots
        self._most_stuck = most_stuck
        self._stuck_secs = stuck_secs
        self._lease_secs = lease_secs
        self._try_secs = try_secs
        self._lock = threading.Lock()
        self._queue: list[_SlotRequest] = []
        self._running: list[_SlotRequest] = []
        self._tried_at: dict[str, float] = {}

    @contextmanager
    def slot(
        self,
        subscription: Subscription,
        destination: Destination,
        *,
        go_on: Callable[[], bool],
        blocked: Callable[[], None],
    ) -> Iterator[bool]:
        """Waits for a slot and holds it for the block; False where ``go_on`` said to wait no longer.

        Args:
          blocked: called now and then while a destination, and not other passes, is what is waited for.
        """
        request = _SlotRequest(subscription, destination)
        with self._lock:
            self._queue.append(request)
            self._admit()
        try:
            while not request.granted.is_set() and go_on():
                if request.blocked:
                    blocked()
                request.granted.wait(_LOOK_SECS)
                with self._lock:
                    self._admit()
            yield request.granted.is_set()
        finally:
            with self._lock:
                (self._running if request.granted.is_set() else self._queue).remove(request)
                self._admit()

    def _admit(self) -> None:
        """Grants what can be granted now. The caller holds the lock."""
        if not self._queue:
            self.wanted = False
            return
        now = time.monotonic()
        stuck: dict[str, set[Stream]] = {}
        for destination in {w.destination.name: w.destination for w in (*self._queue, *self._running)}.values():
            stuck[destination.name] = set(self.waiting(destination, self._stuck_secs))
            self._begin_to_block(destination.name, len(stuck[destination.name]), now)
        free = self.slots - sum(self._counts(request, stuck, now) for request in self._running)
        for request in list(self._queue):
            request.blocked = self._is_blocked(request, stuck, now)
            if free > 0 and not request.blocked:
                self._queue.remove(request)
                self._grant(request, now)
                free -= 1
        self.wanted = any(not request.blocked for request in self._queue)

    def _grant(self, request: _SlotRequest, now: float) -> None:
        request.since = now
        self._running.append(request)
        if request.destination.name in self._tried_at:
            self._tried_at[request.destination.name] = now
        request.granted.set()

    def _begin_to_block(self, destination: str, stuck: int, now: float) -> None:
        if stuck >= self._most_stuck:
            self._tried_at.setdefault(destination, now)
        else:
            self._tried_at.pop(destination, None)

    def _counts(self, request: _SlotRequest, stuck: dict[str, set[Stream]], now: float) -> bool:
        if now - request.since > self._lease_secs:
            return False
        return request.subscription.stream not in stuck[request.destination.name]

    def _is_blocked(self, request: _SlotRequest, stuck: dict[str, set[Stream]], now: float) -> bool:
        name = request.destination.name
        others_stuck = len(stuck[name] - {request.subscription.stream})
        return others_stuck >= self._most_stuck and now - self._tried_at.get(name, now) < self._try_secs


def _nobody_waits(destination: Destination, longer_than_secs: float) -> list[Stream]:  # noqa: ARG001 - see ``Waiting``
    return []


SLOTS = per_process("pass slots", PassSlots)
