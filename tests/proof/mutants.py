"""The program with one cure taken out: each of these the histories must find, or they prove nothing about that cure.

Place: ``test_mutants`` runs histories over each. A mutant is a patch at run time; no file of the program is touched.

Contract: ``Mutant.taken_out()`` is a context; ``families`` are the troubles that the cure is for, ``histories`` how many of
them are looked through at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import msgspec

from transforms.destinations import Confirmation
from transforms.destinations.pool import Lease
from transforms.destinations.stream.unread import Unread
from transforms.duo.client import answers
from transforms.duo.fetch import feed
from transforms.duo.position import paging
from transforms.errors import Undeliverable
from transforms.formats.apply import FormatBatches
from transforms.state.checkpoints import local, record
from transforms.state.cursor import CursorUnreadable


@dataclass(frozen=True)
class Mutant:
    """See the module. ``cure``: what the program does, and this one does not."""

    cure: str
    families: tuple[str, ...]
    taken_out: Callable[[], AbstractContextManager[Any]]
    histories: int = 60


def _pages_fail_as_a_whole() -> AbstractContextManager[Any]:
    def refuse(body: bytes, log_type: Any) -> Any:
        raise answers.malformed(log_type.path, body)

    return mock.patch.object(answers, "_taken_apart", refuse)


def _formats_fail_bundles() -> AbstractContextManager[Any]:
    dead = FormatBatches._dead

    def stumble(self: FormatBatches, event: Any, error: Undeliverable) -> Any:
        if error.reason.startswith("not_"):
            raise RuntimeError("a formatter stumbled") from error
        return dead(self, event, error)

    return mock.patch.object(FormatBatches, "_dead", stumble)


def _ends_count_as_read() -> AbstractContextManager[Any]:
    def let_go(self: Unread) -> None:
        self.endings.abandon()
        self.replay.take()
        self.again.clear()
        self._doubtful.clear()
        self.count()

    return mock.patch.object(Unread, "let_go", let_go)


@contextmanager
def _goodbyes_count_as_read() -> Iterator[None]:
    ending = Unread.ending

    def at_once(self: Unread, connection: Any, now: float, *, by_peer: bool) -> None:
        if by_peer:
            self.replay.take()
        ending(self, connection, now, by_peer=by_peer)
        self.count()

    with mock.patch.object(Unread, "ending", at_once):
        yield


@contextmanager
def _rejections_are_not_heard() -> Iterator[None]:
    confirm = Lease.confirm

    def deaf(self: Lease) -> Confirmation:
        return Confirmation(confirm(self).receipt)

    with mock.patch.object(Lease, "confirm", deaf):
        yield


def _starts_at_the_delivered_position() -> AbstractContextManager[Any]:
    return mock.patch.object(local, "_begin_anew", lambda _stream, known: known)


@contextmanager
def _checksums_are_not_looked_at() -> Iterator[None]:
    def believe(content: bytes) -> Any:
        if not content.strip():
            raise CursorUnreadable("The file is empty.")
        try:
            return record._decode_record(content)
        except (ValueError, UnicodeDecodeError) as error:
            raise CursorUnreadable(str(error)) from None

    with mock.patch.object(record, "decode_record", believe):
        yield


@contextmanager
def _short_windows_are_closed() -> Iterator[None]:
    listed = paging.listed

    def never_read_again(*args: Any, **named: Any) -> Any:
        return tuple(msgspec.structs.replace(gap, due_ms=None) for gap in listed(*args, **named))

    with (
        mock.patch.object(paging, "_asked_again", return_value=None),
        mock.patch.object(paging, "listed", never_read_again),
    ):
        yield


@contextmanager
def _waits_are_computed_once() -> Iterator[None]:
    def by_the_wall_clock(self: feed.PageFeed) -> int:
        return int(self._clock.wall_secs() * 1000)

    once = mock.patch.object(feed, "_LOOK_AGAIN_SECS", float("inf"))
    with once, mock.patch.object(feed.PageFeed, "_now_ms", by_the_wall_clock):
        yield


MUTANTS = {
    "an odd row fails its page": Mutant("a page is taken apart row by row", ("odd rows",), _pages_fail_as_a_whole),
    "a formatter fails its bundle": Mutant("no exception of a format fails a bundle", ("odd rows",), _formats_fail_bundles),
    "an orderly end counts as read": Mutant(
        "what was not seen to be read at the end is kept for the next start", ("hanging SIEM",), _ends_count_as_read, 100
    ),
    "a goodbye counts as read": Mutant("a reset behind a goodbye is seen", ("goodbyes",), _goodbyes_count_as_read),
    "a rejection counts as delivered": Mutant(
        "what a destination rejects is a dead letter", ("rejections",), _rejections_are_not_heard
    ),
    "a start goes on from what was delivered": Mutant(
        "a start after an end without order goes on from what is safe", ("both",), _starts_at_the_delivered_position
    ),
    "a checkpoint's checksum is not looked at": Mutant(
        "a flipped bit is not believed", ("bits",), _checksums_are_not_looked_at
    ),
    "a window that is short is closed": Mutant(
        "a window with less than Duo counted is asked again and remembered", ("empty answers",), _short_windows_are_closed
    ),
    "waits are computed once": Mutant("a wait for the wall clock is looked at again", ("clock",), _waits_are_computed_once),
}
