"""How a settings class says what the configuration file may hold for it: descriptions, bounds, and checks of single values.

Place in the flow: every kind of destination and every format has one frozen dataclass of settings, whose fields are annotated
with what stands here; ``pipelines.config.sections`` makes from it the section of the file, its JSON Schema and its sample. So
a new kind says what its keys are in its own module, and nothing that reads configurations has to name it.

Contract: a field with a ``Doc`` is a key of the file, of the same name; a field without one is set by the program. Understood
are texts, numbers, switches, ``Literal`` words, ``tuple[str, ...]``, each also with ``| None``; ``SecretRef`` (the file holds
a reference, or the secret itself); ``FilePath`` (made absolute); and another such dataclass (a section in the section), or a
``tuple`` of them (a list of sections). The bounds are those of ``annotated_types``: ``Ge``, ``Le``, ``MinLen`` and their like.
Nothing of pydantic is here: workers read no configuration.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Le, MinLen

__all__ = [
    "Broken", "Check", "Declared", "Doc", "FilePath", "Ge", "Host", "Le", "LocalPath", "MinLen", "Port", "Text",
    "Wrong", "is_loopback", "wrong_header_text", "wrong_host", "wrong_path",
]  # fmt: skip

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9]+)?")


class Wrong(NamedTuple):
    """What is wrong with one value, to be read after its key, and the fix. Neither holds the value where it may be a secret."""

    what: str
    fix: str


class Broken(NamedTuple):
    """A rule between keys that is broken: the key that it is told at, what is wrong, and the fix."""

    key: str
    what: str
    fix: str


@dataclass(frozen=True, slots=True)
class Doc:
    """A key of the configuration file, for its users.

    Attributes:
      text: what it is for, in one or two plain sentences.
      example: a value for the sample file, where the default is none.
      elsewhere: what is said where the key is given for another kind; without it, that only this kind has it.
      harmless: the key changes nothing that was promised, so that for another kind it is worth a notice and is left out. What
        somebody may rely on, such as a certificate, must be refused instead.
    """

    text: str
    example: Any = None
    elsewhere: str = ""
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """A check of one text that is more than a type: gives what is wrong with it, or None."""

    find: Callable[[str], Wrong | None]


@dataclass(frozen=True, slots=True)
class LocalPath:
    """Marks a text that names a file or a directory: a relative one begins at the configuration file."""


def wrong_host(value: str) -> Wrong | None:
    """What keeps a text from being a host's name or address."""
    if "$" in value:
        return Wrong("variables of the shell are not put in here", "Write the host name itself.")
    if "://" in value or "/" in value:
        return Wrong(
            "this is an address of a page, not a host", "Write only the host name, without https:// and without a path."
        )
    if value.startswith("["):
        return Wrong("this is an IPv6 address in brackets", "Write it without brackets.")
    if value.count(":") == 1:
        return Wrong("a port is part of the host", "Write only the host name here, and the port under its own key.")
    labels = [] if ":" in value else value.rstrip(".").split(".")
    if not _HOST.fullmatch(value) or not all(0 < len(label) < 64 for label in labels):
        return Wrong("this is not a host name or an IP address", "Use letters, digits, dots and dashes.")
    return None


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine for itself, as far as that can be seen without asking anybody."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def wrong_path(value: str) -> Wrong | None:
    """What keeps a text from being a path."""
    if "\0" in value or not value.isprintable():
        return Wrong("the path holds a character that no path has", "Write it again.")
    return None


def wrong_header_text(value: str) -> Wrong | None:
    """What keeps a text from standing in a syslog header."""
    if re.search(r"[^!-~]", value):
        return Wrong("this holds a character that a syslog header cannot have", "Use ASCII without blanks.")
    return None


Text = Annotated[str, MinLen(1)]
Host = Annotated[str, MinLen(1), Check(wrong_host)]
Port = Annotated[int, Ge(1), Le(65535)]
FilePath = Annotated[str, MinLen(1), Check(wrong_path), LocalPath()]


class Declared:
    """A settings class that declares its keys."""

    __slots__ = ()

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[Broken]:  # noqa: ARG003 - for those that have rules
        """What is wrong between the keys of this section. Looks at the plain data, which may be of any type, so that it is told
        together with what is wrong with the keys themselves.
        """
        yield from ()
