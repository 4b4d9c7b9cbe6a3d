"""The JSON Schema of our own configuration file, generated from the model; editors and CI systems can check a file with it.

Place in the flow: ``duologsync schema`` prints it; ``docs/config.schema.json`` is its committed copy, which a test keeps
current.
"""

from __future__ import annotations

from typing import Any

from pipelines.config.own_model import OwnFile

_NOTHING = {"type": "null"}


def config_schema() -> dict[str, Any]:
    """The schema as a dict."""
    made = _plain(OwnFile.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Duo Log Sync on Apache Beam", **made}


def _plain(node: Any) -> Any:
    """The schema without what pydantic adds and nobody needs: titles that repeat keys, and null beside optional types."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _plain(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    if _NOTHING in kept.get("anyOf", ()):
        kinds = [kind for kind in kept.pop("anyOf") if kind != _NOTHING]
        kept = {**(kinds[0] if len(kinds) == 1 else {"anyOf": kinds}), **kept}
    if "default" in kept and kept["default"] is None:
        del kept["default"]
    return kept
