"""A dead letter: what is kept of an event that can never be delivered as it is, and its bytes in a file and between two steps.

Place in the flow: formats and the sink make letters, ``transforms.state.dead_letters.write`` writes them, the replay reads
them.

Contract: whatever Duo or an error said, a letter can be written and read again: text that is no Unicode stands in it as an
escape, a long cause is cut, the event never. ``SCHEMA`` is frozen: new fields get a default.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import fastavro
import msgspec
from apache_beam import coders

from transforms.records import DuoEvent, Stream
from transforms.settings import Destination
from transforms.state.dead_letters.avro_files import read_whole_blocks, refused, told

DEAD = "dead"
"""The tag of the output that dead letters leave a step by."""

SCHEMA_VERSION = 1
_NULLABLE = ["null", "string"]
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "DeadLetter",
    "namespace": "duologsync",
    "doc": f"An undelivered event, version {SCHEMA_VERSION}. New fields get a default, so that older files stay readable.",
    "fields": [
        {"name": "time_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}, "doc": "when it was given up"},
        {"name": "account", "type": "string"},
        {"name": "log_type", "type": "string"},
        {"name": "api_host", "type": "string"},
        {"name": "account_id", "type": _NULLABLE, "default": None},
        {"name": "destination", "type": "string", "doc": "empty where it failed before any destination"},
        {"name": "format", "type": "string", "doc": "empty where it failed before any format"},
        {"name": "reason", "type": "string", "doc": "a short stable word"},
        {"name": "detail", "type": "string"},
        {"name": "raw", "type": "bytes", "doc": "the event as Duo sent it; empty where only the message is left"},
        {"name": "message", "type": "bytes", "default": "", "doc": "the formatted message, where the event itself is gone"},
    ],
}
_BYTES = {"raw", "message"}
_TEXTS = ("account", "log_type", "api_host", "account_id", "destination", "format", "reason", "detail")
_LONGEST_DETAIL = 2000
_LAST_MS = 253_402_300_799_999  # the end of the year 9999: a reader could not turn more into a date


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One undelivered event, with what a person needs to mend the cause and to replay it. Fields as in ``SCHEMA``.

    Names and causes come from Duo and from errors: what Avro could not write is made writable here.
    """

    time_ms: int
    account: str
    log_type: str
    api_host: str = ""
    account_id: str | None = None
    destination: str = ""
    format: str = ""
    reason: str
    detail: str
    raw: bytes = b""
    message: bytes = b""

    @property
    def stream(self) -> Stream:
        return Stream(self.account, self.log_type, self.api_host, self.account_id)

    def __post_init__(self) -> None:
        for name in _TEXTS:
            text = getattr(self, name)
            if text is not None and not text.isascii():
                msgspec.structs.force_setattr(self, name, text.encode("utf-8", "backslashreplace").decode("utf-8"))
        if len(self.detail) > _LONGEST_DETAIL:
            msgspec.structs.force_setattr(self, "detail", self.detail[: _LONGEST_DETAIL - 1] + "…")
        if not 0 <= self.time_ms <= _LAST_MS:
            msgspec.structs.force_setattr(self, "time_ms", min(max(0, self.time_ms), _LAST_MS))


class DeadLetterBatch(list[DeadLetter]):
    """The letters that a step makes of one batch; see ``transforms.coders``."""

    @property
    def size_bytes(self) -> int:
        return sum(len(letter.raw) + len(letter.message) for letter in self)


def dead_letter(event: DuoEvent, destination: str, format_name: str, reason: str, detail: str) -> DeadLetter:
    """The letter for an event that a format or a destination cannot take."""
    return DeadLetter(**about(event.stream, destination, format_name), reason=reason, detail=detail, raw=event.raw)


def failed_again(letter: DeadLetter, destination: Destination, reason: str, detail: str) -> DeadLetter:
    """The same letter, event or message alike, after a destination could not take it once more."""
    now = about(letter.stream, destination.name, destination.format.name)
    changed = {name: now[name] for name in ("time_ms", "destination", "format")}
    return msgspec.structs.replace(letter, **changed, reason=reason, detail=detail)


def about(stream: Stream, destination: str, format_name: str) -> dict[str, Any]:
    """The fields of a letter that do not depend on what went wrong."""
    return {
        "time_ms": time.time_ns() // 1_000_000,
        "account": stream.account,
        "log_type": stream.log_type,
        "api_host": stream.api_host,
        "account_id": stream.account_id,
        "destination": destination,
        "format": format_name,
    }


# Made while importing: msgspec crashes the process where two threads are the first to decode a type at the same time.
_decode_letter = msgspec.msgpack.Decoder(DeadLetter).decode


class DeadLetterCoder(coders.Coder):
    """MessagePack behind a version byte, for runners that encode between two steps."""

    _VERSION = b"\x01"

    def encode(self, value: DeadLetter) -> bytes:
        return self._VERSION + msgspec.msgpack.encode(value)

    def decode(self, encoded: bytes) -> DeadLetter:
        if encoded[:1] != self._VERSION:
            raise ValueError(f"DeadLetter of an unknown version {encoded[:1]!r}: this release is too old for it.")
        return _decode_letter(encoded[1:])

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> type:
        return DeadLetter

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


coders.registry.register_coder(DeadLetter, DeadLetterCoder)


def read_dead_letters(path: str | os.PathLike[str], *, whole: bool = False) -> Iterator[DeadLetter]:
    """The letters of one file, up to its last whole block. Raises ValueError for a file that holds something else, and with
    ``whole`` for one in which a disk has damaged a block, which is left out else.
    """
    return map(_letter, read_whole_blocks(path, SCHEMA, refused if whole else told))


def read_letters_from(file: BinaryIO, name: str) -> Iterator[DeadLetter]:
    """The letters of a file that is open already. Raises ValueError for one that is damaged or holds something else."""
    try:
        for record in fastavro.reader(file, SCHEMA):
            yield _letter(record)
    except Exception as error:  # what is damaged shows as whatever its reader trips over
        raise ValueError(f"{name} is not an Avro file, or a damaged one: {error or type(error).__name__}") from error


def _letter(record: dict[str, Any]) -> DeadLetter:
    record["time_ms"] = round(record["time_ms"].timestamp() * 1000)
    # fastavro gives the default of a bytes field as it stands in the schema, as text.
    record.update({name: value.encode("latin-1") for name in _BYTES if isinstance(value := record[name], str)})
    return DeadLetter(**record)
