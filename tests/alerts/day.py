"""A day with troubles, told by the program's own page, by the alerts and by the audit: ``python -m tests.alerts.day``.

Place: for who wants to see them together; ``test_prometheus`` and ``tests/audit`` hold what is promised. Contract: the real
program with Duo's simulator, a receiver and a file, and a real Prometheus whose rules take a second for a minute: four minutes
stand for four hours. Prints Markdown: each change of the verdict or of what fires, then an audit of yesterday with ``--fix``.
The SIEM is away, a key is revoked and replaced, and a batch is published so late that no overlap reaches it.
"""

from __future__ import annotations

import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from pipelines.demo.receiver import SiemReceiver
from tests.alerts.prometheus import Prometheus
from tests.ports import free_port
from tests.servers.harness import AT_ONCE, HOUR_MS, Duo, Program, now_ms, tcp, wait_until


class Day:
    """The program and its surroundings."""

    def __init__(self, folder: Path, duo: Duo, emea: Duo, siem: SiemReceiver) -> None:
        self._port = free_port()
        self._duo, self._emea, self._siem = duo, emea, siem
        self.config = folder / "config.yml"
        config = {
            "version": 2,
            "accounts": [duo.account(), emea.account(name="emea")],
            "reading": {"start_days": 2, "poll_interval_secs": 2, "lag_secs": 0},
            "destinations": [
                tcp(siem.port),
                {"name": "file", "kind": "file", "format": "json", "path": str(folder / "duo.log")},
            ],
            "routes": [{"log_types": ["auth", "activity"], "destinations": ["siem", "file"]}],
            "storage": {"checkpoint_dir": str(folder / "checkpoints"), "dead_letter_dir": str(folder / "dead-letters")},
            "monitoring": {"port": self._port},
        }
        self.config.write_text(json.dumps(config))
        self.program = Program(folder, "run", self.config)
        self.program.started_by = AT_ONCE
        self.targets = {"program": self._port}

    def verdict(self) -> str:
        """What the page says first."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/status.json", timeout=5) as answer:
                words: str = json.load(answer)["words"]
        except OSError:
            return "does not answer"
        return words

    def happenings(self) -> Iterator[tuple[float, str]]:
        """At which second what is done, and in words."""
        yield 40, "the SIEM is taken away"
        self._siem.stop()
        yield 80, "it is back"
        self._siem.start()
        yield 110, "the key of emea is revoked"
        fault = self._emea.simulator.faults.add("status", status=401, times=None)
        yield 150, "it is replaced, and the program started again"
        self._emea.simulator.faults.clear(fault)
        self.program.end()
        self.program.start()
        yield 180, "three events of yesterday are published hours late"
        today_ms = now_ms() // (24 * HOUR_MS) * 24 * HOUR_MS
        self._duo.simulator.add("auth", 3, at_ms=today_ms - 1000)
        yield 220, "the audit"

    def live(self) -> None:
        for duo in (self._duo, self._emea):
            duo.simulator.add("auth", 5)
            duo.simulator.add("activity", 1)


def watched(day: Day, prometheus: Prometheus) -> Iterator[tuple[float, str, str, str]]:
    """Second, what was done, the verdict and the alerts, at each change."""
    began, before = time.monotonic(), ("", "")
    happenings = day.happenings()
    due, what = next(happenings)
    while True:
        now = time.monotonic() - began
        done = ""
        if now >= due:
            done = what
            yield now, what, *before
            try:
                due, what = next(happenings)
            except StopIteration:
                return
        day.live()
        seen = day.verdict(), ", ".join(sorted({name for name, _ in prometheus.firing()})) or "none"
        if seen != before and not done:
            yield now, "", *seen
        before = seen
        time.sleep(1)


def main(folder: Path) -> None:
    """Lets it happen, and prints it."""
    for name in ("duo", "emea", "prometheus"):
        (folder / name).mkdir()
    with Duo(folder / "duo") as duo, Duo(folder / "emea", seed=1) as emea, SiemReceiver() as siem:
        for each in (duo, emea):
            each.simulator.add_backlog("auth", 2000, now_ms() - 40 * HOUR_MS, now_ms() - 1000)
            each.simulator.add_backlog("activity", 300, now_ms() - 40 * HOUR_MS, now_ms() - 1000)
        day = Day(folder, duo, emea, siem)
        with day.program, Prometheus(folder / "prometheus", day.targets, patient=True) as prometheus:
            wait_until(prometheus.ready, "Prometheus answers")
            wait_until(lambda: prometheus.query("duologsync_build_info"), "it has scraped the program")
            print("| second, to the rules a minute | what is done | the page says | alerts |\n|---|---|---|---|")
            for secs, done, verdict, alerts in watched(day, prometheus):
                print(f"| {secs:.0f} | {done} | {verdict} | {alerts} |", flush=True)
            print(f"\n```\n{audited(folder, day)}\n```")


def audited(folder: Path, day: Day) -> str:
    """What the audit of yesterday says, and mends."""
    audit = Program(folder / "duo", "audit", day.config, "--fix")
    audit.run()
    return audit.log()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="duologsync-day-") as temporary:
        main(Path(temporary))
