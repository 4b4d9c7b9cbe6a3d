"""Filters: which events a route takes, said in CEL, the Common Expression Language (https://cel.dev).

Place in the flow: ``pipelines.config`` calls ``mistakes`` when it reads a configuration; ``transforms.events.selection`` makes
a ``Filter`` on the worker and asks it for every row.

The language is that of Google's own library (``cel-expr-python``, the extra ``[filters]``): it parses, checks types and
evaluates, and ends an expression that would take too long. An expression has three variables: ``event``, the row as Duo sent
it; ``log`` and ``account``, the names of where it comes from.

Contract:
  * ``mistakes`` finds everything that can be known without an event: syntax, names, functions, types, fields that Duo does not
    document. A field that is too new for this release is written ``event['name']``, which is not checked.
  * A row is looked at as CEL looks at a message: a documented field that is missing or null is empty, ``""``, ``0``, ``false``
    or ``[]``, so that no expression fails because Duo left something out. Another field is null. ``has()`` tells what is there;
    of a field that is asked for so, a missing one stays missing everywhere in the expression.
  * ``Filter.takes`` gives True or False; None where the expression cannot be applied to this row: a field has another type
    than Duo documents, a number is beyond 64 bits. It never raises.
  * What an expression says of a row depends only on the fields it looks at. So answers are remembered by the bytes of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from transforms.duo.log_types import LOG_TYPES
from transforms.duo.log_types.row_fields import FieldType
from transforms.errors import BadRoute, Undeliverable
from transforms.events.expressions import ROOT, Use, Uses, read
from transforms.events.mistakes import VARIABLES, Mistake, explained, in_words, unknown_field
from transforms.events.rows import ODD, Fields, read_loosely
from transforms.records import Stream

if TYPE_CHECKING:
    from cel_expr_python import cel

LIBRARY = "cel_expr_python"
LONGEST_CHARS = 4000
_ERROR = re.compile(r"^(?:\w+: )?ERROR: <input>:(\d+):(\d+): (.*?)(?: \[\w+\])?$", re.MULTILINE)
_EMPTY: dict[FieldType, Any] = {"text": "", "number": 0, "truth": False}
_LISTS = ("texts", "objects")
_REMEMBERED = 1024
_LONGEST_REMEMBERED_BYTES = 1024

# Made while importing: see transforms.state.cursor on msgspec and threads.
_read_value = msgspec.json.Decoder().decode


def is_installed() -> bool:
    """Whether the library is there; it needs Python 3.11."""
    return find_spec(LIBRARY) is not None


def mistakes(expression: str, log_types: Iterable[str]) -> tuple[Mistake, ...]:
    """What is wrong with an expression over rows of these logs, in the order of the text."""
    if len(expression) > LONGEST_CHARS:
        return (Mistake(1, 1, f"it has {len(expression)} characters", f"Use at most {LONGEST_CHARS}."),)
    logs = tuple(log_types)
    compiled = _compiled(expression, {})
    if isinstance(compiled, tuple):
        return compiled
    if wrong := _wrong_result(compiled):
        return wrong
    uses = read(compiled.serialize())
    found = [*_shadowed(expression, uses), *_bad_patterns(expression, uses), *_unknown_fields(expression, uses, logs)]
    found += [mistake for log in logs for mistake in _wrong_types(expression, uses, log)]
    return tuple(sorted(dict.fromkeys(found)))


def _compiled(expression: str, fields: Mapping[str, FieldType]) -> cel.Expression | tuple[Mistake, ...]:
    """The expression with the types of these fields known, or what the library finds wrong."""
    from cel_expr_python import cel  # who has no filter need not have it

    types = {
        "text": cel.Type.STRING,
        "number": cel.Type.INT,
        "truth": cel.Type.BOOL,
        "texts": cel.Type.List(cel.Type.STRING),
        "objects": cel.Type.List(cel.Type.DYN),
    }
    variables = {ROOT: cel.Type.Map(cel.Type.STRING, cel.Type.DYN), "log": cel.Type.STRING, "account": cel.Type.STRING}
    # CEL takes the longest name that is declared: so ``event.user.name`` is one variable, whose type is checked.
    variables |= {f"{ROOT}.{path}": types[kind] for path, kind in fields.items() if kind != "any"}
    try:
        return cel.NewEnv(variables=variables).compile(expression)
    except (RuntimeError, UnicodeError, ValueError) as error:
        found = [explained(expression, int(line), int(column), text) for line, column, text in _ERROR.findall(str(error))]
        return tuple(found) or (Mistake(1, 1, "this is no expression in CEL", "Write it again."),)


def _wrong_result(compiled: cel.Expression) -> tuple[Mistake, ...]:
    kind = compiled.return_type().name().lower()
    if kind in ("bool", "dyn"):
        return ()
    return (Mistake(1, 1, f"it gives {in_words(kind)}, not true or false", "Compare it with something."),)


def _shadowed(expression: str, uses: Uses) -> Iterator[Mistake]:
    for name, offset in uses.variables:
        if name in VARIABLES:
            yield Mistake.at(expression, offset, f"{name} is given to the items of a list here", "Use another name for them.")


def _bad_patterns(expression: str, uses: Uses) -> Iterator[Mistake]:
    from cel_expr_python import cel

    matches = cel.NewEnv(variables={"pattern": cel.Type.STRING}).compile("''.matches(pattern)")
    for pattern, offset in uses.patterns:
        if not isinstance(matches.eval(data={"pattern": pattern}).value(), bool):
            yield Mistake.at(expression, offset, "this pattern cannot be used", "Write it in RE2's syntax, as in Go.")


def _unknown_fields(expression: str, uses: Uses, logs: tuple[str, ...]) -> Iterator[Mistake]:
    known = [LOG_TYPES[log].row_fields for log in logs]
    if not all(known):
        return  # of one of the logs nothing is documented
    for use in uses.fields:
        if not use.quoted and not any(is_documented(".".join(use.path), fields) for fields in known):
            yield Mistake.at(expression, use.offset + 1, *unknown_field(use.path, logs, known))


def is_documented(path: str, fields: Mapping[str, FieldType]) -> bool:
    """Whether a row has such a field, or an object of that name; below a field of any shape, everything is possible."""
    if path in fields or any(field.startswith(f"{path}.") for field in fields):
        return True
    parent = path.rpartition(".")[0]
    while parent:
        if fields.get(parent) == "any":
            return True
        parent = parent.rpartition(".")[0]
    return False


def _wrong_types(expression: str, uses: Uses, log: str) -> tuple[Mistake, ...]:
    fields = LOG_TYPES[log].row_fields
    # The library takes has(event.a.b) for the value of a variable of that name: such fields are not declared.
    tested = {".".join(use.path) for use in uses.fields if use.tested}
    looked_at = {".".join(use.path) for use in uses.fields}
    compiled = _compiled(expression, {path: kind for path, kind in fields.items() if path in looked_at - tested})
    return compiled if isinstance(compiled, tuple) else _wrong_result(compiled)


class _Fill(NamedTuple):
    """What stands for a field that is missing: its empty value, or nothing where ``has()`` asks for it."""

    parents: tuple[str, ...]
    name: str
    make: Callable[[], Any] | None


class Filter:
    """One route's expression for rows of one stream; made on the worker, used by one thread.

    Args:
      log_types: those of its route: a field that one of them documents has the same empty value in all of them.
    """

    def __init__(self, expression: str, stream: Stream, log_types: Iterable[str]) -> None:
        if not is_installed():
            raise BadRoute("The library for filters is not installed here. Install the extra [filters]; it needs Python 3.11.")
        found = mistakes(expression, [log for log in log_types if log in LOG_TYPES])
        compiled = found or _compiled(expression, {})
        if isinstance(compiled, tuple):
            raise BadRoute(f"The filter {expression!r} cannot be used: {compiled[0]}.")
        self._expression = compiled
        uses = read(compiled.serialize())
        self._constants = {"log": stream.log_type, "account": stream.account}
        self._fills = tuple(_fills(uses.fields, [stream.log_type, *log_types]))
        self._names = () if uses.whole else tuple(dict.fromkeys(use.path[0] for use in uses.fields))
        self._whole = uses.whole or not self._names
        self._answers: dict[Any, bool | None] = {}
        if not self._whole:
            self._read, self._values = _projection(self._names)

    def takes(self, raw: bytes) -> bool | None:
        """Whether the route takes a row; None where that cannot be said."""
        if self._whole:
            return self._answer_of(raw)
        try:
            written = self._values(self._read(raw))
        except ODD:
            return self._answer_of(raw)
        return self._answer_for(written, raw)

    def takes_fields(self, fields: Fields, raw: bytes) -> bool | None:
        """The same, where the fields of the row have been read already."""
        if self._whole:
            return self._answer_of(raw)
        return self._answer_for(tuple([bytes(fields.get(name, b"")) for name in self._names]), raw)

    def _answer_for(self, written: tuple[bytes, ...], raw: bytes) -> bool | None:
        if written in self._answers:
            return self._answers[written]
        try:
            row = {name: _read_value(value) for name, value in zip(self._names, written, strict=True) if value}
        except ODD:
            return self._answer_of(raw)
        answer = self._answer(row)
        self._remember(written, answer)
        return answer

    def _remember(self, written: tuple[bytes, ...], answer: bool | None) -> None:
        if sum(map(len, written)) <= _LONGEST_REMEMBERED_BYTES:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            self._answers[written] = answer

    def _answer_of(self, raw: bytes) -> bool | None:
        try:
            row = read_loosely(raw)
        except Undeliverable:
            return None
        if not self._whole:
            row = {name: row[name] for name in self._names if name in row}
        return self._answer(_in_whole_characters(row))

    def _answer(self, row: dict[str, Any]) -> bool | None:
        for fill in self._fills:
            _fill_in(row, fill)
        try:
            value = self._expression.eval(data={ROOT: row, **self._constants}).value()
        except (RuntimeError, ValueError, TypeError, OverflowError, RecursionError):
            return None
        return value if isinstance(value, bool) else None


def _in_whole_characters(row: dict[str, Any]) -> dict[str, Any]:
    """Halves of characters, which the library does not take, as U+FFFD."""
    text = json.dumps(row, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))  # type: ignore[no-any-return]


def _projection(names: tuple[str, ...]) -> tuple[Callable[[bytes], Any], Callable[[Any], tuple[bytes, ...]]]:
    """What reads the bytes of these fields of a row, empty where it has no such field."""
    slots = [f"f{index}" for index in range(len(names))]
    row_type = msgspec.defstruct(
        "Row",
        [(slot, msgspec.Raw, msgspec.Raw(b"")) for slot in slots],
        rename=dict(zip(slots, names, strict=True)),
        frozen=True,
        gc=False,
    )
    get = attrgetter(*slots)
    if len(slots) == 1:
        return msgspec.json.Decoder(row_type).decode, lambda row: (bytes(get(row)),)
    return msgspec.json.Decoder(row_type).decode, lambda row: tuple(map(bytes, get(row)))


def _fills(fields: list[Use], logs: Iterable[str]) -> Iterator[_Fill]:
    tested = {use.path for use in fields if use.tested}
    tables = [LOG_TYPES[log].row_fields for log in dict.fromkeys(logs) if log in LOG_TYPES]
    for use in dict.fromkeys(use.path for use in fields):
        path = ".".join(use)
        kind = next((table[path] for table in tables if path in table), None)
        is_object = any(field.startswith(f"{path}.") for table in tables for field in table)
        make = None if use in tested else dict if is_object and kind is None else _maker(kind)
        yield _Fill(use[:-1], use[-1], make)


def _maker(kind: FieldType | None) -> Callable[[], Any]:
    if kind in _LISTS:
        return list
    empty = _EMPTY.get(kind) if kind is not None else None
    return lambda: empty


def _fill_in(row: dict[str, Any], fill: _Fill) -> None:
    here: Any = row
    for name in fill.parents:
        below = here.get(name)
        if below is None:
            below = here[name] = {}
        if not isinstance(below, dict):
            return  # of another type than Duo documents: the expression will say that it cannot be applied
        here = below
    if here.get(fill.name) is None:
        if fill.make is None:
            here.pop(fill.name, None)
        else:
            here[fill.name] = fill.make()
