"""How far a backfill is: bars on a terminal, plain lines elsewhere. Reads the checkpoint store: it shows what is delivered."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from pipelines.printable import printable, say
from transforms.records import Subscription
from transforms.settings import Job
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.cursor import Cursor

_LINE_SECS = 10.0
_BAR_SECS = 1.0


class Progress:
    """One bar or line per stream and destination, until told to stop."""

    def __init__(self, directory: Path, from_ms: int, until_ms: int) -> None:
        self._store = CheckpointStore(directory)
        self._from_ms = from_ms
        self._until_ms = until_ms
        self._began_secs = time.monotonic()
        self._first: dict[str, tuple[float, int]] = {}

    def run(self, stopped: threading.Event) -> None:
        """Shows until ``stopped``, and once more at the end."""
        if not sys.stderr.isatty():
            self._repeat(stopped, _LINE_SECS, self._print_lines)
            return
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>5.1f}%"),
            TextColumn("{task.fields[events]:>12,} events {task.fields[rate]:>8,.0f}/s"),
            TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        with Bars(*columns, console=Console(stderr=True)) as bars:
            tasks: dict[str, TaskID] = {}
            self._repeat(stopped, _BAR_SECS, lambda: self._draw(bars, tasks))

    def state(self) -> dict[str, tuple[float, int, float]]:
        """Per stream and destination: the share that is done (0 to 1), events delivered, and events per second of this run."""
        elapsed = max(time.monotonic() - self._began_secs, 1e-6)
        result = {}
        for record in self._store.records():
            position_ms = Cursor.from_json(bytes(record.cursor)).position_ms
            done = (position_ms - self._from_ms) / max(1, self._until_ms - self._from_ms)
            share = min(1.0, max(0.0, done))
            name = str(record.subscription)
            _, before = self._first.setdefault(name, (share, record.delivered))
            result[name] = (share, record.delivered, (record.delivered - before) / elapsed)
        return result

    def _repeat(self, stopped: threading.Event, secs: float, show: Callable[[], None]) -> None:
        while not stopped.wait(secs):
            show()
        show()

    def _print_lines(self) -> None:
        elapsed = time.monotonic() - self._began_secs
        for name, (share, events, rate) in self.state().items():
            gained = share - self._first[name][0]
            left = (
                f"{elapsed / gained * (1 - share):,.0f} s left" if gained > 0 and share < 1 else "done" if share >= 1 else "-"
            )
            say(f"{name}: {share:.1%}, {events:,} events, {rate:,.0f}/s, {left}", to=sys.stderr)

    def _draw(self, bars: Bars, tasks: dict[str, TaskID]) -> None:
        for name, (share, events, rate) in self.state().items():
            if name not in tasks:
                tasks[name] = bars.add_task(printable(name), total=1.0, events=0, rate=0.0)
            bars.update(tasks[name], completed=share, events=events, rate=rate)


def finished_subscriptions(job: Job) -> frozenset[Subscription]:
    """The subscriptions of a backfill, where each that was ever begun is read and delivered to its end; else none."""
    finished = set()
    for record in CheckpointStore(job.storage.checkpoint_dir).records():
        # Its directory may hold other log types and destinations, from another time that it was started.
        destinations = job.destinations_of(record.stream.account, record.stream.log_type)
        if record.destination not in {destination.name for destination in destinations}:
            continue
        cursor = Cursor.from_json(bytes(record.cursor))
        if cursor.maxtime_ms is not None or cursor.position_ms < (job.reading.until_ms or 0):
            return frozenset()
        finished.add(record.subscription)
    return frozenset(finished)
