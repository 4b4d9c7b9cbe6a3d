"""Reads a row into a typed struct, whatever types Duo gave its fields.

Place in the flow: used by every log type, for ``row_key`` and for ``facts``.

Contract: a ``RowDecoder`` returns a struct of its type for every JSON object and raises ``Undeliverable`` for anything else.
A row of the expected types takes the fast way, one call into msgspec. A row with an unexpected type, a lone surrogate or a
byte that is no UTF-8 takes the slow way: it is decoded without types and then fitted, field by field, so that one odd field
never costs the others.
"""

from __future__ import annotations

import json
import math
import types
import typing
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from transforms.duo.client.loose_json import without_depth
from transforms.errors import Undeliverable

T = TypeVar("T", bound=msgspec.Struct)

# Duo writes one thing in two shapes: ``action`` as a text or as ``{"name": …}``, ``ip`` as a text or as ``{"address": …}``.
# A text where an object is usual becomes the first of these that the object has; an object where a text is usual is told by it.
_NAMING_KEYS = ("name", "address")
_MAX_INTEGER_DIGITS = 400
_DEEPEST = 20


class RowDecoder(Generic[T]):
    """Decodes rows into one struct type. Its fields are text, number, truth value, another such struct, a list or a dict.

    A field may also be one of these or a text. Every field must have the default None.
    """

    __slots__ = ("_decode", "_row_type")

    def __init__(self, row_type: type[T]) -> None:
        self._row_type = row_type
        self._decode = msgspec.json.Decoder(row_type).decode

    def __call__(self, raw: bytes) -> T:
        """The row as a struct. Raises Undeliverable (``not_an_object``)."""
        try:
            return self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, MemoryError):
            return fit(self._row_type, load_object(raw))


def load_object(raw: bytes) -> dict[str, Any]:
    """A row as a plain dict; bytes that are no UTF-8 and lone surrogates become U+FFFD. Raises Undeliverable.

    What is nested more deeply than any field of Duo's is None.
    """
    try:
        row = _load(raw)
    except RecursionError:
        row = _load_shallow(raw)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise Undeliverable("The row is not a JSON object.", reason="not_an_object")
    return row


def _load(raw: bytes) -> Any:
    return json.loads(raw.decode("utf-8", "replace"), parse_int=_integer, strict=False)


def _load_shallow(raw: bytes) -> Any:
    try:
        return _load(without_depth(raw, _DEEPEST))
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | None:
    # Python refuses to read integers of several thousand digits; no field of Duo's has more than twenty.
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else None


def fit(row_type: type[T], row: dict[str, Any]) -> T:
    """A struct of ``row_type`` with what can be used of ``row``; what cannot is None."""
    return row_type(**{name: _fit_value(options, row.get(name)) for name, options in _fields(row_type).items()})


@cache
def _fields(row_type: type[msgspec.Struct]) -> dict[str, tuple[Any, ...]]:
    return {name: _options(hint) for name, hint in typing.get_type_hints(row_type).items()}


def _options(hint: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(hint) in {typing.Union, types.UnionType}
    return tuple(o for o in (typing.get_args(hint) if is_union else (hint,)) if o is not type(None))


def _fit_value(options: tuple[Any, ...], value: Any) -> Any:
    if value is None:
        return None
    option = options[0]
    if option is str or (str in options and isinstance(value, str)):
        return as_text(value)
    if typing.get_origin(option) is list:
        return _fit_list(typing.get_args(option)[0], value)
    if typing.get_origin(option) is dict:
        return _fit_dict(typing.get_args(option)[1], value)
    if option is int:
        return as_number(value) if float in options else as_integer(value)
    if option is bool:
        return as_truth(value)
    return _fit_struct(option, value)


def _fit_list(item: Any, value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    fitted = (_fit_value((item,), v) for v in values)
    return [v for v in fitted if v is not None]


def _fit_dict(item: Any, value: Any) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        return None
    fitted = {_without_surrogates(key): _fit_value((item,), v) for key, v in value.items()}
    return {key: v for key, v in fitted.items() if v is not None}


def _fit_struct(row_type: type[msgspec.Struct], value: Any) -> msgspec.Struct | None:
    if isinstance(value, dict):
        return fit(row_type, value)
    if isinstance(value, list):
        return None
    key = next((k for k in _NAMING_KEYS if k in _fields(row_type)), None)
    return row_type(**{key: as_text(value)}) if key else None


def as_text(value: Any) -> str | None:
    """A JSON value as text: texts as they are, numbers and truth values as JSON writes them, objects by their name."""
    if value is None or isinstance(value, str):
        return _without_surrogates(value) if value else value
    if isinstance(value, dict):
        for key in _NAMING_KEYS:
            if isinstance(value.get(key), str):
                return _without_surrogates(value[key])
    try:
        return _without_surrogates(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except RecursionError:
        return None


def as_integer(value: Any) -> int | None:
    """A JSON value as a whole number, also from ``1.9`` and ``"1"``; None where it is none."""
    if isinstance(value, bool):
        return None
    try:
        return int(float(value)) if isinstance(value, str) and "." in value else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def as_number(value: Any) -> int | float | None:
    """A JSON value as a number; None where it is none, or none that JSON could write."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def as_truth(value: Any) -> bool | None:
    """A JSON value as a truth value, also from ``"true"`` and ``"false"``; None for ``"unknown"`` and all else."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


def _without_surrogates(text: str) -> str:
    # A pair of escapes that make one character was joined by the JSON reader; what is left over is half a character.
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
