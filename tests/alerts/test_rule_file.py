"""What the rules are made of, and what is written about them."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.alerts.promql import strange
from tests.alerts.promtool import RULES
from tests.alerts.runbook import entries, section
from tests.alerts.test_rules import CASES

GROUPS = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
ALL = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in ALL if "alert" in rule]
RECORDED = {rule["record"] for rule in ALL if "record" in rule}


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_uses_only_metrics_and_labels_of_the_catalog(rule):
    said = " ".join(rule.get("annotations", {}).values())
    assert strange(rule["expr"], RECORDED) == []
    assert strange(said, RECORDED) == []


@pytest.mark.parametrize("expr", ["duologsync_no_such > 0", "duologsync_build_info{account='x'}", "sum by (nobody) (up)"])
def test_a_name_or_label_that_is_not_there_would_be_found(expr):
    assert len(strange(expr.replace("'", '"'), RECORDED)) == 1


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_grave_it_is_what_is_wrong_and_where_that_is_explained(rule):
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#alert-{rule['alert'].lower()}"
    assert rule["annotations"]["description"].rstrip().endswith((".", "?", "{{ end }}"))


def test_every_alert_fires_in_a_history_and_none_is_unknown():
    fired = {(name, severity) for case in CASES for name, severity in case.alerts.items()}
    assert fired == {(rule["alert"], rule["labels"]["severity"]) for rule in ALERTS}


def test_every_alert_nearly_fires_in_another():
    assert {case.nearly for case in CASES if case.nearly} == {rule["alert"] for rule in ALERTS}
    assert [case.says for case in CASES if case.nearly and case.alerts] == []


def test_every_alert_has_an_entry_for_the_runbook_and_none_is_orphaned():
    assert list(entries()) == list(dict.fromkeys(rule["alert"] for rule in ALERTS))
    assert [name for name, said in entries().items() if list(said) != ["meaning", "check", "fix"]] == []
    headings = re.findall(r"^### (.+)$", section(), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert anchors == {rule["annotations"]["runbook_url"].partition("#")[2] for rule in ALERTS}
