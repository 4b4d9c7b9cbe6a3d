"""How long dead letters are kept, and how many of them there are: looked after now and then by a program that runs.

Place in the flow: the supervisor of a local run asks ``tend`` twice a second; it does something once an hour.

Contract: letters are kept for ever unless ``storage.dead_letter_keep_days`` says otherwise. Then a file goes, whole, once
the last letter was added to it so long ago; so do files that were replayed. What is removed is counted by reason, logged,
and written down in ``dropped.jsonl`` before it goes. Nothing is removed while a command is at work on the files, nor by a
clock that Duo has not just confirmed, nor what was not old enough an hour ago: a clock that is years ahead would remove
everything. Nothing here stops a run.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from transforms.errors import DuoLogSyncError
from transforms.notices import state
from transforms.notices.notice import tell
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.files import open_own, sync_directory
from transforms.process.plural import counted
from transforms.settings import Storage
from transforms.state.dead_letters.counts import WAITING, Kind, count_letters_in, kept_for
from transforms.state.dead_letters.files import DONE, only_one

_LOGGER = logging.getLogger("duologsync.dead_letters")
_EVERY_SECS = 3600.0
_FIRST_AFTER_SECS = 600.0
_MANY_BYTES = 1_000_000_000
DROPPED_NAME = "dropped.jsonl"


class Retention:
    """The looking after of one directory on this machine; of one on another file system its own rules for age do that."""

    def __init__(self, storage: Storage, clock: Clock = SYSTEM_CLOCK) -> None:
        self._directory = storage.dead_letter_dir
        self._keep_days = storage.dead_letter_keep_days
        self._clock = clock
        self._due = clock.monotonic_secs() + _FIRST_AFTER_SECS
        self._told_at_bytes = 0
        self._old: set[str] = set()  # the files that were old enough at the last look

    def tend(self, clock_is_right: Callable[[], bool]) -> None:
        """Does what is due. ``clock_is_right``: whether Duo has answered just now, so that this machine's time is its time."""
        if self._clock.monotonic_secs() < self._due or "://" in self._directory:
            return
        self._due = self._clock.monotonic_secs() + _EVERY_SECS
        try:
            if self._keep_days is not None and clock_is_right() and Path(self._directory).is_dir():
                self.remove_old(self._keep_days)
            self._warn_where_many()
        except (OSError, ValueError, DuoLogSyncError) as error:
            _LOGGER.info("The dead letters in %s are looked after again in an hour: %s", self._directory, error)

    def remove_old(self, keep_days: float) -> Counter[Kind]:
        """Removes the files that are old enough, and were at the last look; how many letters that waited were in them.

        Raises LettersInUse, and OSError.
        """
        before_secs = self._clock.wall_secs() - keep_days * 86_400
        gone: Counter[Kind] = Counter()
        with only_one(self._directory):
            old = {path.name: path for path in self._files((*WAITING, DONE)) if path.stat().st_mtime < before_secs}
            for name in sorted(old.keys() & self._old):
                gone += self._remove(old[name], before_secs)
            self._old = set(old)
        if gone:
            reasons: Counter[str] = Counter()
            for kind, count in gone.items():
                reasons[kind.reason] += count
            told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
            tell(
                _LOGGER, state.OLD_LETTERS_REMOVED, "%s older than %g days removed from %s: %s.",
                counted(gone.total(), "dead letter"), keep_days, self._directory, told,
            )  # fmt: skip
        return gone

    def _remove(self, path: Path, before_secs: float) -> Counter[Kind]:
        if path.name.endswith(DONE):
            path.unlink()
            return Counter()
        try:
            found = count_letters_in(path)
        except ValueError:
            return Counter()  # it is damaged: who repairs it may have its letters yet
        # A program that adds to it now sees that it is gone, and begins another one; what it added before shows in the time.
        taken = path.rename(path.with_name(f"{path.name.partition('.avro')[0]}.avro{WAITING[-1]}"))
        if taken.stat().st_mtime >= before_secs:
            return Counter()  # its letters wait as before
        self._write_down(path.name, found)
        taken.unlink()
        sync_directory(taken.parent)
        return found

    def _write_down(self, name: str, found: Counter[Kind]) -> None:
        letters = [{**kind._asdict(), "count": count} for kind, count in sorted(found.items())]
        write_down(self._directory, {"dropped_ms": int(self._clock.wall_secs() * 1000), "file": name, "letters": letters})

    def _files(self, endings: tuple[str, ...]) -> Iterator[Path]:
        for ending in endings:
            yield from sorted(Path(self._directory).glob(f"*.avro{ending}"))

    def _warn_where_many(self) -> None:
        """Once there is much, and again when that has doubled."""
        size_bytes = sum(path.stat().st_size for path in self._files((*WAITING, DONE)))
        if size_bytes >= max(_MANY_BYTES, 2 * self._told_at_bytes):
            self._told_at_bytes = size_bytes
            tell(
                _LOGGER, state.MANY_LETTERS, "The dead letters in %s take %.1f GB, and are kept %s.",
                self._directory, size_bytes / 1e9, kept_for(self._keep_days),
            )  # fmt: skip


def write_down(directory: str, line: dict[str, object]) -> None:
    """Adds a line to the record of what was dropped, on disk when this returns. Raises OSError."""
    descriptor = open_own(Path(directory) / DROPPED_NAME, os.O_WRONLY | os.O_APPEND)
    with os.fdopen(descriptor, "wb", buffering=0) as record:
        record.write(json.dumps(line).encode("ascii") + b"\n")  # msgspec writes no file name that is not UTF-8
        os.fsync(record.fileno())
