"""Measures the endless graph on real runners: how fast a backlog drains, and whether memory stays flat.

    python -m benchmarks.runners drain flink [--events 300000]    events per second, with all four logs and with one
    python -m benchmarks.runners soak prism [--minutes 10]        memory over time under a steady load, then loss and repeats

Place: beside ``benchmarks.drain``, which measures local runs. The runners come from the tests' cache and are started by the
tests' harness; simulator and receiver run in this process, so they share the machine with what is measured.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.demo.receiver import SiemReceiver
from tests.runners.flink.cluster import FlinkCluster, memory_mb
from tests.runners.programs import RunnerProgram
from tests.servers.harness import LOG_TYPES, Duo, missing, repeated, tcp, wait_until, write_config

_SCRIPTS = Path(__file__).parents[1] / "tests" / "runners"
_RATES = {"auth": 200, "activity": 60, "telephony": 30, "trustmonitor": 1}
_LONGEST_SECS = 600.0


class Runner:
    """Flags for a launch, and the memory of what the runner consists of."""

    def __init__(self, name: str, flags: list[str], cluster: FlinkCluster | None = None) -> None:
        self.name = name
        self.flags = flags
        self._cluster = cluster

    def memory(self, program: RunnerProgram) -> dict[str, float]:
        if self._cluster is None:
            return {"python": memory_mb(program.pid), "prism": program.group_mb() - memory_mb(program.pid)}
        return {name: self._cluster.rss_mb(name) for name in ("task_manager", "pool", "job_manager")}

    def settle(self) -> None:
        """Returns when all that was delivered by now is behind a checkpoint of the runner, where it makes any."""
        if self._cluster is not None:  # the second one is begun after the first one, and so after now
            self._cluster.next_checkpoint(self._cluster.running_job(), 2)

    def end(self) -> None:
        if self._cluster is not None:
            self._cluster.cancel(self._cluster.running_job())


@contextmanager
def runner(name: str, folder: Path) -> Iterator[Runner]:
    """Prism or Flink, ready for a launch."""
    if name == "prism":
        yield Runner(name, ["--runner=PrismRunner", f"--prism_location={_from_cache('get_prism.sh')}"])
        return
    # As Flink has it unless told otherwise: the tests' cluster is quick to take a task manager for dead, on a busy machine too.
    heartbeats = {"heartbeat.timeout": "50000"}
    with FlinkCluster(folder / "flink", _from_cache("flink/get_flink.sh"), heap_mb=2048, **heartbeats) as cluster:
        yield Runner(name, cluster.flags(checkpoint_every_ms=10_000), cluster)


def drain(name: str, events: int) -> None:
    """Events per second from the first to the last that arrives."""
    print(f"| {name}, 10 s between checkpoints | events | seconds | events/s |\n|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory(prefix="duologsync-bench-") as folder, runner(name, Path(folder)) as on:
        for number, log_types in enumerate((["auth"], ["auth", "activity", "telephony"])):
            work = Path(folder) / str(number)
            work.mkdir()
            with Duo(work) as duo, SiemReceiver(ids="none") as siem:
                duo.add_backlog(dict.fromkeys(log_types, events // len(log_types)))
                config = write_config(work, duo, [tcp(siem.port)], log_types=log_types)
                with RunnerProgram(work, "run", config, "--", *on.flags):
                    wait_until(siem.total, "the first event")
                    began = time.monotonic()
                    wait_until(lambda siem=siem: siem.total() >= events // 3 * 3, "all events", _LONGEST_SECS)
                    secs = time.monotonic() - began
                    print(f"| {', '.join(log_types)} | {events:,} | {secs:.1f} | {events / secs:,.0f} |", flush=True)
                    on.end()


def soak(name: str, minutes: float) -> None:
    """A steady load on all logs; memory every half minute."""
    with tempfile.TemporaryDirectory(prefix="duologsync-bench-") as folder, runner(name, Path(folder)) as on:
        work = Path(folder) / "work"
        work.mkdir()
        with Duo(work) as duo, SiemReceiver() as siem:
            config = write_config(work, duo, [tcp(siem.port)])
            with RunnerProgram(work, "run", config, "--", *on.flags) as program:
                began = time.monotonic()
                seconds = 0
                while time.monotonic() - began < minutes * 60:
                    for log_type, count in _RATES.items():
                        duo.simulator.add(log_type, count)
                    seconds += 1
                    if seconds % 30 == 0:
                        memory = ", ".join(f"{part} {mb:.0f} MB" for part, mb in on.memory(program).items())
                        print(f"{time.monotonic() - began:5.0f} s: {siem.total():,} events, {memory}", flush=True)
                    time.sleep(max(0.0, began + seconds - time.monotonic()))
                produced = duo.produced(LOG_TYPES)
                siem.wait_for(sum(map(len, produced.values())), 60.0, unique=True)
                print(f"lost {sum(missing(produced, siem).values())}, repeated {sum(repeated(siem).values())}")
                on.end()


def _from_cache(script: str) -> str:
    return subprocess.run([_SCRIPTS / script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["drain", "soak"])
    parser.add_argument("runner", choices=["prism", "flink"])
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    arguments = parser.parse_args()
    os.nice(5)
    if arguments.what == "drain":
        drain(arguments.runner, arguments.events)
    else:
        soak(arguments.runner, arguments.minutes)


if __name__ == "__main__":
    main()
