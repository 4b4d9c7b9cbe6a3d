"""Step labels are state: an update of a running job keeps the position of a stream only under the label it had."""

from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.portability import common_urns

from pipelines.graph import build
from pipelines.launch_files.dataflow.flex_main import job_of
from tests.dataflow.graphs import labels
from tests.dataflow.test_flex_main import REQUIRED
from transforms.events.redact_settings import Redaction

LABELS = Path(__file__).with_name("step_labels.txt")


def graph(of=lambda job: job, **parameters: str):
    pipeline = beam.Pipeline()
    build(pipeline, of(job_of({**REQUIRED, **parameters})[0]))
    return pipeline.to_runner_api()


def test_the_labels_are_those_that_running_jobs_have():
    assert labels(graph()) == LABELS.read_text().splitlines(), (
        "a job under way would lose its position: name the old label in --transform_name_mapping, and say so in CHANGELOG.md"
    )


def test_no_setting_of_a_destination_changes_a_label():
    other = {"siem_kind": "udp", "siem_host": "other", "siem_port": "514", "siem_format": "json", "start_days": "1"}
    assert labels(graph(**other)) == LABELS.read_text().splitlines()


def test_leaving_out_a_log_changes_no_label_of_the_others():
    assert set(labels(graph(log_types="auth"))) < set(LABELS.read_text().splitlines())


def test_routes_that_select_add_a_step_to_their_own_chains_and_change_no_other_label():
    known, selecting = set(LABELS.read_text().splitlines()), set(labels(graph(of=of_log_ins_a_part)))
    assert known < selecting
    assert sorted(selecting - known) == [
        "Select auth for siem",
        "Select auth for siem/Keep",
        "Select auth for siem/Select",
        "Select auth for siem/Select/ParDo(SelectBatches)",
    ]


@pytest.mark.parametrize("of", ["two_of_everything", "of_log_ins_a_part"])
def test_nothing_breaks_the_fusion_of_reading_and_sending(of):
    # What brings a step its sources may: it spreads accounts over workers, and carries no events.
    steps = [step for step in graph(of=globals()[of]).components.transforms.values() if "/Create" not in step.unique_name]
    urns = {step.spec.urn for step in steps}
    breaking = {
        common_urns.primitives.GROUP_BY_KEY.urn,
        common_urns.composites.RESHUFFLE.urn,
        common_urns.primitives.FLATTEN.urn,
    }
    assert common_urns.primitives.PAR_DO.urn in urns
    assert not urns & breaking


def test_two_destinations_of_a_log_share_no_step_and_leave_each_others_labels_alone():
    both = graph(of=two_of_everything)
    per_chain = {name: set() for name in ("siem", "other")}
    for step in both.components.transforms.values():
        for name, collections in per_chain.items():
            if f" for {name}" in step.unique_name:
                collections.update(step.inputs.values(), step.outputs.values())

    assert set(LABELS.read_text().splitlines()) < set(labels(both))
    assert per_chain["siem"]
    assert per_chain["other"]
    assert not per_chain["siem"] & per_chain["other"]


def of_log_ins_a_part(job):
    [route] = job.routes
    of_auth = replace(route, log_types=("auth",), where="event.result != 'success'", redact=Redaction(drop=("email",)))
    others = replace(route, log_types=tuple(log for log in route.log_types if log != "auth"))
    return replace(job, routes=(of_auth, others))


def two_of_everything(job):
    other = [replace(thing, name="other") for thing in (job.accounts[0], job.destinations[0])]
    routes = tuple(replace(route, destinations=("siem", "other")) for route in job.routes)
    return replace(job, accounts=(*job.accounts, other[0]), destinations=(*job.destinations, other[1]), routes=routes)
