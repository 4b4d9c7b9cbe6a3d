"""How many of something, as people write it. The one place for it.

Place in the flow: whoever writes a line for people. Contract: pure.
"""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """``1 event``, ``12,000 events``. ``what`` is the singular of a noun that takes an s."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
