"""Where in the code an error arose, in one line and without what it says: the text of an error may quote an event.

Place in the flow: who tells of a bug, or of what a user's own function raised. Contract: pure.
"""

from __future__ import annotations

import traceback

_FRAMES = 3


def place_of(error: BaseException) -> str:
    """``/opt/own.py:12 in scrub < …``, the innermost first; empty where it was never raised."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return " < ".join(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in reversed(frames))
