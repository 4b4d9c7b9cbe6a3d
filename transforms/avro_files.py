"""Avro files on a local disk that grow block by block and survive a crash.

Place in the flow: dead letters are written and read through it.

Contract: a file belongs to the process that made it and is never opened for appending again. After ``append`` and ``sync`` its
records are on disk. A process or machine that dies in between leaves at most one broken block at the end; ``read_whole_blocks``
gives everything before it.
"""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import fastavro
import fastavro.write

_LOG = logging.getLogger(__name__)
_MAGIC = b"Obj\x01"


class AppendedAvro:
    """One new file, readable only by its owner. Methods raise OSError.

    Attributes:
      path: where it is.
      day: the day on which it was begun, as ``today`` counts.
    """

    def __init__(self, path: Path, schema: dict[str, Any]) -> None:
        self.path = path
        self.day = today()
        self._block = io.BytesIO()
        self._writer = fastavro.write.Writer(self._block, schema, codec="deflate")
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), "wb", buffering=0)
        try:
            self._pour()
            self.sync()
            _sync_directory(path.parent)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

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
            os.ftruncate(self._file.fileno(), good)
            raise

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read_whole_blocks(path: str | os.PathLike[str], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of one file, up to its last whole block. Raises ValueError for a file that is not such an Avro file."""
    with Path(path).open("rb") as file:
        yield from _read(file, path, schema)


def _read(file: BinaryIO, path: object, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        blocks = fastavro.block_reader(file, schema)
    except (EOFError, ValueError, IndexError) as error:
        file.seek(0)
        if _MAGIC.startswith(file.read(len(_MAGIC))):
            _LOG.warning("%s was cut short before its first record.", path)
            return
        raise ValueError(f"{path} is not an Avro file: {error}") from error
    while True:
        try:
            records = list(next(blocks))
        except StopIteration:
            return
        except Exception as error:  # a broken block shows as whatever its codec trips over
            _LOG.warning("%s was cut short: nothing can be read after its last whole block (%s).", path, type(error).__name__)
            return
        yield from records


def today() -> int:
    """Days since the epoch, UTC."""
    return int(time.time() // 86400)


def _sync_directory(directory: Path) -> None:
    """Makes a new file's name durable too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
