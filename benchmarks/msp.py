"""Measures one process that reads 50 children of an MSP, four logs each: ``python -m benchmarks.msp``.

Place: beside ``benchmarks.drain``, which measures one stream; this one measures what two hundred streams cost together. Three
phases, each measured for itself: a backlog in every stream, then nothing at all, then events that happen all the time.

Per phase:
    MB, threads        resident memory (highest and at the end) and threads of the process
    CPU                user + system as a share of one core
    duo, siem          the most TCP connections that were open to the simulator and to the receiver at once
and at the end: events lost and repeated by event id, against what the simulator holds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.processes import Duo, Process, receiver, simulator

if TYPE_CHECKING:
    from typing_extensions import Self

_LOG_TYPES = ("auth", "activity", "telephony", "trustmonitor")
_IKEY = "DISIMULATOR000000000"
_DAY_MS = 24 * 3600 * 1000
_LONGEST_SECS = 600.0
_SAMPLE_SECS = 0.25
_CONFIG = """\
version: 2
accounts:
  - name: msp
    msp: true
    api_host: localhost
    port: {duo_port}
    ca_file: {ca_file}
    ikey: {ikey}
    skey: file:{skey_file}
reading: {{start_days: 8, poll_interval_secs: {poll_secs}, lag_secs: 1}}
destinations:
  - name: siem
    kind: tcp
    host: localhost
    port: {siem_port}
    format: json
storage: {{checkpoint_dir: {folder}/checkpoints, dead_letter_dir: {folder}/dead-letters}}
"""


@dataclass
class Phase:
    """What one phase showed; see the module."""

    name: str
    secs: float = 0.0
    events: int = 0
    peak_mb: float = 0.0
    end_mb: float = 0.0
    threads: int = 0
    cpu_share: float = 0.0
    duo_connections: int = 0
    siem_connections: int = 0

    def __str__(self) -> str:
        return (
            f"| {self.name} | {self.secs:.0f} | {self.events:,} | {self.peak_mb:.0f} | {self.end_mb:.0f} | {self.threads} "
            f"| {self.cpu_share:.1%} | {self.duo_connections} | {self.siem_connections} |"
        )


@dataclass
class Result:
    """A whole run."""

    children: int
    phases: list[Phase] = field(default_factory=list)
    produced: int = 0
    lost: int = 0
    repeated: int = 0

    def __str__(self) -> str:
        rows = [str(phase) for phase in self.phases]
        return "\n".join(
            (
                "| phase | s | events | MB, highest | MB, at its end | threads | CPU of one core | to Duo | to the SIEM |",
                "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
                *rows,
                "",
                self._sums(),
            )
        )

    def _sums(self) -> str:
        streams = self.children * len(_LOG_TYPES)
        found = f"{self.produced:,} events, {self.lost} lost, {self.repeated} repeated"
        return f"{self.children} children, {streams} streams; {found}."


class _Sampler:
    """Watches a process from outside while a phase lasts."""

    def __init__(self, phase: Phase, process: Process, duo_port: int, siem_port: int) -> None:
        self._phase = phase
        self._process = process
        self._ports = (duo_port, siem_port)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._began, self._cpu = time.monotonic(), self._process.cpu_secs()
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ended.set()
        self._thread.join()
        phase = self._phase
        phase.secs = time.monotonic() - self._began
        phase.cpu_share = (self._process.cpu_secs() - self._cpu) / phase.secs
        phase.end_mb = self._process.memory_mb("VmRSS")

    def _run(self) -> None:
        phase = self._phase
        while not self._ended.wait(_SAMPLE_SECS):
            phase.peak_mb = max(phase.peak_mb, self._process.memory_mb("VmRSS"))
            phase.threads = max(phase.threads, int(self._process.memory_mb("Threads") * 1024))
            duo, siem = _connections(self._process.pid, self._ports)
            phase.duo_connections = max(phase.duo_connections, duo)
            phase.siem_connections = max(phase.siem_connections, siem)


def _connections(pid: int, ports: tuple[int, int]) -> tuple[int, int]:
    """Established connections of a process to each of two ports."""
    inodes = set()
    try:
        for descriptor in os.scandir(f"/proc/{pid}/fd"):
            try:
                inodes.add(Path(descriptor.path).readlink().name)
            except OSError:
                continue  # closed while we looked
    except OSError:
        return 0, 0
    counts = dict.fromkeys(ports, 0)
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            port = int(words[2].rpartition(":")[2], 16)
            if words[3] == "01" and port in counts and f"socket:[{words[9]}]" in inodes:
                counts[port] += 1
    return counts[ports[0]], counts[ports[1]]


class _Control:
    """The simulator's control plane."""

    def __init__(self, duo: Duo) -> None:
        import ssl  # only this class speaks HTTPS itself

        self._url = f"https://localhost:{duo.port}/_simulator/"
        self._tls = ssl.create_default_context(cafile=duo.files.ca_file)

    def post(self, task: str, **arguments: Any) -> Any:
        request = urllib.request.Request(self._url + task, data=json.dumps(arguments).encode(), method="POST")
        return self._send(request)

    def produced(self) -> int:
        """Events of all accounts until now."""
        return sum(self._send(urllib.request.Request(self._url + "stats"))["produced"].values())

    def _send(self, request: urllib.request.Request) -> Any:
        with urllib.request.urlopen(request, context=self._tls, timeout=60) as answer:
            return json.load(answer)


