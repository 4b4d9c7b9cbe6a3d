"""``duologsync validate CONFIG``: is the file right? Looks at local files only; no network, nothing written."""

from __future__ import annotations

import argparse

from pipelines import exit_codes
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.printable import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints problems or a summary of what would run."""
    loaded = load_or_explain(arguments.config)
    if loaded is None:
        return exit_codes.CONFIG
    for notice in loaded.notices:
        say(f"Note: {notice}")
    job = loaded.job
    say(f"{arguments.config} is a valid configuration ({loaded.dialect}):")
    for account in job.accounts:
        for log_type in job.log_types_of(account.name):
            targets = ", ".join(
                f"{d.name} ({d.kind} {d.place}, {d.format.name})" for d in job.destinations_of(account.name, log_type)
            )
            who = f"{account.name}, every child account" if account.is_msp else account.name
            say(f"  {log_type:<14} of {who:<24} → {targets}")
    say(f"  checkpoints    in {job.storage.checkpoint_dir}")
    say(f"  dead letters   in {job.storage.dead_letter_dir}")
    return exit_codes.OK
