"""``SelectEvents`` in a pipeline: batches in, batches out, order kept, letters and counters."""

import json
import logging
import pickle

import apache_beam as beam
import pytest

from tests.dataflow.graphs import labels
from transforms.coders import DuoEvent, DuoPage, SplitPages, Stream
from transforms.events import SelectEvents
from transforms.events.redact_settings import Redaction
from transforms.events.select import SelectBatches
from transforms.formats import FormatEvents
from transforms.process import lifetime
from transforms.process.shutdown import FAILURES
from transforms.records import EventBatch, Subscription
from transforms.secrets import SecretRef, SecretUnavailable
from transforms.settings import Route
from transforms.state.dead_letters.letter import read_dead_letters

AUTH, ACTIVITY = Stream("acme", "auth", "api-1.duosecurity.com"), Stream("acme", "activity", "api-1.duosecurity.com")
SEEN: list = []


@pytest.fixture(autouse=True)
def _new_process():
    lifetime.reset()
    SEEN.clear()
    yield
    lifetime.reset()


def see(event):
    SEEN.append(event)


def rows(count, first=0):
    return [b'{"txid":"T%d","timestamp":%d,"user":{"name":"bob"}}' % (n, n) for n in range(first, first + count)]


def run(pages, tmp_path, *formats, **selects):
    """Pages → split → select (→ format), in one bundle. What comes out is in SEEN."""
    pipeline = beam.Pipeline()
    events = pipeline | "Pages" >> beam.Create(pages, reshuffle=False) | "Split" >> beam.ParDo(SplitPages())
    events |= "Select" >> SelectEvents(**selects, dead_letter_dir=str(tmp_path))
    for name in formats:
        events |= "Format" >> FormatEvents(name, dead_letter_dir=str(tmp_path))
    _ = events | "See" >> beam.Map(see)
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace("duologsync"))["counters"]
    return {counter.key.metric.name: counter.result for counter in found}


def letters(tmp_path):
    return [letter for path in sorted(tmp_path.glob("*.avro")) for letter in read_dead_letters(path)]


def test_what_is_taken_goes_on_in_its_order_and_what_is_not_is_counted(tmp_path):
    counters = run(
        [DuoPage(AUTH, rows(10)), DuoPage(AUTH, rows(10, 10))], tmp_path, where="event.timestamp >= 4 && event.timestamp < 15"
    )

    assert [json.loads(event.raw)["timestamp"] for event in SEEN] == list(range(4, 15))
    assert {event.stream for event in SEEN} == {AUTH}
    assert counters["events_filtered"] == 9
    assert letters(tmp_path) == []


def test_several_streams_are_told_apart_by_their_log_and_account(tmp_path):
    run([DuoPage(AUTH, rows(2)), DuoPage(ACTIVITY, rows(2))], tmp_path, where="log == 'activity' && account == 'acme'")
    assert [event.stream for event in SEEN] == [ACTIVITY, ACTIVITY]


def test_every_format_shows_what_is_redacted_and_nothing_else(tmp_path):
    run([DuoPage(AUTH, rows(1))], tmp_path, "cef", redact={"mask": ["user.name"]})
    [message] = [formatted.message for formatted in SEEN]
    assert b"duser=***" in message
    assert b"bob" not in message
    assert b"externalId=T0" in message


def test_a_dead_letter_of_a_format_holds_the_redacted_row(tmp_path):
    counters = run([DuoPage(AUTH, [b'{"user":"bob","odd":"\xff"}'])], tmp_path, "json", redact={"drop": ["user"]})
    [letter] = letters(tmp_path)
    assert (letter.reason, letter.raw) == ("not_utf8", b'{"odd":"\xff"}')
    assert counters["events_rejected_not_utf8"] == 1


def test_what_cannot_be_redacted_is_told_and_not_kept(tmp_path, caplog):
    counters = run([DuoPage(AUTH, [b'"bob"', *rows(1)])], tmp_path, redact={"drop": ["user"]})
    [letter] = letters(tmp_path)
    assert (letter.reason, letter.raw, letter.message) == ("not_redactable", b"", b"")
    assert counters["events_rejected_not_redactable"] == counters["dead_letters_not_redactable"] == 1
    assert len(SEEN) == 1
    assert "bob" not in caplog.text + letter.detail


