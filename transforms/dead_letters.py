"""Events that can never be delivered as they are: what is kept of them, and the files in which they wait.

Place in the flow: whoever finds an event undeliverable (formats, destinations) emits a ``DeadLetter``; ``WriteDeadLetters``
writes it to an Avro file in ``dead_letter_dir``; ``read_dead_letters`` reads it for the replay.

Contract: a bundle with dead letters finishes only when they are on disk (written, flushed, synced). If they cannot be written
the bundle fails with ``RetryLater`` and is read again: an event is delivered or kept, never lost. Files are readable only by
their owner. Every process writes files of its own, so a file that kill -9 cut short is never appended to; it stays readable up
to its last whole block. A letter may be there twice after a crash. The log and the metrics count by reason and show no event.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import apache_beam as beam
import msgspec
from apache_beam import coders
from apache_beam.metrics import Metrics

from transforms.avro_files import AppendedAvro, read_whole_blocks, today
from transforms.errors import RetryLater, Undeliverable
from transforms.events import DuoEvent, Stream
from transforms.lifecycle import FAILURES
from transforms.settings import Destination

_LOG = logging.getLogger(__name__)

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
MAYBE_UNREAD = "maybe_unread"

_ROTATE_BYTES = 64 * 1024 * 1024
_HOLD_AT_MOST = 1000  # letters in memory before they are written out in mid-bundle
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One undelivered event, with what a person needs to mend the cause and to replay it. Fields as in ``SCHEMA``."""

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


def dead_letter(event: DuoEvent, destination: Destination | None, error: Undeliverable) -> DeadLetter:
    """The letter for an event that a format or a destination cannot take."""
    return DeadLetter(
        **_about(event.stream, destination),
        reason=error.reason,
        detail=str(error),
        raw=event.raw,
    )


def _about(stream: Stream, destination: Destination | None) -> dict[str, Any]:
    return {
        "time_ms": time.time_ns() // 1_000_000,
        "account": stream.account,
        "log_type": stream.log_type,
        "api_host": stream.api_host,
        "account_id": stream.account_id,
        "destination": destination.name if destination is not None else "",
        "format": destination.format.name if destination is not None else "",
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


class DeadLetterFiles:
    """The files that this process writes in one directory; thread-safe, one file per stream at a time."""

    def __init__(self, directory: str, rotate_bytes: int = _ROTATE_BYTES) -> None:
        self._directory = Path(directory)
        self._rotate_bytes = rotate_bytes
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], AppendedAvro] = {}
        self._count = 0

    def write(self, letters: list[DeadLetter], *, sync: bool = True) -> None:
        """Appends the letters. Raises RetryLater where they cannot be written."""
        by_stream: dict[tuple[str, str], list[DeadLetter]] = {}
        for letter in letters:
            by_stream.setdefault((letter.account, letter.log_type), []).append(letter)
        with self._lock:
            for stream, those in by_stream.items():
                self._write_stream(stream, those)
            if sync:
                self._sync()

    def sync(self) -> None:
        """Makes everything written durable. Raises RetryLater."""
        with self._lock:
            self._sync()

    def close(self) -> None:
        """Closes the files; the next write opens new ones."""
        with self._lock:
            for file in self._open.values():
                file.close()
            self._open.clear()

    def _write_stream(self, stream: tuple[str, str], letters: list[DeadLetter]) -> None:
        try:
            self._file_for(stream).append([msgspec.structs.asdict(letter) for letter in letters])
        except OSError as error:
            self._give_up(stream)
            raise self._cannot(error) from error

    def _sync(self) -> None:
        for stream, file in list(self._open.items()):
            try:
                file.sync()
            except OSError as error:
                self._give_up(stream)
                raise self._cannot(error) from error

    def _file_for(self, stream: tuple[str, str]) -> AppendedAvro:
        file = self._open.get(stream)
        if file is not None and (file.size >= self._rotate_bytes or file.day != today() or not file.path.exists()):
            file.sync()
            self._give_up(stream)
            file = None
        if file is None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = self._open[stream] = AppendedAvro(self._directory / self._next_name(stream), SCHEMA)
        return file

    def _next_name(self, stream: tuple[str, str]) -> str:
        self._count += 1
        return f"{file_safe_stream(stream)}.{_STARTED_MS}-{os.getpid()}.{self._count:04d}.avro"

    def _give_up(self, stream: tuple[str, str]) -> None:
        file = self._open.pop(stream, None)
        if file is not None:
            file.close()

    def _cannot(self, error: OSError) -> RetryLater:
        return RetryLater(
            f"Dead letters cannot be written to {self._directory}: {error.strerror or error}. Until they can, nothing that "
            "would need one is confirmed. Make the directory writable, or free space there.",
            kind="dead_letters",
        )


