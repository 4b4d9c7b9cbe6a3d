"""The files in which dead letters wait, on this machine or on a Beam file system, as their replay sees them.

Place in the flow: ``pipelines.replays.letters`` takes a file, reads it and sets it aside.

Contract: a file is called ``….avro`` while letters may be added, ``….avro.replaying`` once a replay has taken it,
``….avro.replayed`` when it is done, and ``….avro.dropping`` while some of its letters are dropped, by a person's word.
Whoever adds to a file looks afterwards whether it is still called so, and writes again what is not safe then: what is read
of a file after it was taken is all that counts of it. Methods raise OSError, and ``letters`` also ValueError for a file
that is damaged or holds something else. On this machine one command at a time takes files (``only_one``).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from transforms.errors import FatalError
from transforms.process.files import sync_directory
from transforms.state.dead_letters.counts import TAKEN_BY_REPLAY, TAKEN_TO_DROP, WAITING
from transforms.state.dead_letters.letter import DeadLetter, read_dead_letters, read_letters_from
from transforms.state.remote_files import file_systems

DONE = ".replayed"


class LettersInUse(FatalError):
    """Another command takes files of the directory."""


@contextlib.contextmanager
def only_one(directory: str) -> Iterator[None]:
    """While it lasts, no other command takes files of the directory; on another file system that is the user's to see to.

    Raises LettersInUse, and OSError where the directory cannot be opened.
    """
    if "://" in directory or not Path(directory).is_dir():
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)  # the directory itself: no file is left behind
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LettersInUse(f"Another command is at work on the dead letters in {directory}. Wait until it has ended.") from None
    try:
        yield
    finally:
        os.close(descriptor)


class LetterFile(Protocol):
    """One of them."""

    @property
    def place(self) -> str:
        """Where it is."""
        ...

    @property
    def name(self) -> str:
        """Its name without the directory."""
        ...

    def letters(self, *, whole: bool = False) -> Iterator[DeadLetter]:
        """All that is in it now, a block at a time in memory. Blocks that a disk has damaged are left out, unless ``whole``."""
        ...

    def take(self) -> None:
        """From now on nobody adds to it."""
        ...

    def set_aside(self) -> None:
        """It is done."""
        ...

    def take_to_drop(self) -> None:
        """From now on nobody adds to it, and what is still in it afterwards waits as before."""
        ...

    def remove(self) -> None:
        """It is gone for good."""
        ...


def letter_files(directory: str) -> list[LetterFile]:
    """The files of a directory, in the order of their names. Raises OSError where it cannot be listed."""
    if "://" not in directory:
        found = [path for ending in WAITING for path in Path(directory).glob(f"*.avro{ending}")]
        return [_Here(path) for path in sorted(found)]
    with _as_os_error(directory):
        patterns = [f"{directory.rstrip('/')}/*.avro{ending}" for ending in WAITING]
        places = [each.path for match in file_systems().match(patterns) for each in match.metadata_list]
    return [_Remote(place) for place in sorted(places)]


class _Here:
    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def place(self) -> str:
        return str(self._path)

    @property
    def name(self) -> str:
        return self._path.name

    def letters(self, *, whole: bool = False) -> Iterator[DeadLetter]:
        return read_dead_letters(self._path, whole=whole)

    def take(self) -> None:
        if not self._path.name.endswith(TAKEN_BY_REPLAY):
            self._path = self._path.rename(self._path.with_name(_plain(self._path.name) + TAKEN_BY_REPLAY))

    def set_aside(self) -> None:
        self._path = self._path.rename(self._path.with_name(_plain(self._path.name) + DONE))

    def take_to_drop(self) -> None:
        if not self._path.name.endswith(TAKEN_TO_DROP):
            self._path = self._path.rename(self._path.with_name(_plain(self._path.name) + TAKEN_TO_DROP))

    def remove(self) -> None:
        self._path.unlink()
        sync_directory(self._path.parent)


class _Remote:
    def __init__(self, place: str) -> None:
        self._place = place

    @property
    def place(self) -> str:
        return self._place

    @property
    def name(self) -> str:
        return self._place.rpartition("/")[2]

    def letters(self, *, whole: bool = False) -> Iterator[DeadLetter]:  # noqa: ARG002 - nothing is ever left out here
        with _as_os_error(self._place):
            file = file_systems().open(self._place)
        with file:
            yield from read_letters_from(file, self._place)

    def take(self) -> None:
        if not self._place.endswith(TAKEN_BY_REPLAY):
            self._rename(_plain(self._place) + TAKEN_BY_REPLAY)

    def set_aside(self) -> None:
        self._rename(_plain(self._place) + DONE)

    def take_to_drop(self) -> None:
        if not self._place.endswith(TAKEN_TO_DROP):
            self._rename(_plain(self._place) + TAKEN_TO_DROP)

    def remove(self) -> None:
        with _as_os_error(self._place):
            file_systems().delete([self._place])

    def _rename(self, place: str) -> None:
        with _as_os_error(self._place):
            file_systems().rename([self._place], [place])
        self._place = place


def _plain(name: str) -> str:
    """The name under which letters were added."""
    return name.removesuffix(TAKEN_BY_REPLAY).removesuffix(TAKEN_TO_DROP)


@contextlib.contextmanager
def _as_os_error(place: str) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise OSError(f"{place}: {type(error).__name__}: {error}") from error
