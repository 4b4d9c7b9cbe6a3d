"""Debian's promtool: which alerts a history raises, as Prometheus itself says."""

from __future__ import annotations

import functools
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parents[2] / "pipelines" / "launch_files" / "monitoring" / "rules.yml"
_FIRING = 'count by (alertname, severity) (ALERTS{alertstate="firing"})'


@functools.cache
def binary(name: str) -> str:
    """Path of one of Prometheus's programs, unpacked where it is missing."""
    done = subprocess.run([Path(__file__).with_name("get_prometheus.sh")], check=True, capture_output=True, text=True)
    return str(Path(done.stdout.strip()) / name)


def assert_fires(folder: Path, history: list[dict[str, str]], minutes: int, alerts: dict[str, str]) -> None:
    """Fails unless behind so many minutes exactly these alerts fire, once each: their severity by their name."""
    counted = Counter((name, severity) for name, severity in alerts.items())
    samples = [
        {"labels": f'{{alertname="{name}",severity="{severity}"}}', "value": n} for (name, severity), n in counted.items()
    ]
    _test(folder, history, {"promql_expr_test": [{"expr": _FIRING, "eval_time": f"{minutes}m", "exp_samples": samples}]})


def assert_says(folder: Path, history: list[dict[str, str]], minutes: int, alert: str, **expected: dict[str, str]) -> None:
    """Fails unless the alert fires with exactly these labels and annotations."""
    told = {"exp_labels": expected["labels"], "exp_annotations": expected["annotations"]}
    _test(folder, history, {"alert_rule_test": [{"alertname": alert, "eval_time": f"{minutes}m", "exp_alerts": [told]}]})


def _test(folder: Path, history: list[dict[str, str]], expected: dict[str, Any]) -> None:
    path = folder / "test.yml"
    test = {"interval": "1m", "input_series": history, **expected}
    # Else groups are evaluated in any order, and what an alert says may be of the minute before.
    order = [group["name"] for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]]
    suite = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "group_eval_order": order, "tests": [test]}
    path.write_text(json.dumps(suite))
    done = subprocess.run([binary("promtool"), "test", "rules", path], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
