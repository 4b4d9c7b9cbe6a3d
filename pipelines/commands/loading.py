"""What every verb with a configuration file shares: the argument, and the way problems are told."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipelines.config import ConfigProblems, Loaded, load
from pipelines.printable import say


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """The positional CONFIG."""
    parser.add_argument("config", metavar="CONFIG", type=Path, help="the configuration file (ours, or Duo Log Sync's as it is)")


def load_or_explain(path: Path, *, look_at_files: bool = True, runs_here: bool = True) -> Loaded | None:
    """The configuration; None after every problem was printed, each with its place and its fix. Arguments as for ``load``."""
    try:
        return load(path, look_at_files=look_at_files, runs_here=runs_here)
    except ConfigProblems as error:
        for problem in error.problems:
            say(problem, to=sys.stderr)
        count = len(error.problems)
        say(f"{path}: {count} problem{'s' if count != 1 else ''}. Nothing was started.", to=sys.stderr)
        return None
