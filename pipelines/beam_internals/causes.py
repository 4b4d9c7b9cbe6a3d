"""What an error that comes out of Beam says, in one line for people.

Place: whoever logs that a pass or a job has failed.

Why: Beam's errors carry a traceback as text, whose last line is the error itself, and names of its own steps behind it; those
of gRPC are many lines long. Contract: texts without line breaks, never empty.
"""

from __future__ import annotations

import re

from transforms.errors import DuoLogSyncError

# '… [while running 'Send auth for siem/ParDo(SendToDestination)']', which Beam adds wherever an error passes a step.
_STEP = re.compile(r"\s*\[while running '[^']*'\]")
_OUR_CLASS = re.compile(r"(?:transforms|pipelines)(?:\.\w+)+: ")


def cause_of(error: BaseException) -> str:
    """The error in a line. It may quote an event where one was at work."""
    return _OUR_CLASS.sub("", _line_of(error), count=1)


def cause_without_events(error: BaseException) -> str:
    """The same where events were at work: what an error says that is neither ours nor the system's is left out."""
    ours = isinstance(error, (DuoLogSyncError, OSError)) or _OUR_CLASS.match(_line_of(error))
    return cause_of(error) if ours else f"{type(error).__name__} (--verbose shows what it says)"


def _line_of(error: BaseException) -> str:
    details = getattr(error, "details", None)  # gRPC's errors say there what matters
    text = str(details()) if callable(details) else str(error)
    lines = [line.strip() for line in _STEP.sub("", text).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
