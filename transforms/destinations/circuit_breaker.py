"""Streams that a streaming runner must not read on for now, because their destination did not take a bundle.

Place in the flow: the sink tells which stream failed; the endless reader asks before each page; nobody else. Local passes have
their own back-off and ask nothing here.

Why: on Flink a bundle that waits for a SIEM holds the checkpoint barrier, and one checkpoint belongs to all log types of a job.
So the sink gives up after ``delivery_timeout_secs`` and fails its bundle; that log type alone is started again, from the last
checkpoint. If it read on at once it would fail again and again, and no checkpoint would fit in between. Held back, its bundles
are empty, checkpoints complete, and a connection is tried now and then from outside of any bundle. When one succeeds the stream
goes on where it was. A destination that takes connections but no data is found out by the next bundle; each makes the hold
longer.

A new process knows nothing of that, and on Flink a worker often ends with the bundle that failed. So the steps of the graph
tell it which destinations a stream needs, and a stream is not read before each of them was connected to once.

Contract: thread-safe; a process has one ``CIRCUIT_BREAKERS``; ``held`` waits half a second for the first look, and never again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from transforms.coders import Stream
from transforms.errors import FatalError
from transforms.process.lifetime import per_process
from transforms.process.retry import Backoff, RetryPolicy
from transforms.process.threads import NO_THREAD, started

_LOGGER = logging.getLogger("duologsync.destinations")
# A bundle that is read on too soon fails again, and no checkpoint fits in between.
_RETRY = RetryPolicy(first_secs=2.0, longest_secs=300.0, least_secs=1.0)
_PROBE_EVERY_SECS = 5.0
_FIRST_LOOK_SECS = 0.5

Probe = Callable[[], None]
"""Returns where the destination can be connected to; raises where it cannot. May take seconds."""


@dataclass
class _OpenBreaker:
    """One destination that a stream waits for.

    Attributes:
      backoff: of bundles that it did not take since it last took one.
      not_before: monotonic time of the next probe.
      released: it could be connected to: the next bundle may try.
      told: the log says that the stream waits.
      looked: a first look at it is over.
      said: what only a person can mend about it, as the log has it.
    """

    probe: Probe
    backoff: Backoff
    not_before: float = 0.0
    probing: bool = False
    released: bool = False
    told: bool = False
    looked: threading.Event = field(default_factory=threading.Event)
    said: str = ""


class CircuitBreakers:
    """Which streams are held, and for which destinations."""

    def __init__(self, policy: RetryPolicy = _RETRY) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._holds: dict[Stream, dict[str, _OpenBreaker]] = {}
        self._needs: dict[Stream, tuple[str, ...]] = {}
        self._probes: dict[str, Probe] = {}
        self._connected: set[str] = set()  # destinations that this process has connected to
        self._unsure: set[Stream] = set()  # streams of which nobody has asked yet whether their destinations are there

    def know(self, destination: str, probe: Probe) -> None:
        """A step of this process sends to the destination."""
        with self._lock:
            self._probes[destination] = probe

    def needs(self, stream: Stream, destinations: tuple[str, ...]) -> None:
        """The stream's events go to these destinations."""
        with self._lock:
            if self._needs.get(stream) != destinations:
                self._needs[stream] = destinations
                self._unsure.add(stream)

    def hold(self, stream: Stream, destination: str, probe: Probe) -> None:
        """A bundle of the stream was not taken: hold it until the destination can be connected to."""
        with self._lock:
            hold = self._holds.setdefault(stream, {}).setdefault(destination, self._open(probe))
            hold.probe = probe
            hold.released = False
            hold.not_before = time.monotonic() + hold.backoff.failed()
            hold.told = False

    def delivered(self, stream: Stream, destination: str) -> None:
        """The destination took a bundle of the stream."""
        if stream not in self._holds:  # nearly always; a look without the lock is enough
            return
        with self._lock:
            holds = self._holds.get(stream, {})
            holds.pop(destination, None)
            if not holds:
                self._holds.pop(stream, None)

    def held(self, stream: Stream) -> bool:
        """Whether the stream waits for a destination. Starts a look at the destination, elsewhere, where one is due."""
        if stream in self._unsure:
            self._look_first(stream)
        if stream not in self._holds:
            return False
        with self._lock:
            waiting = [(name, hold) for name, hold in self._holds.get(stream, {}).items() if not hold.released]
            now = time.monotonic()
            for name, hold in waiting:
                self._tell(stream, name, hold, now)
                if not hold.probing and now >= hold.not_before:
                    self._start_look(stream, name, hold)
            return bool(waiting)

    def _open(self, probe: Probe, *, told: bool = False) -> _OpenBreaker:
        return _OpenBreaker(probe, Backoff(self._policy), told=told)

    def _look_first(self, stream: Stream) -> None:
        deadline = time.monotonic() + _FIRST_LOOK_SECS
        with self._lock:
            self._unsure.discard(stream)
            unknown = [name for name in self._needs[stream] if name in self._probes and name not in self._connected]
            holds = {name: self._open(self._probes[name], told=True) for name in unknown}
            if not holds:
                return
            self._holds.setdefault(stream, {}).update(holds)
            for name, hold in holds.items():
                self._start_look(stream, name, hold)
        for hold in holds.values():
            hold.looked.wait(max(0.0, deadline - time.monotonic()))

    def _start_look(self, stream: Stream, name: str, hold: _OpenBreaker) -> None:
        hold.probing = started(self._look, f"look at {name}", stream, name, hold) is not None
        if not hold.probing:
            hold.not_before = time.monotonic() + _PROBE_EVERY_SECS
            hold.told = False
            hold.looked.set()
            _LOGGER.warning("%s cannot be looked at: %s. It is tried again.", name, NO_THREAD)

    @staticmethod
    def _tell(stream: Stream, destination: str, hold: _OpenBreaker, now: float) -> None:
        if not hold.told:
            hold.told = True
            _LOGGER.warning(
                "%s is not read on until %s can be used; other streams go on. The next look is in %.0f s.",
                stream, destination, max(0.0, hold.not_before - now),
            )  # fmt: skip

    def _look(self, stream: Stream, destination: str, hold: _OpenBreaker) -> None:
        try:
            hold.probe()
        except Exception as error:  # whatever it is, it is no connection; the next look may find one
            _LOGGER.debug("%s still waits for %s: %s", stream, destination, error)
            if isinstance(error, FatalError) and hold.said != str(error):
                hold.said = str(error)
                _LOGGER.error("%s", error)
            found = False
        else:
            _LOGGER.info("%s is read on: %s can be used.", stream, destination)
            found = True
        with self._lock:
            hold.probing = False
            hold.released = found
            hold.not_before = time.monotonic() + _PROBE_EVERY_SECS
            if found:
                self._connected.add(destination)
            elif not hold.looked.is_set():
                hold.told = False
        hold.looked.set()


CIRCUIT_BREAKERS = per_process("circuit breakers", CircuitBreakers)
