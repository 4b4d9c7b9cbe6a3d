"""``duologsync check CONFIG``: tries a configuration for real.

Asks Duo for one small window of every log type of every account (keys, clock, what the edition allows) and connects to every
destination (name, TLS, client certificate), and looks whether its directories can be written to. Sends no event and writes
nothing.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines import exit_codes
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.local.children import Listing, list_children
from pipelines.printable import say
from transforms.destinations import certificates
from transforms.destinations.probe import connect_once
from transforms.duo.client.client import DuoClient
from transforms.duo.fetch.feed import USER_AGENT
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.position.windows import Call
from transforms.errors import DuoLogSyncError, RetryLater, StreamUnavailable
from transforms.process.files import why_not_writable
from transforms.process.strict_x509 import LATER
from transforms.settings import Account, Destination, Job, Storage
from transforms.state.cursor import Cursor

_WINDOW_MS = 3_600_000
_SKEW_WARNING_SECS = 30.0
_LOOK_AT_THE_WAY = (
    "Check api_host, and this machine's DNS, firewall and proxy: it must be allowed to call that host over HTTPS."
)
_NOT_REACHED = ("network", "timeout", "cut_body", "not_duo")
_SAYS_ITS_FIX = ("tls", "clock_skew", "proxy", "descriptors")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried: whether it works, what was seen, and the exit code where it does not."""

    good: bool
    what: str
    text: str
    code: int = exit_codes.OK

    def __str__(self) -> str:
        return f"{'ok    ' if self.good else 'FAILED'}  {self.what:<36} {self.text}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints a line per thing tried; the exit code is that of the first failure, Duo before destinations."""
    loaded = load_or_explain(arguments.config, then="")
    if loaded is None:
        return exit_codes.CONFIG
    # Each finding is a line of the table; what senders log about the same attempt would say it twice.
    logging.disable(logging.CRITICAL)
    code = exit_codes.OK
    try:
        for finding in check_job(loaded.job):
            say(finding)
            code = code or finding.code
    finally:
        logging.disable(logging.NOTSET)
    return code


def check_job(job: Job) -> Iterator[Finding]:
    """Everything that can be tried."""
    for account in job.accounts:
        yield from _check_account(account, job)
    yield from _check_secrets_of_routes(job)
    for destination in job.destinations:
        yield _check_destination(destination)
    yield from _check_directories(job.storage)


def _check_account(account: Account, job: Job) -> Iterator[Finding]:
    accounts = [account]
    if account.is_msp:
        try:
            listing = list_children(account, job.reading.request_timeout_secs)
        except DuoLogSyncError as error:
            yield Finding(False, f"children of {account.name}", _why(error), exit_codes.for_refusal(error))
            return
        yield from _check_lists(account, listing)
        accounts = [child.account for child in listing.children]
    for each in accounts:
        try:
            client = DuoClient(each, user_agent=USER_AGENT, timeout_secs=job.reading.request_timeout_secs)
        except DuoLogSyncError as error:
            yield Finding(False, f"account {each.name}", _why(error), exit_codes.for_refusal(error))
            continue
        try:
            for log_type in job.log_types_of(each.name):
                yield _check_log(client, each, log_type, job)
        finally:
            client.close()


def _check_lists(parent: Account, listing: Listing) -> Iterator[Finding]:
    what = f"children of {parent.name}"
    names = ", ".join(child.title for child in listing.children[:5]) + (", …" if len(listing.children) > 5 else "")
    yield Finding(bool(listing.children), what, f"{len(listing.children)} are read" + (f": {names}" if names else ""))
    for entry in listing.unmatched:
        # What is blocked by a misspelt name is read, and what is allowed by one is not: a person must look.
        yield Finding(False, what, f"no child has the id or name '{entry}' that is on its lists", exit_codes.CONFIG)


def _check_log(client: DuoClient, account: Account, log_type: str, job: Job) -> Finding:
    what = f"{account.name}/{log_type}"
    maxtime_ms = int((time.time() - job.reading.lag_secs) * 1000)
    try:
        answer = client.fetch_page(LOG_TYPES[log_type], _last_hour(maxtime_ms))
    except StreamUnavailable as error:
        # Other logs of the account go on without it, so it does not fail the check; it is told.
        return Finding(False, what, f"{error} Its stream would be suspended and tried rarely.")
    except DuoLogSyncError as error:
        return Finding(False, what, _why(error), exit_codes.for_refusal(error))
    text = f"{len(answer.rows)}{'+' if answer.next_offset else ''} events in the last hour"
    if client.skew_secs is not None and abs(client.skew_secs) > _SKEW_WARNING_SECS:
        text += f"; this machine's clock is off by {client.skew_secs:+.0f} s: run NTP"
    ends_on = LOG_TYPES[log_type].ends_on
    if ends_on is not None:
        text += f"; its end was announced for {ends_on:%Y-%m-%d}"
    return Finding(True, what, text)


def _why(error: DuoLogSyncError) -> str:
    """What is in the way; where it is not the keys, that nothing is known of them, and what to do."""
    if not isinstance(error, RetryLater):
        return str(error)
    if error.kind in _SAYS_ITS_FIX:
        fix = ""
    else:
        fix = f" {_LOOK_AT_THE_WAY}" if error.kind in _NOT_REACHED else " Check again in a few minutes."
    return f"{error}{fix} The keys could not be tried."


def _last_hour(maxtime_ms: int) -> Call:
    mintime_ms = maxtime_ms - _WINDOW_MS
    return Call(Cursor(mintime_ms, maxtime_ms), mintime_ms)


def _check_destination(destination: Destination) -> Finding:
    what = f"{destination.name} ({destination.kind} {destination.place})"
    try:
        connect_once(destination)
    except DuoLogSyncError as error:
        return Finding(False, what, str(error), exit_codes.DELIVERY)
    later = f"; {LATER}" if certificates.refused_later(destination.name) else ""
    return Finding(True, what, f"connects{later}")


def _check_secrets_of_routes(job: Job) -> Iterator[Finding]:
    """Those that no connection tries; one that can be read is not worth a line."""
    for key, reference in job.secrets():
        if key[0] == "routes":
            try:
                reference.resolve()
            except DuoLogSyncError as error:
                yield Finding(False, ".".join(map(str, key)), str(error), exit_codes.CREDENTIALS)


def _check_directories(storage: Storage) -> Iterator[Finding]:
    """What keeps files from being made, found without making one; a directory that is well is not worth a line."""
    for what, directory in (("checkpoints", storage.checkpoint_dir), ("dead letters", storage.dead_letter_dir)):
        trouble = None if "://" in directory else why_not_writable(Path(directory))
        if trouble is not None:
            yield Finding(False, what, f"cannot be kept in {directory}: {trouble.strerror}.", exit_codes.STATE)
