"""How many dead letters are kept, by destination, log and reason.

Place in the flow: part of ``observe``. Contract: reads files only when asked; a file that has not changed is read once, and the
next look waits for as long as looking cost many times over, so that a page that is left open costs next to nothing. What cannot
be read counts as nothing: ``duologsync replay`` says what is wrong with it.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from pipelines.monitoring.report import DeadLetters
from transforms.state.dead_letters.letter import read_dead_letters

_COST_TIMES = 50.0
_Key = tuple[str, str, str]


class LetterCounts:
    """The counts of one directory. Of one on another file system nothing is known here. Not thread-safe."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory) if "://" not in directory else None
        self._counted: dict[tuple[str, int, int], Counter[_Key]] = {}
        self._look_at = 0.0
        self._found: tuple[DeadLetters, ...] = ()

    def count(self) -> tuple[DeadLetters, ...]:
        """What is kept now, or was a little while ago."""
        began = time.monotonic()
        if self._directory is not None and began >= self._look_at:
            self._found = self._look(self._directory)
            self._look_at = time.monotonic() + _COST_TIMES * (time.monotonic() - began)
        return self._found

    def _look(self, directory: Path) -> tuple[DeadLetters, ...]:
        fresh: dict[tuple[str, int, int], Counter[_Key]] = {}
        for pattern in ("*.avro", "*.avro.replaying"):
            for path in directory.glob(pattern):
                try:
                    found = path.stat()
                    key = (path.name, found.st_size, found.st_mtime_ns)
                    fresh[key] = self._counted.get(key) or _counts(path)
                except (OSError, ValueError):  # moved by a replay, or damaged
                    continue
        self._counted = fresh
        total: Counter[_Key] = Counter()
        for counts in fresh.values():
            total.update(counts)
        return tuple(DeadLetters(*key, count) for key, count in sorted(total.items()))


def _counts(path: Path) -> Counter[_Key]:
    return Counter((letter.destination, letter.log_type, letter.reason) for letter in read_dead_letters(path))
