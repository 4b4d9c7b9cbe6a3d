"""What Prometheus gets: every metric of the catalog and nothing else, true, and readable whatever a name is."""

import time
import urllib.request
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from pipelines.demo.receiver import SiemReceiver
from pipelines.monitoring.place import place_in
from pipelines.monitoring.prometheus import exposition
from pipelines.monitoring.report import (
    VERSION,
    BudgetReport,
    DestinationReport,
    Missing,
    ProcessReport,
    Report,
    State,
    StreamReport,
)
from tests.conftest import FAST
from tests.metrics import graph
from tests.pipeline.test_local_run import RunningJob
from transforms.destinations.stream.settings import TcpSettings
from transforms.formats.json_lines import JsonOptions
from transforms.metrics import catalog
from transforms.metrics.catalog import CATALOG
from transforms.metrics.registry import METRICS
from transforms.secrets import SecretRef
from transforms.settings import Account, Destination, Format, Job, Monitoring, Route, Storage

NOW_MS = 1_795_504_500_000
STREAM = StreamReport(
    account="main", log_type="auth", destination="siem", state=State.BEHIND, words="", position_ms=NOW_MS - 60_000,
    safe_ms=NOW_MS - 90_000, lag_secs=60.0, backlog_events=12, oldest_undelivered_ms=NOW_MS - 45_000,
    committed_ms=NOW_MS - 5_000, missing=(Missing(1, 2, 40, 1, None), Missing(3, 4, 2, 1, 5)),
)  # fmt: skip
REPORT = Report(
    v=VERSION, time_ms=NOW_MS, state=State.BEHIND, words="",
    process=ProcessReport(1, "1.0.0", NOW_MS - 1_000_000, 150_000_000, 9, 12.5),
    streams=(STREAM,),
    destinations=(
        DestinationReport("siem", "tls", "siem.example.com:6514", True, connections=2, held_bytes=512,
                          certificate_expires_ms=NOW_MS + 86_400_000, client_certificate_expires_ms=NOW_MS + 1_000),
        DestinationReport("lake", "file", "/var/log", None),
    ),
    budgets=(BudgetReport("main", "auth", 1.5, 1.25, 10, 1),),
)  # fmt: skip


Samples = dict[str, dict[tuple[str, ...], float]]


def base(name: str) -> str:
    """The name in the catalog of what a sample is called."""
    for ending in ("_bucket", "_sum", "_count"):
        if name.removesuffix(ending) in CATALOG:
            return name.removesuffix(ending)
    return name


def samples(content: bytes, content_type: str) -> Samples:
    """Every sample of an answer, by its labels in the catalog's order, read back by prometheus_client's own readers."""
    read = read_openmetrics if "openmetrics" in content_type else read_text
    found: Samples = {}
    for family in read(content.decode("utf-8")):
        for sample in family.samples:
            labels = dict(sample.labels)
            key = [labels.pop(name) for name in CATALOG[base(sample.name)].labels]
            found.setdefault(sample.name, {})[(*key, *labels.values())] = sample.value
    return found


def told(report: Report = REPORT, accept: str = "") -> Samples:
    return samples(*exposition(report, accept))


@pytest.fixture
def running(authority, skey, tmp_path):
    """A whole run: a Duo that says 429, a SIEM, two events that it does not take. What ``/metrics`` says when all is done."""
    with graph.limited_duo(authority, skey, tmp_path) as duo, SiemReceiver() as siem:
        key = SecretRef("file", str(tmp_path / "skey"))
        account = Account("main", "localhost", graph.IKEY, key, port=duo.port, ca_file=authority.ca_file)
        job = Job(
            accounts=(account,),
            destinations=(
                Destination("siem", TcpSettings("127.0.0.1", siem.port), Format(JsonOptions()), max_message_bytes=3_000),
            ),
            routes=(Route(("auth",), ("siem",)),),
            storage=Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead")),
            reading=replace(FAST, poll_interval_secs=3.0),
            monitoring=Monitoring(port=0),
        )
        with RunningJob(job):
            yield duo, job


