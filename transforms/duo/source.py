"""The Beam source: one ``UnboundedSource`` per account, log type and destination, whose records are pages.

Place in the flow: pages of ``transforms.duo.fetch.feed`` → **here** → ``SplitPages`` → format → destination, all fused in one
stage, so that a finished bundle is a delivered bundle. Bundle finalization commits the cursor to the checkpoint store.

Two ways to run the same source:

    endless    (Prism, Flink, Dataflow)  no page now means "look again after the poll delay"; ``advance`` waits only for a page
               that is on its way, and not for long. What goes to a destination that takes nothing is not read on, see
               ``transforms.destinations.circuit_breaker``; trouble that only a person can mend leaves a stream without
               pages, and the job alone.
    in passes  (in-process DirectRunner) that runner cannot wait between bundles and keeps memory of each, so the source
               ends when it has nothing more for now, after ``pages_per_pass``, or when the program is asked to end; the
               launcher runs the pipeline again.
               ``advance`` may wait for a page that is on its way, but only while nothing undelivered waits for it.

The pickled source holds settings and references to secrets, never a secret. It is state: on Flink and Dataflow it lies in
checkpoints beside its mark. So it is pickled as versioned JSON, which a later release can read; and a source that comes back
from a savepoint takes its settings from the step that reads it now (``transforms.duo.read``), not from that day.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from apache_beam import coders
from apache_beam.io.unbounded_source import CheckpointMark, UnboundedReader, UnboundedSource
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from transforms.coders import DuoPage, DuoPageCoder
from transforms.destinations.circuit_breaker import CIRCUIT_BREAKERS, Probe
from transforms.duo.fetch.feed import PageFeed, stream_of
from transforms.duo.fetch.feed_registry import feed_of
from transforms.duo.fetch.page_buffer import FetchedPage
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.position.initial import hinted_cursor, initial_cursor
from transforms.errors import DuoLogSyncError, FatalError
from transforms.metrics.beam import tell_age, tell_beam
from transforms.metrics.latency import duo_takes
from transforms.notices import duo, state
from transforms.notices.notice import Notice, tell
from transforms.process.lifetime import per_process
from transforms.process.log_once import LogOncePerKey
from transforms.process.pass_slots import SLOTS
from transforms.process.shutdown import STOP
from transforms.records import Subscription
from transforms.settings import USUAL_START, Account, Reading, Start, Storage
from transforms.state.checkpoints.stores import store_at
from transforms.state.cursor import Cursor
from transforms.state.ledger.pending import PENDING, rows_by_day
from transforms.state.ledger.tally import NOTHING, Counts
from transforms.state.receipts import RECEIPTS

_LOGGER = logging.getLogger("duologsync.duo")
# How long a reader in a pass waits for a page that is on its way, before the pass ends and its thread waits outside of Beam.
_PASS_WAIT_SECS = 0.5
# The same on a streaming runner. Giving up costs the poll delay, and the runner's requests wait as long as the reader does.
_ENDLESS_WAIT_SECS = 1.0
# So many pages are sent before a pass ends because others wait. Each pass costs as much CPU as a page or two.
_PAGES_BEFORE_OTHERS = 4
_WIRE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Passes:
    """The source ends.

    Attributes:
      pages_per_pass: after so many pages at the latest.
      caught_up: only once all that there is now was read, however long an answer takes; else where nothing comes for a moment,
        because it is run again.
    """

    pages_per_pass: int = 256
    caught_up: bool = False


class DuoCheckpointMark(CheckpointMark):
    """A cursor on its way through the runner; finalizing it commits the cursor, whose events are delivered by then, and what of
    them is safe."""

    def __init__(
        self,
        cursor: Cursor,
        source: DuoLogSource,
        days: Mapping[str, int] | None = None,
        since_ms: int | None = None,
    ) -> None:
        self.cursor = cursor
        self._source = source
        self._days = days or {}  # rows of each; nothing where the mark has travelled
        self._since_ms = since_ms

    def finalize_checkpoint(self) -> None:
        """Idempotent and indifferent to order: the store keeps the later of two cursors."""
        source, subscription = self._source, self._source.subscription
        try:
            store = store_at(source.storage.checkpoint_dir)
            safe = RECEIPTS.delivered(subscription, self.cursor, partial(store.make_safe, subscription))
            rows = sum(self._days.values())
            store.commit(subscription, self.cursor, rows, safe=safe, days=self._tallied(), since_ms=self._since_ms)
        except (OSError, DuoLogSyncError) as error:
            # What is delivered stays delivered in this process, and on other runners their checkpoint is the truth. Only a
            # launch that has nothing but the store would repeat it.
            _say_once(
                subscription,
                state.CHECKPOINT_NOT_WRITTEN,
                f"its checkpoint cannot be kept in {source.storage.checkpoint_dir} ({error}).",
            )
        source.feed().delivered(self.cursor)

    def _tallied(self) -> dict[str, Counts] | None:
        """What became of the bundle's events, by day; None where that is not known: where the mark has travelled, and on
        runners that may go back to an older checkpoint of theirs, from which on all would be counted twice without a word.
        """
        counts = PENDING.take(self._source.subscription)
        if self._since_ms is None or self._source.passes is None:
            return None
        if not self._days:
            return {}
        read = {day: Counts(rows) for day, rows in self._days.items()}
        return {day: read.get(day, NOTHING) + counts.get(day, NOTHING) for day in {*read, *counts}}


class DuoCheckpointMarkCoder(coders.Coder):
    """Encodes a mark as its cursor's JSON and nothing else; what it commits to comes from the source it belongs to.

    A runner encodes and decodes the same mark several times for each bundle, and a cursor may hold the ids of tens of thousands
    of rows: the last one of each subscription is remembered with its bytes, and shared.
    """

    def __init__(self, source: DuoLogSource) -> None:
        self._source = source

    def encode(self, mark: DuoCheckpointMark) -> bytes:
        subscription = self._source.subscription
        known = _coded.get(subscription)
        if known is None or known[0] is not mark.cursor:
            known = _coded[subscription] = (mark.cursor, mark.cursor.to_json())
        return known[1]

    def decode(self, encoded: bytes) -> DuoCheckpointMark:
        subscription = self._source.subscription
        known = _coded.get(subscription)
        if known is None or known[1] != encoded:
            known = _coded[subscription] = (Cursor.from_json(encoded), encoded)
        return DuoCheckpointMark(known[0], self._source)

    def is_deterministic(self) -> bool:
        return True


_coded: dict[Subscription, tuple[Cursor, bytes]] = per_process("encoded cursors", dict)


@dataclass(frozen=True)
class DuoLogSource(UnboundedSource):
    """One log type of one account, as it goes to one destination.

    Attributes:
      log_type: a key of LOG_TYPES.
      destination: the name of where it goes.
      passes: set for the in-process runner, None for runners that stream.
      start: where reading begins without a checkpoint; its days are those of ``reading``.
    """

    log_type: str
    account: Account
    destination: str
    reading: Reading
    storage: Storage
    passes: Passes | None = None
    start: Start = USUAL_START

    def split(self, desired_num_splits: int, options: Any = None) -> list[DuoLogSource]:  # noqa: ARG002 - Beam's signature
        """Itself: a position is read in order, by one reader."""
        return [self]

    def create_reader(self, options: Any, checkpoint_mark: DuoCheckpointMark | None) -> DuoReader:  # noqa: ARG002
        """A reader behind the runner's mark, else where reading begins."""
        return self.reader(checkpoint_mark)

    def reader(self, mark: DuoCheckpointMark | None, probe: Probe | None = None) -> DuoReader:
        """The same; ``probe`` connects to the destination, before which nothing is read."""
        return DuoReader(self, self.cursor_behind(mark), probe)

    def cursor_behind(self, mark: DuoCheckpointMark | None) -> Cursor:
        """The runner's mark is the truth; without one, the store's cursor or where the route begins."""
        if mark is not None:
            return mark.cursor
        begin = initial_cursor if self.passes is not None else hinted_cursor
        return begin(self.subscription, self.reading, self.storage, self.start)

    def get_checkpoint_mark_coder(self) -> DuoCheckpointMarkCoder:
        return DuoCheckpointMarkCoder(self)

    def default_output_coder(self) -> DuoPageCoder:
        return DuoPageCoder()

    def __reduce__(self) -> tuple[Callable[[bytes], DuoLogSource], tuple[bytes]]:
        wire = _Wire(
            _WIRE_VERSION, self.log_type, self.account, self.destination, self.reading, self.storage, self.passes, self.start
        )
        return unpickle_source, (msgspec.json.encode(wire),)

    @property
    def subscription(self) -> Subscription:
        """What is read, and where it goes."""
        return Subscription(stream_of(self.account, self.log_type), self.destination)

    def feed(self) -> PageFeed:
        """The process's feed of it."""
        return feed_of(self.account, self.log_type, self.reading, self.destination)


