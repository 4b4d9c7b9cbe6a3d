"""docs/runbook.md has an entry for every code and alert, and nothing in it is orphaned."""

import re
from pathlib import Path

import yaml

from tests.alerts.promtool import RULES
from tests.notices.runbook import document
from transforms.notices import CATALOG, GROUPS

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^### (.+)$", RUNBOOK, re.MULTILINE)


def alerts() -> set[str]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


def test_the_committed_document_is_current():
    assert f"{document()}\n" == RUNBOOK, "python -m tests.notices.runbook > docs/runbook.md"


def test_every_code_and_every_alert_has_one_entry_and_no_entry_is_of_anything_else():
    assert len(HEADINGS) == len(set(HEADINGS))
    assert set(HEADINGS) == set(CATALOG) | {f"Alert {name}" for name in alerts()}


def test_the_anchor_of_an_entry_is_where_the_log_leads():
    anchors = {heading.lower().replace(" ", "-") for heading in HEADINGS}
    assert {notice.anchor for notice in CATALOG.values()} <= anchors


def test_every_code_that_is_named_anywhere_exists():
    texts = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), *(ROOT / "transforms").rglob("*.py")]
    named = {code for path in texts for code in re.findall(r"\bDLS-[A-Z]\d{3}\b", path.read_text(encoding="utf-8"))}
    assert named - set(CATALOG) == set()


def test_every_group_has_a_part():
    assert len(re.findall(r"^## Codes: ", RUNBOOK, re.MULTILINE)) == len(GROUPS)
