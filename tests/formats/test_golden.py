"""Every log type in every format, byte for byte. How to make the files anew: see ``golden``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.formats import golden
from transforms.duo.log_types import LOG_TYPES
from transforms.formats import make_formatter, syslog_header
from transforms.formats.json_lines import JsonOptions

_NOW_MS = 1_800_000_000_000


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog_header.time, "time_ns", lambda: _NOW_MS * 1_000_000)


@pytest.mark.parametrize("variant", golden.FORMATS)
@pytest.mark.parametrize("row", golden.rows(), ids=lambda row: f"{row.parent.name}-{row.stem}")
def test_a_row_is_written_as_its_golden_file_says(row: Path, variant: str) -> None:
    settings = golden.FORMATS[variant]
    message = make_formatter(settings).format(golden.event(row)) + b"\n"
    expected = row.with_suffix(f".{variant}")
    if os.environ.get("UPDATE_GOLDEN") == "1":
        expected.write_bytes(message)
    assert message == expected.read_bytes()


def test_every_log_type_has_golden_rows() -> None:
    assert {row.parent.name for row in golden.rows()} == set(LOG_TYPES)


@pytest.mark.parametrize("row", golden.rows(), ids=lambda row: f"{row.parent.name}-{row.stem}")
def test_bare_json_is_the_row_itself(row: Path) -> None:
    event = golden.event(row)
    assert make_formatter(golden.Format(JsonOptions())).format(event) == event.raw
