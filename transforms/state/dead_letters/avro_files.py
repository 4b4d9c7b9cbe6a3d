"""Avro files on a local disk that grow block by block and survive a crash.

Place in the flow: dead letters are written and read through it.

Contract: a file belongs to the process that made it and is never opened for appending again. After ``append`` and ``sync`` its
records are on disk. A process or machine that dies in between leaves at most one broken block at the end; ``read_whole_blocks``
gives everything before it, and leaves out single blocks that a disk has damaged, which it says.
"""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import fastavro
import fastavro.write

from transforms.notices import state
from transforms.notices.notice import Notice, tell
from transforms.process.files import open_new, open_to_read, sync_directory

_LOGGER = logging.getLogger("duologsync.dead_letters")
_MAGIC = b"Obj\x01"
_MARKER_BYTES = 16  # of the marker that ends the header and every block

Damage = Callable[[Notice, str], None]
"""Takes note of what of a file cannot be read: what it is, and in a sentence where and why. May raise ValueError."""


class AppendedAvro:
    """One new file that begins with some records, readable only by its owner. Methods raise OSError.

    Attributes:
      path: where it is.
      day: the day on which it was begun, as ``today`` counts.
      whole: it ends with a whole block; what is appended to one that does not could never be read.
    """

    def __init__(self, path: Path, schema: dict[str, Any], records: list[dict[str, Any]]) -> None:
        self.path = path
        self.day = today()
        self.whole = True
        self._block = io.BytesIO()
        self._writer = fastavro.write.Writer(self._block, schema, codec="deflate")
        self._file = os.fdopen(open_new(path, os.O_WRONLY | os.O_APPEND), "wb", buffering=0)
        try:
            self._pour()
            if records:
                self.append(records)
            self.sync()
            sync_directory(path.parent)
        except BaseException:
            self.close()
            with suppress(OSError):  # a full disk fails one attempt after the other, and each would leave an empty file
                path.unlink()
            raise

    @property
    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    @property
    def in_place(self) -> bool:
        """Whether it still has its name: not where it was moved or removed, alone or with its directory."""
        try:
            return os.path.samestat(self.path.lstat(), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def append(self, records: list[dict[str, Any]]) -> None:
        """Writes one block. If that fails, the file ends after the block before it."""
        for record in records:
            self._writer.write(record)
        self._writer.flush()
        self._pour()

    def _pour(self) -> None:
        """What the Avro writer has made so far goes to the file."""
        good = self.size
        block = memoryview(self._block.getvalue())
        self._block.seek(0)
        self._block.truncate()
        try:
            while block:
                block = block[self._file.write(block) :]
        except OSError:
            self.whole = False
            os.ftruncate(self._file.fileno(), good)
            self.whole = True
            raise

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def told(notice: Notice, text: str) -> None:
    """Says in the log what of a file cannot be read."""
    tell(_LOGGER, notice, "%s", text)


def refused(notice: Notice, text: str) -> None:
    """Goes on only where a crash has cut a file short: nobody was promised what was being written. Raises ValueError."""
    if notice is not state.FILE_CUT_SHORT:
        raise ValueError(text)


def read_whole_blocks(path: str | os.PathLike[str], schema: dict[str, Any], damage: Damage = told) -> Iterator[dict[str, Any]]:
    """The records of one file, of all its whole blocks.

    Raises ValueError for a file that is not such an Avro file, and OSError for one that cannot be read or is not ours.
    """
    with os.fdopen(open_to_read(Path(path)), "rb") as file:
        yield from _read(file, path, schema, damage)


def _read(file: BinaryIO, path: object, schema: dict[str, Any], damage: Damage) -> Iterator[dict[str, Any]]:
    try:
        blocks = fastavro.block_reader(file, schema)
    except Exception as error:  # a damaged header shows as whatever its reader trips over
        file.seek(0)
        start = file.read(_header_bytes(schema))
        if len(start) < _header_bytes(schema) and _MAGIC[: len(start)] == start[: len(_MAGIC)]:
            damage(state.FILE_CUT_SHORT, f"{path} was cut short before its first record.")
            return
        raise ValueError(f"{path} is not an Avro file, or a damaged one: {error or type(error).__name__}") from error
    begin = file.tell()
    file.seek(0)
    header = file.read(begin)
    while True:
        try:
            records = list(next(blocks))
        except StopIteration:
            return
        except Exception as error:  # a broken block shows as whatever its codec trips over
            file.seek(begin)
            _, marker, rest = file.read().partition(header[-_MARKER_BYTES:])
            cause = type(error).__name__
            if not marker:
                what = f"{path} was cut short: nothing can be read after its last whole block ({cause})."
                damage(state.FILE_CUT_SHORT, what)
                return
            damage(state.FILE_DAMAGED, f"{path} is damaged: the records of one block are left out ({cause}).")
            file, begin = io.BytesIO(header + rest), len(header)
            blocks = fastavro.block_reader(file, schema)
            continue
        begin = file.tell()
        yield from records


def _header_bytes(schema: dict[str, Any]) -> int:
    """How long the header is that a file of this schema begins with: one with more was not cut short in it."""
    empty = io.BytesIO()
    fastavro.write.Writer(empty, schema, codec="deflate")
    return len(empty.getvalue())


def today() -> int:
    """Days since the epoch, UTC."""
    return int(time.time() // 86400)
