"""What can be chosen of a destination that is a file of this machine.

Place in the flow: one of ``transforms.destinations.KINDS``; the sender and the configuration read it. It loads no sender.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from transforms.config_keys import Check, Doc, FilePath, Ge, Le, Wrong
from transforms.process.files import file_safe
from transforms.settings import KindSettings

Readers = Literal["owner", "group", "everyone"]
MODES: dict[Readers, int] = {"owner": 0o600, "group": 0o640, "everyone": 0o644}
"""Of a file that only its owner writes to, by who may read it."""


_PLACES = ("{log_type}", "{account}")
_PLACE = re.compile(r"\{[^{}]*\}")


def _wrong_template(value: str) -> Wrong | None:
    unknown = [place for place in _PLACE.findall(value) if place not in _PLACES]
    return Wrong(f"nothing stands for {unknown[0]}", f"Use {' and '.join(_PLACES)}.") if unknown else None


def path_of(template: str, account: str, log_type: str) -> Path:
    """The file of a stream."""
    return Path(template.replace("{log_type}", file_safe(log_type)).replace("{account}", file_safe(account)))


@dataclass(frozen=True, slots=True)
class FileSettings(KindSettings):
    """A file of this machine, a line for each message; whoever collects files reads it."""

    kind: ClassVar[str] = "file"
    path: Annotated[
        FilePath,
        Check(_wrong_template),
        Doc("File; {log_type} and {account} in it make one per log or account.", example="/var/log/duologsync/{log_type}.log"),
    ]
    rotate_bytes: Annotated[
        int,
        Ge(10_000),
        Doc("A file of this size is renamed, with the time behind its name, and a new one begun. None is ever removed."),
    ] = 100_000_000
    rotate_secs: Annotated[
        float,
        Ge(60),
        Le(31_536_000),
        Doc("So is one that was begun on an earlier day; or in an earlier hour, with 3600. Counted in UTC."),
    ] = 86_400.0
    readable_by: Annotated[Readers, Doc("Who may read the files: owner (nobody else), group, or everyone on this machine.")] = (
        "owner"
    )

    @property
    def place(self) -> str:
        return self.path

    @property
    def local_places(self) -> tuple[tuple[str, str], ...]:
        return (("path", self.path),)
