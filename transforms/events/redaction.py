"""Redaction: what a destination must not get is taken out of the raw row, before a format sees it.

Place in the flow: ``transforms.events.selection`` calls a ``Redactor`` for every event that a route takes. Whatever comes later
(the user's own function, formats, dead letters) has the redacted row only.

Contract:
  * ``drop`` leaves a field out; ``hash`` makes tokens of the texts and numbers in it, ``hmac:`` and 32 hexadecimal digits of an
    HMAC-SHA-256 under the route's key: the same value is the same token in every field, log and run. ``mask`` makes ``***`` of
    them. A field that is an object or a list is changed in all that is in it. What is null or an empty text stays so.
  * Where a row has a plain value in the place of an object on the way to a field (Duo writes ``action`` as a text and as an
    object), that value is redacted. Of a key that is there twice, the last is kept.
  * Fields beside the redacted ones stay as Duo wrote them, byte for byte. Of a row that a strict reader refuses (halves of
    characters, ``NaN``) all of them are written anew, and what is nested more deeply than any field of Duo's may become null.
  * A token is not hashed again, so a redaction can be applied to what is redacted already, as a replay does.
  * ``redact`` raises ``Undeliverable`` (``not_redactable``) for what is no JSON object. Such a row must not be sent or kept.

A changed value is remembered with what became of it: a few users make up most of a page.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Literal

import msgspec

from transforms.errors import BadRoute, Undeliverable
from transforms.events.redact_settings import Redaction
from transforms.events.rows import ODD, Fields, read_fields, read_loosely, write_loosely
from transforms.process.lifetime import per_process
from transforms.process.plural import counted
from transforms.row_paths import Part, parse
from transforms.secrets import SecretRef

MASK = "***"
NOT_REDACTABLE = "not_redactable"
TOKEN_PREFIX = "hmac:"  # noqa: S105 - of what stands for a value
LEAST_KEY_CHARS = 16
_TOKEN = re.compile(r"hmac:[0-9a-f]{32}")
_TOKEN_DIGITS = 32
_MASKED = msgspec.Raw(b'"***"')
_EMPTY_TEXT_BYTES = 2
_REMEMBERED = 512
_LONGEST_REMEMBERED_BYTES = 256


class _Left(Enum):
    """What is left of a field that is left out."""

    NOTHING = "nothing"


_GONE = _Left.NOTHING
Way = Literal["drop", "hash", "mask"]
_STRONGEST: tuple[Way, ...] = ("drop", "mask", "hash")

# Made while importing: see transforms.state.cursor on msgspec and threads.
_read_value = msgspec.json.Decoder().decode
_write = msgspec.json.Encoder().encode

_KEYS_READ: dict[SecretRef, bytes] = per_process("redaction keys", dict)


def key_of(reference: SecretRef) -> bytes:
    """The key of the tokens, read once in a process. Raises SecretUnavailable, RetryLater, and BadRoute for one too short."""
    # Without a lock: two threads may both ask for it, and both get the same.
    key = _KEYS_READ.get(reference)
    return key if key is not None else _KEYS_READ.setdefault(reference, _checked(reference))


def _checked(reference: SecretRef) -> bytes:
    key = reference.resolve()
    if len(key) < LEAST_KEY_CHARS:
        raise BadRoute(
            f"The redaction key in {reference} has {counted(len(key), 'character')}. With so short a key, names and phone "
            f"numbers can be guessed from their tokens: use at least {LEAST_KEY_CHARS}."
        )
    return key.encode()


class Redactor:
    """Redacts rows as one route says; made on the worker, used by one thread."""

    def __init__(self, redaction: Redaction) -> None:
        key = key_of(redaction.key) if redaction.key is not None else b""
        root = _Node(lambda text: _token(key, text))
        for way, paths in (("drop", redaction.drop), ("hash", redaction.hash), ("mask", redaction.mask)):
            for path in paths:
                parts = parse(path)
                if parts is None:
                    raise BadRoute(f"There is no field {path!r} that could be redacted.")
                root.add(parts, way)  # type: ignore[arg-type]  # mypy takes the words for any text
        self._root = root

    def redact(self, raw: bytes) -> bytes:
        """The row without what must not be sent. Raises Undeliverable."""
        try:
            return self._root.rewritten_object(read_fields(raw))
        except ODD:
            return write_loosely(self._root.applied(_loosely(raw)))

    def redact_fields(self, fields: Fields, raw: bytes) -> bytes:
        """The same, where the fields of the row have been read already. They are changed."""
        try:
            return self._root.rewritten_object(fields)
        except ODD:
            return self.redact(raw)


class _Node:
    """What is done at one place of a row, and below it."""

    def __init__(self, token: Callable[[str], str]) -> None:
        self.way: Way | None = None
        self.children: dict[str, _Node] = {}
        self.every: _Node | None = None
        self._token = token
        self._remembered: dict[bytes, msgspec.Raw] = {}

    def add(self, parts: tuple[Part, ...], way: Way) -> None:
        if not parts:
            self.way = way
            return
        name = parts[0].name
        if name is None:
            self.every = self.every or _Node(self._token)
            below = self.every
        else:
            below = self.children.setdefault(name, _Node(self._token))
        below.add(parts[1:], way)

    def rewritten_object(self, fields: Fields) -> bytes:
        """An object in which only the named fields are decoded and written anew. They are changed."""
        for name, node in self.children.items():
            if name in fields:
                changed = None if node.way == "drop" else node.rewritten(bytes(fields[name]))
                if changed is None:
                    del fields[name]
                else:
                    fields[name] = changed
        return _write(fields)

    def rewritten(self, written: bytes) -> msgspec.Raw | None:
        """What becomes of the bytes of a value; None for what is left out."""
        if self.way == "mask" and written.startswith(b'"') and len(written) > _EMPTY_TEXT_BYTES:
            return _MASKED
        if len(written) > _LONGEST_REMEMBERED_BYTES:
            return self._rewritten(written)
        if written in self._remembered:
            return self._remembered[written]
        changed = self._rewritten(written)
        if changed is not None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[written] = changed
        return changed

    def _rewritten(self, written: bytes) -> msgspec.Raw | None:
        if self.way is None and self.every is None and written.startswith(b"{"):
            return msgspec.Raw(self.rewritten_object(read_fields(written)))
        value = self.applied(_read_value(written))
        return None if value is _GONE else msgspec.Raw(_write(value))

    def applied(self, value: Any) -> Any:
        """What becomes of a decoded value; ``_GONE`` for what is left out."""
        if value is None or self.way == "drop":
            return _GONE if self.way == "drop" else None
        if isinstance(value, dict):
            value = dict(_kept((name, self._below(name, inner)) for name, inner in value.items()))
        elif isinstance(value, list):
            value = [item for _, item in _kept((None, self._of_item(item)) for item in value)]
        elif self.way is None:
            return self._changed(value, self._strongest())
        return value if self.way is None else self._changed(value, self.way)

    def _below(self, name: str, value: Any) -> Any:
        for node in (self.children.get(name), self.every):
            if node is not None and value is not _GONE:
                value = node.applied(value)
        return value

    def _of_item(self, item: Any) -> Any:
        if self.every is not None:
            item = self.every.applied(item)
        return self.applied(item) if self.children and item is not _GONE else item

    def _strongest(self) -> Way:
        ways = set(self.ways())
        return next(way for way in _STRONGEST if way in ways)

    def ways(self) -> Iterator[Way]:
        """What is done here and below."""
        if self.way is not None:
            yield self.way
        for node in (*self.children.values(), *([self.every] if self.every else [])):
            yield from node.ways()

    def _changed(self, value: Any, way: Way) -> Any:
        if way == "drop":
            return _GONE
        if isinstance(value, dict):
            return {name: self._changed(inner, way) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._changed(item, way) for item in value]
        if value is None or value == "":
            return value
        if way == "mask":
            return MASK
        text = value if isinstance(value, str) else json.dumps(value)
        return text if _TOKEN.fullmatch(text) else self._token(text)


def _kept(pairs: Iterator[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    return ((name, value) for name, value in pairs if value is not _GONE)


def _token(key: bytes, text: str) -> str:
    return TOKEN_PREFIX + hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:_TOKEN_DIGITS]


def _loosely(raw: bytes) -> dict[str, Any]:
    try:
        return read_loosely(raw)
    except Undeliverable:
        raise Undeliverable(
            f"{len(raw)} bytes that are no JSON object: nothing can be redacted in them, so that they are not kept.",
            reason=NOT_REDACTABLE,
        ) from None
