"""How many dead letters are kept, for whoever looks again and again.

Place in the flow: part of ``observe``. Contract: files are read only when asked, and the next look at them waits for as long as
looking took, many times over: a page that is left open costs next to nothing. Not thread-safe.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress

from transforms.state.dead_letters.counts import Kind, count_letters

_COST_TIMES = 50.0


class LetterCounts:
    """The counts of one directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._look_at = 0.0
        self._found: Counter[Kind] = Counter()

    def count(self) -> Counter[Kind]:
        """What is kept now, or was a little while ago."""
        began = time.monotonic()
        if began >= self._look_at:
            with suppress(OSError):  # a directory that cannot be listed is the trouble of who writes there
                self._found = count_letters(self._directory)
            self._look_at = time.monotonic() + _COST_TIMES * (time.monotonic() - began)
        return self._found
