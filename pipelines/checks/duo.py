"""Asks Duo for one small window of every log of every account: keys, clock, and what the edition allows.

Place in the flow: part of ``check``. Contract: nothing is written. A log that Duo does not serve is told and fails nothing, as
in a run; each cause is told once for an account, or for all children of a parent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from pipelines import exit_codes
from pipelines.checks.findings import Finding, one_cause_once
from pipelines.local.children import Child, Listing, list_children
from transforms.duo.client.client import DuoClient
from transforms.duo.fetch.feed import USER_AGENT
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.position.windows import Call
from transforms.errors import DuoLogSyncError, RetryLater, StreamUnavailable
from transforms.process.plural import counted
from transforms.settings import Account, Job
from transforms.state.cursor import Cursor

_WINDOW_MS = 3_600_000
_SKEW_WARNING_SECS = 30.0
_LOOK_AT_THE_WAY = (
    "Check api_host, and this machine's DNS, firewall and proxy: it must be allowed to call that host over HTTPS."
)
_NOT_REACHED = ("network", "timeout", "cut_body", "not_duo")
_SAYS_ITS_FIX = ("tls", "clock_skew", "proxy", "descriptors")


def check_account(account: Account, job: Job) -> Iterator[Finding]:
    """Every log of an account, or of all children of a parent."""
    if not account.is_msp:
        yield from one_cause_once(_check_logs(Child(account, ""), job))
        return
    try:
        listing = list_children(account, job.reading.request_timeout_secs)
    except DuoLogSyncError as error:
        yield Finding(False, f"children of {account.name}", _why(error), exit_codes.for_refusal(error))
        return
    yield from _check_lists(account, listing)
    yield from one_cause_once(finding for child in listing.children for finding in _check_logs(child, job))


def _check_logs(child: Child, job: Job) -> Iterator[Finding]:
    account = child.account
    try:
        client = DuoClient(account, user_agent=USER_AGENT, timeout_secs=job.reading.request_timeout_secs)
    except DuoLogSyncError as error:
        yield Finding(False, f"account {account.name}", _why(error), exit_codes.for_refusal(error))
        return
    try:
        for log_type in job.log_types_of(account.name):
            yield _check_log(client, child, log_type, job)
    finally:
        client.close()


def _check_lists(parent: Account, listing: Listing) -> Iterator[Finding]:
    what = f"children of {parent.name}"
    names = ", ".join(child.title for child in listing.children[:5]) + (", …" if len(listing.children) > 5 else "")
    yield Finding(bool(listing.children), what, f"{len(listing.children)} are read" + (f": {names}" if names else ""))
    for entry in listing.unmatched:
        # What is blocked by a misspelt name is read, and what is allowed by one is not: a person must look.
        yield Finding(False, what, f"no child has the id or name '{entry}' that is on its lists", exit_codes.CONFIG)


def _check_log(client: DuoClient, child: Child, log_type: str, job: Job) -> Finding:
    what = f"{child.account.name}/{log_type}"
    maxtime_ms = int((time.time() - job.reading.lag_secs) * 1000)
    try:
        answer = client.fetch_page(LOG_TYPES[log_type], _last_hour(maxtime_ms))
    except StreamUnavailable as error:
        # Other logs of the account go on without it, so it does not fail the check; it is told.
        return Finding(False, what, _of_any_log(f"{error} Its stream would be suspended and tried rarely.", log_type))
    except DuoLogSyncError as error:
        return Finding(False, what, _of_any_log(_why(error), log_type), exit_codes.for_refusal(error))
    number = len(answer.rows)
    text = f"{child.title}: " if child.title else ""
    text += f"{number}+ events in the last hour" if answer.next_offset else f"{counted(number, 'event')} in the last hour"
    if client.skew_secs is not None and abs(client.skew_secs) > _SKEW_WARNING_SECS:
        text += f"; this machine's clock is off by {client.skew_secs:+.0f} s: run NTP"
    ends_on = LOG_TYPES[log_type].ends_on
    if ends_on is not None:
        text += f"; its end was announced for {ends_on:%Y-%m-%d}"
    return Finding(True, what, text)


def _of_any_log(text: str, log_type: str) -> str:
    """The same without the path of the log, which is named beside it: so that one cause is the same of all logs."""
    return text.replace(LOG_TYPES[log_type].path, "")


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
