"""What docs/architecture.md says is so."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipelines
import transforms
from tests.packaging.test_imports import MODULES, circles
from transforms.process import lifetime

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text()


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_module_that_it_names_is_there():
    named = set(re.findall(r"\b((?:transforms|pipelines)(?:\.[a-z_]*[a-z])+)", TEXT))
    assert len(named) > 20
    assert sorted(named - set(MODULES)) == []


def test_every_folder_of_code_is_told_by_itself_or_with_its_parent():
    told = {cells[0].strip("`/"): cells[1] for cells in rows_of("Folders")}
    folders = {path.parent.relative_to(ROOT) for path in MODULES.values() if path.name == "__init__.py"}
    missing = [
        str(folder)
        for folder in folders
        if str(folder) not in told and f"{folder.name}/" not in told.get(str(folder.parent), "")
    ]
    assert missing == []
    assert [folder for folder in told if not (ROOT / folder).is_dir()] == []


_STARTERS = {"Thread", "FeedThread", "started", "each_in_threads"}


def names_of_threads(path: Path) -> Iterator[str]:
    """What the names of the threads that a module starts begin with, where it says so itself."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _STARTERS:
            for value in (*node.args, *(keyword.value for keyword in node.keywords)):
                first = value.values[0] if isinstance(value, ast.JoinedStr) else value
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value.strip()


def test_every_thread_that_is_started_is_in_the_table():
    told = " ".join(cells[0] for cells in rows_of("Threads"))
    started = {name for module, path in MODULES.items() if ".demo" not in module for name in names_of_threads(path)}
    assert len(started) > 5
    assert [name for name in sorted(started) if f"`{name}" not in told] == []


def test_every_object_of_a_process_is_listed_with_when_it_is_closed():
    for package in (transforms, pipelines):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    words = ("told first", "threads", "connections", "files")
    closed_as = {name: "only forgotten" if stage is None else words[stage] for name, stage in lifetime.names().items()}
    listed = {name: when for when, names in rows_of("The objects of a process") for name in names.split(", ")}
    assert listed == closed_as


def test_locks_are_taken_in_one_direction():
    """That the program keeps to it is watched by the histories of tests/proof."""
    assert circles(orders_of_locks_by_holder()) == []


def orders_of_locks() -> set[tuple[str, str]]:
    """Which lock may be taken by who holds which, as the table has it."""
    return {(cells[0].strip("`"), inner) for cells in rows_of("Locks") for inner in re.findall(r"`([^`]+)`", cells[1])}


def orders_of_locks_by_holder() -> dict[str, set[str]]:
    orders = orders_of_locks()
    return {lock: {inner for outer, inner in orders if outer == lock} for pair in orders for lock in pair}


@pytest.mark.parametrize("heading", ["Threads", "Locks", "What is remembered, where, and for how long", "Folders"])
def test_its_tables_are_whole(heading):
    rows = rows_of(heading)
    assert len(rows) > 5
    assert len({len(cells) for cells in rows}) == 1
