"""docs/runbook.md, made of the catalog of notices, of the alerts and of ``runbook_head.md``.

Place: ``python -m tests.notices.runbook > docs/runbook.md``. A test compares the committed file. Contract: pure text, the same
each time; one heading per code and alert, and nothing else in its heading, so that the anchor is the code: that is where the
lines of the log and the alerts lead.
"""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from types import ModuleType

from tests.alerts.runbook import section
from transforms.notices import GROUPS
from transforms.notices.notice import Notice

_HEAD = Path(__file__).with_name("runbook_head.md").read_text(encoding="utf-8")
_QUOTED = re.compile(r"(?<!\w)'([^']+)'")
_TITLES = {
    "D": "Reading Duo",
    "E": "Events on their way",
    "S": "Destinations",
    "K": "What is kept on disk",
    "C": "Configuration",
    "P": "The program",
    "R": "Runners",
    "A": "Audits",
}


def document() -> str:
    """The whole, without the last line's end."""
    groups = "\n".join(_group(_TITLES[letter], group) for letter, group in GROUPS.items())
    return f"{_HEAD}\n## Alerts\n\n{section()}\n{groups}".rstrip()


def _group(title: str, group: ModuleType) -> str:
    notices = sorted((each for each in vars(group).values() if isinstance(each, Notice)), key=lambda notice: notice.code)
    return "\n".join([f"## Codes: {title}\n", *map(_entry, notices)])


def _entry(notice: Notice) -> str:
    level = logging.getLevelName(notice.level).lower()
    lines = [f"### {notice.code}", "", f"**{notice.summary}** ({level}). {notice.meaning}", ""]
    return "\n".join([*lines, f"- **Check:** {_as_code(notice.check)}", f"- **Fix:** {_as_code(notice.fix)}", ""])


def _as_code(text: str) -> str:
    """Commands, which the log puts in quotes, as Markdown does."""
    return _QUOTED.sub(r"`\1`", text)


if __name__ == "__main__":
    sys.stdout.write(f"{document()}\n")
