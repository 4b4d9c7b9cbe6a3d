"""Measures how fast a backlog is drained, against the hand-written floor: ``python -m benchmarks.drain``.

Place: the speed and memory that the README promises are measured here. Simulator → forwarder → receiver, all on loopback, each
a process of its own; floor and product run alternately, because other load on the machine must meet both, and the median of
the runs counts.

Per run:
    events/s     between the first and the last arrival at the receiver
    CPU s        user + system of the forwarder process over its whole life, start and orderly end included
    MB           the highest resident memory of the forwarder process
    first        from the start of the forwarder process to the first arrival
    lost, twice  by event id, against what the simulator holds
    duo, siem    CPU of simulator and receiver as a share of one core while events flowed: near 1 means that they were the limit
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.memory import measure_memory
from benchmarks.processes import Duo, Process, receiver, simulator, start_floor, start_product

_TICK_SECS = 0.02
_LONGEST_SECS = 300.0


@dataclass(frozen=True)
class Contender:
    """One way to forward."""

    who: str
    format: str
    transport: str
    selects: str = ""

    def __str__(self) -> str:
        return f"{self.who} {self.format}{' filtered, redacted' * bool(self.selects)}/{self.transport}"


# The first of all is the floor that every ratio is taken against; the others' own floors are shown beside them.
_FLOOR = Contender("floor", "json", "tcp")
# All events pass, so that none is missing; a person's name and an address become tokens, a field is left out.
_SELECTS = (
    ", where: \"event.event_type in ['authentication', 'enrollment'] && event.user.name != 'nobody'\""
    ", redact: {drop: [email], hash: [user.name], mask: [access_device.ip], key: env:BENCH_REDACTION_KEY}"
)
_CASES = {
    "json": (Contender("product", "json", "tcp"),),
    "filter": (Contender("product", "json", "tcp"), Contender("product", "json", "tcp", _SELECTS)),
    "cef": (Contender("floor", "cef", "tcp"), Contender("product", "cef", "tcp")),
    "tls": (Contender("floor", "json", "tls"), Contender("product", "json", "tls")),
}


@dataclass(frozen=True)
class Run:
    """What one run showed; see the module."""

    events_per_sec: float
    cpu_secs: float
    events_per_cpu_sec: float
    peak_mb: float
    first_secs: float
    lost: int
    repeated: int
    duo_load: float
    siem_load: float


def run_once(contender: Contender, duo: Duo, events: int) -> Run:
    """Starts one forwarder, waits for the last event, and ends it."""
    with tempfile.TemporaryDirectory(prefix="duologsync-bench-") as name, receiver(duo, contender.transport) as (siem, port):
        duo_before, siem_before = duo.process.cpu_secs(), siem.cpu_secs()
        if contender.who == "floor":
            forwarder = start_floor(duo, port, contender.transport, contender.format)
        else:
            forwarder = start_product(duo, port, contender.transport, contender.format, Path(name), selects=contender.selects)
        peak_mb = _wait_for_all(forwarder, siem, events)
        duo_cpu, siem_cpu = duo.process.cpu_secs() - duo_before, siem.cpu_secs() - siem_before
        cpu_secs = forwarder.end()
        siem.end()
        arrived = siem.last["log_types"].get("auth")
        if arrived is None:
            raise RuntimeError(f"{contender}: nothing arrived.\n{forwarder.log()}")
        took_secs = arrived["last_at_secs"] - arrived["first_at_secs"]
        return Run(
            events_per_sec=arrived["messages"] / took_secs,
            cpu_secs=cpu_secs,
            events_per_cpu_sec=arrived["unique"] / cpu_secs,
            peak_mb=peak_mb,
            first_secs=arrived["first_at_secs"] - forwarder.started_at,
            lost=events - arrived["unique"],
            repeated=arrived["repeated"],
            duo_load=duo_cpu / took_secs,
            siem_load=siem_cpu / took_secs,
        )


def _wait_for_all(forwarder: Process, siem: Process, events: int) -> float:
    """Until every event has arrived, or the forwarder has ended; its highest memory."""
    deadline = time.monotonic() + _LONGEST_SECS
    peak_mb = 0.0
    while forwarder.running and siem.last.get("messages", 0) < events and time.monotonic() < deadline:
        peak_mb = max(peak_mb, forwarder.memory_mb())
        time.sleep(_TICK_SECS)
    return max(peak_mb, forwarder.memory_mb())


def measure(cases: Sequence[str], events: int, runs: int) -> dict[Contender, list[Run]]:
    """All runs of all contenders, in turn."""
    contenders = list(dict.fromkeys([_FLOOR, *(contender for case in cases for contender in _CASES[case])]))
    results: dict[Contender, list[Run]] = {contender: [] for contender in contenders}
    with simulator(events) as duo:
        run_once(_FLOOR, duo, events)  # the first one warms the caches of simulator and disk, and counts for nobody
        for number in range(runs):
            for contender in contenders:
                run = run_once(contender, duo, events)
                results[contender].append(run)
                print(f"run {number + 1}: {contender}: {run.events_per_sec:,.0f} events/s", file=sys.stderr)
    return results


def median(runs: Sequence[Run]) -> Run:
    """The median of each figure; of what was lost or repeated, the worst."""
    figures = {name: statistics.median(getattr(run, name) for run in runs) for name in asdict(runs[0])}
    return Run(**{**figures, "lost": max(r.lost for r in runs), "repeated": max(r.repeated for r in runs)})


def table(results: dict[Contender, list[Run]]) -> str:
    """The medians in Markdown."""
    floor = median(results[_FLOOR])
    columns: tuple[str, ...] = (
        "forwarder",
        "events/s",
        "to floor",
        "CPU s",
        "events per CPU s",
        "to floor",
        "peak MB",
        "first event s",
    )
    columns += ("lost", "twice", "duo", "siem")
    lines = [f"| {' | '.join(columns)} |", f"|---|{'--:|' * (len(columns) - 1)}"]
    for contender, runs in results.items():
        m = median(runs)
        lines.append(
            f"| {contender} | {m.events_per_sec:,.0f} | {m.events_per_sec / floor.events_per_sec:.2f} | {m.cpu_secs:.2f} "
            f"| {m.events_per_cpu_sec:,.0f} | {m.events_per_cpu_sec / floor.events_per_cpu_sec:.2f} | {m.peak_mb:.0f} "
            f"| {m.first_secs:.2f} | {m.lost} | {m.repeated} | {m.duo_load:.2f} | {m.siem_load:.2f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measures what is asked for and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drain", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=50_000, help="size of the backlog (50000)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each forwarder (5)")
    parser.add_argument("--cases", default="json,filter,cef,tls,memory", help="any of json, filter, cef, tls, memory (all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all runs to this file, too")
    options = parser.parse_args()
    cases = options.cases.split(",")
    unknown = set(cases) - {*_CASES, "memory"}
    if unknown:
        parser.error(f"unknown cases: {', '.join(sorted(unknown))}")
    print(f"Python {platform.python_version()}, Beam {version('apache-beam')}, duo_client {version('duo_client')}\n")
    written: dict[str, object] = {}
    if set(cases) & set(_CASES):
        results = measure([case for case in cases if case in _CASES], options.events, options.runs)
        print(f"{options.events:,} events, medians of {options.runs} runs in turn\n\n{table(results)}")
        written["drain"] = {str(contender): [asdict(run) for run in runs] for contender, runs in results.items()}
    if "memory" in cases:
        memory = measure_memory(options.events)
        print(f"\n{memory}")
        written["memory"] = asdict(memory)
    if options.json:
        options.json.write_text(json.dumps(written, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
