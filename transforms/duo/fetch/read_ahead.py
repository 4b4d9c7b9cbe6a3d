"""How much all feeds of this process may read ahead together.

Place in the flow: a feed asks before each call and says afterwards what it holds. One stream never notices; two hundred streams
with a backlog each would otherwise hold two full pages each, half a gigabyte, while four of them are being sent.

Contract: thread-safe; knows nothing of feeds and calls nobody, so a feed may ask while it holds its own lock. What is counted:
pages that are here and not handed to a reader (those that are handed out are bounded by who may run), and calls under way, as
what they are expected to bring. A call that takes longer than ``call_secs`` is counted no more: a Duo account that hangs must
not take room from the others. Whoever is refused waits in a row, and nobody overtakes. Answers that are kept for other feeds of
their stream (``shared_answers``) have room of their own, a quarter as much: nobody who waits depends on their being taken.

The limit is off unless a local run sets it: there, and only there, somebody makes feeds give room that cannot deliver.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict

from transforms.process.lifetime import per_process

FULL_PAGE_BYTES = 1_500_000
_CALL_SECS = 5.0
_KEPT_SHARE = 0.25


class Share:
    """What one feed holds."""

    def __init__(self, all_of_them: ReadAhead) -> None:
        self._all = all_of_them
        self.ready_bytes = 0
        self.granted = threading.Event()

    def reserve(self, expected_bytes: int) -> bool:
        """Whether a call may be made now. Where not, this share waits in the row; see ``wait``."""
        return self._all.reserve(self, expected_bytes)

    def wait(self, secs: float) -> None:
        """Waits until it may have room, or so long."""
        self.granted.wait(secs)

    def withdraw(self) -> None:
        """Wants no room any more."""
        self._all.withdraw(self)

    def holds(self, ready_bytes: int, *, answered: bool = False) -> None:
        """Says what is here and not handed out, and whether the call has ended."""
        self._all.holds(self, ready_bytes, answered)


class ReadAhead:
    """The room that feeds share."""

    def __init__(self, limit_bytes: float = math.inf, call_secs: float = _CALL_SECS) -> None:
        self.limit_bytes = limit_bytes
        self._call_secs = call_secs
        self._lock = threading.Lock()
        self._ready_bytes = 0
        self._kept_bytes = 0
        self._calls: OrderedDict[Share, tuple[float, int]] = OrderedDict()  # the oldest first
        self._waiting: OrderedDict[Share, None] = OrderedDict()

    @property
    def scarce(self) -> bool:
        """Somebody waits for room."""
        return bool(self._waiting)

    def reserve(self, share: Share, expected_bytes: int) -> bool:
        """See ``Share``."""
        if self.limit_bytes == math.inf:
            return True
        with self._lock:
            now = time.monotonic()
            used = self._ready_bytes + self._calls_bytes(now)
            first = next(iter(self._waiting), share)
            if first is not share or (used and used + expected_bytes > self.limit_bytes):
                if share not in self._waiting:
                    self._waiting[share] = None
                share.granted.clear()
                return False
            self._waiting.pop(share, None)
            self._calls.pop(share, None)
            self._calls[share] = (now, expected_bytes)
            self._call_first()
            return True

    def withdraw(self, share: Share) -> None:
        """See ``Share``."""
        if share in self._waiting:
            with self._lock:
                self._waiting.pop(share, None)
                self._call_first()

    def holds(self, share: Share, ready_bytes: int, answered: bool) -> None:
        """See ``Share``."""
        if ready_bytes == share.ready_bytes and not answered:
            return
        with self._lock:
            self._ready_bytes += ready_bytes - share.ready_bytes
            share.ready_bytes = ready_bytes
            if answered:
                self._calls.pop(share, None)
            self._call_first()

    def keep(self, more_bytes: int, *, at_once: bool = False) -> bool:
        """Whether so much more may be kept for other feeds; it is counted then. ``at_once``: it is taken in a moment.

        What is let go is counted off by a number below zero.
        """
        with self._lock:
            if more_bytes > 0 and not at_once and self._kept_bytes + more_bytes > self.limit_bytes * _KEPT_SHARE:
                return False
            self._kept_bytes += more_bytes
            return True

    def _calls_bytes(self, now: float) -> int:
        while self._calls:
            share, (since, _) = next(iter(self._calls.items()))
            if now - since < self._call_secs:
                break
            del self._calls[share]
        return sum(expected for _, expected in self._calls.values())

    def _call_first(self) -> None:
        first = next(iter(self._waiting), None)
        if first is not None:
            first.granted.set()


READ_AHEAD = per_process("read-ahead", ReadAhead)
