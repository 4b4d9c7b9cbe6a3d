"""What every verb with a configuration file shares: the argument, and the way problems are told."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipelines.config import ConfigProblems, Loaded, load
from pipelines.config.yaml_file import STDIN
from pipelines.printable import say


def add_config_argument(parser: argparse.ArgumentParser, more: str = "") -> None:
    """The positional CONFIG."""
    what = f"the configuration file (ours, or Duo Log Sync's as it is){more}"
    parser.add_argument("config", metavar="CONFIG", type=Path, help=what)


def load_or_explain(
    path: Path,
    *,
    look_at_files: bool = True,
    runs_here: bool = True,
    needs_secrets: bool = True,
    stdin: bool = False,
    then: str = "Nothing was started.",
) -> Loaded | None:
    """The configuration; None after every problem was printed, each with its place and its fix.

    Args:
      look_at_files, runs_here, needs_secrets: as for ``load``.
      stdin: whether ``-`` stands for standard input. What runs reads the file again where it needs a secret in it.
      then: what the problems mean for the command.
    """
    if str(path) == STDIN and not stdin:
        say("Only validate reads a configuration from standard input. Name a file.", to=sys.stderr)
        return None
    try:
        return load(path, look_at_files=look_at_files, runs_here=runs_here, needs_secrets=needs_secrets)
    except ConfigProblems as error:
        for problem in error.problems:
            say(problem, to=sys.stderr)
        count = len(error.problems)
        say(f"{path}: {count} problem{'s' if count != 1 else ''}. {then}".rstrip(), to=sys.stderr)
        return None
