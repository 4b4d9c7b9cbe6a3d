"""A strict reader of CEF, written from the specification and from nothing of ours: what it does not know, it refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

HEADER_FIELDS = ("vendor", "product", "version", "class_id", "name", "severity")
_ESCAPES = {"\\": "\\", "=": "=", "n": "\n", "r": "\r"}
_KEY = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True)
class CefEvent:
    header: dict[str, str]
    extension: dict[str, str]
    escaped_bytes: dict[str, int]


def read(message: bytes) -> CefEvent:
    """One message without a syslog header. Raises ValueError for anything that the specification forbids."""
    text = message.decode()
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError("A control character.")
    fields = text.split("|", 7)
    if len(fields) != 8 or fields[0] != "CEF:0":
        raise ValueError("Not the seven fields of a header.")
    for field in fields[1:7]:
        if not field or field != field.strip() or re.search(r"[\\=%#]", field):
            raise ValueError(f"A header field that some reader trips over: {field!r}")
    extension, sizes = _read_extension(fields[7])
    return CefEvent(dict(zip(HEADER_FIELDS, fields[1:7], strict=True)), extension, sizes)


def _read_extension(text: str) -> tuple[dict[str, str], dict[str, int]]:
    values: dict[str, str] = {}
    sizes: dict[str, int] = {}
    starts = [(m.start(1), m.end()) for m in re.finditer(r"(?:^| )([^ =\\]+)=", text)]
    if not text:
        return values, sizes
    if not starts or starts[0][0] != 0:
        raise ValueError("The extension does not begin with a key.")
    for (start, value_start), following in zip(starts, [*starts[1:], (len(text) + 1, 0)], strict=True):
        key, escaped = text[start : value_start - 1], text[value_start : following[0] - 1]
        if not _KEY.fullmatch(key) or key in values:
            raise ValueError(f"A key that is malformed or there twice: {key!r}")
        values[key] = unescape(escaped)
        sizes[key] = len(escaped.encode())
    return values, sizes


def unescape(escaped: str) -> str:
    """The value behind an escaped one; an unknown, missing or half escape is an error."""
    out = []
    characters = iter(escaped)
    for character in characters:
        if character == "=":
            raise ValueError(f"A bare = in {escaped!r}")
        if character == "\\":
            partner = next(characters, "")
            if partner not in _ESCAPES:
                raise ValueError(f"A backslash before {partner!r} in {escaped!r}")
            out.append(_ESCAPES[partner])
        else:
            out.append(character)
    return "".join(out)


def dictionary() -> dict[str, tuple[str, int | None]]:
    """The specification's keys that a producer may write: type and longest value."""
    lines = yaml.safe_load((Path(__file__).parent / "cef_dictionary.yaml").read_text(encoding="utf-8"))
    return {key: (entry["type"], entry.get("length")) for key, entry in lines.items()}


def own_keys() -> dict[str, tuple[str, int | None]]:
    """The keys that docs/cef.md promises besides: after chapter 4, one word that begins with vendor and product."""
    table = (Path(__file__).parents[2] / "docs" / "cef.md").read_text(encoding="utf-8")
    return dict.fromkeys(re.findall(r"`(CiscoDuo[A-Za-z0-9]+)`", table), ("string", 4000))
