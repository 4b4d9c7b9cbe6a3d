"""``duologsync audit CONFIG [--from TIME] [--to TIME]``: whether everything that Duo has is where it should be, day by day.

Reads Duo again by the same rules, asks each destination what it has stored where it can be asked, and compares that, event by
event, with what this program delivered, filtered or kept. What it finds of each day is kept as a certificate
(``pipelines.audit.chain``). It runs beside a live duologsync, which comes first, and writes nothing but certificates; with
``--fix`` it also sends what is missing, to where it is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pipelines import __version__, exit_codes, logs
from pipelines.audit.certificate import Certificate, Outcome
from pipelines.audit.chain import Chain
from pipelines.audit.words import head_of, lines_of
from pipelines.commands.backfill import moment, names
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.importing import importing
from pipelines.printable import say, say_json
from transforms.days import DAY_MS, begin_of, day_of
from transforms.destinations.stored.reader import Stretch
from transforms.duo.position.windows import RETENTION_MS
from transforms.errors import FatalError
from transforms.process.plural import counted
from transforms.settings import Job

_NEWEST_SECS = 600.0
_LONGEST_WAIT_SECS = 86_400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)
    times = "2026-11-01, 2026-11-01T08:30 (UTC), 2026-11-01T08:30+01:00, or 30d for midnight (UTC) so many days ago"
    parser.add_argument("--from", dest="begin", type=moment, metavar="TIME", help=f"{times}; without it, yesterday")
    parser.add_argument("--to", dest="end", type=moment, metavar="TIME", help="the same; without it, the last midnight (UTC)")
    parser.add_argument("--log-types", type=names, default=(), metavar="A,B", help="only these logs")
    parser.add_argument("--accounts", type=names, default=(), metavar="A,B", help="only these; a parent with its children")
    parser.add_argument("--destinations", type=names, default=(), metavar="A,B", help="only these destinations")
    parser.add_argument("--fix", action="store_true", help="read what is missing again, and send it to where it is missing")
    parser.add_argument(
        "--wait", dest="wait_secs", type=_seconds, default=60.0, metavar="SECS",
        help="so long a destination may take to show what it was sent (60)",
    )  # fmt: skip
    parser.add_argument("--verify", action="store_true", help="only look whether certificates were changed afterwards")
    parser.add_argument("--head", metavar="SHA256", help="with --verify: a head that was kept elsewhere")
    parser.add_argument("--json", action="store_true", help="print certificates as JSON, one a line")
    parser.add_argument("--verbose", action="store_true", help="log more")


def run(arguments: argparse.Namespace) -> int:
    """Audits day by day; the exit code says whether all is well."""
    loaded = load_or_explain(arguments.config)
    if loaded is None:
        return exit_codes.CONFIG
    job = loaded.job
    if "://" in job.storage.checkpoint_dir:
        say("Certificates are kept on this machine: name a local storage.checkpoint_dir for an audit.", to=sys.stderr)
        return exit_codes.CONFIG
    chain = Chain(job.storage.checkpoint_dir)
    if arguments.verify:
        return _verify(chain, arguments.head)
    stretches, wrong = _stretches(arguments, job)
    wrong += _unknown_names(arguments, job)
    if arguments.head:
        wrong.append("--head is what --verify compares: give both.")
    for line in wrong:
        say(line, to=sys.stderr)
    if wrong:
        return exit_codes.CONFIG
    return _keep(arguments, job, chain, stretches)


def _keep(arguments: argparse.Namespace, job: Job, chain: Chain, stretches: list[tuple[str, Stretch]]) -> int:
    """Audits, and keeps what is found."""
    logs.set_up(verbose=arguments.verbose)
    try:
        chain.lock()
        try:
            if chain.verify():
                say("Certificates were changed since they were made: audit --verify says which.", to=sys.stderr)
            return _audit(arguments, job, chain, stretches)
        finally:
            chain.unlock()
    except FatalError as error:
        say(error, to=sys.stderr)
    except OSError as error:
        say(f"The audit cannot keep its certificates: {error.filename}: {error.strerror or error}.", to=sys.stderr)
    return exit_codes.STATE


def _audit(arguments: argparse.Namespace, job: Job, chain: Chain, stretches: list[tuple[str, Stretch]]) -> int:
    with importing():  # what reads and formats takes its time to load; config errors come first
        from pipelines.audit.auditor import Auditor, Options
        from transforms.duo.rate_limit.budgets import BUDGETS

    BUDGETS.load(job.storage.checkpoint_dir)  # and never saved: that is for the live reading
    options = Options(
        arguments.log_types, arguments.accounts, arguments.destinations, fix=arguments.fix, wait_secs=arguments.wait_secs
    )
    auditor = Auditor(job, options)
    config = hashlib.sha256(Path(arguments.config).read_bytes()).hexdigest()
    last: Certificate | None = None
    well = True
    try:
        for day, stretch in stretches:
            earlier = [each for each in chain.of_day(day) if (each.from_ms, each.until_ms) == stretch]
            found = tuple(auditor.outcomes(day, stretch, earlier[-1] if earlier else None))
            last = chain.add(_certificate(day, stretch, config, found))
            well = well and last.is_well
            _show(last, as_json=arguments.json)
    finally:
        auditor.close()
    for each in auditor.unreadable:
        say(f"These dead letters could not be read, and their events may look missing: {each}", to=sys.stderr)
    if last is not None and not arguments.json:
        say(head_of(last))
    return exit_codes.OK if well else exit_codes.INCOMPLETE


def _certificate(day: str, stretch: Stretch, config_sha256: str, found: tuple[Outcome, ...]) -> Certificate:
    """One that the chain gives its place."""
    return Certificate(
        number=0,
        previous="",
        day=day,
        revision=0,
        from_ms=stretch.from_ms,
        until_ms=stretch.until_ms,
        made_ms=int(time.time() * 1000),
        program=__version__,
        config_sha256=config_sha256,
        streams=found,
    )


def _show(certificate: Certificate, *, as_json: bool) -> None:
    if as_json:
        say_json(certificate)
        return
    for line in lines_of(certificate):
        say(line)


def _verify(chain: Chain, kept_head: str | None) -> int:
    try:
        wrong = chain.verify(kept_head)
        for line in wrong:
            say(line)
        if wrong:
            say(f"The certificates in {chain.directory} are not as they were made.")
            return exit_codes.TAMPERED
        head = chain.head()
    except OSError as error:
        say(f"The certificates cannot be read: {error.filename}: {error.strerror or error}.", to=sys.stderr)
        return exit_codes.STATE
    say(f"{counted(head.number, 'certificate')}, and none was changed. Head: {head.sha256 or 'none yet'}.")
    if kept_head is None and head.number:
        say("That nobody made all of them anew, only a head that was kept elsewhere can show: --head.")
    return exit_codes.OK


def _stretches(arguments: argparse.Namespace, job: Job) -> tuple[list[tuple[str, Stretch]], list[str]]:
    """The days that are to be audited, the first and the last as far as they were asked for; and what is wrong with that."""
    now_ms = int(time.time() * 1000)
    midnight_ms = now_ms // DAY_MS * DAY_MS
    newest_ms = now_ms - int(1000 * max(_NEWEST_SECS, job.reading.lag_secs))
    oldest_ms = now_ms - RETENTION_MS
    from_ms = midnight_ms - DAY_MS if arguments.begin is None else int(arguments.begin.timestamp() * 1000)
    until_ms = midnight_ms if arguments.end is None else int(arguments.end.timestamp() * 1000)
    if from_ms >= min(until_ms, newest_ms):
        return [], ["--from must be before --to, and at least ten minutes ago."]
    if until_ms <= oldest_ms:
        return [], ["Duo keeps 180 days: what is before that cannot be compared with anything any more."]
    if from_ms < oldest_ms:
        say("Duo keeps 180 days: what is before that is out of reach and left out.", to=sys.stderr)
    return list(_days(max(from_ms, oldest_ms), min(until_ms, newest_ms))), []


def _seconds(text: str) -> float:
    """A time to wait, as users write it."""
    try:
        secs = float(text)
    except ValueError:
        secs = -1.0
    if not 0 <= secs <= _LONGEST_WAIT_SECS:  # which "nan" is not, either
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds between 0 and {_LONGEST_WAIT_SECS:,.0f}")
    return secs


def _days(from_ms: int, until_ms: int) -> Iterator[tuple[str, Stretch]]:
    while from_ms < until_ms:
        day = day_of(from_ms)
        next_ms = min(begin_of(day) + DAY_MS, until_ms)
        yield day, Stretch(from_ms, next_ms)
        from_ms = next_ms


def _unknown_names(arguments: argparse.Namespace, job: Job) -> Iterator[str]:
    logs_read = {name for account in job.accounts for name in job.log_types_of(account.name)}
    logs_read |= {name for route in job.routes for name in route.log_types}
    accounts = {account.name for account in job.accounts}
    destinations = {destination.name for destination in job.destinations}
    for given, known, what in (
        (arguments.log_types, logs_read, "log"),
        (arguments.destinations, destinations, "destination"),
        ([name.partition("/")[0] for name in arguments.accounts], accounts, "account"),
    ):
        for name in sorted(set(given) - known):
            yield f"The configuration has no {what} '{name}'. It has {', '.join(sorted(known))}."
