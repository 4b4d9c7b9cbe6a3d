"""Checks what a route says of events: its filter, the fields that it redacts, its function.

Place in the flow: ``own`` calls ``check_routes`` on the plain data, so that all problems are told at once; ``loading`` calls
``check_usable`` where the job runs on this machine, because it imports the user's code.

Contract: takes any data. A filter's mistakes are told with the line of its key and the place in the expression; a machine that
only launches a job need not have the library for them, and then they are not looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from pipelines.config.problems import Findings, KeyPath, shown
from transforms.duo.log_types import LOG_TYPES
from transforms.events import filters
from transforms.events.functions import wrong_function
from transforms.events.mistakes import nearest_field
from transforms.row_paths import documented_name, parse
from transforms.settings import Job, Route

_NO_LIBRARY = (
    'With Python 3.11 or later, in the repository\'s root run: pip install --constraint constraints.txt ".[filters]"; '
    "with run_local.sh, set DUOLOGSYNC_EXTRAS=[filters]."
)


def check_routes(data: dict[str, Any], findings: Findings) -> None:
    """Adds what is wrong with filters and with the names of fields."""
    for key, route, logs in _routes(data):
        where = route.get("where")
        if isinstance(where, str) and where and filters.is_installed():
            _check_filter((*key, "where"), where, logs, findings)
        redact = route.get("redact")
        for way in ("drop", "hash", "mask"):
            named = redact.get(way) if isinstance(redact, dict) else None
            for index, path in enumerate(named if isinstance(named, list) else ()):
                if isinstance(path, str):
                    _check_field((*key, "redact", way, index), path, logs, findings)


def check_usable(data: dict[str, Any], findings: Findings) -> None:
    """Adds a problem for each filter and function that cannot be used on this machine. Imports the modules of functions."""
    for key, route, _ in _routes(data):
        if isinstance(route.get("where"), str) and not filters.is_installed():
            findings.problem((*key, "where"), "the library for filters is not installed", _NO_LIBRARY)
        name = route.get("function")
        wrong = wrong_function(name) if isinstance(name, str) and name else None
        if wrong is not None:
            findings.problem((*key, "function"), wrong.what, wrong.fix)


def notice_routes(job: Job, findings: Findings) -> None:
    """Adds a notice where an event's id is redacted, and where a route is never asked."""
    for index, route in enumerate(job.routes):
        for log, path in _redacted_ids(route):
            what = f"{path} is the id of {log}'s events, by which a SIEM knows what arrives twice"
            findings.notice(("routes", index, "redact"), what, "Leave it, unless the SIEM need not know.")
        for log, destination in _never_asked(job.routes[:index], route):
            what = f"an earlier route takes every event of {log} to {destination}, so that this one is never asked"
            findings.notice(("routes", index), what, "Put it in front of that one.")


def _redacted_ids(route: Route) -> Iterator[tuple[str, str]]:
    redact = route.redact
    named = (*redact.drop, *redact.hash, *redact.mask) if redact is not None else ()
    return ((log, path) for log in route.log_types for path in named if path == LOG_TYPES[log].id_field)


def _never_asked(earlier: tuple[Route, ...], route: Route) -> Iterator[tuple[str, str]]:
    """Log and destination of which an earlier route without a filter takes all, where one of the two changes events."""
    for log, destination in itertools.product(route.log_types, route.destinations):
        for other in earlier:
            same_accounts = not other.accounts or (route.accounts and set(route.accounts) <= set(other.accounts))
            takes_all = other.where is None and bool(same_accounts)
            if takes_all and log in other.log_types and destination in other.destinations and (other.selects or route.selects):
                yield log, destination
                break


def _routes(data: dict[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any], tuple[str, ...]]]:
    """Each route that is a mapping, with its key and its logs that there are."""
    routes = data.get("routes")
    for index, route in enumerate(routes if isinstance(routes, list) else ()):
        if isinstance(route, dict):
            named = route.get("log_types")
            named = [named] if isinstance(named, str) else named if isinstance(named, list) else []
            yield ("routes", index), route, tuple(log for log in named if isinstance(log, str) and log in LOG_TYPES)


def _check_filter(key: KeyPath, expression: str, logs: tuple[str, ...], findings: Findings) -> None:
    for mistake in filters.mistakes(expression, logs):
        findings.problem(key, f"{mistake.place}: {mistake.what}", mistake.fix)


def _check_field(key: KeyPath, path: str, logs: tuple[str, ...], findings: Findings) -> None:
    """A misspelt field would be sent as it is: so one that no log of the route documents is a problem."""
    parts = parse(path)
    tables = [LOG_TYPES[log].row_fields for log in logs]
    if parts is None or not tables or not all(tables):
        return  # told already, or nothing is known
    name = documented_name(parts)
    if name is None or any(filters.is_documented(name, fields) for fields in tables):
        return
    owner = next((p for p in _parents(name) if any(fields.get(p) == "text" for fields in tables)), None)
    if owner is not None:
        findings.problem(key, f"{owner} is a text, which has no fields", f"Redact the whole of {owner}.")
        return
    guess = nearest_field(name, tables)
    newer = f"A field that is newer than this release is written {_quoted(name)}."
    what = f"{' and '.join(logs)} has no field {shown(name)}"
    findings.problem(key, what, f"Did you mean {guess}? {newer}" if guess else newer)


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name


def _quoted(name: str) -> str:
    return "".join(f"['{part}']" for part in name.split("."))
