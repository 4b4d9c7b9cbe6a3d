"""The step that reads: Beam's, without the readers that Beam would keep."""

import apache_beam as beam
import pytest
from apache_beam.io.unbounded_source import ReadFromUnboundedSource

from transforms.coders import DuoPageCoder
from transforms.destinations.stream.settings import TcpSettings
from transforms.duo.read import ReadPages
from transforms.duo.source import DuoLogSource, Passes
from transforms.formats.json_lines import JsonOptions
from transforms.secrets import SecretRef
from transforms.settings import Account, Destination, Format, Reading, Storage

ACCOUNT = Account("main", "api-1.duosecurity.com", "DIXXX", SecretRef("env", "DUO_SKEY"))
SIEM = Destination("siem", TcpSettings("127.0.0.1", 1), Format(JsonOptions()))


def source(passes=None, account=ACCOUNT):
    return DuoLogSource("auth", account, "siem", Reading(), Storage("", ""), passes)


def pages(passes=None):
    return ReadPages([source(passes)], SIEM)


def steps(transform):
    """Labels of the steps, and the function of the one that reads."""
    pipeline = beam.Pipeline()
    pipeline | "Read" >> transform
    found = steps_of(pipeline)
    (read,) = [step.transform.fn for step in found if step.full_label == "Read/ReadUnbounded"]
    return [step.full_label for step in found], read


def steps_of(pipeline):
    """Its steps, composites included."""
    found = []

    class Visitor(beam.pipeline.PipelineVisitor):
        def visit_transform(self, node):
            found.append(node)

        def enter_composite_transform(self, node):
            found.append(node)

    pipeline.visit(Visitor())
    return found


@pytest.mark.parametrize("passes", [None, Passes()])
def test_its_labels_are_those_of_beam(passes):
    assert steps(pages(passes))[0] == steps(ReadFromUnboundedSource(source(passes)))[0]


@pytest.mark.parametrize("passes", [None, Passes()])
def test_its_pages_are_coded_by_our_own_coder_which_later_releases_can_read(passes):
    pipeline = beam.Pipeline()
    read = pipeline | "Read" >> pages(passes)
    plan, context = pipeline.to_runner_api(return_context=True)

    coder_id = plan.components.pcollections[context.pcollections.get_id(read)].coder_id
    assert type(context.coders.get_by_id(coder_id)) is DuoPageCoder


def test_each_element_of_the_step_holds_one_account_so_that_they_spread_over_workers():
    other = Account("other", "api-2.duosecurity.com", "DIYYY", SecretRef("env", "OTHER_SKEY"))
    pipeline = beam.Pipeline()
    pipeline | "Read" >> ReadPages([source(), source(account=other)], SIEM)
    (create,) = [step for step in steps_of(pipeline) if isinstance(step.transform, beam.Create)]

    assert [each.account for each in create.transform.values] == [ACCOUNT, other]
    assert all(list(each.split(20)) == [each] for each in create.transform.values)


def test_on_streaming_runners_no_reader_outlives_its_bundle():
    _, read = steps(pages())
    read.setup()

    assert read._reader_cache is None
    read.teardown()


def test_in_passes_beam_may_keep_the_reader_whose_pages_are_counted():
    _, read = steps(pages(Passes()))
    read.setup()

    assert read._reader_cache is not None
    read.teardown()
