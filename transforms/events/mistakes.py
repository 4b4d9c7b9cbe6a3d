"""What is wrong with a filter, in the words that a configuration's other problems have.

Place in the flow: ``transforms.events.filters`` finds mistakes; what CEL's library says of them is translated here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from transforms.duo.log_types.row_fields import FieldType

VARIABLES = ("event", "log", "account")
_FUNCTIONS = (
    "contains", "startsWith", "endsWith", "matches", "size", "has", "exists", "exists_one", "all", "map", "filter",
    "timestamp", "duration", "int", "double", "string", "type", "getFullYear", "getMonth", "getDayOfWeek", "getHours",
    "getMinutes",
)  # fmt: skip
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_NO_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")
_OPERATOR = re.compile(r"^[_@!-]*(==|!=|<=|>=|<|>|&&|\|\||\+|-|\*|/|%|in|\?:|!)?_?.*$")
_TYPES = {
    "string": "a text",
    "int": "a whole number",
    "uint": "a whole number",
    "double": "a number",
    "bool": "true or false",
    "null_type": "null",
    "map": "an object",
    "list": "a list",
    "timestamp": "a time",
    "google.protobuf.Timestamp": "a time",
    "google.protobuf.Duration": "a duration",
    "bytes": "bytes",
}


class Mistake(NamedTuple):
    """Something wrong at a place of an expression; line and column begin at 1 and count characters."""

    line: int
    column: int
    what: str
    fix: str

    @classmethod
    def at(cls, expression: str, offset: int, what: str, fix: str) -> Mistake:
        """A mistake so many characters from the beginning."""
        before = expression[:offset]
        return cls(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1, what, fix)

    def __str__(self) -> str:
        return f"{self.place}: {self.what}. {self.fix.rstrip('.')}"

    @property
    def place(self) -> str:
        """``character 7``, or ``line 2, character 7``."""
        return f"character {self.column}" if self.line == 1 else f"line {self.line}, character {self.column}"


def explained(expression: str, line: int, column: int, text: str) -> Mistake:
    """What CEL's library says is wrong at a place."""
    if undeclared := _UNDECLARED.search(text):
        return Mistake(line, _begin(expression, line, column, undeclared[1]), *_undeclared(undeclared[1]))
    if overload := _NO_OVERLOAD.search(text):
        return Mistake(line, column, *_no_overload(overload[1], overload[2]))
    if text.startswith("Syntax error"):
        what = f"this is not CEL ({_shortened(text.removeprefix('Syntax error: '))})"
        return Mistake(line, column, what, "Check quotes, brackets and operators.")
    return Mistake(line, column, _shortened(text), "Write it in another way.")


def _begin(expression: str, line: int, column: int, name: str) -> int:
    """Where a name begins: the library says where its last dot is, or the bracket behind a function's."""
    if "." in name:
        return max(1, column - len(name.rpartition(".")[0]))
    here = expression.split("\n")[line - 1][column - 1 : column]
    return max(1, column - len(name)) if here == "(" else column


def _undeclared(name: str) -> tuple[str, str]:
    first = name.partition(".")[0]
    close = difflib.get_close_matches(first, (*VARIABLES, *_FUNCTIONS), n=1)
    fix = f"Did you mean {close[0]}?" if close else f"There are {', '.join(VARIABLES)}, and texts in quotes."
    return f"there is no {first}", fix


def _no_overload(operator: str, types: str) -> tuple[str, str]:
    kinds = [in_words(kind) for kind in _split(types)]
    found = _OPERATOR.match(operator)
    sign = found[1] if found else None
    if operator == "_?_:_":
        return f"what follows ? and : are not of one type ({' and '.join(kinds[1:])})", "Give both the same type."
    if sign and len(kinds) == 2:
        fix = "Use has(…) to ask whether a field is there." if "null" in kinds else "Compare what is of one type."
        return f"{sign} does not go with {kinds[0]} and {kinds[1]}", fix
    return (
        f"{sign or operator.strip('_@')} does not go with {' and '.join(kinds)}",
        "Look at the types: docs/routes.md says which field has which.",
    )


def _split(types: str) -> list[str]:
    """``string, map(string, dyn)`` as two."""
    parts, depth, part = [], 0, ""
    for character in types:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            parts.append(part.strip())
            part = ""
        else:
            part += character
    return [*parts, part.strip()]


def in_words(kind: str) -> str:
    """A type of CEL's."""
    return _TYPES.get(kind.partition("(")[0], kind)


def unknown_field(path: tuple[str, ...], logs: tuple[str, ...], tables: list[Mapping[str, FieldType]]) -> tuple[str, str]:
    """What is said of a field that none of the logs documents."""
    dotted = ".".join(path)
    quoted = "event" + "".join(f"['{name}']" for name in path)
    newer = f"A field that is newer than this release is written {quoted}."
    guess = nearest_field(dotted, tables)
    where = " and ".join(logs)
    return f"{where} has no field {dotted}", f"Did you mean event.{guess}? {newer}" if guess else newer


def nearest_field(dotted: str, tables: Iterable[Mapping[str, FieldType]]) -> str | None:
    """The documented field, or object, that was probably meant."""
    known = {path for table in tables for path in table}
    known |= {path[: at.start()] for path in known for at in re.finditer(r"\.", path)}
    close = difflib.get_close_matches(dotted, sorted(known), n=1, cutoff=0.6)
    if close:
        return close[0]
    last = dotted.rpartition(".")[2]
    ending = sorted((path for path in known if path.rpartition(".")[2] == last), key=len)
    return ending[0] if ending else None


def _shortened(text: str) -> str:
    return text.partition(" expecting ")[0].strip()[:120]
