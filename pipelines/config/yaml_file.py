"""Reads a YAML file strictly, and remembers where each key is.

Place in the flow: file → ``read`` → plain dicts, lists and scalars → ``loading``.

Contract: ``read`` gives the top-level mapping, or None after it has added a problem that says why there is none. What PyYAML
says is never passed on, because it quotes the file, and the line it quotes may hold a secret. A key without a value is left
out, as if it were not there. Whatever a plain YAML 1.1 reader would silently turn into something else (``12:30``, ``0514``,
``2024-01-01``) is a problem instead; ``yes``, ``no``, ``on`` and ``off`` stay booleans, and are refused where a text is wanted.
"""

from __future__ import annotations

import re
import stat
import sys
from pathlib import Path
from typing import Any

import yaml

from pipelines.config.problems import Findings, KeyPath, Place

STDIN = "-"
"""What is named where the configuration comes from standard input."""

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 20_000
_TAG = "tag:yaml.org,2002:"
_PLAIN_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_PLAIN_FLOAT = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{0,30}")
_TRUE = {"true", "yes", "on"}
_NO_ALIASES = "Write the values out, without aliases."
_QUOTE = "Put it in quotes if a text is meant."

# A part of PyYAML's own text, what is said instead, and the fix. The first that fits is used.
_SYNTAX = (
    ("'\\t'", "a tab is used for indentation", "Use spaces, and the same number of them for all keys of a block."),
    (
        "mapping values are not allowed",
        "a colon stands where a value has begun already",
        "Check the indentation, and put a text that holds a colon and a blank into quotes.",
    ),
    ("could not find expected ':'", "this is not a key with a value", "Write `key: value`, with a colon and a blank."),
    ("undefined alias", "a value begins with *, which is YAML for an alias", "Put it in quotes."),
    ("quoted scalar", "a quote is opened and not closed", "Close it on the same line."),
    ("cannot start any token", "a value begins with a character that means something in YAML", "Put it in quotes."),
    ("another document", "a second document begins here", "Keep one document and remove the line `---`."),
    ("flow sequence", "a list is opened with [ and not closed", "Close it with ]."),
    ("flow mapping", "a mapping is opened with { and not closed", "Close it with }."),
    ("duplicate anchor", "the same anchor is given twice", "Write the values out, without & and *."),
    ("block", "the indentation does not fit the lines above", "Give all keys of a block the same number of spaces."),
)


class _TooMuchError(Exception):
    """The document is deeper or larger than any configuration is; the text says which."""


def _check_bounds(depth: int, nodes: int) -> None:
    if depth > MAX_DEPTH:
        raise _TooMuchError(f"the file is nested deeper than {MAX_DEPTH} levels")
    if nodes > MAX_NODES:
        raise _TooMuchError(f"the file holds more than {MAX_NODES} values")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, of which only the parser is used, with a bound on depth and size."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        self.nodes += 1
        _check_bounds(self.depth, self.nodes)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def read(path: Path, findings: Findings) -> dict[str, Any] | None:
    """The mapping in a YAML file. Fills ``findings.places``; None where the file holds none."""
    text = _text(path, findings)
    node = None if text is None else _root(text, findings)
    if node is None:
        return None
    if not isinstance(node, yaml.MappingNode):
        findings.problem((), "the file is not a mapping of keys to values", "Begin it with `version: 2`.", place=_place(node))
        return None
    try:
        value = _Builder(findings).mapping(node, (), 0)
    except _TooMuchError as too_much:
        findings.problem((), str(too_much), _NO_ALIASES)
        return None
    return value


def _text(path: Path, findings: Findings) -> str | None:
    data = _bytes(path, findings)
    if data is None:
        return None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        findings.problem((), "the file is UTF-16 text", "Save it as UTF-8.")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        findings.problem((), "the file is not UTF-8 text", "Save it as UTF-8.", place=Place(line, 1))
        return None
    if "\0" in text:
        findings.problem((), "the file is binary", "Name a YAML file.")
        return None
    return text


def _bytes(path: Path, findings: Findings) -> bytes | None:
    if str(path) == STDIN:
        return _not_too_large(sys.stdin.buffer.read(MAX_BYTES + 1), findings)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            findings.problem((), "this is a directory", "Name the configuration file in it.")
            return None
        if not stat.S_ISREG(mode):
            findings.problem(
                (), "this is not a regular file", "Name a file on disk: it is read again where secrets are needed."
            )
            return None
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        findings.problem((), "the file does not exist", "Check the path.")
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the name is not a valid file name"
        findings.problem((), f"the file cannot be read: {reason}", "Check the path and its permissions.")
        return None
    return _not_too_large(data, findings)


def _not_too_large(data: bytes, findings: Findings) -> bytes | None:
    if len(data) > MAX_BYTES:
        findings.problem((), f"the file is larger than {MAX_BYTES // 1024} KiB", "Is this the configuration file?")
        return None
    return data


def _root(text: str, findings: Findings) -> yaml.Node | None:
    try:
        node = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        _say_syntax(error, text, findings)
        return None
    except yaml.reader.ReaderError as error:
        place = Place(text.count("\n", 0, error.position) + 1, 1)
        findings.problem((), "a control character is in the file", "Remove it.", place=place)
        return None
    except _TooMuchError as too_much:
        findings.problem((), str(too_much), _NO_ALIASES)
        return None
    except (yaml.YAMLError, ValueError, OverflowError):  # an escape such as \U00110000 is a ValueError in PyYAML
        findings.problem((), "the file is not valid YAML", "Look for an escape (\\x, \\u, \\U) that is no character.")
        return None
    if node is None or node.tag == f"{_TAG}null":
        findings.problem(
            (), "the file is empty", "'duologsync init' asks for it, 'duologsync schema --sample' shows every key."
        )
        return None
    return node


