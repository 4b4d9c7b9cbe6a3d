"""What docs/monitoring.md says of the alerts is so."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.alerts.runbook import alerts

TEXT = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text(encoding="utf-8")


def test_it_lists_every_alert_with_its_severities():
    listed = dict(re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|", TEXT, re.MULTILINE))
    assert listed == {name: ", ".join(rule["labels"]["severity"] for rule in rules) for name, rules in alerts().items()}


def test_what_alertmanager_is_told_to_keep_back_exists():
    (shown,) = [block for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if "inhibit_rules" in block]
    matchers = [m for rule in yaml.safe_load(shown)["inhibit_rules"] for m in rule["source_matchers"] + rule["target_matchers"]]
    named = {name for matcher in matchers for name in re.search(r'"(.+)"', matcher)[1].split("|")}
    assert len(named) > 3
    assert named <= set(alerts())
