"""A strict reader of LEEF 2.0, written from IBM's guide and from nothing of ours: what it does not know, it refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_CODE = re.compile(r"0?x([0-9A-Fa-f]{1,4})")


@dataclass(frozen=True)
class LeefEvent:
    header: dict[str, str]
    attributes: dict[str, str]


def read(message: bytes) -> LeefEvent:
    """One message without a syslog header. Raises ValueError for anything that the format does not allow."""
    text = message.decode()
    fields = text.split("|", 6)
    if len(fields) != 7 or fields[0] != "LEEF:2.0":
        raise ValueError("Not the six fields of a header.")
    vendor, product, version, event_id, delimiter = fields[1:6]
    for field in (vendor, product, version, event_id):
        if not field or field != field.strip() or re.search(r"[\t\\^=]", field):
            raise ValueError(f"A header field that some reader trips over: {field!r}")
    code = _CODE.fullmatch(delimiter)
    if not code and len(delimiter) != 1:
        raise ValueError(f"Not a delimiter: {delimiter!r}")
    between = chr(int(code[1], 16)) if code else delimiter
    if re.search(r"[\x00-\x1f\x7f]", text.replace(between, "")):
        raise ValueError("A control character that is no delimiter.")
    names = ("vendor", "product", "version", "event_id")
    return LeefEvent(dict(zip(names, (vendor, product, version, event_id), strict=True)), _attributes(fields[6].split(between)))


def _attributes(pairs: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not _NAME.fullmatch(name) or name in values:
            raise ValueError(f"No attribute, or one that is there twice: {pair!r}")
        if not value or value != value.strip(" "):
            raise ValueError(f"A value that a reader would not keep: {pair!r}")
        values[name] = value
    return values


def predefined() -> dict[str, tuple[str, int | None]]:
    """The names that IBM has defined: type and longest value."""
    lines = yaml.safe_load((Path(__file__).parent / "leef_attributes.yaml").read_text(encoding="utf-8"))
    return {name: (entry["type"], entry.get("longest")) for name, entry in lines.items()}
