"""What Elasticsearch would say of an ECS document: each field must be declared, with a value of its type."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

Found = Iterator[tuple[str, Any]]


def _declared() -> dict[str, str]:
    groups = yaml.safe_load((Path(__file__).parent / "ecs_fields.yaml").read_text(encoding="utf-8"))
    return {
        name if group == "ecs" else f"{group}.{name}": kind
        for group, kinds in groups.items()
        for kind, names in kinds.items()
        for name in names
    }


FIELDS = _declared()
_OBJECTS = {name.rstrip("*"): kind for name, kind in FIELDS.items() if kind in {"flattened", "object"}}


def _is_date(value: Any) -> bool:
    # Python 3.10 reads no "Z".
    return value.endswith("Z") and dt.datetime.fromisoformat(f"{value[:-1]}+00:00").tzinfo is not None


def _is_ip(value: Any) -> bool:
    return bool(ipaddress.ip_address(value))


_IS: dict[str, Callable[[Any], bool]] = {
    "keyword": lambda value: type(value) is str and value != "",
    "text": lambda value: type(value) is str and value != "",
    "ip": _is_ip,
    "date": _is_date,
    "long": lambda value: type(value) is int and -(2**63) <= value < 2**63,
    "integer": lambda value: type(value) is int and -(2**31) <= value < 2**31,
    "boolean": lambda value: type(value) is bool,
    "flattened": lambda value: isinstance(value, dict) and _is_filled(value),
    "object": lambda value: isinstance(value, dict) and _is_filled(value),
}


def problems(document: dict[str, Any]) -> list[str]:
    """Fields that are not declared, and values that are not of their field's type."""
    return [f"{name}: {value!r}" for name, value in fields(document) if not _fits(name, value)]


def fields(value: Any, name: str = "") -> Found:
    """The fields of a document as Elasticsearch sees them: a list is several values of one."""
    if isinstance(value, list):
        for each in value:
            yield from fields(each, name)
    elif isinstance(value, dict) and value and name not in _OBJECTS:
        for key, inner in value.items():
            yield from fields(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value


def _fits(name: str, value: Any) -> bool:
    kind = FIELDS.get(name) or _OBJECTS.get(name)
    try:
        return kind is not None and _IS[kind](value)
    except ValueError:
        return False


def _is_filled(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(_is_filled(each) for each in value.values())
    if isinstance(value, list):
        return bool(value) and all(_is_filled(each) for each in value)
    return value is not None and value != ""
