"""``duologsync test CONFIG TESTS``: a user's own expectations of a configuration, checked without sending anything.

Each expectation is an event and what the destinations are to get of it. Of those that are not met, a difference is shown that a
person can read: of JSON key by key, of other messages with a mark where they differ.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pipelines import exit_codes
from pipelines.commands.explain import rows_in
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.config.expectations import ExpectationSection, ExpectationsFile, ExpectSection, read_expectations
from pipelines.config.problems import ConfigProblems
from pipelines.printable import say, say_json
from pipelines.tracing import Outcome, Tracer, log_of, stream_of_row
from transforms.errors import DuoLogSyncError
from transforms.settings import Job


class _UnusableError(Exception):
    """An expectation that cannot be checked; the text says why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)
    parser.add_argument("tests", metavar="TESTS", type=Path, help="a YAML file of expectations, see docs/routes.md")
    parser.add_argument("--json", action="store_true", help="print what is met and what is not as one line of JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each expectation, and how those that are not met differ."""
    loaded = load_or_explain(arguments.config, needs_secrets=False, then="")
    if loaded is None:
        return exit_codes.CONFIG
    try:
        file = read_expectations(arguments.tests)
        return _checked(file, loaded.job, arguments.tests.parent, as_json=arguments.json)
    except ConfigProblems as error:
        for problem in error.problems:
            say(problem, to=sys.stderr)
        return exit_codes.CONFIG
    except DuoLogSyncError as error:
        say(error, to=sys.stderr)
        return exit_codes.for_refusal(error)


def _checked(file: ExpectationsFile, job: Job, base: Path, *, as_json: bool) -> int:
    tracer, code = Tracer(job), exit_codes.OK
    told: list[dict[str, object]] = []
    for test in file.tests:
        try:
            differences = list(_differences(test, job, tracer, base))
        except _UnusableError as error:
            differences, code = [str(error)], exit_codes.CONFIG
        told.append({"name": test.name, "met": not differences, "differences": differences})
        if not as_json:
            _show(test.name, differences)
    failed = sum(not each["met"] for each in told)
    if as_json:
        say_json({"passed": len(told) - failed, "failed": failed, "tests": told})
    else:
        say(f"{len(told) - failed} passed, {failed} failed")
    return code or (exit_codes.UNMET if failed else exit_codes.OK)


def _show(name: str, differences: list[str]) -> None:
    say(f"{'FAILED' if differences else 'ok    '}  {name}")
    for line in differences:
        say(f"        {line}")


def _differences(test: ExpectationSection, job: Job, tracer: Tracer, base: Path) -> Iterator[str]:
    row = _row(test, base)
    log_type = test.log or log_of(row)
    if log_type is None:
        raise _UnusableError("The fields of the event do not tell its log. Add log.")
    streams = stream_of_row(job, test.account, log_type)
    if not streams:
        raise _UnusableError(f"The configuration has no account '{test.account}'.")
    destinations = {destination.name: destination for destination in job.destinations}
    for expected in test.expect:
        if expected.destination not in destinations:
            raise _UnusableError(f"The configuration has no destination '{expected.destination}'.")
        yield from _unmet(expected, tracer.outcome(streams[0], row, destinations[expected.destination]))


def _row(test: ExpectationSection, base: Path) -> bytes:
    if test.file is None:
        data = (test.event or "").encode("utf-8", "surrogatepass")
    else:
        try:
            data = (base / test.file).read_bytes()
        except OSError as error:
            raise _UnusableError(f"{test.file} cannot be read: {error.strerror}.") from None
    rows = rows_in(data)
    if len(rows) != 1:
        raise _UnusableError(f"The event is {len(rows)} rows. Give one JSON object.")
    return rows[0]


def _unmet(expected: ExpectSection, outcome: Outcome) -> Iterator[str]:
    """How what a destination gets differs from what is expected."""
    messages = [message.decode("utf-8", "backslashreplace") for message in outcome.messages]
    name = expected.destination
    if expected.sent is not None and expected.sent != bool(messages):
        yield f"{name}: something is sent, but nothing is expected" if messages else f"{name}: nothing is sent"
        yield from messages or outcome.why_not
    if expected.messages is not None and messages != expected.messages:
        yield from _message_differences(name, expected.messages, messages)
        yield from outcome.why_not
    for text in expected.contains:
        if not any(text in message for message in messages):
            yield f"{name}: no message contains {text}"
            yield from messages or outcome.why_not
    for text in expected.lacks:
        for message in messages:
            if text in message:
                yield f"{name}: a message contains {text}"
                yield message


def _message_differences(name: str, expected: list[str], messages: list[str]) -> Iterator[str]:
    if len(expected) != len(messages):
        yield f"{name}: {_count(len(messages))} sent, {_count(len(expected))} expected"
    for number in range(max(len(expected), len(messages))):
        wanted = _lines(expected[number]) if number < len(expected) else []
        got = _lines(messages[number]) if number < len(messages) else []
        if number >= min(len(expected), len(messages)) or expected[number] != messages[number]:
            yield f"{name}: message {number + 1}: - expected, + sent"
            yield from _compared(wanted, got)


def _compared(wanted: list[str], got: list[str]) -> Iterator[str]:
    if wanted == got:
        yield "the same as JSON; only the space between its parts, or the way in which texts are written, differs"
    for line in difflib.ndiff(wanted, got):
        if not line.startswith("  "):
            yield line.rstrip("\n")


def _lines(message: str) -> list[str]:
    """A message for a comparison: JSON with a line for each value, all else in one line."""
    begin = message.find("{")
    try:
        value = json.loads(message[begin:]) if begin >= 0 else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return [message]
    return [*([message[:begin]] if begin else []), *json.dumps(value, indent=1, ensure_ascii=False).split("\n")]


def _count(number: int) -> str:
    return "no message" if not number else "one message" if number == 1 else f"{number} messages"
