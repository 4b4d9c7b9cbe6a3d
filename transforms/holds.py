"""Streams that a streaming runner must not read on for now, because their destination did not take a bundle.

Place in the flow: the sink tells which stream failed; the endless reader asks before each page; nobody else. Local passes have
their own back-off and ask nothing here.

Why: on Flink a bundle that waits for a SIEM holds the checkpoint barrier, and one checkpoint belongs to all log types of a job.
So the sink gives up after ``delivery_timeout_secs`` and fails its bundle; that log type alone is started again, from the last
checkpoint. If it read on at once it would fail again and again, and no checkpoint would fit in between. Held back, its bundles
are empty, checkpoints complete, and a connection is tried now and then from outside of any bundle. When one succeeds the stream
goes on where it was. A destination that takes connections but no data is found out by the next bundle; each makes the hold
longer.

Contract: thread-safe; a process has one ``HOLDS``; ``held`` never waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from transforms.events import Stream

_LOGGER = logging.getLogger(__name__)
_FIRST_SECS = 2.0
_LONGEST_SECS = 300.0
_PROBE_EVERY_SECS = 5.0

Probe = Callable[[], None]
"""Returns where the destination can be connected to; raises where it cannot. May take seconds."""


@dataclass
class _Hold:
    """One destination that a stream waits for.

    Attributes:
      failures: bundles that it did not take since it last took one.
      not_before: monotonic time of the next probe.
      released: it could be connected to: the next bundle may try.
      told: the log says that the stream waits.
    """

    probe: Probe
    failures: int = 0
    not_before: float = 0.0
    probing: bool = False
    released: bool = False
    told: bool = False


class Holds:
    """Which streams are held, and for which destinations."""

    def __init__(self, first_secs: float = _FIRST_SECS, longest_secs: float = _LONGEST_SECS) -> None:
        self._first_secs = first_secs
        self._longest_secs = longest_secs
        self._lock = threading.Lock()
        self._holds: dict[Stream, dict[str, _Hold]] = {}

    def hold(self, stream: Stream, destination: str, probe: Probe) -> None:
        """A bundle of the stream was not taken: hold it until the destination can be connected to."""
        with self._lock:
            hold = self._holds.setdefault(stream, {}).setdefault(destination, _Hold(probe))
            hold.probe = probe
            wait_secs = min(self._first_secs * 2.0 ** min(hold.failures, 16), self._longest_secs)
            hold.failures += 1
            hold.released = False
            hold.not_before = time.monotonic() + wait_secs
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
        if stream not in self._holds:
            return False
        with self._lock:
            waiting = [(name, hold) for name, hold in self._holds.get(stream, {}).items() if not hold.released]
            now = time.monotonic()
            for name, hold in waiting:
                self._tell(stream, name, hold, now)
                if not hold.probing and now >= hold.not_before:
                    hold.probing = True
                    threading.Thread(target=self._look, args=(stream, name, hold), name=f"look at {name}", daemon=True).start()
            return bool(waiting)

    @staticmethod
    def _tell(stream: Stream, destination: str, hold: _Hold, now: float) -> None:
        if not hold.told:
            hold.told = True
            _LOGGER.warning(
                "%s is not read on until %s takes connections; other streams go on. The next look is in %.0f s.",
                stream, destination, max(0.0, hold.not_before - now),
            )  # fmt: skip

    def forget_all(self) -> None:
        """For tests: as in a new process."""
        with self._lock:
            self._holds.clear()

    def _look(self, stream: Stream, destination: str, hold: _Hold) -> None:
        try:
            hold.probe()
        except Exception as error:  # whatever it is, it is no connection; the next look may find one
            _LOGGER.debug("%s still waits for %s: %s", stream, destination, error)
            found = False
        else:
            _LOGGER.info("%s is read on: %s takes connections.", stream, destination)
            found = True
        with self._lock:
            hold.probing = False
            hold.released = found
            hold.not_before = time.monotonic() + _PROBE_EVERY_SECS


HOLDS = Holds()
