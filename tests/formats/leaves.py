"""The leaves of the golden rows, and what of a CEF line changes with each: ``test_coverage`` and docs/cef.md are made of it."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.formats import cef_reader, golden
from transforms.coders import DuoEvent, Stream
from transforms.formats import make_formatter
from transforms.formats.cef import PROFILES, CefOptions
from transforms.settings import Format

FORMATTERS = {name: make_formatter(Format(CefOptions(profile=name))) for name in PROFILES}
# Their fields have types of which only a part is ever read; tests/log_types/test_tolerance.py is about them.
_ODD = {"unexpected_types", "forged_user_name", "new_type"}
ROWS = [row for row in golden.rows() if row.stem not in _ODD]

Path_ = tuple[Any, ...]


def of(path: Path) -> Iterator[tuple[str, Any, Any]]:
    """Each leaf of a row that is not empty: its name, the row, and the row with another value there."""
    row = json.loads(path.read_bytes())
    for leaf, value in _leaves(row):
        yield _name(leaf), row, _with(row, leaf, _other(value))


def said(profile: str, log_type: str, row: Any) -> dict[str, str]:
    """What the line says of a row: header fields, in brackets, and the extension."""
    event = DuoEvent(Stream("acme", log_type, "api-x.example.com"), json.dumps(row).encode())
    read = cef_reader.read(FORMATTERS[profile].format(event))
    if log_type in {"admin", "offline_enrollment"}:
        del read.extension["externalId"]  # a digest of the whole row
    return {f"({field})": value for field, value in read.header.items()} | read.extension


def changed(profile: str, log_type: str, row: Any, other: Any) -> list[str]:
    """The keys whose values differ, in the line's order; a labelled one with its label."""
    then, now = said(profile, log_type, row), said(profile, log_type, other)
    keys = [key for key in (*then, *(key for key in now if key not in then)) if then.get(key) != now.get(key)]
    labels = {**then, **now}
    return [f"{key} {labels.get(f'{key}Label', '')}".strip() for key in keys if not key.endswith("Label")]


def _leaves(value: Any, before: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    inside = _json(value) if isinstance(value, str) else value
    if isinstance(inside, dict | list):
        for key, inner in inside.items() if isinstance(inside, dict) else enumerate(inside):
            yield from _leaves(inner, (*before, key))
    elif value not in (None, ""):
        yield before, value


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text.startswith("{") else text
    except ValueError:
        return text


def _with(value: Any, path: Path_, new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, str):
        return json.dumps(_with(json.loads(value), path, new), separators=(",", ":"), ensure_ascii=False)
    copy = value.copy()
    copy[path[0]] = _with(copy[path[0]], path[1:], new)
    return copy


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
    return value + "-other"


def _is_ipv4(text: str) -> bool:
    try:
        return ipaddress.ip_address(text.partition(":")[0]).version == 4
    except ValueError:
        return False


def _name(path: Path_) -> str:
    name = re.sub(r"\.(\[\])", r"\1", ".".join("[]" if isinstance(key, int) else key for key in path))
    name = re.sub(r"\b(details)\..*", r"\1", name)
    return re.sub(r"(adaptive_trust_assessments)\.\w+\.(\w+_version)", r"\1.*.\2", name)
