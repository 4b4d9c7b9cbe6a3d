"""``duologsync explain CONFIG``: where an event would go, what would be sent, byte for byte, and why not elsewhere.

Takes rows from a file, or invents one for each log that the configuration reads. Sends nothing, reads no checkpoint, and asks
neither Duo nor a destination. Own functions are called, and keys of redactions are read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pipelines import exit_codes
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.demo.simulator import ids
from pipelines.demo.simulator.rows import RowFactory
from pipelines.printable import say, say_json, writing
from pipelines.tracing import Outcome, Tracer, log_of, stream_of_row
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import DuoLogSyncError
from transforms.records import Stream
from transforms.settings import Job

_INVENTED_AT_MS = 1_772_438_950_123
_INVENTED_BYTES = 600
_INVENTED = (*ids.LOG_TYPES, *ids.OLD_LOG_TYPES)
_LONGEST_FILE_BYTES = 16 * 1024 * 1024

# Made while importing: see transforms.state.cursor on msgspec and threads.
_read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)
    parser.add_argument("--row", metavar="FILE", help="a row of Duo's as JSON, or one in each line; - for standard input")
    parser.add_argument(
        "--log", metavar="LOG", choices=tuple(LOG_TYPES), help="the log that it is of, where its fields do not tell"
    )
    parser.add_argument("--account", metavar="NAME", help="only as an event of this account, or of PARENT/CHILD_ID")
    parser.add_argument("--bytes", action="store_true", help="write only the messages, as they are, one a line")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each row and destination")


def run(arguments: argparse.Namespace) -> int:
    """Prints what becomes of each row."""
    loaded = load_or_explain(arguments.config, needs_secrets=False, then="")
    if loaded is None:
        return exit_codes.CONFIG
    rows = _rows(arguments, loaded.job)
    if isinstance(rows, str):
        say(rows, to=sys.stderr)
        return exit_codes.CONFIG
    if arguments.account and not stream_of_row(loaded.job, arguments.account, "auth"):
        say(f"The configuration has no account '{arguments.account}'.", to=sys.stderr)
        return exit_codes.CONFIG
    tracer = Tracer(loaded.job)
    try:
        for log_type, row in rows:
            for stream in stream_of_row(loaded.job, arguments.account, log_type):
                outcomes = tracer.outcomes(stream, row)
                if arguments.json:
                    for outcome in outcomes:
                        say_json(_as_json(stream, outcome))
                else:
                    _show(stream, row, outcomes, only_bytes=arguments.bytes)
    except DuoLogSyncError as error:
        say(error, to=sys.stderr)
        return exit_codes.for_refusal(error)
    return exit_codes.OK


def _rows(arguments: argparse.Namespace, job: Job) -> list[tuple[str, bytes]] | str:
    """Log and row of each; a text where something is wrong."""
    if arguments.row is None:
        read = dict.fromkeys(log for account in job.accounts for log in job.log_types_of(account.name))
        wanted = [arguments.log] if arguments.log else [log for log in read if log in _INVENTED]
        return [(log, RowFactory(log).row(0, _INVENTED_AT_MS, _INVENTED_BYTES)) for log in wanted if log in _INVENTED]
    try:
        data = sys.stdin.buffer.read() if arguments.row == "-" else Path(arguments.row).read_bytes()
    except OSError as error:
        return f"{arguments.row} cannot be read: {error.strerror}."
    if len(data) > _LONGEST_FILE_BYTES:
        return f"{arguments.row} is larger than {_LONGEST_FILE_BYTES // 1024 // 1024} MiB: take some rows out of it."
    rows = [(arguments.log or log_of(row) or "", row) for row in rows_in(data)]
    if not rows:
        return f"{arguments.row} holds no row."
    unknown = next((number for number, (log, _) in enumerate(rows, 1) if not log), None)
    return rows if unknown is None else f"{arguments.row}: the fields of row {unknown} do not tell its log: add --log."


def rows_in(data: bytes) -> list[bytes]:
    """The rows of a file: one JSON object over several lines, a list of them, or one in each line."""
    text = data.strip()
    try:
        return (
            [_one_line(bytes(row)) for row in _read_list(text)] if text.startswith(b"[") else [_one_line(text)] if text else []
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [line.strip() for line in text.splitlines() if line.strip()]


def _one_line(row: bytes) -> bytes:
    """As it is, or without the space between its tokens where it has several lines."""
    return msgspec.json.format(row, indent=-1) if b"\n" in row else row


def _as_json(stream: Stream, outcome: Outcome) -> dict[str, object]:
    return {
        "account": stream.account,
        "log_type": stream.log_type,
        "destination": outcome.destination.name,
        "sent": bool(outcome.messages),
        "route": None if outcome.route is None else f"routes.{outcome.route}",
        "messages": [_text(message) for message in outcome.messages],
        "why_not": list(outcome.why_not),
    }


def _show(stream: Stream, row: bytes, outcomes: Iterable[Outcome], *, only_bytes: bool) -> None:
    if only_bytes:
        with writing():
            for outcome in outcomes:
                for message in outcome.messages:
                    sys.stdout.buffer.write(message + b"\n")
            sys.stdout.buffer.flush()
        return
    say(f"{stream.log_type} of {stream.account}, {len(row)} bytes")
    say(f"    {_text(row)}")
    for outcome in outcomes:
        _show_outcome(outcome)
    say()


def _show_outcome(outcome: Outcome) -> None:
    destination = outcome.destination
    where = f"{destination.name} ({destination.kind} {destination.place}, {destination.format.name})"
    for message in outcome.messages:
        say(f"  → {where}, {len(message)} bytes, by routes.{outcome.route or 0}")
        say(f"    {_text(message)}")
    if not outcome.messages:
        say(f"  ✗ {where}: not sent")
    for reason in outcome.why_not:
        say(f"    {reason}")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
