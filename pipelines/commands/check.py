"""``duologsync check CONFIG``: tries a configuration for real.

Asks Duo for one small window of every log type of every account (keys, clock, what the edition allows), connects to every
destination (name, TLS, client certificate, UDP port), and looks whether the directories and files that a run needs can be
written to. Sends no event and writes nothing; with ``--send-test-event``, one clearly marked event of each log to each
destination.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import asdict

from pipelines import exit_codes
from pipelines.checks.destinations import check_destination, check_directories, check_secrets_of_routes, title
from pipelines.checks.duo import check_account
from pipelines.checks.findings import Finding
from pipelines.checks.marked_events import ID_PREFIX, name_of, send_test_events, streams_to
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.printable import printable, say, say_json
from transforms.settings import Job

_WIDEST = 48


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)
    test = f"send each destination one event of each log, whose id begins with {ID_PREFIX}, and say what was accepted"
    parser.add_argument("--send-test-event", action="store_true", help=test)
    parser.add_argument("--json", action="store_true", help="print all findings as one line of JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints a line per thing tried; the exit code is that of the first failure, Duo before destinations."""
    loaded = load_or_explain(arguments.config, then="")
    if loaded is None:
        return exit_codes.CONFIG
    findings = []
    width = _width(loaded.job, send=arguments.send_test_event)
    # Each finding is a line of the table; what senders log about the same attempt would say it twice.
    logging.disable(logging.CRITICAL)
    try:
        for finding in check_job(loaded.job, send=arguments.send_test_event):
            findings.append(finding)
            if not arguments.json:
                _show(finding, width)
    finally:
        logging.disable(logging.NOTSET)
    code = next((finding.code for finding in findings if finding.code), exit_codes.OK)
    if arguments.json:
        say_json({"good": code == exit_codes.OK, "code": code, "findings": [asdict(finding) for finding in findings]})
    return code


def check_job(job: Job, *, send: bool = False) -> Iterator[Finding]:
    """Everything that can be tried."""
    for account in job.accounts:
        yield from check_account(account, job)
    yield from check_secrets_of_routes(job)
    for destination in job.destinations:
        yield check_destination(destination)
    yield from check_directories(job)
    if send:
        yield from send_test_events(job)


def _width(job: Job, *, send: bool) -> int:
    """How wide the names are; of an MSP's children, nobody knows before they are listed."""
    names = [title(destination) for destination in job.destinations] + ["dead letters"]
    names += [f"{account.name}/{log_type}" for account in job.accounts for log_type in job.log_types_of(account.name)]
    if send:
        names += [name_of(destination, stream) for destination in job.destinations for stream in streams_to(job, destination)]
    return min(_WIDEST, max(map(len, map(printable, names))))


def _show(finding: Finding, width: int) -> None:
    say(f"{'ok    ' if finding.good else 'FAILED'}  {printable(finding.what):<{width}}  {finding.text}")
