"""How a user names the fields of a row that are redacted: ``user.name``, ``user.groups[*]``, ``access_device.*``.

Place in the flow: the settings check what is written, ``transforms.events.redaction`` follows it through a row.

Contract: a path begins with a name. ``[*]`` and ``.*`` stand for every item of a list or every value of an object. Lists on
the way are walked through without being named. ``['a name']`` is a name that is taken as it is, also where Duo documents no
such field.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from transforms.config_keys import Wrong

_PART = re.compile(r"(?:^|(?<=.)\.)(?P<name>[A-Za-z_][A-Za-z0-9_-]*)|\['(?P<quoted>[^'\]]+)'\]|(?P<every>\[\*\]|\.\*)")


class Part(NamedTuple):
    """One step of a path: a name, or None for every value there is. Quoted names are not looked up among Duo's fields."""

    name: str | None
    quoted: bool = False


def parse(path: str) -> tuple[Part, ...] | None:
    """The steps of a path; None where it is none."""
    parts: list[Part] = []
    at = 0
    while at < len(path):
        found = _PART.match(path, at)
        if found is None or found.end() == at:
            return None
        quoted = found["quoted"]
        parts.append(Part(quoted if quoted is not None else found["name"], quoted is not None))
        at = found.end()
    return tuple(parts) if parts and parts[0].name is not None else None


def wrong_row_path(path: str) -> Wrong | None:
    """What keeps a text from being a path."""
    if parse(path) is not None:
        return None
    return Wrong("one of these is no path of a field", "Write names and dots: user.name, user.groups[*] or access_device.*.")


def documented_name(parts: tuple[Part, ...]) -> str | None:
    """The dotted path as Duo's documentation has it, up to the first step that stands for everything; None where a name of it
    is quoted."""
    names: list[str] = []
    for part in parts:
        if part.quoted:
            return None
        if part.name is None:
            break
        names.append(part.name)
    return ".".join(names)
