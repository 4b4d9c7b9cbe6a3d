"""A checkpoint directory as seen from outside of the process that uses it: is it in use, and which records are damaged?

Place in the flow: ``status`` asks, and a backfill, which gives way to live reading.

Contract: only looks, and disturbs nobody: trying for a shared lock refuses no start that waits half a second. Local directories
only.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from transforms.process.files import read_own
from transforms.records import Stream, Subscription
from transforms.state.checkpoints.record import Record, readable_record
from transforms.state.cursor import CursorTooNew, CursorUnreadable

_LOCK = ".lock"
_UNLOCKING_MS = 2000


class _Owner(msgspec.Struct):
    """What a damaged record may still tell: whose it is."""

    stream: Stream
    destination: str


# Made while importing: see transforms.state.cursor on msgspec and threads.
_decode_owner = msgspec.json.Decoder(_Owner).decode


@dataclass(frozen=True, slots=True)
class DamagedRecord:
    """A record that the next start cannot use.

    Attributes:
      file: its name. cause: what is wrong with it, as a sentence.
      subscription: whose it is, where that can still be read.
      before: the record before it, from which the next start goes on; None where there is none either.
      too_new: it is whole, and of a later release: the next start of this one does not read the stream.
    """

    file: str
    cause: str
    subscription: Subscription | None
    before: Record | None
    too_new: bool = False


def is_in_use(directory: Path) -> bool:
    """Whether a running copy holds the directory's lock."""
    try:
        descriptor = os.open(directory / _LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def may_be_written_elsewhere(directory: Path, newest_commit_ms: int) -> bool:
    """Whether records were written by who takes no lock, as workers of other runners do: since the last copy that took it ended
    in good order, or where none ever did.
    """
    try:
        lock = (directory / _LOCK).stat()
    except OSError:
        return newest_commit_ms > 0
    return lock.st_size == 0 and newest_commit_ms > lock.st_mtime_ns // 1_000_000 + _UNLOCKING_MS


def damaged_records(directory: Path) -> Iterator[DamagedRecord]:
    """Every record that is there and cannot be used, with what is known of it."""
    for path in sorted(directory.glob("*.json")):
        content = b""
        try:
            content = read_own(path)
            readable_record(content)
        except FileNotFoundError:  # moved meanwhile
            continue
        except OSError as error:
            yield _damaged(path, f"it cannot be read: {error.strerror}.", content)
        except CursorTooNew as error:
            yield replace(_damaged(path, str(error), content), too_new=True)
        except CursorUnreadable as error:
            yield _damaged(path, str(error), content)


def _damaged(path: Path, cause: str, content: bytes) -> DamagedRecord:
    before, subscription = None, None
    with suppress(OSError, CursorUnreadable):
        before = readable_record(read_own(path.with_name(f"{path.name}.previous")))
        subscription = before.subscription
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        owner = _decode_owner(content)
        subscription = subscription or Subscription(owner.stream, owner.destination)
    return DamagedRecord(path.name, cause, subscription, before)
