"""``duologsync replay CONFIG``: sends dead letters again, or any window of an archive, to any destination in any format.

Without ``--from-archive``: every dead letter, after what kept it from being delivered was mended; what becomes of its file is
said in ``pipelines.replays.letters``. With it: what is in an archive, which is not changed (``pipelines.replays.archives``).
Both at least once, with the ids that the events have, and with bounded memory. What is undeliverable is a dead letter
afterwards: the same one with the new reason where it was one before.
"""

from __future__ import annotations

import argparse
import datetime as dt
import logging
import sys
from collections import Counter
from pathlib import Path

from pipelines import exit_codes, logs
from pipelines.commands.backfill import moment, names
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.config.extras import fix_of_extra
from pipelines.printable import say, say_json
from pipelines.replays.archives import ArchiveReplay
from pipelines.replays.choice import Choice
from pipelines.replays.letters import HOMELESS, UNREAD, UNREADABLE, LetterReplay
from pipelines.replays.sending import UNDELIVERABLE, Sending
from pipelines.signals import undisturbed
from transforms.days import UNDATED
from transforms.destinations.archive.reader import Window
from transforms.destinations.archive.settings import AvroSettings
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import DuoLogSyncError
from transforms.events import filters
from transforms.formats import FORMATS
from transforms.notices import state
from transforms.notices.notice import tell
from transforms.process.plural import counted
from transforms.settings import Job
from transforms.state.dead_letters.files import LettersInUse
from transforms.state.dead_letters.write import trouble_with_dead_letters

_LOGGER = logging.getLogger("duologsync.commands")
_FAILURES = (UNDELIVERABLE, HOMELESS, UNREADABLE, UNREAD)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)
    times = "2026-11-01, 2026-11-01T08:30 (UTC), 2026-11-01T08:30+01:00, or 30d for midnight (UTC) so many days ago"
    parser.add_argument("--to", metavar="DESTINATION", help="send all of them there; without it, each where its letter names")
    parser.add_argument(
        "--from-archive",
        metavar="DIR",
        help="replay an archive: its directory or URL, or the name of a destination of kind avro",
    )
    parser.add_argument("--from", dest="begin", type=moment, metavar="TIME", help=f"only what happened then or later: {times}")
    parser.add_argument("--to-time", dest="end", type=moment, metavar="TIME", help="only what happened before then")
    parser.add_argument("--log-types", type=names, default=(), metavar="A,B", help="only these logs")
    parser.add_argument(
        "--accounts", type=names, default=(), metavar="A,B", help="only these accounts; a parent with its children"
    )
    parser.add_argument("--where", metavar="CEL", help="only what passes this filter, as in routes")
    parser.add_argument("--format", choices=sorted(FORMATS), help="write them so; without it, as their destination says")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, and send nothing")
    parser.add_argument("--json", action="store_true", help="print at the end what became of them, as one line of JSON")
    parser.add_argument("--verbose", action="store_true", help="log more")


def run(arguments: argparse.Namespace) -> int:
    """Sends what is chosen."""
    with undisturbed():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    loaded = load_or_explain(arguments.config)
    if loaded is None:
        return exit_codes.CONFIG
    wrong = [*_wrong(arguments, loaded.job)]
    for line in wrong:
        say(line, to=sys.stderr)
    if wrong:
        return exit_codes.CONFIG
    logs.set_up(verbose=arguments.verbose)
    choice = Choice(
        tuple(arguments.log_types), tuple(arguments.accounts), Window(_ms(arguments.begin), _ms(arguments.end)), arguments.where
    )
    sending = Sending(loaded.job, arguments.to, arguments.format)
    if arguments.from_archive:
        return _replay_archive(_archive_of(arguments.from_archive, loaded.job), choice, sending, loaded.job, arguments)
    return _replay_letters(loaded.job.storage.dead_letter_dir, choice, sending, arguments)


def _wrong(arguments: argparse.Namespace, job: Job) -> list[str]:
    """What keeps the command from being run, all at once."""
    wrong = []
    known = {destination.name for destination in job.destinations}
    if arguments.to and arguments.to not in known:
        wrong.append(f"The configuration has no destination '{arguments.to}'.")
    if arguments.from_archive and not arguments.to:
        wrong.append("An archive does not say where its events go: name a destination with --to.")
    if arguments.begin and arguments.end and arguments.begin >= arguments.end:
        wrong.append("--from must be before --to-time.")
    wrong += [
        f"There is no log '{name}'. There are {', '.join(LOG_TYPES)}." for name in arguments.log_types if name not in LOG_TYPES
    ]
    if arguments.where is not None:
        wrong += _wrong_filter(arguments.where, [name for name in arguments.log_types or LOG_TYPES if name in LOG_TYPES])
    into = next((each.settings for each in job.destinations if each.name == arguments.to), None)
    archive = _archive_of(arguments.from_archive, job).rstrip("/") if arguments.from_archive else None
    if isinstance(into, AvroSettings) and into.directory.rstrip("/") == archive:
        wrong.append("An archive cannot be replayed into itself: each event would be in it twice.")
    return wrong


