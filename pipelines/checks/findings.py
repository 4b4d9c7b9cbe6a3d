"""What was tried and what came of it, as values; and several findings of one cause as one.

Place in the flow: ``duo``, ``destinations`` and ``marked_events`` find, ``pipelines.commands.check`` shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pipelines import exit_codes
from transforms.process.plural import counted

_NAMED = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried: whether it works, what was seen, and the exit code where it does not."""

    good: bool
    what: str
    text: str
    code: int = exit_codes.OK


def one_cause_once(findings: Iterable[Finding]) -> Iterator[Finding]:
    """What is well as it comes; at the end what is not, each cause once with all that it concerns."""
    causes: dict[tuple[str, int], list[Finding]] = {}
    for finding in findings:
        if finding.good:
            yield finding
        else:
            causes.setdefault((finding.text, finding.code), []).append(finding)
    for those in causes.values():
        yield replace(those[0], what=_together([each.what for each in those]))


def _together(names: list[str]) -> str:
    """``main/auth, activity, telephony``: what is common to all is said once."""
    common = names[0][: names[0].rfind("/") + 1]
    if not all(name.startswith(common) and "/" not in name[len(common) :] for name in names):
        common = ""
    rest = [name[len(common) :] for name in names[:_NAMED]]
    more = f" and {counted(len(names) - _NAMED, 'other')}" if len(names) > _NAMED else ""
    return common + ", ".join(rest) + more
