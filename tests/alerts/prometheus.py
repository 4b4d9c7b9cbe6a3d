"""A real Prometheus on loopback that scrapes programs every second, and our rules in it, sixty times as fast.

Contract: everything it needs is in its folder; leaving the ``with`` ends it. ``quick`` changes no more of a rule than its
times, and the thresholds in ``LOWER``, which a test cannot reach; what they are is tested by ``test_rules``.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import Self

from tests.alerts.promtool import RULES, binary
from tests.ports import free_port

# Ages and times in numbers; the certificate's days are real ones.
_SECS = {"900": "15", "3600": "60", "-60": "-1", "300": "5"}
# Memory of a program that leaks, a receiver that hangs for hours, a program that dies four times.
LOWER = {"800e6": "1e6", "128 * 1024 * 1024": "0", "[60s]) > 3": "[60s]) > 0"}


def quick(rules: str, *, patient: bool = False) -> dict[str, Any]:
    """The rules with a second for each minute; unless ``patient``, with nothing that has to hold for a while, and ``LOWER``."""
    loaded: dict[str, Any] = yaml.safe_load(rules)
    for group in loaded["groups"]:
        for rule in group["rules"]:
            expr = re.sub(r"\b(\d+)h\b", lambda hours: f"{60 * int(hours[1])}m", rule["expr"])
            expr = re.sub(r"\b(\d+)m\b", r"\1s", expr)
            expr = re.sub(r"(?<=[<>] )-?\d+\b(?! \*)", lambda number: _SECS.get(number[0], number[0]), expr)
            for high, low in () if patient else LOWER.items():
                expr = expr.replace(high, low)
            rule["expr"] = expr
            held = rule.pop("for", None)
            if patient and held:
                rule["for"] = {"1h": "60s", "2h": "120s"}.get(held, held.replace("m", "s"))
    return loaded


class Prometheus:
    """One server. ``targets``: port by the name that the program is to have; ``patient``: see ``quick``."""

    def __init__(self, folder: Path, targets: dict[str, int], *, patient: bool = False) -> None:
        self._folder = folder
        self._port = free_port()
        scrapes = [{"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name}} for name, port in targets.items()]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "duologsync", "static_configs": scrapes}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        (folder / "rules.yml").write_text(json.dumps(quick(RULES.read_text(encoding="utf-8"), patient=patient)))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        where = [f"--web.listen-address=127.0.0.1:{self._port}", f"--storage.tsdb.path={self._folder / 'data'}"]
        with (self._folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary("prometheus"), f"--config.file={self._folder / 'prometheus.yml'}", *where], stdout=log, stderr=log
            )
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def ready(self) -> bool:
        try:
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=10).read())
        except OSError:  # not listening yet, or still reading its own files
            return False

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The samples of an instant query. Raises AssertionError with Prometheus's own words where it is not valid."""
        found: list[dict[str, Any]] = self._get("query", query=expr)["result"]
        return found

    def firing(self) -> set[tuple[str, str]]:
        """Which alerts fire now: name and severity."""
        found = self.query('ALERTS{alertstate="firing"}')
        return {(one["metric"]["alertname"], one["metric"]["severity"]) for one in found}

    def rules(self) -> list[dict[str, Any]]:
        """Every rule, with what became of its last evaluation."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("targets")["activeTargets"]
        return found

    def log(self) -> str:
        return (self._folder / "prometheus.log").read_text()

    def _get(self, what: str, **params: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{what}?{urllib.parse.urlencode(params)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{params}: {error.read().decode()}") from error


def seen_to_fire(prometheus: Prometheus, wanted: set[tuple[str, str]], within_secs: float) -> set[tuple[str, str]]:
    """Which of the alerts have fired, not all at one moment, once all have or the time is over."""
    deadline = time.monotonic() + within_secs
    seen: set[tuple[str, str]] = set()
    while not wanted <= seen and time.monotonic() < deadline:
        seen |= prometheus.firing()
        time.sleep(0.5)
    return seen
