"""The Beam source: one ``UnboundedSource`` per log type, split per account, whose records are pages.

Place in the flow: pages of ``transforms.duo.fetch.feed`` → **here** → ``SplitPages`` → format → destination, all fused in one
stage, so that a finished bundle is a delivered bundle. Bundle finalization commits the cursor to the checkpoint store.

Two ways to run the same source:

    endless    (Prism, Flink, Dataflow)  no page now means "look again after the poll delay"; ``advance`` waits only for a page
               that is on its way, and not for long. A stream whose destination takes nothing is not read on, see
               ``transforms.destinations.circuit_breaker``; trouble that only a person can mend leaves a stream without
               pages, and the job alone.
    in passes  (in-process DirectRunner) that runner cannot wait between bundles and keeps memory of each, so the source
               ends when it has nothing more for now, after ``pages_per_pass``, or when the program is asked to end; the
               launcher runs the pipeline again.
               ``advance`` may wait for a page that is on its way, but only while nothing undelivered waits for it.

The pickled source holds settings and references to secrets, never a secret. It is state: on Flink and Dataflow it lies in
checkpoints beside its mark. So it is pickled as versioned JSON, which a later release can read; and a source that comes back
from a savepoint takes its settings from the graph that runs now (``SplitAndAnnounce``), not from the day of the savepoint.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
from apache_beam import coders
from apache_beam.io.unbounded_source import CheckpointMark, UnboundedReader, UnboundedSource
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from transforms.coders import DuoPage, DuoPageCoder, SplitPages, Stream
from transforms.destinations.circuit_breaker import CIRCUIT_BREAKERS
from transforms.duo.fetch.feed import PageFeed, stream_of
from transforms.duo.fetch.feed_registry import feed_of
from transforms.duo.fetch.page_buffer import FetchedPage
from transforms.duo.position.initial import hinted_cursor, initial_cursor
from transforms.errors import FatalError
from transforms.process.allocator import give_memory_back
from transforms.process.lifetime import per_process
from transforms.process.pass_slots import SLOTS
from transforms.process.shutdown import STOP
from transforms.settings import Account, Reading, Storage
from transforms.state.checkpoints.stores import store_at
from transforms.state.cursor import Cursor
from transforms.state.receipts import RECEIPTS

_LOGGER = logging.getLogger("duologsync.duo")
# How long a reader in a pass waits for a page that is on its way, before the pass ends and its thread waits outside of Beam.
_PASS_WAIT_SECS = 0.5
# The same on a streaming runner. Giving up costs the poll delay, and the runner's requests wait as long as the reader does.
_ENDLESS_WAIT_SECS = 1.0
# So many pages are sent before a pass ends because other streams wait. Each pass costs as much CPU as a page or two.
_PAGES_BEFORE_OTHERS = 4
_WIRE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Passes:
    """The source is run in passes: at most this many pages in one."""

    pages_per_pass: int = 256


class DuoCheckpointMark(CheckpointMark):
    """A cursor on its way through the runner; finalizing it commits the cursor, whose events are delivered by then, and what of
    them is safe."""

    def __init__(self, cursor: Cursor, source: DuoLogSource, rows: int = 0) -> None:
        self.cursor = cursor
        self._source = source
        self._rows = rows

    def finalize_checkpoint(self) -> None:
        """Idempotent and indifferent to order: the store keeps the later of two cursors."""
        source = self._source
        try:
            store = store_at(source.storage.checkpoint_dir)
            safe = RECEIPTS.delivered(source.stream, self.cursor, partial(store.make_safe, source.stream))
            store.commit(source.stream, self.cursor, self._rows, safe=safe)
        except (OSError, FatalError) as error:
            # What is delivered stays delivered in this process, and on other runners their checkpoint is the truth. Only a
            # launch that has nothing but the store would repeat it.
            _say_once(source.stream, f"its checkpoint cannot be kept in {source.storage.checkpoint_dir} ({error}).")
        source.feed().delivered(self.cursor)


class DuoCheckpointMarkCoder(coders.Coder):
    """Encodes a mark as its cursor's JSON and nothing else; what it commits to comes from the source it belongs to.

    A runner encodes and decodes the same mark several times for each bundle, and a cursor may hold the ids of tens of thousands
    of rows: the last one of each stream is remembered with its bytes, and shared.
    """

    def __init__(self, source: DuoLogSource) -> None:
        self._source = source

    def encode(self, mark: DuoCheckpointMark) -> bytes:
        stream = self._source.stream
        known = _coded.get(stream)
        if known is None or known[0] is not mark.cursor:
            known = _coded[stream] = (mark.cursor, mark.cursor.to_json())
        return known[1]

    def decode(self, encoded: bytes) -> DuoCheckpointMark:
        stream = self._source.stream
        known = _coded.get(stream)
        if known is None or known[1] != encoded:
            known = _coded[stream] = (Cursor.from_json(encoded), encoded)
        return DuoCheckpointMark(known[0], self._source)

    def is_deterministic(self) -> bool:
        return True


_coded: dict[Stream, tuple[Cursor, bytes]] = per_process("encoded cursors", dict)


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
        present = self if self.passes is not None else _as_announced(self)
        if present is None:
            # A savepoint brought it here, the graph that runs has no such account: nothing is read, its position is kept.
            _say_once(self.stream, "this account is not in the configuration any more, and not read.")
        source = present or self
        if checkpoint_mark is not None:
            cursor = checkpoint_mark.cursor
        else:
            begin = initial_cursor if self.passes is not None else hinted_cursor
            cursor = begin(source.stream, source.reading, source.storage)
        return DuoReader(source, cursor, gone=present is None)

    def get_checkpoint_mark_coder(self) -> DuoCheckpointMarkCoder:
        return DuoCheckpointMarkCoder(self)

    def default_output_coder(self) -> DuoPageCoder:
        return DuoPageCoder()

    def __reduce__(self) -> tuple[Callable[[bytes], DuoLogSource], tuple[bytes]]:
        wire = _Wire(_WIRE_VERSION, self.log_type, self.accounts, self.reading, self.storage, self.passes)
        return unpickle_source, (msgspec.json.encode(wire),)

    @property
    def stream(self) -> Stream:
        """The one stream of a split source."""
        (account,) = self.accounts
        return stream_of(account, self.log_type)

    def feed(self) -> PageFeed:
        """The process's feed of this source's stream."""
        (account,) = self.accounts
        return feed_of(account, self.log_type, self.reading, "")


class DuoReader(UnboundedReader):
    """Hands the pages of a feed to Beam, and says where it stands."""

    def __init__(self, source: DuoLogSource, cursor: Cursor, *, gone: bool = False) -> None:
        self._source = source
        self._gone = gone
        self._cursor = cursor
        self._feed: PageFeed | None = None
        self._turn: int | None = None
        self._current: FetchedPage | None = None
        self._undelivered_rows = 0
        self._pages_left = source.passes.pages_per_pass if source.passes else None
        self._ended = False

    def start(self) -> bool:
        if self._gone or (STOP.requested and self._source.passes is None):
            return False  # the feeds are closed by now, or about to be
        RECEIPTS.begin(self._source.stream, self._cursor)
        self._feed = self._source.feed()
        self._turn = self._feed.seek(self._cursor)
        return self.advance()

    def advance(self) -> bool:
        if self._feed is None:
            return False
        if self._pages_left == 0 or self._makes_way():
            self._ended = True
            return False
        if STOP.requested:
            # Begins nothing new: a pass of many pages could take longer than the grace period. See below for "ended".
            self._ended = self._source.passes is not None and not self._undelivered_rows
            return False
        fetched = self._take()
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

    def _makes_way(self) -> bool:
        """Other streams wait for this pass to end, and it has sent enough for the work that a pass is."""
        if self._pages_left is None or not SLOTS.wanted:
            return False
        assert self._source.passes is not None
        return self._source.passes.pages_per_pass - self._pages_left >= _PAGES_BEFORE_OTHERS

    def _take(self) -> FetchedPage | None:
        assert self._feed is not None
        if self._source.passes is not None:
            # Whom waiting would hold up: pages of this bundle that could be delivered meanwhile, and streams without a slot.
            return self._feed.take(0.0 if self._undelivered_rows or SLOTS.wanted else _PASS_WAIT_SECS, self._turn)
        if CIRCUIT_BREAKERS.held(self._source.stream):
            return None
        try:
            return self._feed.take(_ENDLESS_WAIT_SECS, self._turn)
        except FatalError as error:
            # Raising would start this log type again and again, on some runners end the job. The feed itself tries rarely.
            _say_once(self._source.stream, str(error))
            return None

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


# --- what travels, and what outlives a release -----------------------------------------------------------------------------


class _Wire(msgspec.Struct):
    """The JSON shape of a source. Fields, here and in the settings, are only added, with defaults."""

    v: int
    log_type: str
    accounts: tuple[Account, ...]
    reading: Reading
    storage: Storage
    passes: Passes | None = None


# Made while importing: msgspec crashes the process where two threads are the first to decode a type at the same time.
_decode_wire = msgspec.json.Decoder(_Wire).decode


def unpickle_source(encoded: bytes) -> DuoLogSource:
    """Reads what this or an earlier release pickled. Savepoints hold this function's name: it stays here under it."""
    wire = _decode_wire(encoded)
    if wire.v != _WIRE_VERSION:
        raise ValueError(f"The source has version {wire.v}; this release reads version {_WIRE_VERSION}.")
    return DuoLogSource(wire.log_type, wire.accounts, wire.reading, wire.storage, wire.passes)


