"""Whatever a row says, CEF says: each leaf of the golden rows is changed, and the line with it.

Leaves that show nowhere are listed here, each with its reason.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.formats import cef_reader, golden
from transforms.coders import DuoEvent, Stream
from transforms.formats import make_formatter
from transforms.formats.cef import PROFILES, CefOptions
from transforms.settings import Format

FORMATTERS = {name: make_formatter(Format(CefOptions(profile=name))) for name in PROFILES}
# Their fields have types of which only a part is ever read; tests/log_types/test_tolerance.py is about them.
ODD = {"unexpected_types", "forged_user_name", "new_type"}
ROWS = [row for row in golden.rows() if row.stem not in ODD]

_TWICE = "the same moment, or the same word, stands in the line from another field of the row, which is more exact"
_COLLECTOR = "not Duo's: added by collectors and by Duo's client library"
_MODEL = "the release of Duo's model: no detection asks for it, and its result is in the line"
_PLUG_IN = "a plug-in that no browser of today runs; what is out of date is in CiscoDuoOutOfDateSoftware"
NOWHERE = {
    "auth": {
        "timestamp": _TWICE,
        "host": _COLLECTOR,
        "eventtype": _COLLECTOR,
        "access_device.flash_version": _PLUG_IN,
        "access_device.java_version": _PLUG_IN,
        "adaptive_trust_assessments.*.features_version": _MODEL,
        "adaptive_trust_assessments.*.model_version": _MODEL,
    },
    "trustmonitor": {"surfaced_auth.timestamp": _TWICE},
    "admin": {"isotimestamp": _TWICE},
    "offline_enrollment": {"isotimestamp": _TWICE},
}


def _leaves(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The ways to whatever is neither an object nor a list nor empty, and what is there."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, (*before, key))
    elif value not in {None, ""}:
        yield before, value


def _other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1000
    if re.fullmatch(r"\[?[0-9a-f.:]+\]?(:\d+)?", value) and ("." in value or "::" in value):
        return "203.0.113.77" if _is_ipv4(value) else "2001:db8::77"
    if re.match(r"\d{4}-\d\d-\d\d", value):
        return re.sub(r"^\d{4}", "2020", value)
    if value.startswith("{"):
        return json.dumps({**json.loads(value), "other": "thing"})
    return "not said before" if value in {"true", "false"} else value + "-other"


def _is_ipv4(text: str) -> bool:
    try:
        return ipaddress.ip_address(text.rpartition(":")[0] or text).version == 4
    except ValueError:
        return False


def _with(row: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(row))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return copy


def _said(profile: str, log_type: str, row: Any) -> tuple[dict[str, str], dict[str, str]]:
    event = DuoEvent(Stream("acme", log_type, "api-x.example.com"), json.dumps(row).encode())
    read = cef_reader.read(FORMATTERS[profile].format(event))
    if log_type in {"admin", "offline_enrollment"}:
        del read.extension["externalId"]  # a digest of the whole row
    return read.header, read.extension


def _name(path: tuple[Any, ...]) -> str:
    name = ".".join("[]" if isinstance(key, int) else key for key in path)
    return re.sub(r"(adaptive_trust_assessments)\.\w+", r"\1.*", name)


def _silent(profile: str, path: Path) -> set[str]:
    """The leaves of a row that the line says nothing of."""
    log_type, row = path.parent.name, json.loads(path.read_bytes())
    usual = _said(profile, log_type, row)
    return {_name(leaf) for leaf, value in _leaves(row) if _said(profile, log_type, _with(row, leaf, _other(value))) == usual}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", ROWS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_leaf_of_a_row_shows_in_the_line(path: Path, profile: str) -> None:
    assert _silent(profile, path) <= set(NOWHERE.get(path.parent.name, {}))


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_listed_as_showing_nowhere_really_does_not(profile: str) -> None:
    silent = {(path.parent.name, name) for path in ROWS for name in _silent(profile, path)}
    assert silent == {(log_type, name) for log_type, names in NOWHERE.items() for name in names}
