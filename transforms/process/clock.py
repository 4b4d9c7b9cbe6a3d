"""The two clocks of a machine, as one value that is passed in.

Place in the flow: whoever reckons with times and waits takes a ``Clock`` and has ``SYSTEM_CLOCK`` as its default; the proof and
tests pass one of their own, which they can set back, let jump and make run fast.

Contract: ``wall_secs`` is what people call the time. It can jump in either direction, and be years off: nothing may wait for a
moment of it without looking again. ``monotonic_secs`` only ever grows, and stands for durations within this process.
"""

from __future__ import annotations

import time
from typing import Protocol

_YEAR_10000_MS = 253_402_300_800_000


class Clock(Protocol):
    """See the module."""

    def wall_secs(self) -> float:
        """Seconds since the epoch, as this machine believes."""
        ...

    def monotonic_secs(self) -> float:
        """Seconds since some moment, never less than before."""
        ...

    def sleep(self, secs: float) -> None:
        """Returns after so many seconds."""
        ...


class _SystemClock:
    def wall_secs(self) -> float:
        return time.time()

    def monotonic_secs(self) -> float:
        return time.monotonic()

    def sleep(self, secs: float) -> None:
        time.sleep(secs)


SYSTEM_CLOCK: Clock = _SystemClock()


def utc(time_ms: int) -> str:
    """A moment as people read it. Of a clock or a file that is far off, what it says."""
    if not 0 <= time_ms < _YEAR_10000_MS:
        return f"{time_ms} ms"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time_ms / 1000))