class SplitAndAnnounce(SplitPages):
    """``SplitPages``, which also tells this process the settings of the graph that it is part of, and where its events go.

    A runner sets up all steps of a stage before the first bundle, so readers of that stage find what is announced here.
    """

    def __init__(self, source: DuoLogSource, destinations: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self._source = source
        self._destinations = dict(destinations)  # names, by account

    def setup(self) -> None:
        if self._source.passes is None:
            give_memory_back()
        split = {one.stream: one for one in self._source.split(len(self._source.accounts))}
        with _lock:
            _announced[self._source.log_type] = split
        for stream in split:
            CIRCUIT_BREAKERS.needs(stream, self._destinations.get(stream.account, ()))


_announced: dict[str, dict[Stream, DuoLogSource]] = per_process("announced sources", dict)
_said: dict[Stream, str] = per_process("what sources said", dict)
_lock = per_process("lock of the sources", threading.Lock)


def _as_announced(source: DuoLogSource) -> DuoLogSource | None:
    """The source with the settings of the graph that runs; None where that graph does not read it."""
    with _lock:
        split = _announced.get(source.log_type)
    return source if split is None else split.get(source.stream)


def _say_once(stream: Stream, text: str) -> None:
    with _lock:
        if _said.get(stream) == text:
            return
        _said[stream] = text
    _LOGGER.error("%s: %s", stream, text)
