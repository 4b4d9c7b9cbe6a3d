"""Objects on a Beam file system (``gs://…``, ``s3://…``, ``hdfs://…``): the few calls that the remote stores are made of.

Place in the flow: below ``checkpoints.remote`` and ``dead_letters.remote``. Contract: each file system raises errors of its
own; whoever calls turns them into ``RetryLater`` by ``retry_later``.
"""

from __future__ import annotations

import posixpath
from contextlib import suppress

from apache_beam.io.filesystems import FileSystems

from transforms.errors import RetryLater


def retry_later(what: str, error: Exception, kind: str) -> RetryLater:
    """What an error of any file system means here."""
    return RetryLater(f"{what}: {type(error).__name__}: {error}. It is tried again.", kind=kind)


def exists(place: str) -> bool:
    """Whether there is an object."""
    return bool(FileSystems.exists(place))


def read(place: str) -> bytes:
    """The whole object."""
    with FileSystems.open(place) as file:
        return bytes(file.read())


def write(place: str, content: bytes) -> None:
    """Writes an object whole; its directory is made where that is missing."""
    make_directory(posixpath.dirname(place))
    with FileSystems.create(place, mime_type="application/json") as file:
        file.write(content)


def make_directory(directory: str) -> None:
    """For file systems that have directories; object stores do not mind, and say that it is there."""
    with suppress(OSError):
        FileSystems.mkdirs(directory)
