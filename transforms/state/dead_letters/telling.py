"""What the log says of events that became dead letters: one line a minute and reason, which counts all since the one before.

Place in the flow: ``dead_letters.write`` counts here what it has written; each directory's files have one of these. Contract:
thread-safe; every letter is counted in exactly one line, the rest when the files are closed; no event is shown.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter

from transforms.notices import events
from transforms.notices.notice import tell
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.log_once import REMIND_SECS, LogOncePerKey
from transforms.process.plural import counted

_LOGGER = logging.getLogger("duologsync.dead_letters")


class Telling:
    """Of one directory."""

    def __init__(self, directory: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._untold: Counter[str] = Counter()
        self._due: LogOncePerKey[str] = LogOncePerKey(remind_secs=REMIND_SECS, clock=clock)

    def kept(self, reasons: Counter[str]) -> None:
        """So many letters, by reason, are on disk."""
        with self._lock:
            self._untold += reasons
        if any([self._due.due(reason) is not None for reason in reasons]):  # noqa: C419 - each one is asked
            self.tell_rest()

    def tell_rest(self) -> None:
        """Writes the line, if anything is to be told."""
        with self._lock:
            untold, self._untold = self._untold, Counter()
        if untold:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(untold.items()))
            text = "Not delivered, and kept as dead letters in %s: %s (%s)."
            tell(_LOGGER, events.DEAD_LETTERS, text, self._directory, counted(untold.total(), "event"), reasons)
