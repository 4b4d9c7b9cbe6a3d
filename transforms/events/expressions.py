"""What a checked CEL expression is made of: which fields of a row it looks at, and where in its text.

Place in the flow: below ``transforms.events.filters``. The library hands an expression over as ``cel.expr.CheckedExpr``, the
public interchange format of CEL (https://github.com/google/cel-spec, proto/cel/expr), which is read here as far as it is
needed: identifiers, selections, calls, comprehensions, and the offset of each.

Contract: ``read`` takes what ``Expression.serialize()`` gives. An expression that uses ``event`` in any other way than by the
names of fields is ``whole``: nothing is known of which fields it looks at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

ROOT = "event"

# Numbers of fields in the messages of cel.expr.
_ANY_VALUE, _CHECKED_EXPR, _CHECKED_SOURCE = 2, 4, 5
_SOURCE_POSITIONS = 4
_ID, _CONST, _IDENT, _SELECT, _CALL, _LIST, _STRUCT, _COMPREHENSION = 2, 3, 4, 5, 6, 7, 8, 9
_CONST_TEXT = 6
_OPERAND, _FIELD, _TEST_ONLY = 1, 2, 3
_TARGET, _FUNCTION, _ARGUMENTS = 1, 2, 3
_ITER_VAR, _ITER_VAR_2 = 1, 8
_INDEX = b"_[_]"
_MATCHES = b"matches"


class Use(NamedTuple):
    """A field of the row that is looked at.

    Attributes:
      path: the names from the row on.
      offset: where the last of them is selected, in characters from the beginning.
      tested: only whether it is there is asked, by ``has()``.
      quoted: one of the names is given as a text, ``event['name']``.
    """

    path: tuple[str, ...]
    offset: int
    tested: bool
    quoted: bool


@dataclass
class Uses:
    """All that an expression says of the row.

    Attributes:
      fields: the fields that are looked at.
      whole: it is used in another way, too.
      variables: names that comprehensions give to items, each with an offset.
      patterns: texts that ``matches()`` is given, each with an offset.
    """

    fields: list[Use] = field(default_factory=list)
    whole: bool = False
    variables: list[tuple[str, int]] = field(default_factory=list)
    patterns: list[tuple[str, int]] = field(default_factory=list)


def read(serialized: bytes) -> Uses:
    """What an expression uses."""
    checked = _one(_one(serialized, _ANY_VALUE), _CHECKED_EXPR), _one(_one(serialized, _ANY_VALUE), _CHECKED_SOURCE)
    offsets = {_number(entry, 1): _number(entry, 2) for entry in _all(checked[1], _SOURCE_POSITIONS)}
    reader = _Reader(offsets)
    reader.visit(checked[0])
    return reader.uses


class _Reader:
    def __init__(self, offsets: dict[int, int]) -> None:
        self.uses = Uses()
        self._offsets = offsets

    def visit(self, expression: bytes) -> None:
        use = self._use(expression)
        if use is not None:
            if use.path:
                self.uses.fields.append(use)
            else:
                self.uses.whole = True
            return
        for number, value in _parts(expression):
            if number == _SELECT:
                self.visit(_one(value, _OPERAND))
            elif number == _CALL:
                self._visit_call(value)
            elif number == _LIST:
                for inner in _all(value, 1):
                    self.visit(inner)
            elif number == _STRUCT:
                for entry in _all(value, 2):
                    for inner in (*_all(entry, 3), *_all(entry, 4)):
                        self.visit(inner)
            elif number == _COMPREHENSION:
                self._visit_comprehension(value, self._offset(expression))

    def _visit_call(self, call: bytes) -> None:
        operands = [*_all(call, _TARGET), *_all(call, _ARGUMENTS)]
        if _one(call, _FUNCTION) == _MATCHES and (pattern := _one(_one(operands[-1], _CONST), _CONST_TEXT)):
            self.uses.patterns.append((pattern.decode(), self._offset(operands[-1])))
        for operand in operands:
            self.visit(operand)

    def _visit_comprehension(self, comprehension: bytes, offset: int) -> None:
        for number, value in _parts(comprehension):
            if number in (_ITER_VAR, _ITER_VAR_2):
                self.uses.variables.append((value.decode(), offset))
            elif number in (2, 4, 5, 6, 7):
                self.visit(value)

    def _use(self, expression: bytes) -> Use | None:
        """What an expression says of the row, where it is nothing but the row or a field of it."""
        ident, select, call = (_one(expression, number) for number in (_IDENT, _SELECT, _CALL))
        offset = self._offset(expression)
        if ident:
            return Use((), offset, False, False) if _one(ident, 1) == ROOT.encode() else None
        if select:
            inner = self._use(_one(select, _OPERAND))
            name = _one(select, _FIELD).decode()
            return inner and Use((*inner.path, name), offset, bool(_number(select, _TEST_ONLY)), inner.quoted)
        if call and _one(call, _FUNCTION) == _INDEX:
            row, index = _all(call, _ARGUMENTS)
            inner, text = self._use(row), _one(_one(index, _CONST), _CONST_TEXT)
            return Use((*inner.path, text.decode()), offset, False, True) if inner and text else None
        return None

    def _offset(self, expression: bytes) -> int:
        return self._offsets.get(_number(expression, _ID), 0)


def _parts(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protobuf message that have a length; numbers are left out."""
    return ((number, value) for number, value in _wire(message) if isinstance(value, bytes))


def _all(message: bytes, wanted: int) -> list[bytes]:
    return [value for number, value in _parts(message) if number == wanted]


def _one(message: bytes, wanted: int) -> bytes:
    return next(iter(_all(message, wanted)), b"")


def _number(message: bytes, wanted: int) -> int:
    return next((value for number, value in _wire(message) if number == wanted and isinstance(value, int)), 0)


def _wire(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The fields of a protobuf message, as https://protobuf.dev/programming-guides/encoding says."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
        else:
            length, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            if kind == 2:
                yield number, message[at : at + length]
            at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