def _child(number: int) -> str:
    return f"DACHILD{number:013d}"


def _fill(control: _Control, children: int, backlog: int) -> None:
    """Children, and an old backlog of so many events in each of their logs."""
    now_ms = int(time.time() * 1000)
    for number in range(children):
        control.post("children", account_id=_child(number), name=f"Child {number}", api_hostname="localhost")
        for log_type in _LOG_TYPES:
            start_ms = now_ms - 7 * _DAY_MS
            control.post(
                "backlog", log_type=log_type, count=backlog, start_ms=start_ms, end_ms=now_ms - 5000, account_id=_child(number)
            )


@contextmanager
def _producing(control: _Control, children: int, rate: float) -> Iterator[None]:
    """Events happen, round all children and logs, while the block lasts."""
    ended = threading.Event()

    def produce() -> None:
        began, done = time.monotonic(), 0
        while not ended.wait(0.05):
            due = int((time.monotonic() - began) * rate)
            for number in range(done, due):
                child, log_type = _child(number % children), _LOG_TYPES[number // children % len(_LOG_TYPES)]
                control.post("produce", log_type=log_type, count=1, account_id=child)
            done = due

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _start(duo: Duo, siem_port: int, folder: Path, poll_secs: float) -> Process:
    config = folder / "config.yml"
    config.write_text(
        _CONFIG.format(
            duo_port=duo.port, ca_file=duo.files.ca_file, ikey=_IKEY, skey_file=duo.skey_file, siem_port=siem_port,
            folder=folder, poll_secs=poll_secs,
        )
    )  # fmt: skip
    return Process(["-m", "pipelines", "run", str(config)], folder / "product.log")


def _unique(siem: Process) -> int:
    return sum(log["unique"] for log in siem.last.get("log_types", {}).values())


def _repeated(siem: Process) -> int:
    return sum(log["repeated"] for log in siem.last.get("log_types", {}).values())


def _wait_for(siem: Process, events: int) -> None:
    deadline = time.monotonic() + _LONGEST_SECS
    while _unique(siem) < events and time.monotonic() < deadline:
        time.sleep(0.1)


def measure(children: int, backlog: int, rate: float, phase_secs: float, poll_secs: float) -> Result:
    """One run of three phases."""
    result = Result(children)
    with (
        tempfile.TemporaryDirectory(prefix="duologsync-bench-") as name,
        simulator(0) as duo,
        receiver(duo, "tcp") as (siem, siem_port),
    ):
        control = _Control(duo)
        _fill(control, children, backlog)
        time.sleep(1.5)  # all of it must be old enough to be served
        product = _start(duo, siem_port, Path(name), poll_secs)

        def phase(title: str) -> _Sampler:
            result.phases.append(Phase(title))
            return _Sampler(result.phases[-1], product, duo.port, siem_port)

        try:
            with phase("backlog"):
                _wait_for(siem, control.produced())
            with phase("idle"):
                time.sleep(phase_secs)
            with phase("steady"):
                with _producing(control, children, rate):
                    time.sleep(phase_secs)
                _wait_for(siem, control.produced())
            for each in result.phases:
                each.events = {"backlog": children * len(_LOG_TYPES) * backlog, "idle": 0}.get(each.name, 0)
            result.phases[-1].events = control.produced() - result.phases[0].events
        finally:
            product.end()
        result.produced = control.produced()
        time.sleep(0.5)
        result.lost, result.repeated = result.produced - _unique(siem), _repeated(siem)
    return result


def main(argv: Sequence[str]) -> int:
    """Runs and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.msp", description="50 children of an MSP in one process.")
    parser.add_argument("--children", type=int, default=50)
    parser.add_argument("--backlog", type=int, default=1500, help="events that are there at the start, in each stream")
    parser.add_argument("--rate", type=float, default=20.0, help="events per second while steady, over all streams")
    parser.add_argument("--phase-secs", type=float, default=60.0, help="how long to be idle, and how long to be steady")
    parser.add_argument("--poll-secs", type=float, default=15.0, help="poll interval; the product's default is 120")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args(argv)
    result = measure(options.children, options.backlog, options.rate, options.phase_secs, options.poll_secs)
    print(result)
    if options.json:
        options.json.write_text(json.dumps(asdict(result), indent=2) + "\n")
    return 0 if result.lost == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
