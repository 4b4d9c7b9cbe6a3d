"""What is in an archive: its files, those without a day and then the oldest day first, and the events in them.

Place in the flow: ``duologsync replay --from-archive`` reads by it.

Contract: one block of one file is in memory at a time, and the names of the files that may have something of the window. Files
of this machine are opened as ``transforms.process.files`` says. Nothing is changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transforms.days import UNDATED, day_of
from transforms.destinations.archive.records import Archived, read_file
from transforms.destinations.archive.store import is_remote
from transforms.errors import RetryLater
from transforms.process.files import open_to_read
from transforms.state.remote_files import file_systems

_ALL = ("*", "*", "*", "*.avro")  # account, log, day, file


@dataclass(frozen=True, slots=True)
class Window:
    """Events that happened at ``from_ms`` or later, and before ``until_ms``; None for no border.

    Those that do not say when they happened are in the window that has no border.
    """

    from_ms: int | None = None
    until_ms: int | None = None

    @property
    def bordered(self) -> bool:
        return self.from_ms is not None or self.until_ms is not None

    def has(self, time_ms: int | None) -> bool:
        if time_ms is None:
            return not self.bordered
        after = self.from_ms is None or time_ms >= self.from_ms
        return after and (self.until_ms is None or time_ms < self.until_ms)

    def may_have(self, day: str) -> bool:
        """Whether something of a day, as files are kept under, may be in it."""
        if day == UNDATED:
            return not self.bordered
        after = self.from_ms is None or day >= day_of(self.from_ms)
        return after and (self.until_ms is None or day <= day_of(self.until_ms))


@dataclass(frozen=True, slots=True, order=True)
class ArchiveFile:
    """One file. In order: by day, and within it by account, log and time."""

    day: str
    below: str  # its place below the archive's directory
    place: str
    size_bytes: int

    @property
    def events(self) -> int:
        """How many are in it, as its name says."""
        parts = self.below.rpartition("/")[2].split("-")
        return int(parts[2]) if len(parts) == 4 and parts[2].isdecimal() else 0


def files_of(directory: str, window: Window) -> list[ArchiveFile]:
    """The files that may have something of a window. Raises OSError, and RetryLater of another file system."""
    found = _remote(directory.rstrip("/")) if is_remote(directory) else _here(Path(directory))
    chosen = (file for file in found if window.may_have(file.day))
    # Those without a day are in no window that begins with one: behind the days, who goes on from one would leave them out.
    return sorted(chosen, key=lambda file: (file.day != UNDATED, file))


def events_of(file: ArchiveFile) -> Iterator[Archived]:
    """Its events. Raises ValueError for a file that is damaged or none of an archive, OSError for one that cannot be read."""
    if not is_remote(file.place):
        with os.fdopen(open_to_read(Path(file.place)), "rb") as opened:
            yield from read_file(opened, file.place)
        return
    try:
        opened = file_systems().open(file.place)
    except Exception as error:  # each file system has errors of its own
        raise OSError(f"{type(error).__name__}: {error}") from error
    with opened:
        yield from read_file(opened, file.place)


def _here(directory: Path) -> Iterator[ArchiveFile]:
    directory.stat()  # one that is missing is not one that is empty
    for path in directory.glob("/".join(_ALL)):
        yield ArchiveFile(path.parent.name, path.relative_to(directory).as_posix(), str(path), path.stat().st_size)


def _remote(directory: str) -> Iterator[ArchiveFile]:
    try:
        found = file_systems().match(["/".join((directory, *_ALL))])[0].metadata_list
    except Exception as error:  # each file system has errors of its own
        raise RetryLater(f"{directory} cannot be listed: {type(error).__name__}: {error}.", kind="archive") from error
    for each in found:
        below = each.path.removeprefix(f"{directory}/")
        yield ArchiveFile(below.split("/")[-2], below, each.path, int(each.size_in_bytes))
