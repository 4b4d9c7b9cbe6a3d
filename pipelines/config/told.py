"""What a configuration is, or what is wrong with it, as plain values for JSON.

Place in the flow: ``validate --json``. Contract: fields are only added; a secret is never among them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipelines.config.loading import Loaded
from pipelines.config.problems import Finding


def told_wrong(path: Path, problems: Iterable[Finding]) -> dict[str, object]:
    """Of a file that cannot be used."""
    return {"valid": False, "file": str(path), "problems": [_finding(each) for each in problems], "notices": [], "streams": []}


def told_right(path: Path, loaded: Loaded, *, valid: bool) -> dict[str, object]:
    """Of one that can. ``valid``: whether that is enough."""
    job = loaded.job
    return {
        "valid": valid,
        "file": str(path),
        "problems": [],
        "notices": [_finding(each) for each in loaded.notices],
        "layout": loaded.dialect,
        "streams": [
            {
                "account": account.name,
                "children": account.is_msp,
                "log_type": log_type,
                "destinations": [each.name for each in job.destinations_of(account.name, log_type)],
            }
            for account in job.accounts
            for log_type in job.log_types_of(account.name)
        ],
        "destinations": [
            {"name": each.name, "kind": each.kind, "place": each.place, "format": each.format.name} for each in job.destinations
        ],
        "checkpoint_dir": job.storage.checkpoint_dir,
        "dead_letter_dir": job.storage.dead_letter_dir,
    }


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "line": finding.line,
        "column": finding.column,
        "key": finding.key,
        "what": finding.what,
        "fix": finding.fix,
    }
