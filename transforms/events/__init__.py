"""Events on their way to one destination: filters, redaction, and a user's own function.

Place in the flow: read → **select** → format. The step is there only for destinations with a route that has one of these. What
each promises is said in ``filters``, ``redaction`` and ``functions``; what they do together, in ``selection``. Nothing of Beam
is loaded here: the configuration checks filters and functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transforms.events.select import SelectEvents

__all__ = ["SelectEvents"]


def __getattr__(name: str) -> Any:
    # Only who builds a pipeline waits for Beam to load.
    if name == "SelectEvents":
        from transforms.events.select import SelectEvents

        return SelectEvents
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
