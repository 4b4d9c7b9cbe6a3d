"""Types can be decoded once their module is imported: msgspec crashes the process where two threads are the first to do it.

A crash cannot be caught, so this looks for the cause: whoever decodes into a type has made its decoder at the module's top,
or, where the type is not known there, does it under a lock of that name.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for package in ("pipelines", "transforms") for path in (ROOT / package).rglob("*.py"))


def typed_decodes(tree):
    """Calls like ``msgspec.json.decode(…, type=…)`` and ``msgspec.convert(…)``, but for those under the lock."""
    locked = {inner for node in ast.walk(tree) if is_locked(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if node in locked:
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            text = ast.unparse(node.func)
            names_type = [keyword.value for keyword in node.keywords if keyword.arg == "type"]
            builtin = all(isinstance(value, ast.Name) and value.id in ("dict", "list", "str", "int") for value in names_type)
            if text == "msgspec.convert" or (text in ("msgspec.json.decode", "msgspec.msgpack.decode") and not builtin):
                yield node


def is_locked(node):
    return isinstance(node, ast.With) and [ast.unparse(item.context_expr) for item in node.items] == ["_ONE_AT_A_TIME.lock"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_type_is_decoded_for_the_first_time_while_threads_run(path):
    calls = [f"{path.name}:{call.lineno}" for call in typed_decodes(ast.parse(path.read_text(encoding="utf-8")))]
    assert not calls, f"make a msgspec Decoder at the module's top instead: {calls}"


def test_the_search_finds_what_crashes():
    assert len(list(typed_decodes(ast.parse("msgspec.json.decode(data, type=Record)\nmsgspec.json.decode(data)")))) == 1
    assert len(list(typed_decodes(ast.parse("with open(place):\n  msgspec.convert(data, Record)")))) == 1
    assert not list(typed_decodes(ast.parse("with _ONE_AT_A_TIME.lock:\n  msgspec.convert(data, Record)")))
