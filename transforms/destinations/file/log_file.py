"""One file that grows by whole blocks of lines, shared by all who write to it: senders of this process, and other processes.

Place in the flow: ``transforms.destinations.file.sender`` has one per path.

Contract: when ``append`` has returned, the block is in the file and on the disk, and so is the file's name. Whoever writes
holds the file's lock (``flock``), so blocks never mix, and none is renamed in the middle of one.
  * A block of which the disk took only a part is kept, with the lock: the next ``append`` goes on where it ended. Nothing is
    ever cut off: who follows a file as it grows may have read it, and would take what came in its place for the rest of it.
  * The half line that a process or a machine left behind when it died is therefore ended with a line break, and told. Its event
    was never confirmed, and is sent again.
  * Where the disk failed to keep what it had taken (``fsync``), the file is set aside, and the block is written to a new one.
  * A file that is full, or of an earlier period, gets the time behind its name, and a number that no other has; one that
    somebody else moved away is left alone, and a new one begun. One that cannot be renamed grows on, and that is told: no event
    waits for a name.
  * Opened as ``transforms.process.files`` says: never what a link leads to.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from transforms.notices import destinations
from transforms.notices.notice import tell
from transforms.process.files import make_private_directory, open_own, sync_directory
from transforms.process.log_once import LogOnce

_LOGGER = logging.getLogger("duologsync.destinations")
_LOCK_LOOK_SECS = 0.01
_REMIND_SECS = 3600.0

Rest = Callable[[float], None]
"""Waits so many seconds; raises where the wait must end."""


class LogFile:
    """See the module. Methods raise OSError."""

    def __init__(self, path: Path, *, mode: int, rotate_bytes: int, rotate_secs: float) -> None:
        self._path = path
        self._mode = mode
        self._rotate_bytes = rotate_bytes
        self._rotate_secs = rotate_secs
        self._descriptor: int | None = None
        self._unnamed = LogOnce(_REMIND_SECS)
        self._left: memoryview | None = None  # of a block that was begun; the lock is held meanwhile

    def append(self, block: bytes, rest: Rest) -> None:
        """Adds whole lines. Raised out of, it is called again with the same block, or ``give_up`` is."""
        descriptor = self._ready(rest) if self._left is None else self._opened()
        if self._left is None:
            self._left = memoryview(block)
        try:
            while self._left:
                self._left = self._left[os.write(descriptor, self._left) :]
        except OSError:
            if len(self._left) == len(block):
                self.give_up()  # nothing was begun: others may try meanwhile
            raise
        self._left = None
        self._sync(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def give_up(self) -> None:
        """A block that was begun is not ended by us; the next who writes ends its half line."""
        if self._descriptor is not None:
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._left = None

    def close(self) -> None:
        descriptor, self._descriptor, self._left = self._descriptor, None, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)  # and with it the lock ends

    def _ready(self, rest: Rest) -> int:
        """The file under its own name, locked, with room, and at the beginning of a line."""
        while True:
            descriptor = self._opened()
            _lock(descriptor, rest)
            if not self._in_place(descriptor):
                self.close()
            elif not self._due(os.fstat(descriptor)) or not self._rotated():
                self._end_half_line(descriptor)
                return descriptor

    def _opened(self) -> int:
        if self._descriptor is None:
            self._make_directory()
            descriptor = open_own(self._path, os.O_RDWR | os.O_APPEND)
            try:
                os.fchmod(descriptor, self._mode)
                sync_directory(self._path.parent)
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        return self._descriptor

    def _make_directory(self) -> None:
        """Who may read the files must get to them."""
        directory = self._path.parent
        is_new = not directory.exists()
        make_private_directory(directory)
        if is_new:
            directory.chmod(0o700 | (self._mode & 0o044) | (self._mode & 0o044) >> 2)

    def _in_place(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(self._path.lstat(), os.fstat(descriptor))
        except OSError:
            return False

    def _due(self, found: os.stat_result) -> bool:
        """Whether it is full, or was written to last in an earlier period."""
        if found.st_size == 0:
            return False
        return found.st_size >= self._rotate_bytes or found.st_mtime // self._rotate_secs != time.time() // self._rotate_secs

    def _rotated(self) -> bool:
        try:
            self._set_aside()
        except FileNotFoundError:
            raise  # it is nobody's file any more
        except OSError as error:
            if self._descriptor is None:
                raise  # renamed, and not known to stay so
            if self._unnamed.due() is not None:
                tell(
                    _LOGGER,
                    destinations.FILE_NOT_RENAMED,
                    "%s cannot be renamed, and grows on: %s.",
                    self._path,
                    error.strerror or error,
                )
            return False
        self._unnamed.over()
        return True

    def _set_aside(self) -> None:
        """Gives the file another name; the next ``append`` begins a new one. The lock is held by who calls."""
        stem = f"{self._path.name}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
        names = (self._path.with_name(f"{stem}.{number:03d}") for number in itertools.count(1))
        self._path.rename(next(name for name in names if not os.path.lexists(name)))
        self.close()
        sync_directory(self._path.parent)

    def _end_half_line(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")
            tell(
                _LOGGER, destinations.HALF_LINE,
                "%s did not end with a whole line: whoever wrote there last was stopped in the middle of one. It is ended as "
                "it is, at byte %d; its event is sent again.", self._path, size,
            )  # fmt: skip

    def _sync(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError:
            # The system reports a failure once and forgets what it could not write: only a new file can hold it.
            with suppress(OSError):
                self._set_aside()
            self.close()
            raise


def _lock(descriptor: int, rest: Rest) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            rest(_LOCK_LOOK_SECS)
        else:
            return
