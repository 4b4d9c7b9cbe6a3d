"""Which flags Beam knows.

Place: a launch on a runner asks before it starts anything.

Why: Beam only warns of a flag that it does not know, and a misspelt ``--checkpointing_interval`` would cost every checkpoint.
Beam has no public way to ask: the flags are those of all its option classes, put into its own kind of parser.

Contract: looks only.
"""

from __future__ import annotations

from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import PipelineOptions


def unknown_to_beam(flags: list[str]) -> list[str]:
    """Those of the flags that no option class of Beam has."""
    parser = pipeline_options._BeamArgumentParser(add_help=False, allow_abbrev=False)  # noqa: SLF001 - see the module
    for options_class in PipelineOptions.__subclasses__():
        options_class._add_argparse_args(parser)  # noqa: SLF001
    _, left = parser.parse_known_args(flags)
    return [flag for flag in left if flag.startswith("--")]
