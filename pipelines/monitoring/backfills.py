"""The backfills of a checkpoint directory, as far as they were begun: each has a directory of its own inside of it.

Place in the flow: ``stored`` puts them into the report; ``pipelines.commands.backfill`` names their directories.

Contract: only looks. What is no backfill's directory, or cannot be read, is left out.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipelines.monitoring.report import BackfillReport
from transforms.process.files import read_own
from transforms.state.checkpoints.inspection import is_in_use
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.cursor import Cursor

FOLDER, END_FILE, OPEN_END = "backfill", "until", "now"
_STAMP = "%Y%m%dT%H%M%SZ"


def stamp(time_ms: int) -> str:
    """A time as part of a directory's name."""
    return time.strftime(_STAMP, time.gmtime(time_ms / 1000))


def backfills_in(checkpoint_dir: str) -> Iterator[BackfillReport]:
    """Every one that was begun, in the order of their beginnings."""
    if "://" in checkpoint_dir:
        return
    for directory in sorted((Path(checkpoint_dir) / FOLDER).glob("*-*")):
        with suppress(OSError, ValueError):
            begin, _, end = directory.name.partition("-")
            until_ms = int(read_own(directory / END_FILE)) if end == OPEN_END else _ms(end)
            yield _report(directory, _ms(begin), until_ms)


def _ms(text: str) -> int:
    return calendar.timegm(time.strptime(text, _STAMP)) * 1000


def _report(directory: Path, from_ms: int, until_ms: int) -> BackfillReport:
    shares, events = [], 0
    for record in CheckpointStore(directory).records():
        cursor = Cursor.from_json(bytes(record.cursor))
        inside = cursor.maxtime_ms is not None
        share = (cursor.position_ms - from_ms) / max(1, until_ms - from_ms)
        shares.append(min(0.999 if inside else 1.0, max(0.0, share)))
        events += record.delivered
    whole = sum(shares) / len(shares) if shares else 0.0
    return BackfillReport(from_ms, until_ms, round(whole, 4), events, runs=is_in_use(directory))
