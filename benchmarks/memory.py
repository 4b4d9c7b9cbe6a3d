"""Shows that memory does not grow: with the size of a backlog, and with the number of passes.

Place: the case ``memory`` of ``benchmarks.drain``. A local run is many short pipelines (passes), and each leaves something
behind in Beam if one is not careful; so beside two backlogs, one ten times the other, a live stream is watched over hundreds
of passes. It is a thin one: what a busy one fills up to fixed limits (the last confirmed blocks of each connection, the ids of
the last minutes) would hide what grows without limit.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import receiver, simulator, start_product

_LOG_TYPES = ("auth", "activity", "telephony", "trustmonitor")
_LIVE_RATE = 12.0
_LIVE_SECS = 120
_WARM_SECS = 30
_LONGEST_SECS = 600.0


@dataclass(frozen=True)
class Memory:
    """Resident memory of the product in MB."""

    events: int
    peak_mb: float
    peak_mb_at_ten_times: float
    live_warm_mb: float
    live_end_mb: float
    live_passes: int

    def __str__(self) -> str:
        return (
            f"| product json/tcp | MB |\n|---|--:|\n"
            f"| peak, draining {self.events:,} events | {self.peak_mb:.0f} |\n"
            f"| peak, draining {10 * self.events:,} events | {self.peak_mb_at_ten_times:.0f} |\n"
            f"| live, four logs, {_LIVE_RATE:.0f} events/s, after {_WARM_SECS} s | {self.live_warm_mb:.0f} |\n"
            f"| the same after {_LIVE_SECS} s and about {self.live_passes} passes | {self.live_end_mb:.0f} |"
        )


def measure_memory(events: int) -> Memory:
    """Takes several minutes."""
    warm_mb, end_mb, passes = _live()
    return Memory(events, _peak_mb(events), _peak_mb(10 * events), warm_mb, end_mb, passes)


def _peak_mb(events: int) -> float:
    with (
        tempfile.TemporaryDirectory(prefix="duologsync-bench-") as name,
        simulator(events) as duo,
        receiver(duo, "tcp") as (siem, port),
    ):
        product = start_product(duo, port, "tcp", "json", Path(name))
        deadline = time.monotonic() + _LONGEST_SECS
        while product.running and siem.last.get("messages", 0) < events and time.monotonic() < deadline:
            time.sleep(0.1)
        peak_mb = product.memory_mb()
        product.end()
        return peak_mb


def _live() -> tuple[float, float, int]:
    """Memory early and late in a live stream, and how many calls for pages there were; nearly each was a pass."""
    with (
        tempfile.TemporaryDirectory(prefix="duologsync-bench-") as name,
        simulator(0, rate=_LIVE_RATE) as duo,
        receiver(duo, "tcp") as (_, port),
    ):
        product = start_product(duo, port, "tcp", "json", Path(name), _LOG_TYPES)
        time.sleep(_WARM_SECS)
        warm_mb = product.memory_mb("VmRSS")
        time.sleep(_LIVE_SECS - _WARM_SECS)
        end_mb = product.memory_mb("VmRSS")
        product.end()
        duo.process.end()
        return warm_mb, end_mb, sum(duo.process.last["calls"].values())
