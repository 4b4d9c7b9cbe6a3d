"""The files in which dead letters wait, on this machine or on a Beam file system, as their replay sees them.

Place in the flow: ``pipelines.replays.letters`` takes a file, reads it and sets it aside.

Contract: a file is called ``….avro`` while letters may be added, ``….avro.replaying`` once a replay has taken it, and
``….avro.replayed`` when it is done; it is never deleted here. Methods raise OSError, and ``letters`` also ValueError for a file
that is damaged or holds something else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from transforms.state.dead_letters.letter import DeadLetter, read_dead_letters, read_letters_from
from transforms.state.remote_files import file_systems

_TAKEN, _DONE = ".replaying", ".replayed"


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

    def letters(self) -> Iterator[DeadLetter]:
        """All that is in it now, a block at a time in memory."""
        ...

    def take(self) -> None:
        """From now on nobody adds to it."""
        ...

    def set_aside(self) -> None:
        """It is done."""
        ...


def letter_files(directory: str) -> list[LetterFile]:
    """The files of a directory, in the order of their names. Raises OSError where it cannot be listed."""
    if "://" not in directory:
        found = [*Path(directory).glob("*.avro"), *Path(directory).glob(f"*.avro{_TAKEN}")]
        return [_Here(path) for path in sorted(found)]
    with _as_os_error(directory):
        patterns = [f"{directory.rstrip('/')}/*.avro{ending}" for ending in ("", _TAKEN)]
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

    def letters(self) -> Iterator[DeadLetter]:
        return read_dead_letters(self._path)

    def take(self) -> None:
        if not self._path.name.endswith(_TAKEN):
            self._path = self._path.rename(self._path.with_name(self._path.name + _TAKEN))

    def set_aside(self) -> None:
        self._path = self._path.rename(self._path.with_name(self._path.name.removesuffix(_TAKEN) + _DONE))


class _Remote:
    def __init__(self, place: str) -> None:
        self._place = place

    @property
    def place(self) -> str:
        return self._place

    @property
    def name(self) -> str:
        return self._place.rpartition("/")[2]

    def letters(self) -> Iterator[DeadLetter]:
        with _as_os_error(self._place):
            file = file_systems().open(self._place)
        with file:
            yield from read_letters_from(file, self._place)

    def take(self) -> None:
        if not self._place.endswith(_TAKEN):
            self._rename(self._place + _TAKEN)

    def set_aside(self) -> None:
        self._rename(self._place.removesuffix(_TAKEN) + _DONE)

    def _rename(self, place: str) -> None:
        with _as_os_error(self._place):
            file_systems().rename([self._place], [place])
        self._place = place


@contextlib.contextmanager
def _as_os_error(place: str) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise OSError(f"{place}: {type(error).__name__}: {error}") from error
