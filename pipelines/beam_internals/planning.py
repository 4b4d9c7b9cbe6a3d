"""Plans a graph once and runs the plan many times in this process.

Place: a stream of a local run makes its plan before its first pass, and runs it in each.

Why: ``Pipeline.run`` plans anew each time, which costs twice as much as to run it, and all passes of a stream are alike. Beam
has no public way to keep a plan. And a ``Pipeline`` makes a directory for files of other languages when it is made, which only
``run`` removes: one was left in the temporary directory for every stream that was started. Our graphs have no such files, so it
goes at once; a process that is killed later leaves none.

Contract: ``run_plan`` returns when the plan was run to its end, and raises what its steps raised, as Beam hands it over.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import EmbeddedPythonEnvironment


def plan_of(build: Callable[[beam.Pipeline], object]) -> bytes:
    """The graph that ``build`` adds to a pipeline, as Beam plans it for this process."""
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=_options())
    shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)
    build(pipeline)
    plan = pipeline.to_runner_api(default_environment=EmbeddedPythonEnvironment.default())
    return bytes(plan.SerializeToString())


def run_plan(plan: bytes) -> None:
    """Runs a plan to its end."""
    FnApiRunner().run_via_runner_api(beam_runner_api_pb2.Pipeline.FromString(plan), _options()).wait_until_finish()


@cache
def _options() -> PipelineOptions:
    return PipelineOptions(["--no_save_main_session"])
