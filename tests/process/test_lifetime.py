"""What lives as long as the process is in one list, and one call makes it as in a process that has just begun."""

from __future__ import annotations

import ast
import enum
import functools
import importlib
import inspect
import logging
import pkgutil
import re
import struct
import threading
import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import pipelines
import transforms
from transforms.process import lifetime
from transforms.process.lifetime import OnePerKey, Stage, per_process, reset
from transforms.process.shutdown import STOP

ROOT = Path(__file__).parents[2]
SKIPPED = "__main__"  # it would run


def modules() -> list[types.ModuleType]:
    found = [
        importlib.import_module(module.name)
        for package in (transforms, pipelines)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not module.name.endswith(SKIPPED)
    ]
    return [transforms, pipelines, *found]


def trees() -> Iterator[ast.Module]:
    for package in ("transforms", "pipelines"):
        for file in (ROOT / package).rglob("*.py"):
            yield ast.parse(file.read_text())


# --- what may stand in a module without being registered ---------------------------------------------------------------

_PLAIN = (int, float, complex, str, bytes, type(None), range, re.Pattern, struct.Struct, enum.Enum, Path, logging.Logger)
_CODE = (types.ModuleType, types.MethodWrapperType, type, types.GenericAlias, types.UnionType)
_OF_OTHERS = {
    "Timestamp",
    "Raw",
    "Decoder",
    "Encoder",
    "BeforeValidator",
    "PydanticUndefinedType",
    "SkipJsonSchema",
}  # they do not change
_MUTATORS = {
    *("add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft"),
    *("remove", "reverse", "setdefault", "sort", "update"),
}  # fmt: skip


def is_immutable(value: Any) -> bool:
    """What cannot change, or is no data: code, types, texts, numbers, and values that are made of them."""
    if isinstance(value, (*_PLAIN, *_CODE)) or type(value).__module__ in (
        "typing",
        "typing_extensions",
        "__future__",
        "datetime",
    ):
        return True
    if type(value).__name__ in _OF_OTHERS:
        return True
    if callable(value) and (inspect.isroutine(value) or isinstance(value, functools._lru_cache_wrapper)):
        return True
    if isinstance(value, (tuple, frozenset)):
        return all(map(is_immutable, value))
    if isinstance(value, types.MappingProxyType):
        return True
    if is_dataclass(value) and value.__dataclass_params__.frozen:
        return all(is_immutable(getattr(value, field.name)) for field in fields(value))
    if type(value).__module__.partition(".")[0] in ("transforms", "pipelines"):  # a rule with a name, or a msgspec struct
        return all(is_immutable(getattr(value, name, None)) for name in _attributes(value))
    return False


def _attributes(value: Any) -> set[str]:
    slots = [name for kind in type(value).__mro__ for name in vars(kind).get("__slots__", ())]
    return {*slots, *getattr(value, "__dict__", {})}


def changed_names() -> set[str]:
    """Every name of which some function of the program changes what it holds. ``register`` is for whoever imports us."""
    functions = (node for tree in trees() for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda)))
    return {
        name
        for function in functions
        if getattr(function, "name", "") != "register"
        for node in ast.walk(function)
        for name in _changed_by(node)
    }


def _changed_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)):
        yield from _name_of(node.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
        yield from _name_of(node.func.value)
    elif isinstance(node, ast.AugAssign):
        yield from _name_of(node.target)


def _name_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr


def is_table(name: str, value: Any, changed: set[str]) -> bool:
    """A constant: in capitals, filled where it stands, and changed nowhere."""
    return isinstance(value, (dict, list, set)) and bool(value) and name.isupper() and name not in changed


def test_what_a_module_holds_and_can_change_is_registered():
    changed = changed_names()
    found = [
        f"{module.__name__}.{name}"
        for module in modules()
        for name, value in vars(module).items()
        if not name.startswith("__")
        and not is_immutable(value)
        and not is_table(name, value, changed)
        and not lifetime.is_registered(value)
    ]
    assert found == []


def test_what_a_class_holds_and_can_change_does_not_exist():
    classes = {
        kind
        for module in modules()
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__
    }
    found = [
        f"{kind.__module__}.{kind.__qualname__}.{name}"
        for kind in classes
        for name, value in vars(kind).items()
        if not name.startswith("__")
        and isinstance(value, (dict, list, set, threading.Thread, type(threading.Lock()), threading.Event))
        and name not in ("model_config", "_field_defaults")  # what pydantic and NamedTuple keep there
        and not issubclass(kind, enum.Enum)
    ]
    assert found == []


def test_no_function_puts_another_object_in_the_place_of_a_modules_own():
    assert [node.names for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Global)] == []


# --- reset -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is registered but what the test registers."""
    monkeypatch.setattr(lifetime, "_REGISTERED", {})


class Counter:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0


@pytest.mark.usefixtures("registered")
def test_whoever_holds_an_object_holds_the_same_one_afterwards_with_nothing_left_in_it():
    counter = per_process("counter", Counter)
    holders, names = {"a": counter}, per_process("names", dict)
    counter.count, counter.other, names["x"] = 3, 4, 5
    counter.lock.acquire()
    reset()

    assert holders["a"] is counter
    assert (counter.count, hasattr(counter, "other"), names) == (0, False, {})
    assert not counter.lock.locked()


@pytest.mark.usefixtures("registered")
def test_the_end_has_an_order_and_everything_is_still_known_during_it():
    closed = []
    made = per_process("of all", Counter)
    made.count = 1
    for stage in reversed(Stage):
        per_process(stage.name, Counter, close=lambda _, stage=stage: closed.append((stage, made.count)), stage=stage)
    reset()

    assert closed == [(stage, 1) for stage in (Stage.WORD, Stage.THREADS, Stage.CONNECTIONS, Stage.FILES)]
    assert lifetime.names() == {"of all": None, **{stage.name: stage for stage in Stage}}


@pytest.mark.usefixtures("registered")
def test_of_a_process_whose_threads_are_dead_nothing_is_closed():
    made = per_process("file", Counter, close=lambda _: pytest.fail("closed"), stage=Stage.FILES)
    made.count = 1
    reset(close=False)

    assert made.count == 0


def test_what_waits_for_the_word_to_stop_is_ended_before_the_word_is_forgotten():
    asked = []
    thread = threading.Thread(target=lambda: asked.append(STOP.wait(20)), daemon=True)
    thread.start()
    while not STOP._changed._waiters:
        pass
    reset()
    thread.join(5)

    assert asked == [True]
    assert not STOP.requested


def test_an_object_of_a_key_is_made_once_until_it_is_taken_out():
    objects: OnePerKey[str, Counter] = OnePerKey()
    first = objects.of("a", Counter)

    assert objects.of("a", Counter) is first
    assert objects.of("b", Counter) is not first
    assert objects.take_out("a") is first
    assert objects.take_out("a") is None
    assert objects.of("a", Counter) is not first
    assert len(objects.all()) == len(objects.take_all_out()) == 2
    assert objects.all() == []


def test_everything_that_a_run_has_once_per_process_is_in_the_list():
    modules()
    assert set(lifetime.names()) >= {"stop", "feeds", "connections to Duo", "senders", "receipts", "checkpoint stores"}
