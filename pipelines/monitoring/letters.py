"""How many dead letters are kept, for whoever looks again and again.

Place in the flow: part of ``observe``. Contract: files are read only when asked, in a thread of their own, and the next look at
them waits for as long as looking took, many times over: a page that is left open costs next to nothing. Who asks waits a moment
for the look that he began, and else gets what the last one has found: there may be very many letters, and a directory may hang,
which must not hold up the main loop. Not thread-safe.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress

from transforms.process.threads import started
from transforms.state.dead_letters.counts import Kind, count_letters

_COST_TIMES = 50.0
_PATIENCE_SECS = 2.0


class LetterCounts:
    """The counts of one directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._look_at = 0.0
        self._found: Counter[Kind] = Counter()
        self._looking = False
        self._seen = threading.Event()

    def count(self) -> Counter[Kind]:
        """What is kept now, or was a little while ago."""
        if not self._looking and time.monotonic() >= self._look_at:
            self._seen.clear()
            self._looking = True
            if started(self._look, "dead letters") is not None:
                self._seen.wait(_PATIENCE_SECS)
            else:
                self._looking = False  # asked again by the next one
        return self._found

    def _look(self) -> None:
        began = time.monotonic()
        try:
            with suppress(OSError):  # a directory that cannot be listed is the trouble of who writes there
                self._found = count_letters(self._directory)
        finally:
            self._look_at = time.monotonic() + _COST_TIMES * (time.monotonic() - began)
            self._looking = False
            self._seen.set()
