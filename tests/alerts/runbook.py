"""The alerts' part of docs/runbook.md, made of rules.yml and of runbook.yml beside it.

Place: what writes the runbook puts ``section()`` into it. Contract: one heading per alert, whose anchor is where the rule's
``runbook_url`` leads; an alert with two severities has one entry.
"""

from __future__ import annotations

from typing import Any

import yaml

from tests.alerts.promtool import RULES

RUNBOOK = RULES.with_name("runbook.yml")


def alerts() -> dict[str, list[dict[str, Any]]]:
    """The rules of each alert, in the file's order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                found.setdefault(rule["alert"], []).append(rule)
    return found


def entries() -> dict[str, dict[str, str]]:
    """Meaning, check and fix of each alert."""
    loaded: dict[str, dict[str, str]] = yaml.safe_load(RUNBOOK.read_text(encoding="utf-8"))
    return loaded


def section() -> str:
    """Markdown: one ``### Alert NAME`` for each."""
    said = entries()
    return "\n".join(_entry(name, rules, said[name]) for name, rules in alerts().items())


def _entry(name: str, rules: list[dict[str, Any]], said: dict[str, str]) -> str:
    severity = ", ".join(f"{rule['labels']['severity']}{_after(rule)}" for rule in rules)
    lines = [f"### Alert {name}", "", f"*{severity}.* {said['meaning']}", ""]
    return "\n".join([*lines, f"- **Check:** {said['check']}", f"- **Fix:** {said['fix']}", ""])


def _after(rule: dict[str, Any]) -> str:
    return (
        f" after {rule['for'].replace('m', ' minutes').replace('1h', '1 hour').replace('2h', '2 hours')}"
        if "for" in rule
        else ""
    )
