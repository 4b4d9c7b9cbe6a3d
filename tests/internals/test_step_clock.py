"""Beam's clock of steps, which a bundle of a local run must not wait for."""

import threading

import apache_beam as beam
import pytest
from apache_beam.metrics import Metrics
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.worker import statesampler

from pipelines.beam_internals.step_clock import _NoClock, end_bundles_at_once

THREADS = []


class Look(beam.DoFn):
    def process(self, element):
        Metrics.counter("looks", "all").inc()
        THREADS.append([thread for thread in threading.enumerate() if "run" in thread.name])
        return ()


@pytest.fixture(autouse=True)
def beams_own_clock():
    before = statesampler.StateSampler  # ours, where a local run has been tested before
    statesampler.StateSampler = _NoClock.__base__
    yield
    statesampler.StateSampler = before
    THREADS.clear()


def run_a_bundle():
    """How many threads were there because of it, and what it counted."""
    pipeline = beam.Pipeline(runner=FnApiRunner())
    pipeline | beam.Create([1]) | beam.ParDo(Look())
    result = pipeline.run()
    result.wait_until_finish()
    (counter,) = result.metrics().query()["counters"]
    return len(THREADS[-1]), counter.result


def test_a_bundle_has_no_clock_that_it_would_wait_for_and_counts_all_the_same():
    assert run_a_bundle() == (1, 1), "Beam has no clock any more: this is not needed"
    end_bundles_at_once()
    assert run_a_bundle() == (0, 1)
