"""Whole files in a directory of this machine or of a Beam file system: there is never a half one.

Place in the flow: the archive's sender puts files here, ``reader`` finds them.

Contract of ``put``: when it has returned, the file is there under its name, whole and durable; before that, nothing is under
its name, or what was there before. Raises OSError of this machine's disk, and ``RetryLater`` where another file system has any
trouble.
  * On this machine: written aside under a hidden name, synced, renamed, and the directory synced.
  * On an object store (``gs://``, ``s3://``, ``azfs://``): written at once, since an object can be seen only once it is whole.
  * On others (``hdfs://``): written aside and renamed.
What an object store has taken is looked at: an answer that it was is not yet an object of that size.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from transforms.errors import RetryLater
from transforms.process.files import make_private_directory, open_new, sync_directory
from transforms.state.remote_files import file_systems, make_directory

_OBJECT_STORES = ("gs", "s3", "azfs")
_BINARY = "application/octet-stream"


def is_remote(directory: str) -> bool:
    """Whether a directory is on a Beam file system, and not of this machine."""
    return "://" in directory


def put(directory: str, name: str, content: bytes) -> None:
    """Writes a file. Args: ``name``: below the directory, with slashes."""
    if is_remote(directory):
        _put_remote(f"{directory.rstrip('/')}/{name}", content)
    else:
        _put_here(Path(directory), name, content)


def look_at(directory: str) -> None:
    """Looks whether a directory of a Beam file system can be asked for. Raises RetryLater."""
    try:
        file_systems().exists(directory)
    except Exception as error:  # each file system has errors of its own
        raise RetryLater(f"{directory} cannot be reached: {type(error).__name__}: {error}.", kind="archive") from error


def _put_here(root: Path, name: str, content: bytes) -> None:
    place = root / name
    is_new = not place.parent.exists()
    make_private_directory(root)
    make_private_directory(place.parent)
    aside = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with os.fdopen(open_new(aside), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(place)
    except OSError:
        with suppress(OSError):
            aside.unlink()
        raise
    for directory in place.relative_to(root).parents if is_new else (place.parent,):
        sync_directory(root / directory)


def _put_remote(place: str, content: bytes) -> None:
    try:
        if place.partition("://")[0] in _OBJECT_STORES:
            _write(place, content)
        else:
            _write_aside(place, content)
        size = _size(place)
    except Exception as error:  # each file system has errors of its own
        raise RetryLater(f"{place} cannot be written: {type(error).__name__}: {error}", kind="archive") from error
    if size != len(content):
        raise RetryLater(f"{place} has {size} bytes, and {len(content)} were written", kind="archive")


def _write(place: str, content: bytes) -> None:
    with file_systems().create(place, mime_type=_BINARY) as file:
        file.write(content)


def _write_aside(place: str, content: bytes) -> None:
    directory, _, name = place.rpartition("/")
    aside = f"{directory}/.{name}.part"
    make_directory(directory)
    _write(aside, content)
    if file_systems().exists(place):
        file_systems().delete([place])  # the same events, from an earlier attempt
    file_systems().rename([aside], [place])


def _size(place: str) -> int:
    found = file_systems().match([place])[0].metadata_list
    return int(found[0].size_in_bytes) if found else 0
