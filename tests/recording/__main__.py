"""Records the terminal for the README: ``python -m tests.recording`` writes docs/images/terminal.svg. Takes about a minute."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.recording.session import screens
from tests.recording.svg import moving

FILE = Path(__file__).parents[2] / "docs" / "images" / "terminal.svg"
SAYS = (
    "A terminal: duologsync validates a configuration, checks Duo and the SIEM, runs, says how it is doing while the SIEM is "
    "away and once it is back, audits a day, and ends with all events delivered."
)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="duologsync-") as folder:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(moving(list(screens(Path(folder))), SAYS), encoding="utf-8")
