"""What the demo shows: what was produced and what arrived, and the report of the program in between, as ``status`` shows it.

Place in the flow: ``duologsync demo`` shows this every second on a terminal, where it is drawn anew, and every five seconds in
a pipe, where lines pile up; and the account at the end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Self

from pipelines.demo.receiver.tally import LogCounts
from pipelines.monitoring.report import Report
from pipelines.monitoring.table import columns_of_terminal, lines_of, shown
from pipelines.printable import printable, say

if TYPE_CHECKING:  # rich is loaded where there is a terminal
    from rich.live import Live

_HEADER = f"{'log type':<14}{'produced':>10}{'arrived':>10}{'repeated':>10}{'events/s':>10}"
_LATEST = "   latest message"


class Screen:
    """Shows how the receiver's counts grow, and how the program says that it is. Used as a context."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._live: Live | None = None
        self._before: dict[str, int] = {}
        self._at_secs = time.monotonic()

    def __enter__(self) -> Self:
        if self._terminal:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(), auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def pause_secs(self) -> float:
        """How often to show: a terminal is drawn over, elsewhere lines pile up."""
        return 1.0 if self._terminal else 5.0

    def show(
        self,
        produced: Mapping[str, int],
        arrived: Mapping[str, LogCounts],
        latest: Mapping[str, bytes],
        report: Report | None,
    ) -> None:
        """Both tables. ``report``: None where the program cannot be asked yet."""
        now_secs = time.monotonic()
        columns = columns_of_terminal() if self._terminal else 140
        room = columns - len(_HEADER)
        lines = [_HEADER + _LATEST if room > len(_LATEST) else _HEADER]
        for name, count in produced.items():
            start = self._row(name, count, arrived.get(name), now_secs)
            lines.append(start + _cut(latest.get(name, b""), room))
        self._before = {name: counts.messages for name, counts in arrived.items()}
        self._at_secs = now_secs
        self._draw(lines, report, columns)

    def _row(self, name: str, produced: int, counts: LogCounts | None, now_secs: float) -> str:
        messages, repeated = (counts.messages, counts.repeated) if counts else (0, 0)
        rate = (messages - self._before.get(name, 0)) / max(now_secs - self._at_secs, 1e-6)
        return f"{name:<14}{produced:>10,}{messages:>10,}{repeated:>10,}{rate:>10,.0f}"

    def _draw(self, lines: list[str], report: Report | None, columns: int) -> None:
        if self._live is None:
            for line in [*lines, *(["", *lines_of(report)] if report is not None else []), ""]:
                say(line)
            return
        from rich.console import Group
        from rich.text import Text

        counts = Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
        both = Group(counts, Text(), shown(report, columns)) if report is not None else Group(counts)
        self._live.update(both, refresh=True)


def _cut(message: bytes, room: int) -> str:
    """As much of a message as there is room for; what arrives is invented, but a terminal must never obey it all the same."""
    text = printable(message.decode("utf-8", "replace"))
    if room < 14 or not text:
        return ""
    return "   " + (text if len(text) <= room - 3 else text[: room - 4] + "…")


def summary(produced: int, delivered: int, lost: int, repeated: int) -> str:
    """The account at the end."""
    return f"produced {produced:,}   delivered {delivered:,}   lost {lost:,}   repeated {repeated:,}"
