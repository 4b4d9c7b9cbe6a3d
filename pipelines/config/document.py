"""docs/configuration.md, made of the model: ``python -m pipelines.config.document > docs/configuration.md``.

Place in the flow: beside the schema and the sample; a test compares the committed file. Contract: pure text, the same each
time; each mapping that a file can have has a table of all its keys, under the path by which a reader gets to it first.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from pipelines.config.schema import config_schema

Node = dict[str, Any]

_HEAD = """\
# Configuration

<!-- Made of the model: python -m pipelines.config.document > docs/configuration.md -->

Every key of a configuration file of `version: 2`. [config.sample.yml](config.sample.yml) is the same as a file to begin with,
[config.schema.json](config.schema.json) is for your editor, and `duologsync validate FILE` tells every problem at once. A
secret is best kept elsewhere: `env:NAME` is an environment variable, `file:PATH` a file, and
`gcp:projects/PROJECT/secrets/NAME/versions/NUMBER` is in Google's Secret Manager. Keys in **bold** must be there.

## The file
"""
_TABLE = "\n| key | value | default | what it is |\n|---|---|---|---|"
_REF = "#/$defs/"
_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}


def document() -> str:
    """The whole page."""
    schema = config_schema()
    sections = schema["$defs"]
    titles = _titles(schema["properties"], sections)
    lines = [_HEAD.rstrip("\n"), *_table(schema, sections, titles)]
    for name, title in titles.items():
        lines += [f"\n## {title}\n", sections[name]["description"], *_table(sections[name], sections, titles)]
    return "\n".join(lines) + "\n"


def _titles(top: Node, defs: Node) -> dict[str, str]:
    """The heading of each section, in the order in which they are met."""
    found: dict[str, str] = {}
    waiting: list[tuple[str, str, Node]] = [(key, "", node) for key, node in top.items()]
    while waiting:
        path, of, node = waiting.pop(0)
        for name in _refs(node):
            if name not in found:
                keys = defs[name]["properties"]
                which = _which(keys)
                title = f"`{path}`{which}"
                # Two kinds may each have a key of that name, with another meaning.
                found[name] = f"{title}{of}" if title in found.values() else title
                waiting += [(f"{path}.{key}", which or of, inner) for key, inner in keys.items()]
    return found


def _which(keys: Node) -> str:
    """What tells a section from its siblings: `` of kind tls``."""
    return "".join(f" of {key} {keys[key]['const']}" for key in ("kind", "name") if "const" in keys.get(key, {}))


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].removeprefix(_REF)
        for inner in node.values():
            yield from _refs(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _refs(inner)


def _table(section: Node, sections: Node, titles: dict[str, str]) -> Iterator[str]:
    yield _TABLE
    required = section.get("required", [])
    for key, node in section["properties"].items():
        name = f"**`{key}`**" if key in required else f"`{key}`"
        default = f"`{_written(node['default'])}`" if "default" in node else ""
        says = node.get("description") or sections[next(_refs(node))]["description"]
        yield f"| {name} | {_cell(_value(node, titles))} | {_cell(default)} | {_cell(says)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _written(value: object) -> str:
    """A value as YAML has it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False).strip('"')


def _value(node: Node, titles: dict[str, str]) -> str:
    """What may stand behind a key."""
    if "$ref" in node:
        title = titles[node["$ref"].removeprefix(_REF)]
        return f"[{title}](#{_anchor(title)})"
    for several in ("anyOf", "oneOf"):
        if several in node:
            return ", or ".join(_value(one, titles) for one in node[several] if one.get("type") != "null")
    if "const" in node:
        return f"`{_written(node['const'])}`"
    if "enum" in node:
        return ", ".join(f"`{_written(one)}`" for one in node["enum"])
    if node.get("type") == "array":
        return f"a list of {_value(node.get('items', {}), titles) or 'values'}"
    return " ".join([_TYPES.get(node.get("type", ""), "a mapping"), *_bounds(node)])


_TYPES = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "`true` or `false`"}


def _bounds(node: Node) -> Iterator[str]:
    bounds = [said.format(node[bound]) for bound, said in _BOUNDS.items() if bound in node]
    if bounds:
        yield f"({', '.join(bounds)})"


def _anchor(title: str) -> str:
    """As GitHub and the site name a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


if __name__ == "__main__":
    sys.stdout.write(document())
