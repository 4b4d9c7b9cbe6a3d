"""``duologsync status CONFIG``: does it run, and how far has every log been delivered to each destination? Touches nothing.

Asks the running program where one says that it listens, and else reads the checkpoint directory; needs no secret. What it says
is ``pipelines.monitoring.report``, as a table, as plain lines in a pipe, or as JSON. The exit code is for scripts that watch.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from dataclasses import replace

from pipelines import exit_codes
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.monitoring import words
from pipelines.monitoring.place import place_in
from pipelines.monitoring.report import Report, State, StreamReport
from pipelines.monitoring.stored import stored_report
from pipelines.monitoring.table import columns_of_terminal, lines_of, shown
from pipelines.printable import say, say_json, writing
from transforms.errors import RetryLater
from transforms.process.shutdown import StopFlag
from transforms.settings import Job

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_OF_DIRECTORY = frozenset({State.NOT_READ, State.DAMAGED})  # what a running program does not tell of itself


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON; docs/status.md describes it")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=span_of,
        const=2.0,
        metavar="SECS",
        help="show it again every so many seconds (2), until Ctrl-C",
    )
    parser.add_argument(
        "--max-lag", type=span_of, metavar="SPAN", help="end with exit code 8 where a stream is further behind than, say, 15m"
    )


def span_of(text: str) -> float:
    """A span as users write it, in seconds: ``90``, ``90s``, ``15m``, ``2h``, ``1d``."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhd]?)", text.strip())
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time; write 90s, 15m, 2h or 1d")
    return float(match[1]) * _UNITS[match[2] or "s"]


def run(arguments: argparse.Namespace) -> int:
    """Shows the report; the exit code says whether somebody should look."""
    loaded = load_or_explain(arguments.config, look_at_files=False, then="")
    if loaded is None:
        return exit_codes.CONFIG
    try:
        if arguments.watch is None:
            report = present_report(loaded.job)
            _show(report, as_json=arguments.json)
            return exit_code(report, arguments.max_lag)
        _watch(loaded.job, arguments.watch, as_json=arguments.json)
    except RetryLater as error:  # of a directory on another file system
        say(error, to=sys.stderr)
        return exit_codes.STATE
    except BrokenPipeError:  # of ours, not of the state's
        raise
    except OSError as error:
        say(f"The state of duologsync cannot be read: {error.filename}: {error.strerror}. {_AS_ITS_USER}", to=sys.stderr)
        return exit_codes.STATE
    return exit_codes.OK


_AS_ITS_USER = "Run this as the user that duologsync runs as."


def present_report(job: Job) -> Report:
    """What the running program says of itself, with what only the directory tells; without one, what the directory tells.

    Raises RetryLater and OSError as ``stored_report`` does.
    """
    stored = stored_report(job, time.time_ns() // 1_000_000)
    if place_in(job.storage.checkpoint_dir) is None:
        return stored
    from pipelines.monitoring.running import endpoint_of  # speaks HTTP, which is slow to load

    endpoint = endpoint_of(job)
    running = endpoint.report() if endpoint is not None else None
    return stored if running is None else _together(running, stored)


def _together(running: Report, stored: Report) -> Report:
    told = set(map(words.title, running.streams))
    more = [each for each in stored.streams if words.title(each) not in told and each.state in _OF_DIRECTORY]
    streams = sorted([*running.streams, *more], key=lambda each: (each.account, each.log_type, each.destination))
    said = words.of_run(streams)
    whole = replace(running, streams=tuple(streams), dead_letters=stored.dead_letters, backfills=stored.backfills)
    if words.severity(said.state) <= words.severity(running.state):
        return whole  # what concerns all of it is known to the program alone
    return replace(whole, state=said.state, words=said.words, todo=said.todo)


def exit_code(report: Report, max_lag_secs: float | None) -> int:
    """What a script that watches should know, the gravest first."""
    streams = [stream for stream in report.streams if stream.state is not State.NOT_READ]
    if report.state in words.NEED_A_PERSON or any(stream.state in words.NEED_A_PERSON for stream in streams):
        return exit_codes.SUSPENDED
    if report.state is State.STOPPED:
        return exit_codes.STOPPED
    if max_lag_secs is not None:
        return exit_codes.BEHIND if any(_is_further_behind(stream, max_lag_secs) for stream in streams) else exit_codes.OK
    return exit_codes.BEHIND if report.state in (State.WAITING, State.BEHIND) else exit_codes.OK


def _is_further_behind(stream: StreamReport, max_lag_secs: float) -> bool:
    """What was never read is further behind than anything."""
    return stream.state is State.STARTING or (stream.lag_secs or 0.0) > max_lag_secs


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        say_json(report)
    elif not sys.stdout.isatty():
        for line in lines_of(report):
            say(line)
    else:
        from rich.console import Console  # a pipe needs none of it

        with writing():
            Console(width=columns_of_terminal()).print(shown(report, columns_of_terminal()))


def _watch(job: Job, every_secs: float, *, as_json: bool) -> None:
    """Shows it again and again; Ctrl-C is how it ends. That is heard between two looks: an exception in the midst of one could
    come where nobody hands it on.
    """
    ended = StopFlag()
    before = signal.signal(signal.SIGINT, lambda *_: ended.request(0.0))
    try:
        if as_json or not sys.stdout.isatty():
            _show(present_report(job), as_json=as_json)
            while not ended.wait(every_secs):
                _show(present_report(job), as_json=as_json)
            return
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(), auto_refresh=False, screen=True, vertical_overflow="ellipsis") as live:
            while not ended.requested:
                live.console.width = columns_of_terminal()
                live.update(shown(present_report(job), columns_of_terminal()), refresh=True)
                ended.wait(every_secs)
    finally:
        signal.signal(signal.SIGINT, before)
