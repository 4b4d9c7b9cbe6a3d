"""What the demo shows: a table that is drawn anew on a terminal, plain lines elsewhere, and the account at the end."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping

from pipelines.demo.receiver.tally import LogCounts

_HEADER = f"{'log type':<14}{'produced':>10}{'arrived':>10}{'repeated':>10}{'events/s':>10}   latest message"


class Screen:
    """Shows how the receiver's counts grow."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._drawn_lines = 0
        self._before: dict[str, int] = {}
        self._at_secs = time.monotonic()

    @property
    def pause_secs(self) -> float:
        """How often to show: a terminal is drawn over, elsewhere lines pile up."""
        return 1.0 if self._terminal else 5.0

    def show(self, produced: Mapping[str, int], arrived: Mapping[str, LogCounts], latest: Mapping[str, bytes]) -> None:
        """One table."""
        now_secs = time.monotonic()
        rows = [self._row(name, produced[name], arrived.get(name), latest.get(name, b""), now_secs) for name in produced]
        self._before = {name: counts.messages for name, counts in arrived.items()}
        self._at_secs = now_secs
        if self._terminal and self._drawn_lines:
            sys.stdout.write(f"\r\x1b[{self._drawn_lines}A\x1b[J")
        sys.stdout.write("\n".join([_HEADER, *rows]) + "\n")
        sys.stdout.flush()
        self._drawn_lines = len(rows) + 1

    def _row(self, name: str, produced: int, counts: LogCounts | None, latest: bytes, now_secs: float) -> str:
        messages, repeated = (counts.messages, counts.repeated) if counts else (0, 0)
        rate = (messages - self._before.get(name, 0)) / max(now_secs - self._at_secs, 1e-6)
        start = f"{name:<14}{produced:>10,}{messages:>10,}{repeated:>10,}{rate:>10,.0f}   "
        room = max(10, shutil.get_terminal_size((140, 20)).columns - len(start) - 1)
        # What arrives is invented, but a terminal must never obey it all the same.
        text = "".join(c if c.isprintable() else "?" for c in latest.decode("utf-8", "replace"))
        return start + (text if len(text) <= room else text[: room - 1] + "…")


def summary(produced: int, delivered: int, lost: int, repeated: int) -> str:
    """The account at the end."""
    return f"produced {produced:,}   delivered {delivered:,}   lost {lost:,}   repeated {repeated:,}"
