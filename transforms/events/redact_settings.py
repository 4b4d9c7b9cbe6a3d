"""What can be said of a route's redaction: which fields, in which way, and the reference to the key of the tokens.

Place in the flow: part of a ``Route``; the configuration makes a section of it. What each way does is said in ``redaction``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from transforms.config_keys import Broken, Declared, Doc
from transforms.row_paths import wrong_row_path
from transforms.secrets import SecretRef


@dataclass(frozen=True, slots=True)
class Redaction(Declared):
    """What of an event is not for its destinations."""

    drop: Annotated[
        tuple[str, ...], Doc("Fields that are left out: user.name, user.groups[*], access_device.*.", example=["email"])
    ] = ()
    hash: Annotated[
        tuple[str, ...],
        Doc(
            "Fields whose texts and numbers become tokens, the same for the same value under the same key.",
            example=["user.name"],
        ),
    ] = ()
    mask: Annotated[tuple[str, ...], Doc("Fields whose texts and numbers become ***.", example=["access_device.ip"])] = ()
    key: Annotated[
        SecretRef | None,
        Doc("The key of the tokens, at least 16 characters: env:NAME, file:PATH or gcp:NAME.", example="env:REDACTION_KEY"),
    ] = None

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[Broken]:
        used: set[str] = set()
        for way in ("drop", "hash", "mask"):
            named = given.get(way)
            for path in named if isinstance(named, (list, tuple)) else ():
                if isinstance(path, str):
                    wrong = wrong_row_path(path)
                    if wrong is not None:
                        yield Broken(way, *wrong)
                    elif path in used:
                        yield Broken(way, f"{path} is named twice", "Name each field once.")
                    used.add(path)
        if not used:
            yield Broken("drop", "no field is named here, in hash or in mask", "Name at least one, or remove the redaction.")
        if given.get("hash") and given.get("key") is None:
            yield Broken("key", "is missing beside hash", "Add the reference to a secret, such as key: env:REDACTION_KEY.")
        if given.get("key") is not None and not given.get("hash"):
            yield Broken("key", "nothing is hashed with this key", "Remove it, or name fields under hash.")
