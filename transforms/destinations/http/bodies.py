"""How events stand in the bodies of requests.

Place in the flow: the dialects make pieces of events, and a body of pieces, by these.

Contract of a ``Body``: pieces are of one stream. ``piece`` raises Undeliverable where an event cannot be written so.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from transforms.destinations.http.dialect import Outgoing
from transforms.destinations.http.generic_settings import GenericSettings
from transforms.destinations.http.otlp import OtlpLogs
from transforms.errors import Undeliverable
from transforms.records import Stream

_check_json = msgspec.json.Decoder(msgspec.Raw).decode

# Python 3.11 reads no deeper, and newer ones read 10,000 objects inside one another and more: too many for most receivers.
_DEEPEST = 900
_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[][{}]")


class Body(Protocol):
    """See the module."""

    content_type: str

    def piece(self, event: Outgoing) -> bytes: ...

    def join(self, stream: Stream, pieces: Sequence[bytes]) -> bytes: ...


def as_json(message: bytes) -> bytes:
    """A message as a JSON value: itself where it is an object, else a text. Raises Undeliverable."""
    if message[:1] == b"{" and not _too_deep(message):
        try:
            _check_json(message)
        except (msgspec.DecodeError, RecursionError):
            pass
        else:
            return message
    return as_text(message)


def _too_deep(message: bytes) -> bool:
    if message.count(b"{") + message.count(b"[") <= _DEEPEST:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(_TEXTS.sub(b"", message)):
        depth += 1 if bracket in b"{[" else -1
        if depth > _DEEPEST:
            return True
    return False


def as_text(message: bytes) -> bytes:
    """A message as a JSON text. Raises Undeliverable."""
    try:
        return msgspec.json.encode(message.decode())
    except UnicodeDecodeError:
        raise Undeliverable("The message is not UTF-8.", reason="not_utf8") from None


def as_object(message: bytes) -> bytes:
    """A message that is a JSON object. Raises Undeliverable."""
    if message[:1] != b"{" or (value := as_json(message)) is not message:
        raise Undeliverable("The message is not a JSON object that every parser takes.", reason="not_json")
    return value


def moment(time_ms: int) -> str:
    """As ISO 8601 in UTC."""
    at = dt.datetime.fromtimestamp(time_ms // 1000, dt.timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def _now_ms() -> int:
    return int(time.time() * 1000)


def _time_of(event: Outgoing, now_ms: int) -> str:
    """Its own time, or the present where it has none: the receiver demands one."""
    time_ms = event.time_ms
    try:
        return moment(time_ms if time_ms is not None else now_ms)
    except (OverflowError, ValueError, OSError):  # a year that no calendar has
        return moment(now_ms)


class Lines:
    """One message in a line."""

    def __init__(self, settings: GenericSettings) -> None:
        self.content_type = settings.content_type or "application/x-ndjson"

    def piece(self, event: Outgoing) -> bytes:
        return event.message + b"\n"

    def join(self, stream: Stream, pieces: Sequence[bytes]) -> bytes:  # noqa: ARG002  # all alike
        return b"".join(pieces)


class Array:
    """A JSON array. A message that is no object is a text in it."""

    def __init__(self, settings: GenericSettings) -> None:
        self.content_type = settings.content_type or "application/json"
        # A rule of data collection has columns, and a text none.
        self._write = as_object if settings.preset == "sentinel" else as_json

    def piece(self, event: Outgoing) -> bytes:
        return self._write(event.message)

    def join(self, stream: Stream, pieces: Sequence[bytes]) -> bytes:  # noqa: ARG002  # all alike
        return b"[" + b",".join(pieces) + b"]"


class Single:
    """The message and nothing else."""

    def __init__(self, settings: GenericSettings) -> None:
        self.content_type = settings.content_type or "application/json"

    def piece(self, event: Outgoing) -> bytes:
        return event.message

    def join(self, stream: Stream, pieces: Sequence[bytes]) -> bytes:  # noqa: ARG002  # there is one
        return b"".join(pieces)


class Bulk:
    """Elasticsearch's bulk API: an action and a document for each event.

    The id is a digest of the account, the log and what is sent: sent again, an event is there already (409), and two rows that
    differ in anything are two events. Elastic's own package for Duo reckons another one, of time and ``txid``.
    """

    content_type = "application/x-ndjson"

    def __init__(self, settings: GenericSettings) -> None:
        self._settings = settings
        self._whole = settings.body == "documents"

    def piece(self, event: Outgoing) -> bytes:
        index = self._settings.name_of(event.stream.log_type)
        digest = hashlib.blake2b(digest_size=16)
        for part in (*event.stream.identity[:2], event.stream.account_id or ""):
            digest.update(part.encode() + b"\0")
        digest.update(event.message)
        action = msgspec.json.encode({"create": {"_index": index, "_id": digest.hexdigest()}})
        return b"%b\n%b\n" % (action, self._document(event))

    def _document(self, event: Outgoing) -> bytes:
        if self._whole:
            return as_object(event.message)
        return b'{"@timestamp":"%b","message":%b}' % (_time_of(event, _now_ms()).encode(), as_text(event.message))

    def join(self, stream: Stream, pieces: Sequence[bytes]) -> bytes:  # noqa: ARG002  # each says where it goes
        return b"".join(pieces)


class Datadog:
    """Datadog's array of logs: the message as a text, with the source and the service that its pipelines go by."""

    content_type = "application/json"

    def __init__(self, settings: GenericSettings) -> None:
        self._settings = settings
        self._openings: dict[Stream, bytes] = {}

    def piece(self, event: Outgoing) -> bytes:
        opening = self._openings.get(event.stream)
        if opening is None:
            opening = self._openings[event.stream] = self._opening(event.stream)
        return b'{%b,"message":%b}' % (opening, as_text(event.message))

    def _opening(self, stream: Stream) -> bytes:
        service, host = self._settings.name_of(stream.log_type), stream.api_host
        tags = ",".join(self._settings.tags)
        fields = {"ddsource": "cisco-duo", "service": service, "hostname": host, "ddtags": tags}
        return msgspec.json.encode({key: value for key, value in fields.items() if value})[1:-1]

    def join(self, stream: Stream, pieces: Sequence[bytes]) -> bytes:  # noqa: ARG002  # all alike
        return b"[" + b",".join(pieces) + b"]"


class Chronicle:
    """Google SecOps' import of logs: the message in base64, with its own time."""

    content_type = "application/json"

    def __init__(self, settings: GenericSettings) -> None:
        forwarder = f"{settings.instance}/forwarders/{settings.forwarder}"
        self._opening = msgspec.json.encode({"forwarder": forwarder})[:-1]

    def piece(self, event: Outgoing) -> bytes:
        now_ms = _now_ms()
        entry = _time_of(event, now_ms)
        # Collected before it happened is refused, and this machine's clock may be behind Duo's.
        times = {"logEntryTime": entry, "collectionTime": max(entry, moment(now_ms))}
        return msgspec.json.encode({"data": base64.b64encode(event.message).decode(), **times})

    def join(self, stream: Stream, pieces: Sequence[bytes]) -> bytes:  # noqa: ARG002  # all alike
        return b'{"inlineSource":%b,"logs":[%b]}}' % (self._opening, b",".join(pieces))


BODIES: dict[str, Callable[[GenericSettings], Body]] = {
    "lines": Lines,
    "array": Array,
    "single": Single,
    "bulk": Bulk,
    "documents": Bulk,
    "datadog": Datadog,
    "chronicle": Chronicle,
    "otlp": OtlpLogs,
}
