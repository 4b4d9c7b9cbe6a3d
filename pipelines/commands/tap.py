"""``duologsync tap CONFIG``: shows events as they pass in the running program, just after their destination took them.

Asks the program on this machine that uses the configuration's checkpoint directory. What is personal is masked unless ``--raw``
is given. Holds nothing up: where this is too slow, events pass unseen, and it says how many.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from http.client import HTTPException

import msgspec

from pipelines import exit_codes
from pipelines.commands.backfill import names
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.importing import importing
from pipelines.monitoring.running import Endpoint, endpoint_of
from pipelines.printable import say, say_json
from transforms.process.plural import counted
from transforms.settings import Job

with importing():
    from pipelines.monitoring.tapping import KEY_HEADER, TappedEvent, query_of

_SILENCE_SECS = 20.0  # the program says that it is alive every two
_decode = msgspec.json.Decoder(TappedEvent).decode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)
    whose = "only these accounts, or streams such as main/auth; a parent with its children"
    parser.add_argument("--stream", type=names, default=(), metavar="A,B", help=whose)
    parser.add_argument("--log-types", type=names, default=(), metavar="A,B", help="only these logs")
    parser.add_argument("--destination", type=names, default=(), metavar="A,B", help="only what goes there")
    parser.add_argument("--count", type=_count, metavar="N", help="end after so many events; without it, at Ctrl-C")
    parser.add_argument("--raw", action="store_true", help="show events as they are, with the names and addresses in them")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each, as the program says it")


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of events")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Shows events until it has shown enough, the program ends, or Ctrl-C."""
    loaded = load_or_explain(arguments.config, look_at_files=False)
    if loaded is None:
        return exit_codes.CONFIG
    endpoint = endpoint_of(loaded.job)
    if endpoint is None:
        say(_why_nobody_answers(loaded.job), to=sys.stderr)
        return exit_codes.STOPPED
    path = query_of(arguments.stream, arguments.log_types, arguments.destination, raw=arguments.raw)
    try:
        return _shown(endpoint, path, arguments)
    except KeyboardInterrupt:  # is how it ends
        return exit_codes.OK
    except BrokenPipeError:  # nobody reads what is shown
        raise
    except (OSError, HTTPException) as error:
        say(f"The program at {endpoint.url} does not answer: {error}.", to=sys.stderr)
        return exit_codes.STOPPED


def _why_nobody_answers(job: Job) -> str:
    if not job.monitoring.enabled:
        return "The configuration switches monitoring off, and tap with it: set monitoring.enabled to true, and restart."
    return (
        f"Nothing that can be asked runs on {job.storage.checkpoint_dir}: duologsync is stopped, was started before monitoring "
        "was switched on, runs as another user, or on another runner or machine."
    )


def _shown(endpoint: Endpoint, path: str, arguments: argparse.Namespace) -> int:
    shown = unseen = 0
    with endpoint.ask(path, _SILENCE_SECS, {KEY_HEADER: endpoint.key}) as answer:
        if answer.status != 200:
            say(f"The program refuses: {answer.read(1000).decode('utf-8', 'replace').strip()}.", to=sys.stderr)
            return exit_codes.STOPPED
        for event in _events(iter(answer.readline, b"")):
            _show(event, as_json=arguments.json)
            unseen += event.dropped
            shown += not event.dropped
            if shown == arguments.count:
                return exit_codes.OK
    say(f"The program has ended. {counted(shown, 'event')} shown, {unseen:,} passed unseen.", to=sys.stderr)
    return exit_codes.OK


def _events(lines: Iterator[bytes]) -> Iterator[TappedEvent]:
    return (_decode(line) for line in lines if line.strip())


def _show(event: TappedEvent, *, as_json: bool) -> None:
    if as_json:
        say_json(event)
    elif event.dropped:
        say(f"{counted(event.dropped, 'event')} passed unseen: more come than can be shown.", to=sys.stderr)
    else:
        at = time.strftime("%H:%M:%S", time.gmtime(event.time_ms / 1000))
        say(f"{at} {event.account}/{event.log_type} to {event.destination} {event.event}")
