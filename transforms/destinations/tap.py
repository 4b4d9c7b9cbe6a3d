"""A tap: whoever watches gets copies of the events that a destination has just taken, as long as it keeps up.

Place in the flow: the sink offers each confirmed bundle; the endpoint of a local run watches for ``duologsync tap``.

Contract: costs one look at a flag per bundle where nobody watches. Offering never waits: what a watcher has no room for is
dropped, and counted for it. A watcher holds at most ``MOST_EVENTS`` events and ``MOST_BYTES``. Thread-safe; its locks are
leaves.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from transforms.process.lifetime import per_process
from transforms.records import Subscription

MOST_EVENTS = 500
MOST_BYTES = 2_000_000

Wants = Callable[[Subscription], bool]


class Watcher:
    """What one who watches has not taken yet."""

    def __init__(self, wants: Wants) -> None:
        self._wants = wants
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Subscription, bytes]] = deque()
        self._bytes = 0
        self._dropped = 0

    def offer(self, subscription: Subscription, rows: Sequence[bytes]) -> None:
        """Keeps as many as there is room for."""
        if not self._wants(subscription):
            return
        with self._changed:
            for at, row in enumerate(rows):
                if len(self._waiting) >= MOST_EVENTS or self._bytes + len(row) > MOST_BYTES:
                    self._dropped += len(rows) - at
                    break
                self._waiting.append((subscription, row))
                self._bytes += len(row)
            self._changed.notify()

    def take(self, wait_secs: float) -> tuple[list[tuple[Subscription, bytes]], int]:
        """All that is here, and how many were dropped since the last time; waits so long for the first."""
        with self._changed:
            if not self._waiting and not self._dropped:
                self._changed.wait(wait_secs)
            taken, dropped = list(self._waiting), self._dropped
            self._waiting.clear()
            self._bytes = self._dropped = 0
            return taken, dropped


class Tap:
    """Everybody who watches in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watchers: tuple[Watcher, ...] = ()

    @property
    def watched(self) -> bool:
        """Whether offering is of any use."""
        return bool(self._watchers)

    def offer(self, subscription: Subscription, rows: Sequence[bytes]) -> None:
        """Events that were delivered."""
        for watcher in self._watchers:
            watcher.offer(subscription, rows)

    @contextmanager
    def watching(self, wants: Wants) -> Iterator[Watcher]:
        """Somebody watches what ``wants`` says, until the end of the block."""
        watcher = Watcher(wants)
        with self._lock:
            self._watchers = (*self._watchers, watcher)
        try:
            yield watcher
        finally:
            with self._lock:
                self._watchers = tuple(each for each in self._watchers if each is not watcher)


TAP = per_process("tap", Tap)
