"""The catalog of everything that the log warns of: one module per group, and ``docs/runbook.md`` made of it.

Place in the flow: ``tell(_LOGGER, duo.KEYS_REFUSED, "%s: …", stream, stream=stream)``. A new notice is one constant in the
module of its group with the next free number, and ``python -m tests.notices.runbook`` writes its entry.

Contract: a code means the same in every release, and the code of what is not said any more is never given away again. Groups:
D reading Duo, E events, S destinations (the SIEM), K what is kept on disk, C configuration, P the program, R runners, A audits.
"""

from __future__ import annotations

from types import ModuleType

from transforms.notices import configuration, destinations, duo, events, program, runners, state
from transforms.notices.notice import Notice

GROUPS: dict[str, ModuleType] = {
    "D": duo,
    "E": events,
    "S": destinations,
    "K": state,
    "C": configuration,
    "P": program,
    "R": runners,
}
"""The module of each group; in the order of the runbook."""

CATALOG: dict[str, Notice] = {
    notice.code: notice for group in GROUPS.values() for notice in vars(group).values() if isinstance(notice, Notice)
}
"""Every notice by its code."""
