"""The one word that everything which waits must listen to: the program is asked to end.

A process has one ``STOP``. Local runs request it on SIGINT and SIGTERM with a grace period; on other runners nobody does, and
it never fires. Between the request and the end of the grace period deliveries go on, so that what was read is delivered and
committed; reading does not begin anything new. After it, whatever still waits raises ``Stopping``.
"""

from __future__ import annotations

import threading
import time

from transforms.errors import Stopping
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.lifetime import Stage, per_process


class StopFlag:
    """Thread-safe; requested at most once, by a signal handler or a supervisor.

    No ``threading.Event``: a handler that came while the main thread begins or ends to wait would wait for it for ever.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()  # whose lock may be taken again by who has it
        self._requested = False
        self._deadline = float("inf")

    def request(self, grace_secs: float) -> None:
        """Asks everything to end within so many seconds. A second request can only shorten the time."""
        self._deadline = min(self._deadline, time.monotonic() + grace_secs)
        with self._changed:
            self._requested = True
            self._changed.notify_all()

    @property
    def requested(self) -> bool:
        return self._requested

    @property
    def expired(self) -> bool:
        """The grace period is over."""
        return self.requested and time.monotonic() >= self._deadline

    @property
    def left_secs(self) -> float:
        """What is left of the grace period; infinite while nobody asked."""
        return max(0.0, self._deadline - time.monotonic())

    def wait(self, secs: float) -> bool:
        """Waits until asked to end, or so many seconds; True when asked. For what should end at once."""
        with self._changed:
            return self._requested or self._changed.wait(secs)

    def sleep_in_grace(self, secs: float, clock: Clock = SYSTEM_CLOCK) -> None:
        """Sleeps, but no longer than the grace period. Raises Stopping where it is over. For what may finish its work."""
        end = clock.monotonic_secs() + secs
        while True:
            if self.expired:
                raise Stopping("The grace period for ending is over.")
            left = end - clock.monotonic_secs()
            if left <= 0:
                return
            # A request that comes while sleeping shortens the sleep: wake up often enough to notice it.
            clock.sleep(min(left, 0.2))


STOP = per_process("stop", StopFlag, close=lambda stop: stop.request(0.0), stage=Stage.WORD)


class Failures:
    """Why a bundle failed, per stream. Runners hand an error of a step over as text only; the launcher wants its kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[object, Exception] = {}

    def record(self, stream: object, error: Exception) -> None:
        """Called by a step just before it raises."""
        with self._lock:
            self._last[stream] = error

    def take(self, stream: object) -> Exception | None:
        """The last recorded error of a stream, once."""
        with self._lock:
            return self._last.pop(stream, None)


FAILURES = per_process("failures", Failures)
