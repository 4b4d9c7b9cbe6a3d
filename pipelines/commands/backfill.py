"""``duologsync backfill CONFIG --from TIME [--to TIME] [--log-types …]``: reads a stretch of the past beside live reading.

It has cursors and a lock of its own (a directory ``backfill/FROM-TO`` inside the live checkpoint directory), so it runs beside
a live duologsync, goes on where it was when it is started again with the same times, and leaves live cursors alone. It gives
way: while a live stream is behind, the backfill of that stream waits. Events that were delivered before are delivered again;
that is what it is for. One that is finished is not repeated by starting it again, which it says; ``--again`` does it all anew.

The last line says how far it came: one that was asked to end before its end has an exit code of its own.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from pipelines import exit_codes, logs
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.importing import importing
from pipelines.monitoring.backfills import END_FILE, FOLDER, OPEN_END, stamp
from pipelines.printable import say, say_json
from pipelines.signals import undisturbed
from transforms.duo.position.windows import RETENTION_MS
from transforms.process.files import make_private_directory, open_new, read_own
from transforms.settings import USUAL_START, Job
from transforms.state.checkpoints.inspection import is_in_use

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_EDGE_SECS = 3600.0  # who asks for all that Duo keeps misses nothing worth a word


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)
    times = "2026-11-01, 2026-11-01T08:30 (UTC), 2026-11-01T08:30+01:00, or 30d for midnight (UTC) so many days ago"
    parser.add_argument("--from", dest="begin", required=True, type=moment, metavar="TIME", help=times)
    parser.add_argument("--to", dest="end", type=moment, metavar="TIME", help="the same; without it, ten minutes ago")
    parser.add_argument("--log-types", type=names, metavar="A,B", help="only these; without it, all that the routes take")
    parser.add_argument(
        "--again", action="store_true", help="begin this stretch anew, also where it was begun or finished before"
    )
    parser.add_argument("--json", action="store_true", help="print at the end how far it came, as one line of JSON on stdout")
    parser.add_argument("--verbose", action="store_true", help="log more")


def run(arguments: argparse.Namespace) -> int:
    """Reads until the end of the stretch, or until asked to end."""
    with undisturbed():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    loaded = load_or_explain(arguments.config)
    if loaded is None:
        return exit_codes.CONFIG
    if "://" in loaded.job.storage.checkpoint_dir:
        say("A backfill keeps its state on this machine: name a local storage.checkpoint_dir for it.", to=sys.stderr)
        return exit_codes.CONFIG
    newest = time.time() - max(600.0, loaded.job.reading.lag_secs)
    end = min(arguments.end.timestamp() if arguments.end else newest, newest)
    begin = arguments.begin.timestamp()
    if begin >= end:
        say("--from must be before --to, and at least ten minutes ago.", to=sys.stderr)
        return exit_codes.CONFIG
    served = time.time() - RETENTION_MS / 1000
    if end <= served:
        say(f"Duo keeps 180 days: nothing before {stamp(int(served * 1000))} can be read any more.", to=sys.stderr)
        return exit_codes.CONFIG
    if begin < served - _EDGE_SECS:
        say(f"Duo keeps 180 days: --from is cut to {stamp(int(served * 1000))}; what is before is out of reach.", to=sys.stderr)
    unknown = set(arguments.log_types or ()) - {t for a in loaded.job.accounts for t in loaded.job.log_types_of(a.name)}
    if unknown:
        say(f"No route of the configuration takes {', '.join(sorted(unknown))}.", to=sys.stderr)
        return exit_codes.CONFIG
    if told := _would_be_refused(loaded.job, begin, arguments.log_types):
        say(told, to=sys.stderr)
        return exit_codes.CONFIG
    try:
        job = backfill_job(
            loaded.job, int(begin * 1000), int(end * 1000), arguments.end is None, arguments.log_types, again=arguments.again
        )
    except OSError as error:
        say(f"The backfill cannot keep its state: {error.filename}: {error.strerror}.", to=sys.stderr)
        return exit_codes.STATE
    logs.set_up(verbose=arguments.verbose, log_file=None)
    with importing():  # Beam takes its time to load; config errors come first
        from pipelines.local import backfills

    if arguments.again and (told := backfills.forget(job)):
        say(told, to=sys.stderr)
        return exit_codes.STATE
    ended = backfills.run(job)
    say(ended.words, to=sys.stderr)
    if arguments.json:
        say_json(ended)
    return ended.code


def _would_be_refused(job: Job, begin_secs: float, log_types: tuple[str, ...] | None) -> str:
    """Which destination would make dead letters of what is read, because its receiver takes nothing that old; "" for none."""
    routes = [route for route in job.routes if log_types is None or set(route.log_types) & set(log_types)]
    used = {name for route in routes for name in route.destinations}
    for destination in job.destinations:
        longest_secs = destination.settings.refused_age_secs
        if destination.name in used and longest_secs is not None and time.time() - begin_secs > longest_secs:
            return (
                f"Destination {destination.name} takes no event that is older than {longest_secs / 3600:g} hours, and would "
                "make dead letters of this backfill. Begin it later, write a configuration for it without that destination, "
                "or let the destination have too_old: send. Nothing was started."
            )
    return ""


def backfill_job(
    job: Job, from_ms: int, until_ms: int, open_end: bool, log_types: tuple[str, ...] | None, *, again: bool = False
) -> Job:
    """The same job for a stretch of the past: its own cursors, no overlap, and only some log types. Raises OSError."""
    name = f"{stamp(from_ms)}-{OPEN_END if open_end else stamp(until_ms)}"
    directory = Path(job.storage.checkpoint_dir) / FOLDER / name
    kept_end = directory / END_FILE
    if again and not is_in_use(directory):
        kept_end.unlink(missing_ok=True)
    if open_end:
        # Started again without --to, it ends where it was to end the first time.
        try:
            until_ms = int(read_own(kept_end))
        except (FileNotFoundError, ValueError):
            make_private_directory(Path(job.storage.checkpoint_dir))
            make_private_directory(directory)
            with os.fdopen(open_new(kept_end), "wb") as file:
                file.write(b"%d" % until_ms)
    # It begins where it was told to, also for a destination that joined the live reading later.
    routes = tuple(replace(route, start=USUAL_START) for route in job.routes)
    if log_types:
        narrowed = (replace(r, log_types=tuple(t for t in r.log_types if t in log_types)) for r in routes)
        routes = tuple(r for r in narrowed if r.log_types)
    return replace(
        job,
        routes=routes,
        storage=replace(job.storage, checkpoint_dir=str(directory), import_dir=None, resume=True),
        reading=replace(
            job.reading, from_ms=from_ms, until_ms=until_ms, overlap_secs=0.0, live_checkpoint_dir=job.storage.checkpoint_dir
        ),
        # The usual port, and the one that the file may name, are the live program's, whether it runs now or not.
        monitoring=replace(job.monitoring, port=0),
    )


def moment(text: str) -> dt.datetime:
    """A point in time as users write it; without a zone it is UTC."""
    if text.endswith("d") and text[:-1].replace(".", "", 1).isdigit():
        # From midnight on, so that the same words mean the same backfill all day long, and it can be resumed.
        today = dt.datetime.now(dt.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
        # Duo keeps half a year; a number beyond ten years is a slip, and dates end somewhere.
        return today - dt.timedelta(days=min(float(text[:-1]), 3650.0))
    try:
        parsed = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write 2026-11-01, 2026-11-01T08:30+01:00 or 30d") from None
    parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.timezone.utc)
    if parsed < _EPOCH:
        raise argparse.ArgumentTypeError(f"{text!r} is before 1970; Duo keeps half a year")
    return parsed


def names(text: str) -> tuple[str, ...]:
    """A list as users write it: with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
