"""What is kept of an event in an archive, and whole files of it.

Place in the flow: the sender makes files of it, ``reader`` reads them.

Contract: ``SCHEMA`` is frozen: new fields get a default, none is ever removed, renamed or given another type, so that every
release reads what any earlier one wrote (and other programs do, which have their own reasons to read an archive). The same
events make the same file under the same name, byte for byte: what is sent again is written over, and not there twice.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

import fastavro
import fastavro.write

from transforms.days import DAY_MS, UNDATED, day_of
from transforms.process.files import file_safe
from transforms.records import Stream

SCHEMA_VERSION = 1
_NULLABLE = ["null", "string"]
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "DuoEvent",
    "namespace": "duologsync",
    "doc": f"An event of a Duo log, version {SCHEMA_VERSION}. New fields get a default, so that older files stay readable.",
    "fields": [
        {"name": "account", "type": "string"},
        {"name": "log_type", "type": "string"},
        {"name": "api_host", "type": "string", "default": ""},
        {"name": "account_id", "type": _NULLABLE, "default": None, "doc": "of a child of an MSP"},
        {
            "name": "time_ms",
            "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}],
            "default": None,
            "doc": "when it happened; null where the event does not say it",
        },
        {"name": "id", "type": _NULLABLE, "default": None, "doc": "Duo's own id of it"},
        {"name": "raw", "type": "bytes", "doc": "the event as Duo sent it; empty where only the message is left"},
        {"name": "message", "type": "bytes", "default": "", "doc": "the formatted message, where the event itself is gone"},
    ],
}


class Archived(NamedTuple):
    """One event. Fields as in ``SCHEMA``."""

    stream: Stream
    time_ms: int | None
    id: str | None
    raw: bytes
    message: bytes = b""


def directory_of(stream: Stream, day: str) -> str:
    """Where the events of a stream and day are, below the archive's directory."""
    return f"{file_safe(stream.account)}/{file_safe(stream.log_type)}/{day}"


def file_of(events: Sequence[Archived]) -> tuple[str, bytes]:
    """A file of events of one stream and day: its name, and its content.

    The name says when the first and the last of them happened, how many there are, and a digest of all of them:
    ``083015123-094501007-512-5f3a….avro``. So names are in the order of time, as far as one day goes.
    """
    digest = _digest(events)
    content = io.BytesIO()
    # The marker between blocks is random unless it is given: the same events would make another file.
    fastavro.writer(content, SCHEMA, map(_record, events), codec="deflate", sync_marker=digest[:16])
    times = [event.time_ms for event in events if event.time_ms is not None]
    first, last = (_clock(min(times)), _clock(max(times))) if times else ("0" * 9, "0" * 9)
    return f"{first}-{last}-{len(events)}-{digest[:12].hex()}.avro", content.getvalue()


def read_file(file: BinaryIO, name: str) -> Iterator[Archived]:
    """The events of a file, one block in memory at a time. Raises ValueError where it is none of ours, or damaged."""
    try:
        for record in fastavro.reader(file, SCHEMA):
            yield _archived(record)
    except Exception as error:  # what is damaged shows as whatever its reader trips over
        raise ValueError(f"{name} is not a file of an archive, or a damaged one: {error or type(error).__name__}") from error


def _digest(events: Sequence[Archived]) -> bytes:
    digest = hashlib.sha256()
    for event in events:
        stream = event.stream
        for part in (*map(str, stream.identity), event.id or ""):
            digest.update(b"%d:%b" % (len(part), part.encode("utf-8", "backslashreplace")))
        digest.update(b"%d:%b%d:%b" % (len(event.raw), event.raw, len(event.message), event.message))
    return digest.digest()


def _record(event: Archived) -> dict[str, Any]:
    stream = event.stream
    return {
        "account": _writable(stream.account),
        "log_type": _writable(stream.log_type),
        "api_host": _writable(stream.api_host),
        "account_id": None if stream.account_id is None else _writable(stream.account_id),
        "time_ms": event.time_ms if day_of(event.time_ms) != UNDATED else None,
        "id": None if event.id is None else _writable(event.id),
        "raw": event.raw,
        "message": event.message,
    }


def _archived(record: dict[str, Any]) -> Archived:
    time, raw, message = record["time_ms"], record["raw"], record["message"]
    return Archived(
        Stream(record["account"], record["log_type"], record["api_host"], record["account_id"]),
        None if time is None else round(time.timestamp() * 1000),
        record["id"],
        raw,
        # fastavro gives the default of a bytes field as it stands in the schema, as text.
        message.encode("latin-1") if isinstance(message, str) else message,
    )


def _writable(text: str) -> str:
    """Text that is no Unicode, which Avro could not write, with escapes in its place."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _clock(time_ms: int) -> str:
    """Within its day: HHMMSS and milliseconds."""
    secs, millis = divmod(time_ms % DAY_MS, 1000)
    return f"{secs // 3600:02d}{secs // 60 % 60:02d}{secs % 60:02d}{millis:03d}"
