"""What an error that comes out of Beam says, in one line for people.

Place: whoever logs that a pass or a job has failed.

Why: Beam's errors carry a traceback as text, whose last line is the error itself, and names of its own steps behind it; those
of gRPC are many lines long. Contract: a text without line breaks, never empty.
"""

from __future__ import annotations

import re

# '… [while running 'Send auth for siem/ParDo(SendToDestination)']', which Beam adds wherever an error passes a step.
_STEP = re.compile(r"\s*\[while running '[^']*'\]")
_OUR_CLASS = re.compile(r"(?:transforms|pipelines)(?:\.\w+)+: ")


def cause_of(error: Exception) -> str:
    """The error in a line."""
    details = getattr(error, "details", None)
    if callable(details):  # gRPC's errors say here what matters
        return _in_one_line(str(details()), error)
    return _in_one_line(str(error), error)


def _in_one_line(text: str, error: Exception) -> str:
    lines = [line.strip() for line in _STEP.sub("", text).splitlines() if line.strip()]
    return _OUR_CLASS.sub("", lines[-1], count=1) if lines else type(error).__name__