def _wrong_filter(where: str, log_types: list[str]) -> list[str]:
    if not filters.is_installed():
        return [f"--where: what reads filters is not installed. {fix_of_extra('filters')} It needs Python 3.11."]
    return [f"--where: {mistake}." for mistake in filters.mistakes(where, log_types)]


def _archive_of(given: str, job: Job) -> str:
    """The directory that is meant: one, or that of a destination."""
    for destination in job.destinations:
        if destination.name == given and isinstance(destination.settings, AvroSettings):
            return destination.settings.directory
    return given


def _ms(moment_of: dt.datetime | None) -> int | None:
    return None if moment_of is None else int(moment_of.timestamp() * 1000)


def _replay_letters(directory: str, choice: Choice, sending: Sending, arguments: argparse.Namespace) -> int:
    trouble = trouble_with_dead_letters(directory) if Path(directory).exists() else None
    if trouble is not None:
        say(f"The dead letters in {directory} cannot be replayed: {trouble.strerror}.")
        return exit_codes.STATE
    replay = LetterReplay(directory, choice, sending)
    try:
        replay.plan() if arguments.dry_run else replay.run()
    except LettersInUse as error:
        say(error, to=sys.stderr)
        return exit_codes.STATE
    except (DuoLogSyncError, OSError) as error:
        tell(_LOGGER, state.REPLAY_FAILED, "%s", error)
        return exit_codes.DELIVERY
    finally:
        sending.end_connections()
    return _told(replay.planned, sending, arguments, "There are no dead letters.")


def _replay_archive(directory: str, choice: Choice, sending: Sending, job: Job, arguments: argparse.Namespace) -> int:
    replay = ArchiveReplay(directory, choice, sending, job.storage.dead_letter_dir)
    finished = False
    try:
        replay.plan() if arguments.dry_run else replay.run()
        finished = True
    except FileNotFoundError:
        say(f"There is no archive in {directory}.", to=sys.stderr)
        return exit_codes.CONFIG
    except (DuoLogSyncError, OSError) as error:
        tell(_LOGGER, state.REPLAY_FAILED, "%s", error)
        return exit_codes.DELIVERY
    finally:
        sending.end_connections()
        if not finished and replay.day not in ("", UNDATED):
            tell(
                _LOGGER,
                state.REPLAY_PARTLY,
                "What is of the days before %s has been sent: go on with --from %s.",
                replay.day,
                replay.day,
            )
    return _told(replay.planned, sending, arguments, "Nothing in the archive is chosen.")


def _told(planned: Counter[tuple[str, str]], sending: Sending, arguments: argparse.Namespace, nothing: str) -> int:
    """Says what was done, or what would be; the exit code."""
    code = exit_codes.DELIVERY if any(sending.counts[what] for what in _FAILURES) else exit_codes.OK
    if arguments.json:
        say_json(_as_json(planned, sending, code, dry_run=arguments.dry_run))
    elif arguments.dry_run:
        for (log_type, destination), count in sorted(planned.items()):
            say(f"{log_type:<20} {destination:<20} {count:>12,}")
        say(f"{counted(sum(planned.values()), 'event')} would be sent. Nothing was sent." if planned else nothing)
    else:
        say(", ".join(f"{count} {what}" for what, count in sending.counts.items() if count) or nothing)
        for (destination, reason), count in sorted(sending.why.items()):
            say(f"    {count:,} to {destination}: {reason}, such as: {sending.examples[destination, reason]}")
    return code


def _as_json(planned: Counter[tuple[str, str]], sending: Sending, code: int, *, dry_run: bool) -> dict[str, object]:
    chosen = [{"log_type": log, "destination": name, "events": count} for (log, name), count in sorted(planned.items())]
    failed = [
        {"destination": name, "reason": reason, "events": count, "example": sending.examples[name, reason]}
        for (name, reason), count in sorted(sending.why.items())
    ]
    counts = {what.replace(" ", "_"): count for what, count in sending.counts.items() if count}
    return {"dry_run": dry_run, "code": code, "chosen": chosen, "counts": counts, "failed": failed}
