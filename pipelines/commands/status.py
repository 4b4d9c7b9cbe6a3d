"""``duologsync status CONFIG``: how far every log has been delivered to each destination. Touches nothing.

Read from the checkpoint store: a line for each stream and destination. Below it stand the stretches in which Duo counted more
events than it gave (``transforms.duo.position.gaps``).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone

from pipelines import exit_codes, logs
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.printable import say
from transforms.errors import RetryLater
from transforms.settings import Job
from transforms.state.checkpoints.record import Record
from transforms.state.checkpoints.stores import store_at
from transforms.state.cursor import Cursor, Gap

_LEEWAY_SECS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints one line per stream and destination, and one per stretch of it in which events are missing."""
    loaded = load_or_explain(arguments.config, needs_secrets=False, then="")
    if loaded is None:
        return exit_codes.CONFIG
    logs.set_up()
    directory = loaded.job.storage.checkpoint_dir
    store = store_at(directory)
    try:
        lines = list(_lines(store.records(), loaded.job, time.time()))
    except RetryLater as error:  # of a directory on another file system
        say(error, to=sys.stderr)
        return exit_codes.STATE
    say(f"{'stream':<40} {'delivered up to (UTC)':<22} {'behind':>10} {'events':>12}  {'state':<10}  last commit")
    for line in lines:
        say(line)
    if not lines:
        say(f"No stream has a checkpoint in {directory} yet.")
    return exit_codes.OK


def _lines(records: Iterator[Record], job: Job, now_secs: float) -> Iterator[str]:
    for record in records:
        cursor = Cursor.from_json(bytes(record.cursor))
        position_ms = cursor.position_ms
        moment = _moment(position_ms)
        behind_secs = now_secs - position_ms / 1000
        behind, state = _span(behind_secs), _state(record, job, behind_secs)
        ago = _span(now_secs - record.committed_ms / 1000)
        yield f"{record.subscription!s:<40} {moment:<22} {behind:>10} {record.delivered:>12,}  {state:<10}  {ago} ago"
        for gap in cursor.gaps:
            stretch = f"from {_moment(gap.from_ms)} to {_moment(gap.to_ms)}"
            yield f"  missing: {gap.missing:,} events {stretch}, {_outlook(gap, now_secs)}"


def _state(record: Record, job: Job, behind_secs: float) -> str:
    """Whether it keeps up; of what the configuration does not have any more, that nobody reads it."""
    account = record.stream.account
    if not any(account in (known.name, f"{known.name}/{record.stream.account_id}") for known in job.accounts):
        return "not read"
    if record.destination not in {d.name for d in job.destinations_of(account, record.stream.log_type)}:
        return "not read"
    usual_secs = job.reading.lag_secs + 2 * job.reading.poll_interval_secs + _LEEWAY_SECS
    return "keeps up" if behind_secs <= usual_secs else "behind"


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def _outlook(gap: Gap, now_secs: float) -> str:
    if gap.due_ms is None:
        return f"given up after {gap.tries} more readings" if gap.tries else "not read again"
    return f"read again in {_span(gap.due_ms / 1000 - now_secs)}"


def _span(secs: float) -> str:
    secs = max(0.0, secs)
    if secs < 120:
        return f"{secs:.0f} s"
    if secs < 7200:
        return f"{secs / 60:.0f} min"
    return f"{secs / 3600:.1f} h" if secs < 172_800 else f"{secs / 86_400:.1f} days"
