"""``duologsync run CONFIG [-- BEAM FLAGS]``: the real thing, on this machine or on a runner that the flags name."""

from __future__ import annotations

import argparse
import logging

from pipelines import __version__, exit_codes, logs
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.importing import importing
from pipelines.signals import undisturbed
from transforms.notices import configuration
from transforms.notices.notice import tell
from transforms.process.files import Unsafe

_LOGGER = logging.getLogger("duologsync.commands")
_MOST_GRACE_SECS = 86_400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)
    parser.add_argument(
        "--grace-secs", type=_grace_secs, default=30.0, help="time to deliver what was read when asked to end (30)"
    )
    parser.add_argument("--verbose", action="store_true", help="log more")


def _grace_secs(text: str) -> float:
    secs = float(text)
    if not 0 <= secs <= _MOST_GRACE_SECS:
        raise argparse.ArgumentTypeError(f"{text!r} is no such time; write seconds, 0 to {_MOST_GRACE_SECS}")
    return secs


def run(arguments: argparse.Namespace) -> int:
    """Runs until asked to end."""
    with undisturbed():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    loaded = load_or_explain(arguments.config, runs_here=not arguments.beam_flags)
    if loaded is None:
        return exit_codes.CONFIG
    try:
        logs.set_up(verbose=arguments.verbose, log_file=loaded.job.log_file, runbook=loaded.job.runbook)
    except OSError as error:
        logs.set_up(verbose=arguments.verbose)
        tell(
            _LOGGER,
            configuration.LOG_FILE_UNUSABLE,
            "The log file %s cannot be opened: %s.",
            loaded.job.log_file,
            error.strerror,
        )
        return exit_codes.STATE if isinstance(error, Unsafe) else exit_codes.CONFIG
    for notice in loaded.notices:
        tell(_LOGGER, configuration.WORTH_A_LOOK, "%s", notice)
    _LOGGER.info("duologsync %s starts: %s.", __version__, arguments.config)
    if arguments.beam_flags:
        with importing():
            from pipelines.runners.launch import launch  # local runs need none of it
        return launch(loaded.job, arguments.beam_flags, grace_secs=arguments.grace_secs)
    with importing():
        from pipelines.local.supervisor import run_local  # Beam takes its time to load; config errors come first
    return run_local(loaded.job, grace_secs=arguments.grace_secs)
