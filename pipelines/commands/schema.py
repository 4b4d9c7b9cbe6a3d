"""``duologsync schema [--sample]``: the JSON Schema of the configuration, or a commented sample to start from."""

from __future__ import annotations

import argparse
import json

from pipelines import exit_codes
from pipelines.printable import writing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    parser.add_argument("--sample", action="store_true", help="print a commented sample file instead")


def run(arguments: argparse.Namespace) -> int:
    """Prints; touches nothing."""
    from pipelines.config.sample import sample_yaml  # the models take their time to load
    from pipelines.config.schema import config_schema

    with writing():
        print(sample_yaml() if arguments.sample else json.dumps(config_schema(), indent=2), flush=True)
    return exit_codes.OK