def test_a_function_that_fails_is_told_once_with_its_place_and_without_the_event(tmp_path, caplog):
    counters = run([DuoPage(AUTH, rows(3))], tmp_path, function="tests.events.own:broken")
    assert [letter.reason for letter in letters(tmp_path)] == ["function_failed"] * 3
    assert counters["events_rejected_function_failed"] == 3
    told = [
        record.getMessage() for record in caplog.records if record.levelno == logging.ERROR and "own.py" in record.getMessage()
    ]
    assert len(told) == 1
    assert "bob" not in caplog.text


def test_the_rows_that_a_function_makes_of_one_event_follow_each_other(tmp_path):
    run([DuoPage(AUTH, rows(2))], tmp_path, function="tests.events.own:twice")
    assert [json.loads(event.raw).get("txid") for event in SEEN] == ["T0", "T0#1", None, "T0#2", "T1", "T1#1", None, "T1#2"]


def test_what_a_filter_cannot_be_applied_to_goes_on_and_is_told_once(tmp_path, caplog):
    counters = run([DuoPage(AUTH, [b'{"timestamp":"odd"}'] * 5)], tmp_path, where="event.timestamp > 5")
    assert len(SEEN) == counters["filter_failures"] == 5
    assert caplog.text.count("a filter cannot be applied to some events") == 1


def test_single_events_are_taken_too(tmp_path):
    pipeline = beam.Pipeline()
    events = pipeline | beam.Create([DuoEvent(AUTH, each) for each in rows(3)])
    _ = events | SelectEvents(where="event.timestamp == 1", dead_letter_dir=str(tmp_path)) | "See" >> beam.Map(see)
    pipeline.run().wait_until_finish()
    assert [event.raw for event in SEEN] == rows(1, 1)


def test_a_key_that_cannot_be_read_fails_the_bundle_and_sends_nothing(tmp_path):
    step = SelectBatches(
        (Route(("auth",), ("siem",), redact=Redaction(hash=("user",), key=SecretRef("env", "NOT_THERE"))),), "siem"
    )
    step.setup()
    step.start_bundle()
    with pytest.raises(SecretUnavailable):
        list(step.process_batch(EventBatch((DuoPage(AUTH, rows(1)),))))
    assert isinstance(FAILURES.take(Subscription(AUTH, "siem")), SecretUnavailable)


def test_no_key_travels(monkeypatch):
    monkeypatch.setenv("TRAVELLING_KEY", "a key that must not travel")
    step = SelectBatches(
        (Route(("auth",), ("siem",), redact=Redaction(hash=("user",), key=SecretRef("env", "TRAVELLING_KEY"))),), "siem"
    )
    assert b"must not travel" not in pickle.dumps(step)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dead_letter_dir": ""}, "SelectEvents needs dead_letter_dir: give the directory"),
        ({"where": "event.reslt == 'x'", "log_types": ["auth"]}, "where: character 7: auth has no field reslt"),
        ({"log_types": ["aut"]}, "there is no log 'aut'"),
        ({"log_types": "auth"}, r"log_types is a list: write \['auth'\]"),
        ({"redact": {"drop": ["a..b"]}}, "redact: drop: one of these is no path"),
        ({"redact": {"hash": ["user"], "key": "a secret itself"}}, "redact: key takes a reference to a secret"),
        ({"redact": {"hush": ["user"]}}, "redact has no parameter 'hush'"),
        ({"function": "nothing"}, "function: this is not the name of a function"),
    ],
)
def test_what_is_wrong_with_a_parameter_is_told_when_the_pipeline_is_built(given, message):
    with pytest.raises(ValueError, match=message):
        SelectEvents(**{"dead_letter_dir": "d", **given})


def test_it_is_one_step_that_is_fused_and_one_that_keeps_letters():
    pipeline = beam.Pipeline()
    _ = pipeline | beam.Create([DuoEvent(AUTH, b"{}")]) | SelectEvents(dead_letter_dir="d")
    graph = pipeline.to_runner_api()
    assert [each for each in labels(graph) if each.startswith("SelectEvents")] == [
        "SelectEvents",
        "SelectEvents/Keep",
        "SelectEvents/Select",
        "SelectEvents/Select/ParDo(SelectBatches)",
    ]
