"""Dead letters in a directory of this machine: the files that this process writes there.

Place in the flow: ``transforms.state.dead_letters.write`` gives one ``DeadLetterFiles`` for each directory.

Contract: what was synced is durable, and what was not is remembered until it is. Files are readable only by their owner. Every
process writes files of its own, so a file that kill -9 cut short is never appended to; it stays readable up to its last whole
block. A letter may be there twice after a crash, or where a file was moved away or a disk failed before the letter was synced.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from transforms.errors import RetryLater
from transforms.notices import state
from transforms.process.files import file_safe, make_private_directory, open_new
from transforms.process.until_done import Insistence
from transforms.state.dead_letters.avro_files import AppendedAvro, today
from transforms.state.dead_letters.letter import SCHEMA, DeadLetter
from transforms.state.dead_letters.telling import Telling

_ROTATE_BYTES = 64 * 1024 * 1024
_UNSYNCED_LETTERS = 1000  # letters, and bytes of events, that are remembered until they are synced
_UNSYNCED_BYTES = 8 * 1024 * 1024
StreamName = tuple[str, str]
"""Account and log type: what files are told apart by."""


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
      telling: what the log says of the letters.
    """

    at_once = True

    def __init__(self, directory: str, rotate_bytes: int = _ROTATE_BYTES) -> None:
        self.telling = Telling(directory)
        self.insistence = Insistence(f"Dead letters can be written to {directory}", state.DEAD_LETTERS_NOT_WRITTEN)
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
    return ".".join(map(file_safe, stream))