class DuoReader(UnboundedReader):
    """Hands the pages of a feed to Beam, and says where it stands."""

    def __init__(self, source: DuoLogSource, cursor: Cursor, probe: Probe | None = None) -> None:
        self._source = source
        self._subscription = source.subscription
        self._cursor = cursor
        self._probe = probe
        self._feed: PageFeed | None = None
        self._generation: int | None = None
        self._current: FetchedPage | None = None
        self._undelivered: Counter[str] = Counter()  # rows by day
        self._bundle_from_ms = cursor.position_ms
        self._pages_left = source.passes.pages_per_pass if source.passes else None
        self._ended = False

    def start(self) -> bool:
        if STOP.requested and self._source.passes is None:
            return False  # the feeds are closed by now, or about to be
        RECEIPTS.begin(self._subscription, self._cursor)
        PENDING.begin(self._subscription)
        duo_takes(self._subscription.stream, self._source.reading.lag_secs)
        self._feed = self._source.feed()
        self._generation = self._feed.seek(self._cursor)
        return self.advance()

    def advance(self) -> bool:
        if self._feed is None:
            return False
        if self._pages_left == 0 or self._makes_way():
            self._ended = True
            return False
        if STOP.requested:
            # Begins nothing new: a pass of many pages could take longer than the grace period. See below for "ended".
            self._ended = self._source.passes is not None and not self._undelivered
            return False
        fetched = self._take()
        if fetched is None:
            # Only once all is delivered: a False before that ends the bundle, which delivers and commits.
            self._ended = self._source.passes is not None and not self._undelivered
            return False
        self._current = fetched
        self._cursor = fetched.after
        self._undelivered.update(rows_by_day(LOG_TYPES[self._source.log_type], fetched.page.rows))
        if self._pages_left is not None:
            self._pages_left -= 1
        return True

    def _makes_way(self) -> bool:
        """Others wait for this pass to end, and it has sent enough for the work that a pass is."""
        if self._pages_left is None or not SLOTS.wanted:
            return False
        assert self._source.passes is not None
        return self._source.passes.pages_per_pass - self._pages_left >= _PAGES_BEFORE_OTHERS

    def _take(self) -> FetchedPage | None:
        assert self._feed is not None
        if self._source.passes is not None:
            # Whom waiting would hold up: pages of this bundle that could be delivered meanwhile, and others without a slot.
            fetched = self._feed.take(0.0 if self._undelivered or SLOTS.wanted else _PASS_WAIT_SECS, self._generation)
            while fetched is None and self._waits_for_all():
                fetched = self._feed.take(_PASS_WAIT_SECS, self._generation)
            return fetched
        if CIRCUIT_BREAKERS.held(self._subscription, self._probe):
            return None
        try:
            return self._feed.take(_ENDLESS_WAIT_SECS, self._generation)
        except FatalError as error:
            # Raising would start this step again and again, on some runners end the job. The feed itself tries rarely.
            _say_once(self._subscription, error.notice, str(error))
            return None

    def _waits_for_all(self) -> bool:
        """Something may come that belongs to this pass, and nothing waits for the end of the bundle."""
        assert self._source.passes is not None
        assert self._feed is not None
        over = self._undelivered or self._feed.caught_up or STOP.requested or not self._source.passes.caught_up
        if not over and (refused := self._feed.refused) is not None:
            # Tried again in a quarter of an hour; a run that ends would not.
            text = f"Duo does not serve it, and this run ends without it: {refused}"
            _say_once(self._subscription, duo.BACKFILL_REFUSED, text)
            return False
        return not over

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
        tell_beam("read", [self._subscription])
        if self._feed is not None:
            tell_age(self._subscription, self._feed.age_secs(self._cursor))
        days, self._undelivered = self._undelivered, Counter()
        since_ms, self._bundle_from_ms = self._bundle_from_ms, self._cursor.position_ms
        return DuoCheckpointMark(self._cursor, self._source, days, since_ms)


