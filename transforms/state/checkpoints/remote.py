"""Checkpoints on another file system (``gs://…``, ``s3://…``, ``hdfs://…``), through Beam's FileSystems.

Place in the flow: ``checkpoints.stores.store_at`` gives this one for a directory that is an URL. Runners whose workers come and
go need it: what is written to a worker's disk goes away with the worker.

Contract, where it differs from the local one:
  * A record is one object, written whole; object stores show the old one or the new one. No previous record is kept, and
    commits are monotone within a process only: there, the runner's own checkpoint is the truth while a job lives, and this is
    where a launch without one begins.
  * There is no lock: one job per directory is the user's to keep, which ``lock`` says.
  * ``load`` and ``records`` raise RetryLater where the file system cannot be asked: beginning at the look-back for that would
    repeat months. ``commit`` raises OSError.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from uuid import uuid4

from transforms.notices import state
from transforms.notices.notice import tell
from transforms.records import Subscription
from transforms.state.checkpoints.local import FORGOTTEN_KEPT, CheckpointStore, too_new
from transforms.state.checkpoints.record import Positions, Record, read_positions, readable_record
from transforms.state.cursor import CursorTooNew, CursorUnreadable
from transforms.state.remote_files import exists, file_systems, read, retry_later, write

_LOGGER = logging.getLogger("duologsync.checkpoints")


class RemoteCheckpointStore(CheckpointStore):
    """The store in a directory of a Beam file system."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._url = url.rstrip("/")

    def open(self) -> None:
        """Nothing to do: object stores have no directories, and others make them with the first file."""

    def lock(self) -> None:
        tell(_LOGGER, state.NOT_LOCKABLE, "%s cannot be locked: make sure that nothing else runs on it.", self._url)

    def unlock(self) -> None:
        self._last.clear()

    def forget(self, subscription: Subscription) -> None:
        with self._lock_of(subscription):
            self._last.pop(self.file_name(subscription), None)
            place = self._place(subscription)
            if exists(place):
                self._move_aside(place, "forgotten")
                self._drop_older(f"{place}.forgotten-*")

    def _drop_older(self, pattern: str) -> None:
        """Keeps the newest few; their names sort by time."""
        with suppress(Exception):  # each file system has errors of its own, and one too many does no harm
            found = sorted(str(each.path) for match in file_systems().match([pattern]) for each in match.metadata_list)
            file_systems().delete(found[:-FORGOTTEN_KEPT])

    def records(self) -> Iterator[Record]:
        try:
            found = [each.path for match in file_systems().match([f"{self._url}/*.json"]) for each in match.metadata_list]
            contents = [read(path) for path in sorted(found)]
        except Exception as error:  # each file system has errors of its own
            raise retry_later(f"The checkpoints in {self._url} cannot be read now", error, "checkpoints") from error
        for content in contents:
            with suppress(CursorUnreadable):
                yield readable_record(content)

    def _place(self, subscription: Subscription) -> str:
        return f"{self._url}/{self.file_name(subscription)}"

    def _read_best(self, subscription: Subscription) -> Positions | None:
        place = self._place(subscription)
        try:
            content = read(place) if exists(place) else None
        except Exception as error:  # each file system has errors of its own
            raise retry_later(f"The checkpoint {place} cannot be read now", error, "checkpoints") from error
        if content is None:
            return None
        try:
            return read_positions(content, subscription)
        except CursorTooNew as error:
            raise too_new(place, error) from None
        except CursorUnreadable as error:
            tell(
                _LOGGER, state.CHECKPOINT_UNREADABLE,
                "The checkpoint of %s was not usable and is kept as %s: %s It begins at its full look-back and repeats "
                "events. None is skipped.", subscription, self._move_aside(place, "unreadable"), error, **subscription.about,
            )  # fmt: skip
            return None

    def _keep(self, subscription: Subscription, content: bytes) -> None:
        try:
            write(self._place(subscription), content)
        except Exception as error:  # each file system has errors of its own
            raise OSError(None, f"{type(error).__name__}: {error}") from error

    def _move_aside(self, place: str, why: str) -> str:
        aside = f"{place}.{why}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid4().hex[:8]}"
        file_systems().rename([place], [aside])
        return aside
