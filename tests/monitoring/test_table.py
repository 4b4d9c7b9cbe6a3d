"""The table of a report: what fits a terminal, and what a pipe gets. ``UPDATE_GOLDEN=1`` writes the golden texts anew."""

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.monitoring.report import (
    VERSION,
    DeadLetters,
    DestinationReport,
    LogLine,
    Missing,
    ProcessReport,
    Report,
    State,
    StreamReport,
)
from pipelines.monitoring.table import lines_of, shown

GOLDEN = Path(__file__).parent / "golden"
NOW_MS = 1_795_870_930_000  # 2026-11-28 13:02:10 UTC
REPORT = Report(
    VERSION,
    NOW_MS,
    State.SUSPENDED,
    "1 of 5 streams needs you: main/trustmonitor to siem: suspended: Duo refuses the keys",
    process=ProcessReport(4711, "1.0.0", NOW_MS - 7_200_000, 150_000_000, 9, 12.5),
    streams=(
        StreamReport("main", "activity", "siem", State.CAUGHT_UP, "caught up", position_ms=NOW_MS - 125_000, delivered=4_998),
        StreamReport(
            "main", "auth", "siem", State.READING, "behind 3 h, 12,000 events, about 4 min",
            position_ms=NOW_MS - 10_800_000, lag_secs=10_800.0, delivered=1_234_567, dead_letters=40,
        ),
        StreamReport(
            "main", "telephony", "siem", State.WAITING, "waiting for siem: connection refused since 12:40 UTC",
            "Look whether it runs.", position_ms=NOW_MS - 1_500_000, delivered=71,
            missing=(Missing(NOW_MS - 5_000_000, NOW_MS - 4_000_000, 94, 1, NOW_MS + 3_600_000 * 3),),
        ),
        StreamReport(
            "main", "trustmonitor", "siem", State.SUSPENDED, "suspended: Duo refuses the keys", "Check ikey, skey and api_host."
        ),
        StreamReport("main", "auth", "gone", State.NOT_READ, "not in the configuration any more", position_ms=NOW_MS),
    ),
    destinations=(
        DestinationReport("siem", "tcp", "192.0.2.7:6514", False, "connection refused", NOW_MS - 1_330_000),
        DestinationReport("other", "udp", "192.0.2.8:514", True),
    ),
    dead_letters=(
        DeadLetters("siem", "auth", "too_long", 38, "main"),
        DeadLetters("siem", "auth", "not_json", 2, "main"),
        DeadLetters("", "", "not_looked_into", 1),
    ),
    log=(
        LogLine(NOW_MS - 60_000, "INFO", "", "nothing to see"),
        LogLine(NOW_MS - 1_330_000, "WARNING", "DLS-S001", "Destination siem is away: connection refused."),
    ),
)  # fmt: skip


def on_a_terminal(report: Report, columns: int) -> str:
    screen = io.StringIO()
    Console(file=screen, width=columns, force_terminal=True, color_system=None).print(shown(report, columns))
    return screen.getvalue()


def check(name: str, text: str) -> None:
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_terminal_gets_a_table_that_fits_it(columns):
    text = on_a_terminal(REPORT, columns)
    check(f"status.{columns}.txt", text)
    assert max(map(len, text.splitlines())) <= columns


def test_a_pipe_gets_one_line_for_each_stream_and_nothing_is_cut():
    lines = list(lines_of(REPORT))
    check("status.piped.txt", "\n".join(lines))
    assert lines[0] == REPORT.words
    for stream in REPORT.streams:
        (line,) = [line for line in lines if line.startswith(f"{stream.account}/{stream.log_type} to {stream.destination} ")]
        assert line.split()[3] == stream.state.value
        assert line.endswith(stream.words)


def test_a_name_is_shown_and_neither_obeyed_nor_taken_for_markup():
    hostile = StreamReport("[red]x\x1b[2J\u202e", "auth", "[/]", State.CAUGHT_UP, "caught\x9bup")
    report = Report(VERSION, NOW_MS, State.CAUGHT_UP, "[bold]all\x07", streams=(hostile,))
    for text in (on_a_terminal(report, 100), "\n".join(lines_of(report))):
        assert "[red]x\\x1b[2J\\u202e/auth to [/]" in text
        assert all(character.isprintable() for character in text.replace("\n", ""))


def test_a_very_narrow_terminal_breaks_cells_and_not_the_table():
    assert max(map(len, on_a_terminal(REPORT, 30).splitlines())) <= 30


@pytest.mark.parametrize(("days", "kept"), [(None, "for ever"), (1.0, "for 1 day"), (30.0, "for 30 days")])
def test_it_says_for_how_long_dead_letters_are_kept(days, kept):
    assert f"41 dead letters, kept {kept};" in "\n".join(lines_of(replace(REPORT, dead_letter_keep_days=days)))
