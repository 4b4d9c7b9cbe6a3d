"""Beam's clock of steps, which a bundle of a local run must not wait for."""

import inspect

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.worker.statesampler import StateSampler, get_current_tracker

from pipelines.local.step_clock import LONGEST_SLEEP_MS, end_bundles_at_once

SEEN = []


class Look(beam.DoFn):
    def process(self, element):
        SEEN.append(get_current_tracker().sampling_period_ms)
        return ()


@pytest.fixture(autouse=True)
def beams_own_default():
    before = StateSampler.__init__.__defaults__
    yield
    StateSampler.__init__.__defaults__ = before
    SEEN.clear()


def run_a_bundle():
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        pipeline | beam.Create([1]) | beam.ParDo(Look())
    return SEEN[-1]


def test_a_bundle_has_a_clock_that_wakes_up_often():
    assert run_a_bundle() > 10 * LONGEST_SLEEP_MS, "Beam's own default is as short: this is not needed any more"
    end_bundles_at_once()
    assert run_a_bundle() == LONGEST_SLEEP_MS


def test_it_is_the_one_default_that_beams_clock_has():
    has_default = [p.name for p in inspect.signature(StateSampler.__init__).parameters.values() if p.default is not p.empty]
    assert has_default == ["sampling_period_ms"]
