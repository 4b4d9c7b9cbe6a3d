"""The tables of docs/cef.md say which key holds which field of Duo's. They are made of the golden rows, as those are:

UPDATE_GOLDEN=1 python -m pytest tests/formats/test_cef_document.py && git diff docs/cef.md
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.formats import leaves
from tests.formats.test_coverage import NOWHERE
from transforms.duo.log_types import LOG_TYPES
from transforms.formats.cef import PROFILES, keys

DOCUMENT = Path(__file__).parents[2] / "docs" / "cef.md"


def _table(log_type: str) -> str:
    """Each field of a log with the keys of each profile."""
    cells: dict[str, dict[str, dict[str, None]]] = {}
    for path in (path for path in leaves.ROWS if path.parent.name == log_type):
        for name, row, other in leaves.of(path):
            for profile in PROFILES:
                cell = cells.setdefault(name, {}).setdefault(profile, {})
                cell |= dict.fromkeys(leaves.changed(profile, log_type, row, other))
    lines = [f"| Duo | {' | '.join(f'`{profile}`' for profile in PROFILES)} |", f"|---|{'---|' * len(PROFILES)}"]
    lines += [
        f"| `{name}` | {' | '.join(_cell(log_type, name, c[profile]) for profile in PROFILES)} |" for name, c in cells.items()
    ]
    return "\n".join(lines)


def _cell(log_type: str, name: str, found: dict[str, None]) -> str:
    if not found:
        return f"nowhere: {NOWHERE[log_type][name]}"
    headers = [key.strip("()").replace("_", " ") for key in found if key.startswith("(")]
    shown = [re.sub(r"^(\S+)(.*)$", r"`\1`\2", key) for key in found if not key.startswith("(")]
    return ", ".join(shown + [f"header: {' and '.join(headers)}"] * bool(headers))


@pytest.mark.parametrize("log_type", LOG_TYPES)
def test_a_table_says_what_the_lines_say(log_type: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    before, heading, rest = text.partition(f"\n### {log_type}\n\n")
    assert heading, f"docs/cef.md has no table of {log_type}."
    _, gap, after = rest.partition("\n\n")
    made = f"{before}{heading}{_table(log_type)}{gap}{after}"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        DOCUMENT.write_text(made, encoding="utf-8")
    assert made == DOCUMENT.read_text(encoding="utf-8")


def test_the_keys_of_log_types_without_a_table_are_named() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for key in keys.PLACED:
        assert f"`{key.key.strip(' =')}`" in text
