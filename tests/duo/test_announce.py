"""What a chain reads on Flink: each source is announced once in the life of a job, also one that the graph got later."""

import apache_beam as beam
import pytest
from apache_beam.coders import BooleanCoder
from apache_beam.io.flink.flink_streaming_impulse_source import FlinkStreamingImpulseSource
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.testing.util import assert_that, equal_to

from pipelines.graph import build
from pipelines.launch_files.dataflow.flex_main import job_of
from tests.dataflow.graphs import labels
from tests.dataflow.test_flex_main import REQUIRED
from transforms.duo.announce import AnnounceOnce, _Offer, key_of
from transforms.duo.read import ReadPages
from transforms.duo.source import DuoLogSource, Passes
from transforms.secrets import SecretRef
from transforms.settings import Account, Reading, Storage


def source(account, reading=None, passes=None):
    owner = Account(account, "api-1.duosecurity.com", "DIXXX", SecretRef("env", "DUO_SKEY"))
    return DuoLogSource("auth", owner, "siem", reading or Reading(), Storage("", ""), passes)


GCP = ("--project=a-project", "--region=r", "--temp_location=gs://a-bucket/t", "--staging_location=gs://a-bucket/s")
A, B, C = (source(name) for name in "abc")


def offered(*sources):
    """What one impulse makes of a graph with these sources."""
    return list(_Offer(sources).process(b"0"))


def assert_announced(offers, expected):
    """State is the runner's, so that offers of two graphs in one pipeline are those of a job before and after a savepoint."""
    with beam.Pipeline() as pipeline:
        announced = pipeline | beam.Create(offers) | beam.ParDo(AnnounceOnce())
        assert_that(announced, equal_to(expected))


def test_however_often_an_impulse_comes_each_source_is_announced_once():
    assert_announced(offered(A, B) * 3, [A, B])


def test_a_graph_that_has_more_announces_what_it_has_more():
    assert_announced(offered(A, B) + offered(C, A, B) * 2, [A, B, C])


def test_a_graph_that_has_less_announces_nothing_and_what_comes_back_goes_on_from_the_state_of_the_reading_step():
    assert_announced(offered(A, B) + offered(B) + offered(A, B), [A, B])


def test_other_settings_make_no_other_source_of_it():
    assert_announced([*offered(A), *offered(source("a", Reading(page_pause_secs=9.0)))], [A])


def test_the_key_and_the_state_are_bytes_that_savepoints_hold():
    assert key_of(A) == b'["a","auth","api-1.duosecurity.com","siem"]'
    spec = AnnounceOnce._announced
    assert (spec.name, type(spec.coder), spec.coder.encode(True)) == ("announced", BooleanCoder, b"\x01")


def test_the_key_of_the_state_is_coded_as_the_bytes_that_it_is():
    components = graph_for("FlinkRunner").components
    (offer,) = [step for step in components.transforms.values() if step.unique_name.endswith("/Announce/Offer")]
    (offers,) = offer.outputs.values()
    key, _source = components.coders[components.pcollections[offers].coder_id].component_coder_ids

    assert components.coders[key].spec.urn == common_urns.coders.BYTES.urn


def graph_for(runner):
    pipeline = beam.Pipeline(runner, options=PipelineOptions(["--streaming"]))
    build(pipeline, job_of({**REQUIRED, "log_types": "auth"})[0])
    return pipeline.to_runner_api()


@pytest.mark.parametrize("runner", ["FlinkRunner", "PortableRunner"])
def test_on_flink_no_chain_begins_with_an_impulse_that_flink_knows_by_its_place(runner):
    urns = {step.spec.urn for step in graph_for(runner).components.transforms.values()}

    assert FlinkStreamingImpulseSource.URN in urns
    assert common_urns.primitives.IMPULSE.urn not in urns


def test_the_labels_on_flink_are_those_that_savepoints_have():
    assert [label for label in labels(graph_for("FlinkRunner")) if label.startswith("Read")] == [
        "Read auth for siem",
        "Read auth for siem/Pages",
        "Read auth for siem/Pages/Announce",
        "Read auth for siem/Pages/Announce/Impulses",
        "Read auth for siem/Pages/Announce/Offer",
        "Read auth for siem/Pages/Announce/Once",
        "Read auth for siem/Pages/ReadUnbounded",
        "Read auth for siem/Split",
    ]


@pytest.mark.parametrize("runner", ["DirectRunner", "PrismRunner", "DataflowRunner"])
def test_other_runners_know_a_chain_by_its_label_or_keep_no_state_and_get_beams_create(runner):
    pipeline = beam.Pipeline(runner, options=PipelineOptions(["--streaming", *GCP]))
    pipeline | ReadPages([A], None)

    assert FlinkStreamingImpulseSource.URN not in {
        step.spec.urn for step in pipeline.to_runner_api().components.transforms.values()
    }


def test_what_ends_on_flink_is_a_batch_job_that_no_endless_impulse_begins():
    pipeline = beam.Pipeline("FlinkRunner")
    pipeline | ReadPages([source("a", passes=Passes(caught_up=True))], None)

    assert FlinkStreamingImpulseSource.URN not in {
        step.spec.urn for step in pipeline.to_runner_api().components.transforms.values()
    }
