"""The Beam source: one ``UnboundedSource`` per log type, split per account, whose records are pages.

Place in the flow: pages of ``transforms.duo.feed`` → **here** → ``SplitPages`` → format → destination, all fused in one
stage, so that a finished bundle is a delivered bundle. Bundle finalization commits the cursor to the checkpoint store.

Two ways to run the same source:

    endless    (Prism, Flink, Dataflow)  ``advance`` never waits; no page now means "look again after the poll delay"
    in passes  (in-process DirectRunner) that runner cannot wait between bundles and keeps memory of each, so the source
               ends when it has nothing more for now, after ``pages_per_pass``, or when the program is asked to end; the
               launcher runs the pipeline again.
               ``advance`` may wait for a page that is on its way, but only while nothing undelivered waits for it.

The pickled source holds settings and references to secrets, never a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from apache_beam import coders
from apache_beam.io.unbounded_source import CheckpointMark, UnboundedReader, UnboundedSource
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from transforms.checkpoints import store_at
from transforms.duo.cursor import Cursor
from transforms.duo.feed import FetchedPage, PageFeed, feed_of, stream_of
from transforms.duo.initial import initial_cursor
from transforms.events import DuoPage, DuoPageCoder, Stream
from transforms.lifecycle import STOP
from transforms.settings import Account, Reading, Storage

# How long a reader in a pass waits for a page that is on its way, before the pass ends and its thread waits outside of Beam.
_PASS_WAIT_SECS = 0.5


@dataclass(frozen=True, slots=True)
class Passes:
    """The source is run in passes: at most this many pages in one."""

    pages_per_pass: int = 256


class DuoCheckpointMark(CheckpointMark):
    """A cursor on its way through the runner; finalizing it commits the cursor, whose events are delivered by then."""

    def __init__(self, cursor: Cursor, source: DuoLogSource, rows: int = 0) -> None:
        self.cursor = cursor
        self._source = source
        self._rows = rows

    def finalize_checkpoint(self) -> None:
        """Idempotent and indifferent to order: the store keeps the later of two cursors."""
        source = self._source
        store_at(source.storage.checkpoint_dir).commit(source.stream, self.cursor, self._rows)
        source.feed().delivered(self.cursor)


class DuoCheckpointMarkCoder(coders.Coder):
    """Encodes a mark as its cursor's JSON and nothing else; what it commits to comes from the source it belongs to."""

    def __init__(self, source: DuoLogSource) -> None:
        self._source = source

    def encode(self, mark: DuoCheckpointMark) -> bytes:
        return mark.cursor.to_json()

    def decode(self, encoded: bytes) -> DuoCheckpointMark:
        return DuoCheckpointMark(Cursor.from_json(encoded), self._source)

    def is_deterministic(self) -> bool:
        return True


@dataclass(frozen=True)
class DuoLogSource(UnboundedSource):
    """One log type of some accounts; after ``split`` of one.

    Attributes:
      log_type: a key of LOG_TYPES.
      accounts: whose logs; each becomes one stream.
      passes: set for the in-process runner, None for runners that stream.
    """

    log_type: str
    accounts: tuple[Account, ...]
    reading: Reading
    storage: Storage
    passes: Passes | None = None

    def split(self, desired_num_splits: int, options: Any = None) -> Iterable[DuoLogSource]:  # noqa: ARG002 - Beam's signature
        """One source per account: each stream has one reader and is read in order."""
        return [replace(self, accounts=(account,)) for account in self.accounts]

    def create_reader(self, options: Any, checkpoint_mark: DuoCheckpointMark | None) -> DuoReader:  # noqa: ARG002
        """A reader behind the runner's mark, else behind the store's cursor, else at the start of the look-back."""
        if checkpoint_mark is not None:
            return DuoReader(self, checkpoint_mark.cursor)
        return DuoReader(self, initial_cursor(self.stream, self.reading, self.storage))

    def get_checkpoint_mark_coder(self) -> DuoCheckpointMarkCoder:
        return DuoCheckpointMarkCoder(self)

    def default_output_coder(self) -> DuoPageCoder:
        return DuoPageCoder()

    @property
    def stream(self) -> Stream:
        """The one stream of a split source."""
        (account,) = self.accounts
        return stream_of(account, self.log_type)

    def feed(self) -> PageFeed:
        """The process's feed of this source's stream."""
        (account,) = self.accounts
        return feed_of(account, self.log_type, self.reading)


class DuoReader(UnboundedReader):
    """Hands the pages of a feed to Beam, and says where it stands."""

    def __init__(self, source: DuoLogSource, cursor: Cursor) -> None:
        self._source = source
        self._cursor = cursor
        self._feed: PageFeed | None = None
        self._current: FetchedPage | None = None
        self._undelivered_rows = 0
        self._pages_left = source.passes.pages_per_pass if source.passes else None
        self._ended = False

    def start(self) -> bool:
        self._feed = self._source.feed()
        self._feed.seek(self._cursor)
        return self.advance()

    def advance(self) -> bool:
        if self._pages_left == 0:
            self._ended = True
            return False
        if self._source.passes is not None and STOP.requested:
            # Begins nothing new: a pass of many pages could take longer than the grace period. See below for "ended".
            self._ended = not self._undelivered_rows
            return False
        assert self._feed is not None
        fetched = self._feed.take(self._patience_secs())
        if fetched is None:
            # Only once all is delivered: a False before that ends the bundle, which delivers and commits.
            self._ended = self._source.passes is not None and not self._undelivered_rows
            return False
        self._current = fetched
        self._cursor = fetched.after
        self._undelivered_rows += len(fetched.page.rows)
        if self._pages_left is not None:
            self._pages_left -= 1
        return True

    def _patience_secs(self) -> float:
        """In a pass nobody else is held up by waiting, except pages of this bundle that could be delivered meanwhile."""
        return _PASS_WAIT_SECS if self._source.passes is not None and not self._undelivered_rows else 0.0

    def get_current(self) -> DuoPage:
        assert self._current is not None
        return self._current.page

    def get_current_timestamp(self) -> Timestamp:
        """The page's earliest possible time: never before the watermark that was reported ahead of it."""
        assert self._current is not None
        return _timestamp(self._current.before)

    def get_watermark(self) -> Timestamp:
        return MAX_TIMESTAMP if self._ended else _timestamp(self._cursor)

    def get_checkpoint_mark(self) -> DuoCheckpointMark:
        rows, self._undelivered_rows = self._undelivered_rows, 0
        return DuoCheckpointMark(self._cursor, self._source, rows)


def _timestamp(cursor: Cursor) -> Timestamp:
    return Timestamp(micros=cursor.position_ms * 1000)
