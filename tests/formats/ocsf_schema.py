"""OCSF's own schemas as an oracle: what is wrong with an event by the class that it says it is of."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

VERSION = "1.8.0"


@cache
def _schemas() -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version=VERSION))


@cache
def _validator(class_uid: int) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(_schemas().get_class_schema(_schemas().lookup_class_name_from_uid(class_uid)))


def problems(event: dict[str, Any]) -> list[str]:
    """What the schema refuses. It is closed, so an attribute that it does not know is one of them."""
    assert event["metadata"]["version"] == VERSION
    return [f"{error.json_path}: {error.message}" for error in _validator(event["class_uid"]).iter_errors(event)]


def caption(class_uid: int, attribute: str, value: int) -> str | None:
    """What the schema calls a value of an attribute."""
    schema = _schemas().schema.schema["classes"][_schemas().lookup_class_name_from_uid(class_uid)]
    entry = schema["attributes"][attribute]["enum"].get(str(value))
    return None if entry is None else entry["caption"]
