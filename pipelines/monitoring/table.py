"""A report as text for a terminal or a pipe: the verdict first, then every stream, then what a person should know.

Place in the flow: ``status`` and ``demo`` show reports through it.

Contract: pure functions. A piped report has one line for each stream, aligned and never cut, for ``grep`` and ``awk``; on a
terminal it is a table by rich that fits its width. Whatever names hold, it is printable and no markup.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pipelines.monitoring import words
from pipelines.monitoring.report import DeadLetters, Missing, Report, State, StreamReport
from pipelines.printable import printable
from transforms.process.plural import counted
from transforms.state.dead_letters.counts import kept_for

if TYPE_CHECKING:  # rich is loaded where something is shown on a terminal, and no earlier
    from rich.console import RenderableType

_HEADS = ("stream", "state", "delivered up to (UTC)", "events", "dead", "in words")
_RIGHT = ("events", "dead")
_WIDE, _MIDDLE = 100, 72  # columns from which on a terminal shows more of each stream
_ROWS_OF_LOG = 5
_GRAVE = frozenset({"WARNING", "ERROR", "CRITICAL"})
_COLOURS = {
    State.CAUGHT_UP: "green", State.FINISHED: "green", State.READING: "cyan", State.STARTING: "cyan", State.NOT_READ: "dim",
    State.STOPPED: "yellow", State.BEHIND: "yellow", State.WAITING: "yellow", State.REFUSED: "red", State.SUSPENDED: "red",
    State.DAMAGED: "red",
}  # fmt: skip


def lines_of(report: Report) -> Iterator[str]:
    """The report for a pipe."""
    yield printable(report.words)
    yield ""
    rows = [_HEADS, *map(_cells, report.streams)]
    yield from (_aligned(rows) if report.streams else ["no stream is configured"])
    for heading, lines in _below(report):
        yield ""
        yield heading
        yield from (f"  {line}" for line in lines)


def shown(report: Report, columns: int) -> RenderableType:
    """The report for a terminal of so many columns."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[RenderableType] = [Text(printable(report.words), style=f"bold {_COLOURS[report.state]}"), Text()]
    parts.append(_table(report.streams, columns))
    for heading, lines in _below(report):
        parts += [Text(), Text(heading, style="bold")]
        parts += [Padding(Text(line), (0, 0, 0, 2)) for line in lines]
    return Group(*parts)


