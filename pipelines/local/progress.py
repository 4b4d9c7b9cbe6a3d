"""How far a backfill is: bars on a terminal, plain lines elsewhere. Reads the checkpoint store: it shows what is delivered.

Place in the flow: ``backfill`` lets it run in a thread beside the supervisor, and asks it at the end how far it came.

Contract: a terminal of any width gets one line for each stream and destination, below whatever is logged meanwhile. The rate of
what is finished is that of the time that it took. Whoever is asked to show progress stops nothing: what cannot be read is shown
as it was.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column

from pipelines.monitoring.words import span
from pipelines.printable import printable, say
from transforms.records import Stream, Subscription
from transforms.settings import Job
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.cursor import Cursor

_LINE_SECS = 10.0
_BAR_SECS = 1.0
_WIDE, _MIDDLE = 100, 76  # columns from which on a terminal shows more of each stream


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """How far one stream is on its way to one destination.

    Attributes:
      share: of the stretch of time, 0 to 1. events: delivered in it, over all starts.
      rate: events per second of this run, until it was finished. left_secs: None where nothing tells.
    """

    name: str
    share: float
    events: int = 0
    rate: float = 0.0
    left_secs: float | None = None

    @property
    def left(self) -> str:
        """What is left in words."""
        return "done" if self.share >= 1 else f"{span(self.left_secs)} left" if self.left_secs is not None else "-"


@dataclass
class _Begun:
    """A stream as it was when it was first seen here; ``ended``: when it was seen to be finished."""

    at: float
    share: float
    events: int
    ended: float | None = None


class Progress:
    """One bar or line per stream and destination, until told to stop."""

    def __init__(self, job: Job) -> None:
        assert job.reading.from_ms is not None
        assert job.reading.until_ms is not None
        self._store = CheckpointStore(Path(job.storage.checkpoint_dir))
        self._from_ms, self._until_ms = job.reading.from_ms, job.reading.until_ms
        self._job = job
        self._began = time.monotonic()
        self._first: dict[str, _Begun] = {}

    def run(self, stopped: threading.Event) -> None:
        """Shows until ``stopped``, and once more at the end."""
        if not sys.stderr.isatty():
            self._repeat(stopped, _LINE_SECS, self._print_lines)
            return
        console = Console(stderr=True)
        with Bars(*_columns(console.width), console=console, auto_refresh=False) as bars:
            tasks: dict[str, TaskID] = {}
            self._repeat(stopped, _BAR_SECS, lambda: self._draw(bars, tasks))

    def streams(self) -> list[StreamProgress]:
        """Every stream and destination of the backfill, those that have not begun among them."""
        now = time.monotonic()
        found = {str(each): self._of(str(each), position_ms, events, now) for each, position_ms, events in self._positions()}
        names = {str(each): StreamProgress(str(each), 0.0) for each in wanted(self._job)}
        return [found.get(name, waiting) for name, waiting in sorted((names | found).items())]

    def share(self) -> float:
        """Of the whole, 0 to 1."""
        streams = self.streams()
        return sum(each.share for each in streams) / len(streams) if streams else 0.0

    def _positions(self) -> Iterator[tuple[Subscription, int, int]]:
        for record in self._store.records():
            if is_wanted(self._job, record.subscription):
                cursor = Cursor.from_json(bytes(record.cursor))
                position_ms = cursor.position_ms
                if cursor.maxtime_ms is not None:  # the last window is not read to its end
                    position_ms = min(position_ms, self._until_ms - 1)
                yield record.subscription, position_ms, record.delivered

    def _of(self, name: str, position_ms: int, events: int, now: float) -> StreamProgress:
        share = min(1.0, max(0.0, (position_ms - self._from_ms) / max(1, self._until_ms - self._from_ms)))
        first = self._first.setdefault(name, _Begun(self._began, share, events))
        if share >= 1 and first.ended is None:
            first.ended = now
        elapsed = max((first.ended or now) - first.at, 1e-6)
        gained = share - first.share
        left_secs = elapsed / gained * (1 - share) if gained > 0 else None
        return StreamProgress(name, share, events, (events - first.events) / elapsed, left_secs)

    def _repeat(self, stopped: threading.Event, secs: float, show: Callable[[], None]) -> None:
        while not stopped.wait(secs):
            show()
        show()

    def _print_lines(self) -> None:
        for each in self.streams():
            say(f"{each.name}: {each.share:.1%}, {each.events:,} events, {each.rate:,.0f}/s, {each.left}", to=sys.stderr)

    def _draw(self, bars: Bars, tasks: dict[str, TaskID]) -> None:
        for each in self.streams():
            if each.name not in tasks:
                tasks[each.name] = bars.add_task(printable(each.name), total=1.0, events=0, rate=0.0, left="-")
            bars.update(tasks[each.name], completed=each.share, events=each.events, rate=each.rate, left=each.left)
        bars.refresh()


def _columns(width: int) -> list[ProgressColumn]:
    """What fits a terminal of so many columns, each stream on one line."""
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
    ]
    if width >= _MIDDLE:
        columns.append(BarColumn(bar_width=20 if width >= _WIDE else 10))
    columns.append(TextColumn("{task.percentage:>5.1f}%", table_column=Column(no_wrap=True)))
    if width >= _MIDDLE:
        columns.append(TextColumn("{task.fields[events]:>10,} events", table_column=Column(no_wrap=True)))
    if width >= _WIDE:
        columns.append(TextColumn("{task.fields[rate]:>7,.0f}/s", table_column=Column(no_wrap=True)))
    left = TextColumn("{task.fields[left]:>12}", markup=False, table_column=Column(no_wrap=True))
    return [*columns, left]


def wanted(job: Job) -> Iterator[Subscription]:
    """What a job reads; of an MSP's children nothing is known before they are read."""
    for account in job.accounts:
        if not account.is_msp:
            for log_type in job.log_types_of(account.name):
                for destination in job.destinations_of(account.name, log_type):
                    yield Subscription(Stream(account.name, log_type, account.api_host), destination.name)


def is_wanted(job: Job, subscription: Subscription) -> bool:
    """Whether it is among what a job reads: a directory may hold what was read when it was started another time."""
    destinations = job.destinations_of(subscription.stream.account, subscription.stream.log_type)
    return subscription.destination in {destination.name for destination in destinations}


def finished_subscriptions(job: Job) -> frozenset[Subscription]:
    """The subscriptions of a backfill, where each that was ever begun is read and delivered to its end; else none."""
    finished = set()
    for record in CheckpointStore(job.storage.checkpoint_dir).records():
        if not is_wanted(job, record.subscription):
            continue
        cursor = Cursor.from_json(bytes(record.cursor))
        if cursor.maxtime_ms is not None or cursor.position_ms < (job.reading.until_ms or 0):
            return frozenset()
        finished.add(record.subscription)
    return frozenset(finished)
