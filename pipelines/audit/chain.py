"""Certificates on disk: a file for each day, and a chain through all of them in the order in which they were made.

Place in the flow: ``duologsync audit`` adds to it, ``audit --verify`` looks through it.

Contract: ``CHECKPOINT_DIR/audit/YYYY-MM-DD.json`` holds the certificates of a day, all its revisions, the oldest first; nothing
that was written is ever changed. Each has the number and the digest of the one before it; ``head.json`` names the last. Files
are written aside, synced and renamed, mode 600: first the day's, then the head, so a crash between leaves a head that is one
behind, which is not taken for a change.

What is found: a certificate that was changed in anything, is missing, or stands where it did not stand when it was made; a day
under another name. What a chain without a signature cannot show: that somebody who can write to the directory made all of it
anew, or cut off its end together with the head. Who keeps a head elsewhere can tell that, too: it must still be in the chain.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pipelines.audit.certificate import Certificate, canonical, digest_of, sealed
from transforms.errors import FatalError
from transforms.process.files import make_private_directory, open_lock, open_new, read_own, sync_directory

_DAY_FILE = re.compile(r"\d{4}-\d{2}-\d{2}\.json")
_HEAD = "head.json"
_LOCK = ".lock"


class ChainInUse(FatalError):
    """Another audit adds to the chain now."""


class ChainBroken(FatalError):
    """A file of the chain cannot be read, so nothing can be added to it."""


class Day(msgspec.Struct, frozen=True):
    """One file: the certificates as they are understood, and as they are written."""

    day: str
    revisions: tuple[Certificate, ...]
    written: tuple[dict[str, Any], ...] = ()


class Head(msgspec.Struct, frozen=True):
    """The last certificate; number 0 before the first."""

    number: int = 0
    sha256: str = ""


_read_day = msgspec.json.Decoder(Day).decode
_read_plain = msgspec.json.Decoder().decode
_read_head = msgspec.json.Decoder(Head).decode


class Chain:
    """The certificates below one checkpoint directory."""

    def __init__(self, checkpoint_dir: str | Path) -> None:
        self.directory = Path(checkpoint_dir) / "audit"
        self._lock_fd: int | None = None

    def lock(self) -> None:
        """Takes the chain for this process until ``unlock``. Raises ChainInUse and OSError."""
        make_private_directory(self.directory.parent)
        make_private_directory(self.directory)
        self._lock_fd = open_lock(self.directory / _LOCK)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.unlock()
            raise ChainInUse(f"Another audit is at work on {self.directory}. Wait until it has ended.") from None

    def unlock(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def head(self) -> Head:
        """The last certificate, as the files have it. Raises ChainBroken and OSError."""
        return max((_head_of(each) for each in self._certificates()), key=lambda head: head.number, default=Head())

    def of_day(self, day: str) -> tuple[Certificate, ...]:
        """The certificates of a day, the oldest first. Raises ChainBroken and OSError."""
        try:
            return self._parsed(self.directory / f"{day}.json").revisions
        except FileNotFoundError:
            return ()

    def _written(self, day: str) -> tuple[dict[str, Any], ...]:
        try:
            return self._parsed(self.directory / f"{day}.json").written
        except FileNotFoundError:
            return ()

    def add(self, certificate: Certificate) -> Certificate:
        """Adds a certificate to its day and to the chain; what was added. Raises ChainBroken and OSError."""
        make_private_directory(self.directory)
        earlier, head = self._written(certificate.day), self.head()
        added = sealed(
            msgspec.structs.replace(
                certificate, number=head.number + 1, previous=head.sha256, revision=len(earlier) + 1, sha256=""
            )
        )
        self._write(f"{certificate.day}.json", canonical({"day": added.day, "revisions": [*earlier, added]}))
        self._write(_HEAD, canonical(_head_of(added)))
        return added

    def verify(self, kept_head: str | None = None) -> list[str]:
        """What is wrong with the chain, in words; nothing where it is whole. Raises OSError.

        Args:
          kept_head: a digest that was kept elsewhere: it must be that of a certificate in the chain.
        """
        wrong: list[str] = []
        found: list[Certificate] = []
        for path in self._files():
            try:
                day = self._parsed(path)
            except ChainBroken as error:
                wrong.append(str(error))
                continue
            wrong += _wrong_in_day(path.name, day)
            found += day.revisions
        found.sort(key=lambda each: each.number)
        wrong += _wrong_in_order(found) + self._wrong_head(found)
        if kept_head is not None and kept_head.lower() not in {each.sha256 for each in found}:
            wrong.append(f"No certificate has the digest {kept_head}: the chain was made anew, or its end was cut off.")
        return wrong

    def _wrong_head(self, found: list[Certificate]) -> list[str]:
        try:
            head = _read_head(read_own(self.directory / _HEAD))
        except FileNotFoundError:
            return [f"{_HEAD} is missing."] if found else []
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [f"{_HEAD} was changed."]
        named = next((each for each in found if each.number == head.number), None)
        last = found[-1].number if found else 0
        if named is None or named.sha256 != head.sha256:
            return [f"Certificate {head.number}, which {_HEAD} names, is missing or was changed."]
        return [] if last - head.number <= 1 else [f"{_HEAD} names certificate {head.number}, and there are {last}."]

    def _certificates(self) -> Iterator[Certificate]:
        for path in self._files():
            yield from self._parsed(path).revisions

    def _files(self) -> list[Path]:
        return sorted(path for path in self.directory.glob("*.json") if path.name != _HEAD)

    def _parsed(self, path: Path) -> Day:
        content = read_own(path)
        try:
            written, day = _read_plain(content), _read_day(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ChainBroken(f"{path.name} is no file of certificates any more: it was changed.") from None
        if canonical(written) != content:
            raise ChainBroken(f"{path.name} was changed: it is not as this program wrote it.")
        return msgspec.structs.replace(day, written=tuple(written["revisions"]))

    def _write(self, name: str, content: bytes) -> None:
        fresh = self.directory / f".{name}.new"
        with os.fdopen(open_new(fresh), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.directory / name)
        sync_directory(self.directory)


def _head_of(certificate: Certificate) -> Head:
    return Head(certificate.number, certificate.sha256)


def _wrong_in_day(name: str, day: Day) -> Iterator[str]:
    if not _DAY_FILE.fullmatch(name) or name != f"{day.day}.json":
        yield f"{name} holds the certificates of {day.day}: it was renamed."
    for place, (each, written) in enumerate(zip(day.revisions, day.written, strict=True), 1):
        what = f"Certificate {each.number} ({each.day}, revision {each.revision})"
        if digest_of(written) != each.sha256:
            yield f"{what} was changed: its digest is another one."
        if each.day != day.day:
            yield f"{what} stands in {name}, where it was not written."
        if each.revision != place:
            yield f"{what} is number {place} of its day: a revision was removed, inserted or reordered."


def _wrong_in_order(found: list[Certificate]) -> list[str]:
    wrong: list[str] = []
    before = Head()
    for each in found:
        if each.number > before.number + 1:
            missing = f"{before.number + 1}" + (f" to {each.number - 1}" if each.number > before.number + 2 else "")
            wrong.append(f"Certificate {missing} is missing: it was removed.")
        elif each.number <= before.number:
            wrong.append(f"There are two certificates with the number {each.number}: one was inserted.")
        elif each.previous != before.sha256:
            wrong.append(f"Certificate {each.number} ({each.day}) does not follow the one before it: one of them was changed.")
        before = _head_of(each)
    return wrong