def _table(streams: Sequence[StreamReport], columns: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    dead = any(stream.dead_letters for stream in streams)
    heads = [head for head in _HEADS if head != "state"]  # of that, the colour tells
    wanted = [True, columns >= _WIDE, columns >= _MIDDLE, dead and columns >= _MIDDLE, True]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for head, want in zip(heads, wanted, strict=True):
        if want:
            right = head in _RIGHT
            table.add_column(head, justify="right" if right else "left", no_wrap=right, overflow="fold")
    for stream in streams:
        name, _, up_to, events, letters, told = _cells(stream)
        cells = [
            Text(name), Text(up_to), Text(events), Text(letters, style="red" if stream.dead_letters else ""),
            Text(told, style=_COLOURS[stream.state]),
        ]  # fmt: skip
        table.add_row(*(cell for cell, want in zip(cells, wanted, strict=True) if want))
    return table


def _cells(stream: StreamReport) -> tuple[str, ...]:
    up_to = "-" if stream.position_ms is None else words.moment(stream.position_ms).removesuffix(" UTC")
    name, told = printable(words.title(stream)), printable(stream.words)
    return name, stream.state.value, up_to, f"{stream.delivered:,}", f"{stream.dead_letters:,}", told


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Each row with its cells below those of the others; numbers to the right, the last cell as long as it is."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(_HEADS, row, widths, strict=True)
        line = (cell.rjust(width) if head in _RIGHT else cell.ljust(width) for head, cell, width in cells)
        yield "  ".join(line).rstrip()


# --- below the table -------------------------------------------------------------------------------------------------


def _below(report: Report) -> Iterator[tuple[str, list[str]]]:
    """What stands below, each with its heading, where there is something to say."""
    for heading, lines in (
        ("What to do", _todos(report.streams)),
        ("Missing events: Duo counted more than it gave", _stretches(report)),
        (_heading_of_letters(report.dead_letters, report.dead_letter_keep_days), _letters(report.dead_letters)),
        ("Backfills that are not finished", _backfills(report)),
        ("Destinations", _destinations(report)),
        ("The last warnings and errors of the program", _log(report)),
        ("The program", _process(report)),
    ):
        those = list(map(printable, lines))
        if those:
            yield heading, those


def _todos(streams: Iterable[StreamReport]) -> Iterator[str]:
    by_todo: dict[str, list[str]] = {}
    for stream in streams:
        if stream.todo:
            by_todo.setdefault(stream.todo, []).append(words.title(stream))
    for todo, names in by_todo.items():
        others = f" and {counted(len(names) - 1, 'other')}" if len(names) > 1 else ""
        yield f"{names[0]}{others}: {todo}"


def _stretches(report: Report) -> Iterator[str]:
    for stream in report.streams:
        for gap in stream.missing:
            stretch = f"from {words.moment(gap.from_ms)} to {words.moment(gap.to_ms)}"
            events = counted(gap.events, "event")
            yield f"{words.title(stream)}: {events} {stretch}, {_outlook(gap, report.time_ms)}"


def _outlook(gap: Missing, now_ms: int) -> str:
    if gap.due_ms is None:
        return f"given up after {counted(gap.tries, 'more reading')}" if gap.tries else "not read again"
    return f"read again in {words.span((gap.due_ms - now_ms) / 1000)}"


def _heading_of_letters(letters: Sequence[DeadLetters], keep_days: float | None) -> str:
    kept = f"{counted(sum(each.count for each in letters), 'dead letter')}, kept {kept_for(keep_days)}"
    return f"{kept}; 'duologsync replay CONFIG' sends them again once their cause is mended"


def _letters(letters: Sequence[DeadLetters]) -> Iterator[str]:
    width = max((len(f"{each.count:,}") for each in letters), default=0)
    for each in letters:
        account = f"{each.account}/" if each.account else ""
        whose = f"  {account}{each.log_type} to {each.destination or 'no destination'}" if each.log_type else ""
        yield f"{each.count:>{width},}  {each.reason}{whose}"


def _backfills(report: Report) -> Iterator[str]:
    for each in report.backfills:
        if each.runs or each.share < 1:
            stretch = f"{words.moment(each.from_ms)} to {words.moment(each.until_ms)}"
            how = "runs" if each.runs else "stopped; the same command goes on from there"
            yield f"{stretch}: {each.share:.1%}, {counted(each.events, 'event')}, {how}"


def _destinations(report: Report) -> Iterator[str]:
    for each in report.destinations:
        if each.usable is False:
            since = f" since {words.moment(each.since_ms, report.time_ms)}" if each.since_ms is not None else ""
            yield f"{each.name} ({each.kind} {each.place}) cannot be used{since}: {each.cause}"


def _log(report: Report) -> Iterator[str]:
    for line in [line for line in report.log if line.level in _GRAVE][-_ROWS_OF_LOG:]:
        at = time.strftime("%H:%M:%S", time.gmtime(line.time_ms / 1000))
        code = f" [{line.code}]" if line.code and line.code not in line.message else ""
        yield f"{at} {line.level} {line.message}{code}"


def _process(report: Report) -> Iterator[str]:
    if report.process is not None:
        process = report.process
        up = words.span((report.time_ms - process.started_ms) / 1000)
        memory = f"{process.memory_bytes / 1_000_000:,.0f} MB"
        yield f"process {process.pid}, release {process.version}, for {up}, {memory} of memory"


def columns_of_terminal() -> int:
    """How wide the terminal is that is written to."""
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80