def file_safe_stream(stream: tuple[str, str]) -> str:
    """Account and log type as part of a file's name."""
    return ".".join(_NOT_IN_NAMES.sub("_", part) for part in stream)


_STARTED_MS = time.time_ns() // 1_000_000
_FILES: dict[str, DeadLetterFiles] = {}
_LOCK = threading.Lock()


def files_in(directory: str) -> DeadLetterFiles:
    """The one ``DeadLetterFiles`` of a directory in this process; for an URL, one of ``transforms.remote_state``."""
    with _LOCK:
        if directory not in _FILES:
            _FILES[directory] = _made(directory)
        return _FILES[directory]


def _made(directory: str) -> DeadLetterFiles:
    if "://" not in directory:
        return DeadLetterFiles(directory)
    from transforms.remote_state import RemoteDeadLetterFiles  # it imports this module

    return RemoteDeadLetterFiles(directory)


class Unread(Protocol):
    """Messages of one stream that a destination may never have read, as ``registry`` hands them over."""

    @property
    def destination(self) -> Destination: ...

    @property
    def stream(self) -> Stream: ...

    @property
    def messages(self) -> list[bytes]: ...


def keep_unread(directory: str, unread: Iterable[Unread]) -> None:
    """Keeps messages of which it will never be known whether they were read. Raises RetryLater where that cannot be."""
    letters = [
        DeadLetter(
            **_about(some.stream, some.destination),
            reason=MAYBE_UNREAD,
            detail="Acknowledged by the receiver's system, but its connection was lost and it may not have been read.",
            message=message,
        )
        for some in unread
        for message in some.messages
    ]
    if letters:
        files_in(directory).write(letters)
        report(Counter({MAYBE_UNREAD: len(letters)}), directory)


class WriteDeadLetters(beam.DoFn):
    """DeadLetter → Avro files in a directory. No output."""

    def __init__(self, directory: str) -> None:
        super().__init__()
        self._directory = directory
        self._held: list[DeadLetter] = []
        self._reasons: Counter[str] = Counter()

    def start_bundle(self) -> None:
        self._held = []
        self._reasons = Counter()

    def process(self, letter: DeadLetter) -> None:
        self._held.append(letter)
        if len(self._held) >= _HOLD_AT_MOST:
            self._write(sync=False)

    def finish_bundle(self) -> None:
        if self._held or self._reasons:
            self._write(sync=True)
            report(self._reasons, self._directory)
        self._reasons = Counter()

    def _write(self, *, sync: bool) -> None:
        try:
            files_in(self._directory).write(self._held, sync=sync)
        except RetryLater as error:
            for letter in self._held:
                FAILURES.record(Stream(letter.account, letter.log_type, letter.api_host, letter.account_id), error)
            raise
        self._reasons.update(letter.reason for letter in self._held)
        self._held = []


def report(reasons: Counter[str], directory: str) -> None:
    """One ERROR line and the metrics."""
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    _LOG.error("%d events could not be delivered and are kept in %s: %s.", reasons.total(), directory, counts)
    for reason, count in reasons.items():
        Metrics.counter("duologsync", f"dead_letters_{reason}").inc(count)


def read_dead_letters(path: str | os.PathLike[str]) -> Iterator[DeadLetter]:
    """The letters of one file, up to its last whole block. Raises ValueError for a file that holds something else."""
    for record in read_whole_blocks(path, SCHEMA):
        record["time_ms"] = round(record["time_ms"].timestamp() * 1000)
        # fastavro gives the default of a bytes field as it stands in the schema, as text.
        record.update({name: value.encode("latin-1") for name in _BYTES if isinstance(value := record[name], str)})
        yield DeadLetter(**record)
