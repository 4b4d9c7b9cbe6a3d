"""Events that can never be delivered as they are: how they come into the files in which they wait.

Place in the flow: whoever finds an event undeliverable (formats, destinations) emits a ``DeadLetter``; ``WriteDeadLetters``
writes it to an Avro file in ``dead_letter_dir``; ``read_dead_letters`` reads it for the replay. What a letter is, is said in
``transforms.state.dead_letters.letter``, whose names are here, too.

Contract: a bundle with dead letters finishes only when they are on disk (written, flushed, synced): an event is delivered or
kept, never lost. The letters of what a format cannot write are written before anything else of their batch is sent; where they
cannot be, their bundle waits there, as it does for a destination that is away, and nothing is sent twice. Those of what a
destination refused are written when all else is delivered. The bundle fails only at the end of a shutdown's grace period or, on
streaming runners, after the destination's delivery timeout; its stream is then held until the directory can be written.

Files are readable only by their owner. Every process writes files of its own, so a file that kill -9 cut short is never
appended to; it stays readable up to its last whole block. A letter may be there twice after a crash, or where a file was moved
away or a disk failed before the letter was synced. The log and the metrics count by reason and show no event.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import apache_beam as beam
import msgspec
from apache_beam.metrics import Metrics

from transforms.destinations.circuit_breaker import CIRCUIT_BREAKERS
from transforms.errors import DuoLogSyncError, RetryLater, Stopping
from transforms.process.files import make_private_directory, open_new, why_not_writable
from transforms.process.lifetime import OnePerKey, Stage, per_process
from transforms.process.shutdown import FAILURES
from transforms.process.until_done import Insistence
from transforms.records import Stream, Subscription
from transforms.settings import Destination
from transforms.state.dead_letters.avro_files import AppendedAvro, today
from transforms.state.dead_letters.letter import (
    SCHEMA,
    DeadLetter,
    DeadLetterBatch,
    DeadLetterCoder,
    about,
    dead_letter,
    failed_again,
    read_dead_letters,
)

__all__ = [
    "DEAD",
    "MAYBE_UNREAD",
    "SCHEMA",
    "DeadLetter",
    "DeadLetterBatch",
    "DeadLetterCoder",
    "DeadLetterFiles",
    "StreamName",
    "Unread",
    "WriteDeadLetters",
    "dead_letter",
    "failed_again",
    "file_safe_stream",
    "files_in",
    "keep_unread",
    "read_dead_letters",
    "report",
    "trouble_with_dead_letters",
]  # fmt: skip

_LOGGER = logging.getLogger("duologsync.dead_letters")

DEAD = "dead"
"""The tag of the output that dead letters leave a step by."""

MAYBE_UNREAD = "maybe_unread"

_ROTATE_BYTES = 64 * 1024 * 1024
_UNSYNCED_LETTERS = 1000  # letters, and bytes of events, that are remembered until they are synced
_UNSYNCED_BYTES = 8 * 1024 * 1024
StreamName = tuple[str, str]
"""Account and log type: what files are told apart by."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_IN_NAMES = 80


@dataclass
class _Kept:
    """What one stream's file holds that is not durable yet; remembered, because only a synced letter is safe."""

    file: AppendedAvro | None = None
    unsynced: list[DeadLetter] = field(default_factory=list)
    unsynced_bytes: int = 0

    def add(self, letters: list[DeadLetter]) -> None:
        self.unsynced += letters
        self.unsynced_bytes += sum(len(letter.raw) + len(letter.message) for letter in letters)

    @property
    def many(self) -> bool:
        return len(self.unsynced) >= _UNSYNCED_LETTERS or self.unsynced_bytes >= _UNSYNCED_BYTES

    def synced(self) -> None:
        self.unsynced, self.unsynced_bytes = [], 0

    def close(self) -> None:
        file, self.file = self.file, None
        if file is not None:
            with suppress(OSError):  # what is not synced is remembered, and written to the next file
                file.close()


