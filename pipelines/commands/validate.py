"""``duologsync validate CONFIG``: is the file right? Looks at local files only; no network, nothing written.

It also tells which destinations have no checkpoint of a log yet, and where they will begin with it: a destination that is added
to a configuration begins as its route says.
"""

from __future__ import annotations

import argparse
import sys

import msgspec

from pipelines import exit_codes
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.config import ConfigProblems, load
from pipelines.config.loading import Dialect
from pipelines.config.problems import Unseen
from pipelines.config.told import told_right, told_wrong
from pipelines.printable import say, say_json
from transforms.duo.log_types import DEFAULT_LOG_TYPES
from transforms.duo.position.initial import changed_beginning
from transforms.process.clock import utc
from transforms.settings import Destination, Job
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.checkpoints.record import Record
from transforms.state.cursor import Cursor

_LAYOUTS: dict[Dialect, str] = {"own": "version 2", "duologsync-1.0.0": "of Duo Log Sync"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser, "; - for standard input")
    parser.add_argument(
        "--strict", action="store_true", help="fail, too, where a secret cannot be read here, without which run would end"
    )
    parser.add_argument("--json", action="store_true", help="print what is found as one line of JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints problems or a summary of what would run."""
    if arguments.json:
        return _as_json(arguments)
    loaded = load_or_explain(arguments.config, needs_secrets=arguments.strict, stdin=True, then="")
    if loaded is None:
        return exit_codes.CONFIG
    for notice in loaded.notices:
        say(f"Note: {notice}")
    unseen = [notice for notice in loaded.notices if isinstance(notice, Unseen)]
    if arguments.strict and unseen:
        count = f"{len(unseen)} secret{'s' if len(unseen) != 1 else ''}"
        say(f"{arguments.config}: {count} cannot be read here, and --strict asks for that.", to=sys.stderr)
        return exit_codes.CONFIG
    job = loaded.job
    known = _with_checkpoint(job.storage.checkpoint_dir) if job.storage.resume else {}
    say(f"{arguments.config} is a valid configuration ({_LAYOUTS[loaded.dialect]}):")
    for account in job.accounts:
        for log_type in job.log_types_of(account.name):
            destinations = job.destinations_of(account.name, log_type)
            targets = ", ".join(_target(job, account.name, log_type, d) for d in destinations)
            who = f"{account.name}, every child account" if account.is_msp else account.name
            say(f"  {log_type:<14} of {who:<24} → {targets}")
            begins = ", ".join(
                f"{d.name} begins {_beginning(job, account.name, log_type, d.name)}"
                for d in destinations
                if (account.name, log_type, d.name) not in known
            )
            if begins:
                say(f"    {'children without a checkpoint' if account.is_msp else 'no checkpoint yet'}: {begins}")
            for d in destinations:
                if (record := known.get((account.name, log_type, d.name))) is not None and not record.delivered:
                    days = _days(job, account.name, log_type, d.name)
                    say(f"    nothing delivered yet: {_begun(record, days, job.storage.checkpoint_dir)}")
        if left := [name for name in DEFAULT_LOG_TYPES if name not in job.log_types_of(account.name)]:
            say(f"  not read       of {account.name:<24}   {', '.join(left)}: no route takes it")
    say(f"  checkpoints    in {job.storage.checkpoint_dir}")
    say(f"  dead letters   in {job.storage.dead_letter_dir}")
    return exit_codes.OK


def _as_json(arguments: argparse.Namespace) -> int:
    try:
        loaded = load(arguments.config, needs_secrets=arguments.strict)
    except ConfigProblems as error:
        say_json(told_wrong(arguments.config, error.problems))
        return exit_codes.CONFIG
    valid = not (arguments.strict and any(isinstance(notice, Unseen) for notice in loaded.notices))
    say_json(told_right(arguments.config, loaded, valid=valid))
    return exit_codes.OK if valid else exit_codes.CONFIG


def _target(job: Job, account: str, log_type: str, destination: Destination) -> str:
    """A destination, and what the routes do with events on their way to it."""
    routes = [route for route in job.selection(log_type, destination.name) if route.takes(account)]
    done = {
        "filtered": any(route.where is not None for route in routes),
        "redacted": any(route.redact is not None for route in routes),
    }
    words = [word for word, is_so in done.items() if is_so]
    words += dict.fromkeys(f"by {route.function}" for route in routes if route.function is not None)
    selected = f"; {', '.join(words)}" if words else ""
    return f"{destination.name} ({destination.kind} {destination.place}, {destination.format.name}{selected})"


def _with_checkpoint(directory: str) -> dict[tuple[str, str, str], Record]:
    """Every checkpoint by account, log type and destination; of a directory that is an URL nothing is known here."""
    if "://" in directory:
        return {}
    return {(r.stream.account, r.stream.log_type, r.destination): r for r in CheckpointStore(directory).records()}


def _begun(record: Record, days: float, directory: str) -> str:
    """Where a destination goes on that was begun and got nothing. It was written down, so that no time is skipped that passes
    until the first event; and so other days in the file count from its first start.
    """
    cursor = Cursor.from_json(bytes(record.cursor))
    begun = None if isinstance(record.begun, msgspec.UnsetType) else record.begun
    changed = changed_beginning(cursor, begun, days)
    if changed is not None and begun is not None:
        return (
            f"{record.destination} begins at {utc(changed.position_ms)}, {_days_back(days)} from its first start at "
            f"{utc(begun.at_ms)}"
        )
    path = CheckpointStore(directory).path_of(record.subscription)
    elsewhere = "" if begun is not None else f". To begin elsewhere, stop duologsync and remove {path}"
    return f"{record.destination} goes on at {utc(cursor.position_ms)}{elsewhere}"


def _beginning(job: Job, account: str, log_type: str, destination: str) -> str:
    start = job.start_of(account, log_type, destination)
    if start.checkpoint_of is not None:
        return f"at the checkpoint of {start.checkpoint_of}"
    if start.days is None and job.storage.import_dir is not None and job.storage.resume:
        return f"where Duo Log Sync was, or else {_days_back(job.reading.start_days)}"
    return _days_back(_days(job, account, log_type, destination))


def _days(job: Job, account: str, log_type: str, destination: str) -> float:
    days = job.start_of(account, log_type, destination).days
    return job.reading.start_days if days is None else days


def _days_back(days: float) -> str:
    if not days:
        return "now"
    return f"{days:g} {'day' if days == 1 else 'days'} back"
