"""One pipeline for any runner: 1,500 events and two that are too long, a Duo that says 429, a SIEM; and its Beam metrics."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.demo.receiver import SiemReceiver
from pipelines.demo.simulator import DuoSimulator, RateLimit
from tests.conftest import IKEY, now_ms
from transforms.destinations import WriteToSiem
from transforms.duo import ReadFromDuo
from transforms.formats import FormatEvents

EVENTS, TOO_LONG = 1_500, 2
LIMIT = RateLimit(calls_per_minute=30, retry_after=2)


@contextmanager
def limited_duo(authority, skey: str, directory: Path) -> Iterator[DuoSimulator]:
    (directory / "skey").write_text(skey)
    with DuoSimulator(IKEY, skey, delay_secs=0, tls=(authority.cert_file, authority.key_file), rate_limit=LIMIT) as duo:
        duo.add_backlog("auth", EVENTS, now_ms() - 60_000, now_ms() - 2_000)
        duo.add("auth", TOO_LONG, row_bytes=4_000)
        yield duo


def build(pipeline: beam.Pipeline, duo: DuoSimulator, siem: SiemReceiver, authority, directory: str) -> None:
    """The secret key is in ``directory``, where every worker finds it."""
    read = ReadFromDuo(
        "localhost", ikey=IKEY, skey=f"file:{directory}/skey", port=duo.port, ca_file=authority.ca_file, log_types=["auth"],
        account="main", checkpoint_dir=f"{directory}/checkpoints", lag_secs=0, start_days=1, once=True,
    )  # fmt: skip
    send = WriteToSiem(
        "tcp", host="127.0.0.1", port=siem.port, max_message_bytes=3_000, dead_letter_dir=f"{directory}/dead", idle_checks=False
    )
    _ = (
        pipeline
        | "Read auth" >> read
        | "Format auth" >> FormatEvents("json", dead_letter_dir=f"{directory}/dead")
        | "Send auth" >> send
    )


def metrics_of(flags: list[str], duo: DuoSimulator, siem: SiemReceiver, authority, directory: str) -> dict[str, object]:
    """What Beam says of a whole run, by name: values of counters and gauges, and distributions."""
    pipeline = beam.Pipeline(options=PipelineOptions([*flags, "--no_save_main_session"]))
    build(pipeline, duo, siem, authority, directory)
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace("duologsync"))
    return {each.key.metric.name: each.result for kind in ("counters", "gauges", "distributions") for each in found[kind]}


def assert_true(metrics: dict[str, object], duo: DuoSimulator) -> None:
    """They say what happened in that run."""
    statuses = [call.status for call in list(duo.calls)]
    assert metrics["events_read"] == EVENTS + TOO_LONG
    assert metrics["events_delivered"] == EVENTS
    assert metrics["events_rejected_oversize"] == metrics["dead_letters_oversize"] == TOO_LONG
    assert metrics["duo_calls_ok"] == statuses.count(200)
    assert metrics["duo_calls_throttled"] == statuses.count(429) >= 1
    assert metrics["duo_throttled_seconds"] == metrics["cumulativeThrottlingSeconds"] >= 1
    assert metrics["received_bytes"] > metrics["sent_bytes"] > EVENTS * 100
    assert metrics["reading_notes_pages"] == statuses.count(200)
    latency = metrics["delivery_latency_seconds"]
    assert (latency.count >= 3, 0 <= latency.min <= latency.max <= 3_600) == (True, True)