def ask(job: Job, accept: str = "") -> Samples:
    place = place_in(job.storage.checkpoint_dir)
    assert place is not None
    request = urllib.request.Request(f"{place.url}metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return samples(answer.read(), answer.headers["Content-Type"])


class TestARun:
    def test_says_what_happened_and_has_every_name_of_the_catalog_and_no_other(self, running, eventually):
        duo, job = running
        stream = ("main", "auth", "siem")
        eventually(lambda: place_in(job.storage.checkpoint_dir) is not None, "the endpoint")
        eventually(lambda: ask(job).get("duologsync_events_delivered_total", {}).get(stream) == graph.EVENTS, "the events", 60)
        eventually(lambda: ask(job).get("duologsync_dead_letters_total", {}).get((*stream, "oversize")) == graph.TOO_LONG)
        eventually(lambda: any(call.status == 429 for call in list(duo.calls)), "a 429", 60)
        eventually(lambda: ask(job).get("duologsync_duo_calls_total", {}).get(("main", "auth", "throttled"), 0) >= 1)
        eventually(lambda: set(CATALOG) - set(map(base, ask(job))) <= WITHOUT_A_CAUSE, "a value of each name")
        found = ask(job)

        assert found["duologsync_events_read_total"] == {stream: graph.EVENTS + graph.TOO_LONG}
        assert found["duologsync_events_rejected_total"] == {(*stream, "oversize"): graph.TOO_LONG}
        assert found["duologsync_events_filtered_total"] == {stream: 0}
        assert found["duologsync_delivery_latency_seconds_count"][stream] == graph.EVENTS + graph.TOO_LONG
        assert found["duologsync_destination_up"] == {("siem",): 1}
        assert found["duologsync_reading_notes_total"][(*stream, "pages")] >= 2
        assert found["process_resident_memory_bytes"][()] > 10_000_000
        assert {base(name) for name in found} <= set(CATALOG)

    def test_is_told_as_openmetrics_to_whom_asks_for_it(self, running, eventually):
        _, job = running
        eventually(lambda: place_in(job.storage.checkpoint_dir) is not None, "the endpoint")
        eventually(lambda: "duologsync_events_delivered_total" in ask(job, "application/openmetrics-text; version=1.0.0"))


# What needs a cause that this run may not have; of these ``REPORT`` has values, below, or the test of drift has them.
WITHOUT_A_CAUSE = {
    "duologsync_safe_position_timestamp_seconds",
    "duologsync_backlog_events",
    "duologsync_oldest_undelivered_age_seconds",
    "duologsync_duo_call_interval_seconds",
    "duologsync_duo_limit_interval_seconds",
    "duologsync_certificate_expiry_timestamp_seconds",
    "duologsync_unknown_fields",
    "duologsync_unknown_values",
}


class TestValues:
    def test_times_are_seconds_and_ages_are_reckoned_from_the_report(self):
        found = told()
        stream = ("main", "auth", "siem")
        assert found["duologsync_position_timestamp_seconds"] == {stream: NOW_MS / 1000 - 60}
        assert found["duologsync_safe_position_timestamp_seconds"] == {stream: NOW_MS / 1000 - 90}
        assert found["duologsync_position_age_seconds"] == {stream: 60}
        assert found["duologsync_oldest_undelivered_age_seconds"] == {stream: 45}
        assert found["duologsync_checkpoint_age_seconds"] == {stream: 5}
        assert found["duologsync_start_time_seconds"] == {(): NOW_MS / 1000 - 1_000}
        assert found["duologsync_certificate_expiry_timestamp_seconds"] == {
            ("siem", "server"): NOW_MS / 1000 + 86_400,
            ("siem", "client"): NOW_MS / 1000 + 1,
        }

    def test_counts_of_the_report(self):
        found = told()
        assert found["duologsync_backlog_events"] == {("main", "auth", "siem"): 12}
        assert found["duologsync_missing_events"] == {("main", "auth", "siem"): 42}
        assert found["duologsync_stream_state"] == {("main", "auth", "siem", "behind"): 1}
        assert found["duologsync_replay_buffer_bytes"] == {("siem",): 512, ("lake",): 0}
        assert found["duologsync_duo_call_interval_seconds"] == {("main", "auth"): 1.5}
        assert found["duologsync_duo_limit_interval_seconds"] == {("main", "auth"): 1.25}
        assert (found["process_cpu_seconds_total"], found["process_threads"]) == ({(): 12.5}, {(): 9})

    def test_what_is_not_known_has_no_series(self):
        found = told(replace(REPORT, streams=(StreamReport("main", "auth", "siem", State.STARTING, ""),)))
        assert found["duologsync_destination_up"] == {("siem",): 1}
        for name in ("position_timestamp_seconds", "position_age_seconds", "backlog_events", "checkpoint_age_seconds"):
            assert f"duologsync_{name}" not in found

    def test_a_counter_of_a_stream_begins_at_zero(self):
        assert told()["duologsync_events_delivered_total"] == {("main", "auth", "siem"): 0}

    def test_what_is_new_is_counted_by_its_log(self):
        METRICS.add(catalog.UNKNOWN_FIELDS, ("auth",), 2)
        METRICS.add(catalog.UNKNOWN_VALUES, ("auth", "factor"))
        found = told()
        assert found["duologsync_unknown_fields"] == {("auth",): 2}
        assert found["duologsync_unknown_values"] == {("auth", "factor"): 1}

    def test_buckets_hold_all_that_is_below_them(self):
        METRICS.observe(catalog.DELIVERY_LATENCY, ("main", "auth", "siem"), [(0.5, 3), (7.0, 4), (1e6, 5)])
        found = told()
        buckets = found["duologsync_delivery_latency_seconds_bucket"]
        assert buckets[("main", "auth", "siem", "1.0")] == buckets[("main", "auth", "siem", "5.0")] == 3
        assert buckets[("main", "auth", "siem", "10.0")] == buckets[("main", "auth", "siem", "86400.0")] == 7
        assert buckets[("main", "auth", "siem", "+Inf")] == 12
        assert found["duologsync_delivery_latency_seconds_count"] == {("main", "auth", "siem"): 12}

    def test_both_forms_say_the_same(self):
        METRICS.add(catalog.DUO_CALLS, ("main", "auth", "ok"), 3)
        METRICS.observe(catalog.DELIVERY_LATENCY, ("main", "auth", "siem"), [(0.5, 3)])
        assert told() == told(accept="application/openmetrics-text; version=1.0.0,text/plain;q=0.5")


@pytest.mark.parametrize("name", ['a "quoted" one', "two\nlines", "back\\slash\\", "鈴木 ☃", "}{,=", "half \ud800 a character"])
def test_a_name_can_be_anything(name):
    METRICS.add(catalog.EVENTS_READ, (name, "auth", "siem"), 1)
    report = replace(REPORT, streams=(replace(STREAM, account=name),))
    written = name.encode("utf-8", "backslashreplace").decode("utf-8")
    for accept in ("", "application/openmetrics-text; version=1.0.0"):
        found = told(report, accept)
        assert found["duologsync_events_read_total"] == {(written, "auth", "siem"): 1}
        assert found["duologsync_position_age_seconds"] == {(written, "auth", "siem"): 60}


def test_an_msp_of_a_thousand_children_has_as_many_series_as_the_document_says():
    children = [f"msp/DA{number:018}" for number in range(1_000)]
    streams = tuple(
        replace(STREAM, account=account, log_type=log_type)
        for account in children
        for log_type in ("auth", "activity", "telephony", "trustmonitor")
    )
    for stream in streams:
        labels = (stream.account, stream.log_type, "siem")
        METRICS.observe(catalog.DELIVERY_LATENCY, labels, [(1.0, 1)])
        METRICS.add(catalog.EVENTS_DELIVERED, labels)
    before = time.process_time()
    content, _ = exposition(replace(REPORT, streams=streams))
    print(f"{time.process_time() - before:.2f} s of CPU, {len(content):,} bytes")
    series = [line for line in content.splitlines() if not line.startswith(b"#")]
    assert len(series) / len(streams) < 45
