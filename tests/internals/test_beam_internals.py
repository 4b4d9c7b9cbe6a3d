"""What is used or replaced of Beam's own: Beam is still as it was when that was done, and ours still fits."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipelines.beam_internals import BEAM_VERSION
from pipelines.beam_internals.causes import cause_of, cause_without_events
from pipelines.beam_internals.flags import unknown_to_beam
from pipelines.beam_internals.job_timeout import let_the_job_live_long
from pipelines.beam_internals.log_records import in_words
from pipelines.beam_internals.planning import plan_of, run_plan
from pipelines.log_lines import TerminalLines
from transforms.errors import RetryLater

ROOT = Path(__file__).parents[2]
SEEN: list[int] = []


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where this process makes its temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    SEEN.clear()
    return tmp_path


class Keep(beam.DoFn):
    def process(self, element):
        SEEN.append(element)


class Fail(beam.DoFn):
    def process(self, element):
        raise RetryLater("not now", kind="test")


def test_the_version_is_the_one_that_they_were_written_for():
    assert beam.__version__ == BEAM_VERSION, "read each of pipelines.beam_internals against the new version"
    assert f'"apache-beam=={BEAM_VERSION}"' in (ROOT / "setup.py").read_text()


def test_no_other_module_uses_private_names_of_beam():
    """Names that begin with an underscore, imported from Beam or taken from one of its modules."""
    imports = re.compile(r"from apache_beam[\w.]* import [^\n]*\b_[a-zA-Z]|pipeline_options\._")
    using = [
        str(path.relative_to(ROOT))
        for package in ("pipelines", "transforms")
        for path in (ROOT / package).rglob("*.py")
        if imports.search(path.read_text())
    ]
    assert using == ["pipelines/beam_internals/flags.py", "transforms/duo/read.py"]


# --- planning ------------------------------------------------------------------------------------------------------------


def test_a_plan_is_run_as_often_as_wanted_and_leaves_nothing_behind(temporary):
    plan = plan_of(lambda pipeline: pipeline | beam.Create([1, 2]) | beam.ParDo(Keep()))
    run_plan(plan)
    run_plan(plan)

    assert sorted(SEEN) == [1, 1, 2, 2]
    assert list(temporary.iterdir()) == []


def test_beam_still_makes_a_directory_that_only_a_run_removes(temporary):
    beam.Pipeline(runner=FnApiRunner())

    assert len(list(temporary.iterdir())) == 1, "a Pipeline leaves nothing behind now: planning need not remove it"


def test_what_a_step_raises_arrives_at_who_runs_the_plan():
    plan = plan_of(lambda pipeline: pipeline | beam.Create([1]) | beam.ParDo(Fail()))

    with pytest.raises(Exception, match="not now"):
        run_plan(plan)


# --- flags ---------------------------------------------------------------------------------------------------------------


def test_beam_still_only_warns_of_a_flag_that_it_does_not_know():
    PipelineOptions(["--checkpointing_intervall=1"]).get_all_options()  # the day this raises, flags is not needed

    assert unknown_to_beam(["--checkpointing_intervall=1", "--runner=PrismRunner", "--job_name", "x"]) == [
        "--checkpointing_intervall=1"
    ]


# --- timeout -------------------------------------------------------------------------------------------------------------


def test_beam_still_has_one_timeout_of_minutes_for_reaching_a_server_and_for_following_a_job():
    options = PipelineOptions(["--job_server_timeout=7"])

    assert let_the_job_live_long(PipelineOptions([])) <= 600, "Beam waits long enough by itself: this is not needed"
    assert let_the_job_live_long(options) == 7
    assert options.view_as(PortableOptions).job_server_timeout > 9 * 365 * 86_400


# --- log records ---------------------------------------------------------------------------------------------------------


def run_a_bundle_that_fails(caplog, monkeypatch):
    # Handlers that a command of an earlier test has set up change the very records that this looks at.
    monkeypatch.setattr(logging.getLogger(), "handlers", [caplog.handler])
    with caplog.at_level(logging.WARNING), pytest.raises(Exception, match="not now"):
        run_plan(plan_of(lambda pipeline: pipeline | beam.Create([1]) | beam.ParDo(Fail())))
    return [record for record in caplog.records if record.name.startswith("apache_beam") and record.exc_info]


def test_what_beam_logs_of_an_error_that_we_raise_on_purpose_is_said_by_us(caplog, monkeypatch):
    (record, *_) = run_a_bundle_that_fails(caplog, monkeypatch)
    assert record.levelno == logging.ERROR, "Beam does not log it as an error any more: this is not needed"
    assert "[while running" in record.getMessage(), "Beam names no steps any more: this and causes are not needed"
    with caplog.at_level(logging.INFO):
        assert not in_words(record)
    with caplog.at_level(logging.DEBUG):
        assert in_words(record)


def test_an_error_that_is_a_bug_keeps_its_traceback_and_its_text_is_for_who_asks_for_it(caplog):
    error = ValueError("a row of somebody's")
    bug = (ValueError, error, None)
    record = logging.LogRecord("apache_beam.runners", logging.ERROR, "", 1, f"{error} [while running 'x']", (), bug)
    with caplog.at_level(logging.DEBUG):
        assert in_words(record)
        assert "somebody" in record.getMessage()
    with caplog.at_level(logging.INFO):
        assert in_words(record)
    assert (record.levelno, record.exc_info) == (logging.ERROR, bug)
    assert record.getMessage() == "A step failed by an error that nobody expected: ValueError."


def test_what_others_warn_of_has_a_code_too_and_can_be_rendered():
    record = logging.LogRecord("apache_beam.runners", logging.WARNING, "", 1, "text", (), None)
    assert in_words(record)

    assert "text [DLS-P015]" in TerminalLines().format(record)


# --- causes --------------------------------------------------------------------------------------------------------------


def test_an_error_that_comes_out_of_beam_is_said_without_classes_and_steps():
    with pytest.raises(Exception, match="not now") as failed:
        run_plan(plan_of(lambda pipeline: pipeline | beam.Create([1]) | "Send auth for siem" >> beam.ParDo(Fail())))
    assert "[while running 'Send auth for siem" in str(failed.value)
    assert cause_of(failed.value) == "not now"


def test_of_a_traceback_as_text_the_last_line_is_the_cause():
    text = "Traceback:\n  File x\ntransforms.errors.RetryLater: it is away. [while running 'a/ParDo(B)']\n"
    assert cause_of(RuntimeError(text)) == cause_without_events(RuntimeError(text)) == "it is away."
    assert cause_of(RuntimeError(" ")) == "RuntimeError"


def test_what_may_quote_an_event_is_left_out_of_a_cause():
    assert cause_without_events(ValueError("ada@example.com")) == "ValueError (--verbose shows what it says)"
    assert cause_without_events(OSError(28, "No space left on device")) == "[Errno 28] No space left on device"
    assert cause_without_events(RetryLater("it is away.", kind="network")) == "it is away."