class GoneReader(UnboundedReader):
    """Of what a savepoint brought here and the graph that runs does not read: no pages, and its position is kept."""

    def __init__(self, source: DuoLogSource, cursor: Cursor) -> None:
        self._source = source
        self._cursor = cursor

    def start(self) -> bool:
        _say_once(self._source.subscription, duo.NOT_CONFIGURED, "it is not in the configuration any more, and not read.")
        return False

    def advance(self) -> bool:
        return False

    def get_watermark(self) -> Timestamp:
        return _timestamp(self._cursor)

    def get_checkpoint_mark(self) -> DuoCheckpointMark:
        return DuoCheckpointMark(self._cursor, self._source)


def _timestamp(cursor: Cursor) -> Timestamp:
    return Timestamp(micros=cursor.position_ms * 1000)


# --- what travels, and what outlives a release -----------------------------------------------------------------------------


class _Wire(msgspec.Struct):
    """The JSON shape of a source. Fields, here and in the settings, are only added, with defaults."""

    v: int
    log_type: str
    account: Account
    destination: str
    reading: Reading
    storage: Storage
    passes: Passes | None = None
    start: Start = USUAL_START


# Made while importing: msgspec crashes the process where two threads are the first to decode a type at the same time.
_decode_wire = msgspec.json.Decoder(_Wire).decode


def unpickle_source(encoded: bytes) -> DuoLogSource:
    """Reads what this or an earlier release pickled. Savepoints hold this function's name: it stays here under it."""
    wire = _decode_wire(encoded)
    if wire.v != _WIRE_VERSION:
        raise ValueError(f"The source has version {wire.v}; this release reads version {_WIRE_VERSION}.")
    return DuoLogSource(wire.log_type, wire.account, wire.destination, wire.reading, wire.storage, wire.passes, wire.start)


_TROUBLES: LogOncePerKey[Subscription] = per_process("troubles of sources", LogOncePerKey)


def _say_once(subscription: Subscription, notice: Notice, text: str) -> None:
    if _TROUBLES.due(subscription, text) is not None:
        tell(_LOGGER, notice, "%s: %s", subscription, text, **subscription.about)
