"""The checkpoint store: how far every stream is delivered to each destination, and how far that is safe; launches resume here.

Place in the flow: bundle finalization commits here once a bundle is delivered; ``create_reader`` reads here where the runner
has no state of its own. The runner's checkpoints stay the truth while a job lives; this is what outlives it.

Two positions. *Delivered* is where this process goes on. *Safe* is what the receivers must have read, or as far as dead letters
hold it (``transforms.state.receipts``): another process begins there. After an end in good order they are the same.

Contract:
  * One small JSON file per subscription, ``ACCOUNT.LOG_TYPE.DESTINATION.json``, mode 600 in a directory of mode 700. Names
    that would be too long for a file system end with a digest instead. The file ends with a checksum of what is before it: a
    time in which one bit is wrong looks like any other, and would skip or repeat months.
  * A commit is atomic and durable: written aside, synced, renamed, and the directory synced. The record before it is kept as
    ``….json.previous``.
  * Commits are monotone: finalizers may come late and out of order, so a cursor with a lower ``seq`` changes nothing.
  * What a later release wrote is left as it is, and its stream is not read: StoreUnusable.
  * A file that cannot be read is told at ERROR, moved aside as ``….json.unreadable-TIME`` and never silently means "start from
    now": the previous record is used, and without one all begins at the full look-back, which repeats but loses nothing.
  * ``forget`` moves a record aside as ``….json.forgotten-TIME``: where it was a mistake, renaming it back undoes it. Only the
    newest few are kept: where every launch begins anew, every launch leaves one.
  * ``lock()`` makes sure that only one running copy uses a directory.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from transforms.errors import FatalError
from transforms.notices import state
from transforms.notices.notice import tell
from transforms.process.descriptors import ran_out, shortage
from transforms.process.files import Unsafe, make_private_directory, open_lock, open_new, read_own
from transforms.records import Subscription
from transforms.state.checkpoints.record import (
    Begun,
    Positions,
    Record,
    encode_record,
    read_positions,
    readable_record,
    record_of,
)
from transforms.state.cursor import Cursor, CursorTooNew, CursorUnreadable
from transforms.state.ledger.tally import NO_DAYS, Days, Tally, begun_anew, counted

_LOGGER = logging.getLogger("duologsync.checkpoints")
_LOCK_SECS = 0.5
FORGOTTEN_KEPT = 3
_LONGEST_NAME = 180  # of 255 bytes: records that are moved aside get longer names


class StoreInUse(FatalError):
    """Another running copy holds the checkpoint directory."""

    notice = state.IN_USE


class StoreUnusable(FatalError):
    """The checkpoint directory cannot be made, read or written."""

    notice = state.DIRECTORY_UNUSABLE


def too_new(place: object, error: CursorTooNew) -> StoreUnusable:
    """What is raised where a later release was here: nothing is changed, so that it can go on."""
    return StoreUnusable(
        f"The checkpoint {place} cannot be used: {error} Install that release again, which goes on where it was; or move the "
        "file aside, and this one begins at its look-back and repeats events."
    )


class CheckpointStore:
    """The store in one local directory. Thread-safe within a process."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._mutex = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._last: dict[str, Positions] = {}  # by the name of the record: a child stays the same at another API host
        self._unwritten: dict[str, float] = {}  # records that could not be written yet; monotonic time since when
        self._written_ms: dict[str, int] = {}  # when each record was last written by this process
        self._lock_fd: int | None = None

    def open(self) -> None:
        """Makes the directory where it is missing. Raises StoreUnusable."""
        try:
            make_private_directory(self.directory)
        except Unsafe as error:
            raise StoreUnusable(f"The checkpoint directory {self.directory} is not safe: {error.strerror}.") from None
        except OSError as error:
            raise StoreUnusable(f"The checkpoint directory {self.directory} cannot be made: {error.strerror}.") from None

    def lock(self) -> None:
        """Takes the directory for this process until it ends. Raises StoreInUse or StoreUnusable."""
        self.open()
        path = self.directory / ".lock"
        try:
            descriptor = open_lock(path)
        except OSError as error:
            raise StoreUnusable(f"The lock {path} cannot be opened: {error.strerror}.") from None
        if not _locked_within(descriptor, _LOCK_SECS):
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreInUse(
                f"Another duologsync (process {holder}) is running on {self.directory}. Stop it, or give this one a checkpoint "
                "directory of its own."
            ) from None
        self._lock_fd = descriptor
        with suppress(OSError):  # who holds it is for people to read; a full disk must not keep the program from its start
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))

    def unlock(self) -> None:
        """Gives the directory free again; ending the process does it too. Who takes it next begins at what is safe."""
        self._last.clear()
        if self._lock_fd is not None:
            with suppress(OSError):  # that it ended in good order is for who looks at the directory
                os.ftruncate(self._lock_fd, 0)
            os.close(self._lock_fd)
            self._lock_fd = None

    def load(self, subscription: Subscription) -> Cursor | None:
        """Where it goes on; None where it has no record. In the process that delivers it, that is behind what was
        delivered; in another one, behind what is safe. Unreadable files: see the module's contract.
        """
        with self._lock_of(subscription):
            known = self._last.get(self.file_name(subscription))
            if known is None:
                known = self._read_best(subscription)
                if known is not None:
                    self._last[self.file_name(subscription)] = known = _begin_anew(subscription, known)
            return known.cursor if known else None

    def begin(self, subscription: Subscription, cursor: Cursor, begun: Begun | None = None) -> None:
        """Records where it begins, and how that was chosen; in place of an earlier beginning, which nothing was read of.

        Raises OSError where it cannot be written.
        """
        with self._lock_of(subscription):
            known = self._known(subscription)
            if known is None or (known.cursor.is_beginning and known.cursor.seq <= cursor.seq):
                tally = Tally(cursor.position_ms, whole=True).to_json()
                self._record(subscription, Positions(cursor, 0, cursor, begun, tally))

    def begun(self, subscription: Subscription) -> Begun | None:
        """How the beginning was chosen; None where something was read since, or it was not chosen by days."""
        with self._lock_of(subscription):
            known = self._known(subscription)
            return known.begun if known is not None and known.cursor.is_beginning else None

    def commit(
        self,
        subscription: Subscription,
        cursor: Cursor,
        delivered: int = 0,
        *,
        safe: Cursor | None = None,
        days: Days | None = NO_DAYS,
        since_ms: int | None = None,
    ) -> bool:
        """Records that everything before the cursor is delivered; False where that, or more, is recorded already.

        Args:
          delivered: events, since the last commit.
          safe: what of it is safe; None for all. It is never moved back.
          days: what became of those events, by day; None where that is not known, which ends the tally.
          since_ms: the position before them, from which on days are counted.

        Raises OSError where it cannot be written: the events are delivered, and will be again after a restart.
        """
        with self._lock_of(subscription):
            known = self._known(subscription)
            safe = cursor if safe is None else safe
            if known is None:
                tally = None if since_ms is None else Tally(since_ms, whole=True).to_json()
                fresh = Positions(cursor, delivered, _earlier(safe, cursor), tally=counted(tally, days, since_ms))
            else:
                last = _later(known.cursor, cursor)
                fresh = known._replace(
                    cursor=last,
                    delivered=known.delivered + delivered,
                    safe=_later(known.safe, _earlier(safe, last)),
                    tally=counted(known.tally, days, since_ms),
                )
                if fresh[::2] == known[::2] and self.file_name(subscription) not in self._unwritten:
                    return False
            self._record(subscription, fresh)
            return True

    def make_safe(self, subscription: Subscription, safe: Cursor) -> None:
        """Records that everything before this cursor is safe, as far as it is delivered. Raises OSError."""
        with self._lock_of(subscription):
            known = self._known(subscription)
            # What a full disk kept from being written is written now: at the end of a run nobody else does.
            if known is not None and (known.safe.seq < safe.seq or self.file_name(subscription) in self._unwritten):
                self._record(subscription, known._replace(safe=_later(known.safe, _earlier(safe, known.cursor))))

    def forget(self, subscription: Subscription) -> None:
        """Moves a record aside, so that it begins anew."""
        with self._lock_of(subscription):
            self._last.pop(self.file_name(subscription), None)
            path = self.path_of(subscription)
            for record in (path, path.with_name(path.name + ".previous")):
                with suppress(FileNotFoundError):
                    record.replace(self._aside(record, "forgotten"))
                for old in sorted(self.directory.glob(f"{record.name}.forgotten-*"))[:-FORGOTTEN_KEPT]:
                    with suppress(OSError):  # one too many does no harm
                        old.unlink()

    def present(self, subscription: Subscription) -> tuple[Positions, int | None] | None:
        """What this process knows of one that it delivers, and when it last wrote it; None where it has not begun. Cheap: reads
        no file and waits for nobody.
        """
        name = self.file_name(subscription)
        known = self._last.get(name)
        return (known, self._written_ms.get(name)) if known is not None else None

    @property
    def unwritten_secs(self) -> float:
        """For how long what is delivered could not be written down; 0 where it is."""
        since = min(list(self._unwritten.values()), default=None)
        return time.monotonic() - since if since is not None else 0.0

    def records(self) -> Iterator[Record]:
        """Every readable record, for ``status``. Touches nothing."""
        for path in sorted(self.directory.glob("*.json")):
            try:
                yield readable_record(read_own(path))
            except Unsafe as error:
                tell(_LOGGER, state.FILE_NOT_TRUSTED, "%s is not read: %s.", path, error.strerror)
            except (OSError, CursorUnreadable):
                continue

    # --- files -------------------------------------------------------------------------------------------------------

    def _known(self, subscription: Subscription) -> Positions | None:
        known = self._last.get(self.file_name(subscription))
        if known is None and (read := self._read_best(subscription)) is not None:
            known = _begin_anew(subscription, read)
        return known

    def _record(self, subscription: Subscription, known: Positions) -> None:
        # Delivered is delivered: within this process nothing repeats for want of a disk. It is written once it can be.
        self._last[self.file_name(subscription)] = known
        self._unwritten.setdefault(self.file_name(subscription), time.monotonic())
        now_ms = int(time.time() * 1000)
        self._keep(subscription, encode_record(record_of(subscription, known, now_ms)))
        self._written_ms[self.file_name(subscription)] = now_ms
        self._unwritten.pop(self.file_name(subscription), None)

    def _lock_of(self, subscription: Subscription) -> threading.Lock:
        """Each record's own: writing takes as long as the disk does, and two hundred streams should not wait for one."""
        with self._mutex:
            return self._locks.setdefault(self.file_name(subscription), threading.Lock())

    @staticmethod
    def file_name(subscription: Subscription) -> str:
        """The name of a record: distinct subscriptions have distinct names."""
        parts = (subscription.stream.account, subscription.stream.log_type, subscription.destination)
        name = ".".join(map(_file_safe, parts))
        if len(name) > _LONGEST_NAME:
            digest = hashlib.blake2b(name.encode("ascii"), digest_size=16).hexdigest()
            name = f"{name[: _LONGEST_NAME - len(digest) - 1]}+{digest}"  # a plus sign is in no name that is whole
        return f"{name}.json"

    def path_of(self, subscription: Subscription) -> Path:
        return self.directory / self.file_name(subscription)

    def _keep(self, subscription: Subscription, content: bytes) -> None:
        self._write(self.path_of(subscription), content)

    def _read_best(self, subscription: Subscription) -> Positions | None:
        path = self.path_of(subscription)
        previous = path.with_name(path.name + ".previous")
        for candidate in (path, previous):
            try:
                return read_positions(read_own(candidate), subscription)
            except FileNotFoundError:
                continue
            except OSError as error:
                if ran_out(error):
                    raise shortage("reading a checkpoint") from None
                raise StoreUnusable(f"The checkpoint {candidate} cannot be read: {error.strerror}.") from None
            except CursorTooNew as error:
                raise too_new(candidate, error) from None
            except CursorUnreadable as error:
                self._keep_aside(candidate, subscription, error)
        return None

    def _keep_aside(self, path: Path, subscription: Subscription, error: CursorUnreadable) -> None:
        aside = self._aside(path, "unreadable")
        try:
            path.replace(aside)
        except OSError as move_error:
            raise StoreUnusable(
                f"{path} is no checkpoint ({error}) and cannot be moved aside: {move_error.strerror}."
            ) from None
        tell(
            _LOGGER, state.CHECKPOINT_UNREADABLE,
            "The checkpoint of %s was not usable and is kept as %s: %s The record before it is used; without one it "
            "begins at its full look-back and repeats events. None is skipped.",
            subscription, aside, error, **subscription.about,
        )  # fmt: skip

    def _aside(self, path: Path, why: str) -> Path:
        return path.with_name(f"{path.name}.{why}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}")

    def _write(self, path: Path, content: bytes) -> None:
        make_private_directory(self.directory)  # on a worker nobody has opened it before
        fresh = path.with_name(f".{path.name}.new")
        descriptor = open_new(fresh)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._keep_previous(path)
        fresh.replace(path)
        self._sync_directory()

    def _keep_previous(self, path: Path) -> None:
        """Links the present record as the previous one; a moment without one does no harm, the present one is still there."""
        previous = path.with_name(path.name + ".previous")
        with suppress(FileNotFoundError):
            previous.unlink()
        with suppress(FileNotFoundError, OSError):
            os.link(path, previous)

    def _sync_directory(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _locked_within(descriptor: int, secs: float) -> bool:
    """Whether the lock could be had. A backfill looks at it now and then, for an instant; that must not refuse a start."""
    deadline = time.monotonic() + secs
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _earlier(one: Cursor, other: Cursor) -> Cursor:
    return one if one.seq < other.seq else other


def _later(one: Cursor, other: Cursor) -> Cursor:
    return other if other.seq > one.seq else one


def _begin_anew(subscription: Subscription, known: Positions) -> Positions:
    """What was recorded by another process, as this one goes on from it."""
    if known.safe.seq < known.cursor.seq:
        tell(
            _LOGGER, state.UNCLEAN_END,
            "%s: the last run did not end in good order. What it delivered since %s may not have been read there: "
            "that is read and sent again.",
            subscription, time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(known.safe.position_ms / 1000)),
            **subscription.about,
        )  # fmt: skip
        known = known._replace(tally=begun_anew(known.tally, known.safe.position_ms, known.cursor.position_ms))
    return known._replace(cursor=known.safe)


def _file_safe(name: str) -> str:
    """A name as part of a file name: distinct names stay distinct, because what is replaced is spelt out."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda match: f"%{ord(match.group()):X}", name)