class DeadLetterFiles:
    """The files that this process writes in one directory; thread-safe, one file per stream at a time.

    Attributes:
      at_once: each letter is best written by itself, when it arises. insistence: what those share who wait until they can be.
    """

    at_once = True

    def __init__(self, directory: str, rotate_bytes: int = _ROTATE_BYTES) -> None:
        self.insistence = Insistence(f"Dead letters can be written to {directory}")
        self._directory = Path(directory)
        self._rotate_bytes = rotate_bytes
        self._lock = threading.Lock()
        self._kept: defaultdict[StreamName, _Kept] = defaultdict(_Kept)
        self._made_ms = time.time_ns() // 1_000_000
        self._count = 0

    def write(self, letters: list[DeadLetter], *, sync: bool = True) -> None:
        """Appends the letters. Raises RetryLater where they cannot be written; those that could be may be there twice later."""
        by_stream: dict[StreamName, list[DeadLetter]] = {}
        for letter in letters:
            by_stream.setdefault((letter.account, letter.log_type), []).append(letter)
        with self._lock:
            for stream, those in by_stream.items():
                self._write_stream(stream, those)
                if sync:
                    self._sync_stream(stream)

    def sync(self, streams: Iterable[StreamName]) -> None:
        """Makes everything durable that was written for these streams. Raises RetryLater."""
        with self._lock:
            for stream in streams:
                self._sync_stream(stream)

    def close(self) -> None:
        """Closes the files; the next write opens new ones."""
        with self._lock:
            for kept in self._kept.values():
                kept.close()
            self._kept.clear()

    def try_out(self) -> None:
        """Looks whether something can be written here. Raises RetryLater."""
        place = self._directory / f".tried-{os.getpid()}-{threading.get_ident()}"
        try:
            make_private_directory(self._directory)
            descriptor = open_new(place)
            try:
                os.write(descriptor, bytes(4096))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
                place.unlink()
        except OSError as error:
            raise self._cannot(error) from error

    def _write_stream(self, stream: StreamName, letters: list[DeadLetter]) -> None:
        kept = self._kept[stream]
        try:
            file = self._file_of(stream, kept)
            if file.size >= self._rotate_bytes or file.day != today():
                self._sync_file(kept, file)
                kept.close()
            self._file_of(stream, kept).append(_records(letters))
        except OSError as error:
            raise self._cannot(error) from error
        kept.add(letters)
        if kept.many:
            self._sync_stream(stream)

    def _sync_stream(self, stream: StreamName) -> None:
        kept = self._kept[stream]
        if not kept.unsynced:
            return
        try:
            self._sync_file(kept, self._file_of(stream, kept))
        except OSError as error:
            raise self._cannot(error) from error

    @staticmethod
    def _sync_file(kept: _Kept, file: AppendedAvro) -> None:
        try:
            file.sync()
        except OSError:
            # The system reports a failure once and forgets what it could not write: only a new file can hold it.
            kept.close()
            raise
        kept.synced()

    def _file_of(self, stream: StreamName, kept: _Kept) -> AppendedAvro:
        """The stream's file, in place and whole; a new one begins with what the one before may not have kept."""
        if kept.file is not None and not (kept.file.whole and kept.file.in_place):
            kept.close()
        if kept.file is None:
            make_private_directory(self._directory)
            kept.file = AppendedAvro(self._directory / self._next_name(stream), SCHEMA, _records(kept.unsynced))
        return kept.file

    def _next_name(self, stream: StreamName) -> str:
        self._count += 1
        return f"{file_safe_stream(stream)}.{self._made_ms}-{os.getpid()}.{self._count:04d}.avro"

    def _cannot(self, error: OSError) -> RetryLater:
        return RetryLater(
            f"Dead letters cannot be written to {self._directory}: {error.strerror or error}. Until they can, what needs one "
            "waits. Make the directory writable, or free space there.",
            kind="dead_letters",
        )


