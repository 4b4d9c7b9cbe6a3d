"""Which module may know which: no circles, one direction, and nothing of Beam where nothing of it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipelines", "transforms")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imports_of(path: Path) -> set[str]:
    """The modules of ours that a module imports, wherever in it: at its top, in a function, or for its types only."""
    return {name for node in ast.walk(ast.parse(path.read_text())) for name in _imported(node)} & set(MODULES)


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (name if (name := f"{node.module}.{alias.name}") in MODULES else node.module for alias in node.names)


IMPORTS = {name: imports_of(path) for name, path in MODULES.items()}


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """One circle for each module that can be reached from itself."""
    found = {}
    for start in imports:
        came_from: dict[str, str] = {}
        row = [start]
        while row:
            module = row.pop(0)
            for other in imports[module]:
                if other not in came_from:
                    came_from[other] = module
                    row.append(other)
        if start in came_from:
            circle = [start]
            while len(circle) == 1 or circle[-1] != start:
                circle.append(came_from[circle[-1]])
            found[frozenset(circle)] = circle[::-1]
    return list(found.values())


def test_no_module_imports_one_that_imports_it_in_turn():
    assert circles(IMPORTS) == []


def test_a_circle_would_be_found_however_long_it_is():
    (circle,) = circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert circle == ["c", "a", "b", "c"]


def test_what_data_passes_through_knows_nothing_of_what_runs_it():
    assert [
        name for name, used in IMPORTS.items() if name.startswith("transforms") and any(u.startswith("pipelines") for u in used)
    ] == []


# What a log's rows say, in ``transforms.duo.log_types``, is for all who write or send them.
READING_DUO = tuple(f"transforms.duo.{room}" for room in ("client", "fetch", "position", "rate_limit", "source", "read"))


@pytest.mark.parametrize(
    ("package", "others"),
    [
        ("transforms.formats", ("transforms.destinations", *READING_DUO)),
        ("transforms.destinations", ("transforms.formats.cef", "transforms.formats.json_lines", *READING_DUO)),
        ("transforms.process", ("transforms.duo", "transforms.formats", "transforms.destinations", "transforms.state")),
    ],
)
def test_rooms_that_do_not_know_each_other(package, others):
    found = [(name, used) for name, all_used in IMPORTS.items() if name.startswith(package) for used in all_used]
    assert [pair for pair in found if pair[1].startswith(others)] == []


@pytest.mark.parametrize("words", ["--help", "--version", "schema", "validate CONFIG", "status CONFIG"])
def test_a_command_that_needs_no_beam_does_not_load_it(words, tmp_path):
    sample = (ROOT / "docs" / "config.sample.yml").read_text()
    config = tmp_path / "config.yml"
    config.write_text(sample.replace("/var/lib/duologsync", str(tmp_path)))
    program = (
        "import sys\nfrom pipelines.cli import main\n"
        "try:\n    code = main(sys.argv[1:])\nexcept SystemExit as end:\n    code = end.code\n"
        "print(code, sorted({'apache_beam', 'duo_client', 'numpy', 'grpc'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, *words.replace("CONFIG", str(config)).split()]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)

    code = 9 if words.startswith("status") else 0  # nothing runs
    assert done.stdout.splitlines()[-1:] == [f"{code} []"], done.stderr
