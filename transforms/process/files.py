"""Opening what the program keeps on a local disk, in a directory where somebody else may have put something in its way.

Place in the flow: the checkpoint store, the rate budgets, dead letters, archives, files that are destinations, a backfill's
notes and the log file are opened here.

Contract:
  * Nothing that is opened here follows a symbolic link at its last step, and nothing but a regular file of our own is taken:
    what another user put there is refused before one byte of it is read, written or cut. ``Unsafe`` says in words what is wrong
    and what to do; it is an OSError, so whoever bears a full disk bears that, too.
  * A state directory is refused where others can write to it: they could swap files between two looks, and a checkpoint that
    somebody else wrote makes events be skipped. Others may write where that is how the directory was handed to us: it belongs
    to root and to our group (volumes in containers), or its group is the user's own of the same number (umask 002).
  * The program may run as root on the directory of another user: what belongs to that user is then taken like its own.
  * Parents of a state directory are not looked at; who can rename those is trusted.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe that was put there must not make us wait for its other end
_OWNER_ONLY = 0o600
ONLY_A_PERSON = frozenset({
    errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG,
})  # fmt: skip
"""What does not pass by itself, as a full disk or a bad one may."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_IN_NAMES = 80


class Unsafe(OSError):
    """What is there was put there by somebody else, or could be. The text, in ``strerror``, says what and how to mend it."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(errno.EPERM, what, str(path))


def file_safe(name: str) -> str:
    """A name, of an account perhaps, as a file or a directory can have it: it leads nowhere else, and is not hidden."""
    safe = _NOT_IN_NAMES.sub("_", name)[:_LONGEST_IN_NAMES] or "_"  # nothing would make an absolute path of what follows
    return f"_{safe[1:]}" if safe.startswith(".") else safe


def make_private_directory(directory: Path) -> None:
    """Makes a state directory, and its parents, for the owner alone, where it is missing. Raises OSError or Unsafe."""
    try:
        found = directory.stat()
    except FileNotFoundError:
        if directory.parent != directory:
            _make_parents(directory.parent)
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        found = directory.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))
    refuse_shared(directory, found)


def _make_parents(directory: Path) -> None:
    if not directory.is_dir():
        if directory.parent != directory:
            _make_parents(directory.parent)
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)


def refuse_shared(directory: Path, found: os.stat_result) -> None:
    """Raises ``Unsafe`` for a state directory that is another user's, or that others can write to."""
    mine = os.geteuid()
    if mine and found.st_uid not in (mine, 0):
        raise Unsafe(directory, f"it belongs to another user ({found.st_uid}). Run: chown {mine} {directory}, or name another")
    given_by_group = found.st_uid != mine or found.st_gid == os.getegid() == mine
    if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not given_by_group):
        raise Unsafe(directory, f"other users can write to it. Run: chmod 700 {directory}, or name a directory inside of it")


def open_new(path: Path, flags: int = os.O_WRONLY) -> int:
    """A descriptor of a file that did not exist: what has its name is removed first, and never written to. Raises OSError."""
    with suppress(FileNotFoundError):
        path.unlink()
    return os.open(path, flags | _FLAGS | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)


def open_own(path: Path, flags: int) -> int:
    """A descriptor of our own file, made where it is missing; never of what a link leads to. Raises OSError.

    Args:
      flags: how, as for ``os.open``: never with O_TRUNC, which would cut before anybody has looked.
    """
    descriptor = _open(path, flags | os.O_CREAT)
    try:
        found = os.fstat(descriptor)
        _refuse_special(path, found)
        _refuse_foreign(path, found)
        _refuse_second_name(path, found)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_own(path: Path) -> None:
    """Looks whether ``open_own`` would open a file for writing, and makes none. Raises OSError."""
    try:
        descriptor = _open(path, os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        found = os.fstat(descriptor)
        _refuse_special(path, found)
        _refuse_foreign(path, found)
        _refuse_second_name(path, found)
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """A descriptor of a lock file, for reading and writing; its content is as it was. Raises OSError."""
    return open_own(path, os.O_RDWR)


def open_to_read(path: Path) -> int:
    """A descriptor of our own file for reading; not of what a link leads to. Raises OSError."""
    descriptor = _open(path, os.O_RDONLY)
    try:
        found = os.fstat(descriptor)
        _refuse_special(path, found)
        _refuse_foreign(path, found)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_own(path: Path) -> bytes:
    """The content of our own file; not of what a link leads to. Raises OSError."""
    with os.fdopen(open_to_read(path), "rb") as file:
        return file.read()


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | _FLAGS, _OWNER_ONLY)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise Unsafe(path, "it is a symbolic link, which is not followed. Look who put it there, and remove it") from None
        if error.errno == errno.ENXIO:  # a pipe without a reader, opened for writing
            raise Unsafe(path, "it is no regular file. Remove it, or name another") from None
        raise


def _refuse_special(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Unsafe(path, "it is no regular file. Remove it, or name another")


def _refuse_foreign(path: Path, found: os.stat_result) -> None:
    mine = os.geteuid()
    # As root, in another user's directory, that user's files are what an earlier run of theirs left.
    owners = {mine, 0} if mine else {0, path.parent.stat().st_uid}
    if found.st_uid not in owners:
        raise Unsafe(path, f"it belongs to another user ({found.st_uid}). Look what it is, and remove it")


def _refuse_second_name(path: Path, found: os.stat_result) -> None:
    if found.st_nlink > 1:
        raise Unsafe(path, "it is another name of a file that lies elsewhere. Look whose it is, and remove it")


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def why_not_writable(directory: Path) -> OSError | None:
    """What would keep files from being made in a state directory, as far as can be seen without making any."""
    there = directory
    try:
        while not there.exists() and there != there.parent:
            there = there.parent
        if not there.is_dir():
            return NotADirectoryError(errno.ENOTDIR, f"{there} is not a directory", str(directory))
        if there == directory:
            refuse_shared(directory, directory.stat())
        if not os.access(there, os.W_OK | os.X_OK):
            return PermissionError(errno.EACCES, f"{there} cannot be written to", str(directory))
    except OSError as error:
        return error
    return None