def _say_syntax(error: yaml.MarkedYAMLError, text: str, findings: Findings) -> None:
    if (words := _indentation(error, text.splitlines())) is not None and error.problem_mark is not None:
        findings.problem((), *words, place=Place(error.problem_mark.line + 1, error.problem_mark.column + 1))
        return
    said = f"{error.context} {error.problem}"
    where_it_began = any(part in said for part in ("quoted scalar", "flow", "simple key"))
    mark = (error.context_mark if where_it_began else None) or error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else None
    for part, what, fix in _SYNTAX:
        if part in said:
            findings.problem((), what, fix, place=place)
            return
    findings.problem((), "this is not valid YAML", "Check the line and the one above it.", place=place)


def _indentation(error: yaml.MarkedYAMLError, lines: list[str]) -> tuple[str, str] | None:
    """What is said where a line is indented otherwise than its neighbours; None where that is not what is wrong."""
    said, mark, begin = f"{error.context} {error.problem}", error.problem_mark, error.context_mark
    if mark is None or mark.line >= len(lines) or "\t" in lines[mark.line]:
        return None
    here = _indent(lines[mark.line])
    if "block collection" in said and begin is not None and begin.line < mark.line:
        fix = f"Begin it with a dash to make it one, or give it the {begin.column + 2} spaces of the keys of the item above."
        return f"this line is no item of the list that begins in line {begin.line + 1}", fix
    if "block mapping" in said and begin is not None and begin.line < mark.line:
        what = f"this line is indented by {_spaces(here)}, and the block that begins in line {begin.line + 1} by {begin.column}"
        return what, f"Give it {_spaces(begin.column)}, or those of the block that it belongs to."
    above = next((line for line in reversed(lines[: mark.line]) if line.strip() and not line.lstrip().startswith("#")), "")
    if "mapping values are not allowed" in said and _indent(above.replace("- ", "  ", 1)) < here and ": " in above:
        what = f"this line is indented by {_spaces(here)}, and the one above, which has its value already, by less"
        return what, "Give keys of one block the same number of spaces."
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _spaces(count: int) -> str:
    return f"{count} space" if count == 1 else f"{count} spaces"


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


class _Builder:
    """Fairness nodes into plain values. Aliases count each time they are used, so a small file cannot grow without bound."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.built = 0

    def value(self, node: yaml.Node, path: KeyPath, depth: int) -> Any:
        self.built += 1
        _check_bounds(depth, self.built)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return self.sequence(node, path, depth)
        return self.scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, Any]:
        self.check_tag(node, "map", path)
        result: dict[str, Any] = {}
        seen: dict[str, Place] = {}
        for key_node, value_node in node.value:
            place = _place(key_node)
            key = self.key(key_node, path)
            if key is None:
                continue
            here = (*path, key)
            if key in seen:
                what = f"the key is given twice, first in line {seen[key].line}"
                self.findings.problem(here, what, "Keep one of them.", place=place)
                continue
            seen[key] = self.findings.places[here] = place
            value = self.value(value_node, here, depth + 1)
            if value is not None:
                result[key] = value
        return result

    def key(self, node: yaml.Node, path: KeyPath) -> str | None:
        if node.tag == f"{_TAG}str" and isinstance(node, yaml.ScalarNode):
            return str(node.value)
        if node.tag == f"{_TAG}merge":
            self.findings.problem(path, "merge keys (<<) are not supported", "Write the keys out.", place=_place(node))
        else:
            self.findings.problem(path, "a key is not a text", "Put it in quotes, or check the line.", place=_place(node))
        return None

    def sequence(self, node: yaml.SequenceNode, path: KeyPath, depth: int) -> list[Any]:
        self.check_tag(node, "seq", path)
        result = []
        for index, item in enumerate(node.value):
            here = (*path, index)
            self.findings.places[here] = _place(item)
            result.append(self.value(item, here, depth + 1))
        return result

    def check_tag(self, node: yaml.Node, tag: str, path: KeyPath) -> None:
        if node.tag != f"{_TAG}{tag}":
            self.findings.problem(
                path, "a value begins with a YAML tag (!)", "Remove the tag, or use quotes.", place=_place(node)
            )

    def scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in {*_TRUE, "false", "no", "off"}:
            return text.lower() in _TRUE
        if kind == "int" and _PLAIN_INT.fullmatch(text):
            return int(text)
        if kind == "float" and _PLAIN_FLOAT.fullmatch(text):
            return float(text)
        self.say_surprise(node, kind, path)
        return text

    def say_surprise(self, node: yaml.Node, kind: str, path: KeyPath) -> None:
        text = str(node.value)
        if kind in {"int", "float"} and ":" in text:
            what, fix = "YAML reads this as a number to the base of 60", _QUOTE
        elif kind == "int" and text.lstrip("+-").startswith("0"):
            what, fix = "YAML reads a number that begins with 0 as octal, hexadecimal or binary", f"Write it decimal. {_QUOTE}"
        elif kind in {"int", "float"}:
            what, fix = "this is a number that YAML writes in an unusual way", f"Write plain digits. {_QUOTE}"
        elif kind == "timestamp":
            what, fix = "YAML reads this as a date", _QUOTE
        else:
            what, fix = "a value begins with a character that means something in YAML (!, =)", "Put it in quotes."
        self.findings.problem(path, what, fix)