def _records(letters: list[DeadLetter]) -> list[dict[str, Any]]:
    return [msgspec.structs.asdict(letter) for letter in letters]


def file_safe_stream(stream: StreamName) -> str:
    """Account and log type as part of a file's name."""
    return ".".join(_NOT_IN_NAMES.sub("_", part)[:_LONGEST_IN_NAMES] for part in stream)


_FILES: OnePerKey[str, DeadLetterFiles] = per_process(
    "dead letter files", OnePerKey, close=lambda _: _close_files(), stage=Stage.FILES
)


def _close_files() -> None:
    for files in _FILES.all():
        files.close()


def files_in(directory: str) -> DeadLetterFiles:
    """The one ``DeadLetterFiles`` of a directory in this process; for an URL, one of ``dead_letters.remote``."""
    return _FILES.of(directory, lambda: _made(directory))


def _made(directory: str) -> DeadLetterFiles:
    if "://" not in directory:
        return DeadLetterFiles(directory)
    from transforms.state.dead_letters.remote import RemoteDeadLetterFiles  # it imports this module

    return RemoteDeadLetterFiles(directory)


def trouble_with_dead_letters(directory: str) -> OSError | None:
    """What would keep letters from being written, as far as can be seen without writing one; nothing is known of an URL."""
    return None if "://" in directory else why_not_writable(Path(directory))


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
            **about(some.stream, some.destination),
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
    """DeadLetter → Avro files in a directory. No output.

    Args:
      timeout_secs: for how long a bundle may wait until the directory can be written; None for as long as it takes.
    """

    def __init__(self, directory: str, timeout_secs: float | None = None) -> None:
        super().__init__()
        self._directory = directory
        self._timeout_secs = timeout_secs
        self._clear()

    def _clear(self) -> None:
        self._held: list[DeadLetter] = []
        self._subscriptions: dict[StreamName, Subscription] = {}
        self._reasons: Counter[str] = Counter()

    def start_bundle(self) -> None:
        self._clear()

    def process(self, letter: DeadLetter) -> None:
        self._held.append(letter)
        self._subscriptions.setdefault((letter.account, letter.log_type), Subscription(letter.stream, letter.destination))
        self._reasons[letter.reason] += 1
        files = files_in(self._directory)
        if files.at_once or len(self._held) >= _UNSYNCED_LETTERS:
            self._insist(lambda: files.write(self._held, sync=False))
            self._held = []

    def finish_bundle(self) -> None:
        if not self._subscriptions:
            return
        files = files_in(self._directory)
        if self._held:
            self._insist(lambda: files.write(self._held, sync=False))
            self._held = []
        self._insist(lambda: files.sync(self._subscriptions))
        for subscription in self._subscriptions.values():
            CIRCUIT_BREAKERS.delivered(subscription, self._title)
        report(self._reasons, self._directory)
        self._clear()

    @property
    def _title(self) -> str:
        return f"dead letters in {self._directory}"

    def _insist(self, attempt: Callable[[], None]) -> None:
        files = files_in(self._directory)
        before = files.insistence.failed
        try:
            files.insistence.until_done(attempt, self._timeout_secs)
        except DuoLogSyncError as error:
            for subscription in self._subscriptions.values():
                FAILURES.record(subscription, error)
                if not isinstance(error, Stopping):
                    CIRCUIT_BREAKERS.hold(subscription, self._title, files.try_out)
            raise
        finally:
            if failed := files.insistence.failed - before:
                Metrics.counter("duologsync", "dead_letter_writes_failed").inc(failed)


def report(reasons: Counter[str], directory: str) -> None:
    """One ERROR line and the metrics."""
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    _LOGGER.error("%d events could not be delivered and are kept in %s: %s.", reasons.total(), directory, counts)
    for reason, count in reasons.items():
        Metrics.counter("duologsync", f"dead_letters_{reason}").inc(count)
