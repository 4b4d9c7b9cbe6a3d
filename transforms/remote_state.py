"""Checkpoints and dead letters on another file system (``gs://…``, ``s3://…``, ``hdfs://…``), through Beam's FileSystems.

Place in the flow: ``checkpoints.store_at`` and ``dead_letters.files_in`` give these for a directory that is an URL. Runners
whose workers come and go need them: what is written to a worker's disk goes away with the worker.

Contract, where it differs from the local one:
  * A record is one object, written whole; object stores show the old one or the new one. No previous record is kept, and
    commits are monotone within a process only: there, the runner's own checkpoint is the truth while a job lives, and this is
    where a launch without one begins.
  * There is no lock: one job per directory is the user's to keep, which ``lock`` says.
  * ``load`` raises RetryLater where the file system cannot be asked: beginning at the look-back for that would repeat months.
    ``commit`` raises OSError.
  * Each flush of dead letters is an Avro file of its own; a name is never used twice.
"""

from __future__ import annotations

import logging
import posixpath
import time
from collections.abc import Iterator
from contextlib import suppress
from uuid import uuid4

import fastavro
import msgspec
from apache_beam.io.filesystems import FileSystems

from transforms.checkpoint_records import Positions, Record, read_positions, readable_record
from transforms.checkpoints import FORGOTTEN_KEPT, CheckpointStore
from transforms.dead_letters import SCHEMA, DeadLetter, DeadLetterFiles, StreamName, file_safe_stream
from transforms.duo.cursor import CursorUnreadable
from transforms.errors import RetryLater
from transforms.events import Stream

_LOGGER = logging.getLogger(__name__)


class RemoteCheckpointStore(CheckpointStore):
    """The store in a directory of a Beam file system."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._url = url.rstrip("/")

    def open(self) -> None:
        """Nothing to do: object stores have no directories, and others make them with the first file."""

    def lock(self) -> None:
        _LOGGER.warning("%s cannot be locked: make sure that nothing else runs on it.", self._url)

    def unlock(self) -> None:
        self._last.clear()

    def forget(self, stream: Stream) -> None:
        with self._lock_of(stream):
            self._last.pop(self.file_name(stream), None)
            place = self._place(stream)
            if _exists(place):
                self._move_aside(place, "forgotten")
                self._drop_older(f"{place}.forgotten-*")

    def _drop_older(self, pattern: str) -> None:
        """Keeps the newest few; their names sort by time."""
        with suppress(Exception):  # each file system has errors of its own, and one too many does no harm
            found = sorted(str(each.path) for match in FileSystems.match([pattern]) for each in match.metadata_list)
            FileSystems.delete(found[:-FORGOTTEN_KEPT])

    def records(self) -> Iterator[Record]:
        for match in FileSystems.match([f"{self._url}/*.json"]):
            for found in sorted(match.metadata_list, key=lambda each: str(each.path)):
                with suppress(CursorUnreadable):
                    yield readable_record(_read(found.path))

    def _place(self, stream: Stream) -> str:
        return f"{self._url}/{self.file_name(stream)}"

    def _read_best(self, stream: Stream) -> Positions | None:
        place = self._place(stream)
        try:
            content = _read(place) if _exists(place) else None
        except Exception as error:  # each file system has errors of its own
            raise _later(f"The checkpoint {place} cannot be read now", error, "checkpoints") from error
        if content is None:
            return None
        try:
            return read_positions(content, stream)
        except CursorUnreadable as error:
            _LOGGER.error(
                "The checkpoint of %s was not usable and is kept as %s: %s The stream begins at its full look-back and repeats "
                "events. None is skipped.", stream, self._move_aside(place, "unreadable"), error,
            )  # fmt: skip
            return None

    def _keep(self, stream: Stream, content: bytes) -> None:
        try:
            _write(self._place(stream), content)
        except Exception as error:  # each file system has errors of its own
            raise OSError(None, f"{type(error).__name__}: {error}") from error

    def _move_aside(self, place: str, why: str) -> str:
        aside = f"{place}.{why}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid4().hex[:8]}"
        FileSystems.rename([place], [aside])
        return aside


class RemoteDeadLetterFiles(DeadLetterFiles):
    """Dead letters in a directory of a Beam file system. Each write is a file of its own, so many letters share one."""

    at_once = False

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._url = url.rstrip("/")

    def try_out(self) -> None:
        """Nothing to do: to write costs a call, and the next bundle makes it anyway."""

    def _sync_stream(self, stream: StreamName) -> None:
        """Nothing to do: a file is durable once it is closed."""

    def _write_stream(self, stream: StreamName, letters: list[DeadLetter]) -> None:
        place = f"{self._url}/{file_safe_stream(stream)}.{time.time_ns() // 1_000_000}-{uuid4().hex}.avro"
        try:
            _make_directory(self._url)
            with FileSystems.create(place, mime_type="application/octet-stream") as file:
                fastavro.writer(file, SCHEMA, [msgspec.structs.asdict(letter) for letter in letters], codec="deflate")
        except Exception as error:  # each file system has errors of its own
            raise _later(f"Dead letters cannot be written to {self._url}", error, "dead_letters") from error


def _later(what: str, error: Exception, kind: str) -> RetryLater:
    return RetryLater(f"{what}: {type(error).__name__}: {error}. It is tried again.", kind=kind)


def _exists(place: str) -> bool:
    return bool(FileSystems.exists(place))


def _read(place: str) -> bytes:
    with FileSystems.open(place) as file:
        return bytes(file.read())


def _write(place: str, content: bytes) -> None:
    _make_directory(posixpath.dirname(place))
    with FileSystems.create(place, mime_type="application/json") as file:
        file.write(content)


def _make_directory(directory: str) -> None:
    """For file systems that have directories; object stores do not mind, and say that it is there."""
    with suppress(OSError):
        FileSystems.mkdirs(directory)
