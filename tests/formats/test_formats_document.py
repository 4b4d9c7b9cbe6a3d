"""docs/formats.md shows where each field of Duo's goes in LEEF, ECS and OCSF, and a row of each log in each format.

Both are made of the golden rows, as those are:

    UPDATE_GOLDEN=1 python -m pytest tests/formats/test_formats_document.py && git diff docs/formats.md
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.formats import golden, leaves, leef_reader
from transforms.coders import DuoEvent, Stream
from transforms.duo.log_types import LOG_TYPES
from transforms.formats import FORMATS, make_formatter
from transforms.settings import Format

DOCUMENT = Path(__file__).parents[2] / "docs" / "formats.md"
SHOWN = {
    "auth": "fraud",
    "activity": "user_update",
    "telephony": "sms",
    "trustmonitor": "surfaced_log_in",
    "admin": "user_update",
    "offline_enrollment": "provisioned",
}
VARIANTS = ("json", "envelope.json", "named.json", "rfc5424.json", "standard.cef", "bare.leef", "bare.ecs", "bare.ocsf")
# Made of the whole row, where that has no id; and what is there twice, once for whoever looks in any field.
_OF_THE_WHOLE_ROW = {"eventId", "event.id", "metadata.uid", "metadata.original_event_uid"}
_AGAIN = re.compile(r"observables|related|cat$|log$|class_|category_|activity_|type_uid|type_name|severity$|status$")
_TWICE = "the same moment again, less exact"
_COLLECTOR = "not Duo's, but added by collectors and by Duo's client library"
_PLUG_IN = "no browser of today runs this plug-in"
_MODEL = "the release of Duo's model; its result is there"
_WORD = "a word where Elastic has a field for objects or truth values"
_AUTH = {"timestamp": _TWICE, "host": _COLLECTOR, "eventtype": _COLLECTOR}
_OLD = {"admin": {"isotimestamp": _TWICE}, "offline_enrollment": {"isotimestamp": _TWICE}}
_EVERYWHERE = {"auth": _AUTH, "trustmonitor": {"surfaced_auth.timestamp": _TWICE}, **_OLD}
NOWHERE = {
    "leef": {
        **_EVERYWHERE,
        "auth": {
            **_AUTH,
            "access_device.flash_version": _PLUG_IN,
            "access_device.java_version": _PLUG_IN,
            "adaptive_trust_assessments.*.features_version": _MODEL,
            "adaptive_trust_assessments.*.model_version": _MODEL,
        },
    },
    "ecs": {
        **_EVERYWHERE,
        "auth": {**_AUTH, "access_device.security_agents": _WORD},
        "trustmonitor": {**_EVERYWHERE["trustmonitor"], "low_risk_ip": _WORD},
    },
    "ocsf": _EVERYWHERE,
}


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        found: dict[str, Any] = {}
        for key, inner in value.items():
            found |= _flat(inner, f"{name}.{key}" if name else key)
        return found
    if isinstance(value, list):
        return {name: json.dumps(value)}
    return {name: value}


def _of_leef(message: bytes) -> dict[str, Any]:
    read = leef_reader.read(message)
    return {"EventID": read.header["event_id"], **read.attributes}


def _of_json(message: bytes) -> dict[str, Any]:
    return _flat(json.loads(message))


READERS: dict[str, Callable[[bytes], dict[str, Any]]] = {"leef": _of_leef, "ecs": _of_json, "ocsf": _of_json}
FORMATTERS = {name: make_formatter(Format(FORMATS[name].options())) for name in READERS}


def _said(name: str, log_type: str, row: Any) -> dict[str, Any]:
    event = DuoEvent(Stream("acme", log_type, "api-x.example.com"), json.dumps(row).encode())
    said = READERS[name](FORMATTERS[name].format(event))
    without_ids = log_type in {"admin", "offline_enrollment"}
    return {key: value for key, value in said.items() if not (without_ids and key in _OF_THE_WHOLE_ROW)}


def _changed(name: str, log_type: str, row: Any, other: Any) -> list[str]:
    then, now = _said(name, log_type, row), _said(name, log_type, other)
    keys = dict.fromkeys((*then, *now))
    return [key for key in keys if then.get(key) != now.get(key)]


def _table(log_type: str) -> str:
    cells: dict[str, dict[str, dict[str, None]]] = {}
    for path in (path for path in leaves.ROWS if path.parent.name == log_type):
        for field, row, other in leaves.of(path):
            for name in READERS:
                cell = cells.setdefault(field, {}).setdefault(name, {})
                cell |= dict.fromkeys(_shown(key) for key in _changed(name, log_type, row, other) if not _AGAIN.match(key))
    heads = " | ".join(f"`{name}`" for name in READERS)
    lines = [f"| Duo | {heads} |", f"|---|{'---|' * len(READERS)}"]
    for field, cell in cells.items():
        lines.append(f"| `{field}` | {' | '.join(_cell(name, log_type, field, cell[name]) for name in READERS)} |")
    return "\n".join(lines)


def _cell(name: str, log_type: str, field: str, found: dict[str, None]) -> str:
    return ", ".join(f"`{key}`" for key in found) or f"nowhere: {NOWHERE[name][log_type][field]}"


def _shown(key: str) -> str:
    """The name of a field; what Duo nests below a flattened one is told by that."""
    return re.sub(r"(\.details|\.flattened|\.data)\..*", r"\1", key)


def _rows(log_type: str) -> str:
    row = golden.FOLDER / log_type / SHOWN[log_type]
    return "\n".join(f"```\n{_line(row, variant)}\n```" for variant in VARIANTS)


def _line(row: Path, variant: str) -> str:
    text = Path(f"{row}.{variant}").read_text(encoding="utf-8").rstrip("\n")
    return text.replace("\t", "⇥")


@pytest.mark.parametrize("log_type", LOG_TYPES)
@pytest.mark.parametrize(("heading", "make"), [("Fields of", _table), ("A row of", _rows)], ids=["fields", "row"])
def test_what_the_document_shows_is_so(heading: str, make: Callable[[str], str], log_type: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    before, found, rest = text.partition(f"\n## {heading} {log_type}\n\n")
    assert found, f"docs/formats.md has no section '{heading} {log_type}'."
    _, gap, after = rest.partition("\n\n")
    made = f"{before}{found}{make(log_type)}{gap}{after}"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        DOCUMENT.write_text(made, encoding="utf-8")
    assert made == DOCUMENT.read_text(encoding="utf-8")


def _silent(name: str, path: Path) -> set[str]:
    """The fields of a row that the message says nothing of."""
    log_type = path.parent.name
    return {field for field, row, other in leaves.of(path) if not _changed(name, log_type, row, other)}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("path", leaves.ROWS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_field_of_a_row_shows_in_the_message(path: Path, name: str) -> None:
    assert _silent(name, path) <= set(NOWHERE[name].get(path.parent.name, {}))


@pytest.mark.parametrize("name", READERS)
def test_what_is_listed_as_showing_nowhere_really_does_not(name: str) -> None:
    silent = {(path.parent.name, field) for path in leaves.ROWS for field in _silent(name, path)}
    assert silent == {(log_type, field) for log_type, fields in NOWHERE[name].items() for field in fields}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_in_the_documents(kind: str) -> None:
    assert f"\n| `{kind}` | " in DOCUMENT.read_text(encoding="utf-8")
    readme = (DOCUMENT.parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"\n| `{kind}` | " in readme
