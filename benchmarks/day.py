"""A day in minutes: the program, its SIEM and Duo through an outage, a revoked key, a late batch and an odd row, as it is seen.

    python -m benchmarks.day --minutes 24 --to /tmp/day

Real parts: the program with its page and endpoint, Prometheus with our rules a minute a second (``tests.alerts.prometheus``),
VictoriaLogs as the SIEM, Chromium for the page; Duo is the simulator. The day has 24 hours of ``--minutes`` / 24 each. It
needs what ``tests/run.sh`` installs. It writes a screenshot for each moment, and ``day.md``: what the page, the alerts and
``status`` said then, and what the audit says of it all afterwards. An audit leaves out the last ten minutes: it waits for them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

from playwright.sync_api import Page

from tests.alerts.prometheus import Prometheus
from tests.destinations.http.victorialogs import VictoriaLogs
from tests.monitoring.browser import browser, opened
from tests.ports import free_port
from tests.servers.harness import AT_ONCE, Duo, Program, now_ms, wait_until, write_config

_LOGS = ("auth", "activity", "telephony")
_HOURS = 24
_UNAUDITED_SECS = 605.0
_TICK_SECS = 0.5


class Day:
    """See the module. ``hour_secs``: how long an hour takes."""

    def __init__(self, life: ExitStack, to: Path, hour_secs: float) -> None:
        self._hour_secs = hour_secs
        self._to = to
        self._told: list[str] = []
        self._env = {"ANY_TOKEN": "any"}
        self._siem = VictoriaLogs(self._in("victorialogs"))
        life.callback(self._siem.stop)
        self._duo = life.enter_context(Duo(self._in("duo")))
        port = free_port()
        self.config = self._configured(port)
        program = Program(self._in("program"), "run", self.config, env=self._env)
        program.started_by = AT_ONCE
        self._program = life.enter_context(program)
        wait_until((self._in("program") / "checkpoints" / ".monitoring").exists, "it runs")
        self._prometheus = life.enter_context(Prometheus(self._in("prometheus"), {"duologsync": port}))
        wait_until(self._prometheus.ready, "Prometheus answers")
        self._page: Page = opened(life.enter_context(browser()), f"http://127.0.0.1:{port}/")[0]
        self._began = time.monotonic()

    def run(self) -> None:
        """The day, and what is said of it afterwards."""
        faults = self._duo.simulator.faults
        for hour, what, do in (
            (2, "an ordinary night", self._nothing),
            (3, "the SIEM goes away", self._siem.stop),
            (7, "it has been away for four hours", self._nothing),
            (7, "it is back", self._siem.start),
            (8, "an hour later", self._nothing),
            (9, "the key is revoked", lambda: faults.add("status", status=401, code=40103, times=None)),
            (12, "it has been revoked for three hours", self._nothing),
            (12, "a new key", faults.clear),
            (18, "six hours later", self._nothing),
            (19, "Duo publishes 120 events that are hours old", self._late_batch),
            (20, "an event that no SIEM takes", self._odd_row),
            (22, "the evening", self._nothing),
            (24, "midnight", self._nothing),
        ):
            self._live_until(hour)
            do()
            self._live_until(hour + 0.2)
            self._tell(hour, what)
        self._program.end()
        time.sleep(_UNAUDITED_SECS)
        for words in (
            ["audit"],
            ["audit", "--fix", "--wait", "20"],
            ["audit"],
            ["audit", "--verify"],
            ["dead-letters", "list"],
        ):
            self._told += [f"\n## `duologsync {' '.join(words)}`\n\n```", self._said(*words), "```"]
        (self._to / "day.md").write_text("\n".join(self._told) + "\n", encoding="utf-8")

    # --- what happens ------------------------------------------------------------------------------------------------

    def _live_until(self, hour: float) -> None:
        """Events as the day goes by: thirty an hour and more."""
        while time.monotonic() - self._began < hour * self._hour_secs:
            for log_type in _LOGS:
                self._duo.simulator.add(log_type, 2, at_ms=now_ms() - 500)
            time.sleep(_TICK_SECS)

    def _nothing(self) -> None:
        pass

    def _late_batch(self) -> None:
        """A hundred that the overlap reaches, and twenty that it does not."""
        self._duo.simulator.add("auth", 100, at_ms=now_ms() - 10_000)
        self._duo.simulator.add("auth", 20, at_ms=now_ms() - int(5 * self._hour_secs * 1000))

    def _odd_row(self) -> None:
        row = json.loads((Path(__file__).parents[1] / "tests/golden/auth/enrollment.json").read_text(encoding="utf-8"))
        seconds = now_ms() // 1000
        when = datetime.fromtimestamp(seconds, timezone.utc).isoformat()
        row |= {"timestamp": seconds, "isotimestamp": when, "txid": "00000000-0000-4000-8000-00000000cafe"}
        self._duo.simulator.add("auth", [row | {"alias": "x" * 20_000}])

    # --- what is seen ------------------------------------------------------------------------------------------------

    def _tell(self, hour: int, what: str) -> None:
        name = f"{len(self._told):02d}-{hour:02d}h"
        time.sleep(2.5)  # the page asks every two seconds
        self._page.screenshot(path=self._to / f"{name}.png")
        alerts = ", ".join(sorted(f"{alert} ({severity})" for alert, severity in self._prometheus.firing())) or "none"
        self._told += [
            f"\n## {hour:02d}:00, {what}\n\nPage: {self._page.title()} ({name}.png). Alerts: {alerts}.\n\n```",
            self._said("status"),
            "```",
        ]

    def _said(self, *words: str) -> str:
        command = [sys.executable, "-m", "pipelines", words[0], str(self.config), *words[1:]]
        if words[0] == "audit" and "--verify" not in words:
            command += ["--from", "1d", "--to", datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **self._env}, timeout=600, check=False
        )
        return f"{done.stdout.strip()}\n(exit code {done.returncode}){done.stderr[-800:]}"

    def _configured(self, port: int) -> Path:
        siem = {
            "name": "victorialogs", "kind": "hec", "url": f"{self._siem.url}/insert/splunk", "token": "env:ANY_TOKEN",
            "format": "json", "max_message_bytes": 16_000,
            "audit": {"kind": "logsql", "url": self._siem.url, "query": 'sourcetype:="{name}"'},
        }  # fmt: skip
        path = write_config(self._in("program"), self._duo, [siem], log_types=_LOGS, overlap_secs=30)
        config = json.loads(path.read_text()) | {"monitoring": {"port": port}}
        path.write_text(json.dumps(config, indent=1))
        return path

    def _in(self, name: str) -> Path:
        folder = self._to / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def main(argv: list[str] | None = None) -> None:
    """Runs a day."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=24.0)
    parser.add_argument("--to", type=Path, required=True, help="a folder for what is seen")
    arguments = parser.parse_args(argv)
    with ExitStack() as life:
        Day(life, arguments.to, arguments.minutes * 60 / _HOURS).run()


if __name__ == "__main__":
    main()
