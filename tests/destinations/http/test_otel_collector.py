"""An OpenTelemetry Collector, which nobody here wrote: each event arrives by OTLP as it was written, over a restart, too."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.destinations.http.making import FAST, STREAM, TIME_MS, http_destination, page, row, rows
from tests.destinations.http.test_victorialogs import golden_rows
from tests.receivers.configured import from_cache
from tests.servers.harness import wait_until
from transforms.destinations.http import generic
from transforms.formats import make_formatter
from transforms.formats.cef import CefOptions
from transforms.records import DuoEvent, FormattedPage
from transforms.settings import Format

pytestmark = pytest.mark.servers
CONFIG = """
receivers:
  otlp:
    protocols:
      http: {{endpoint: 127.0.0.1:{port}}}
exporters:
  file: {{path: {folder}/records.json, append: true}}
service:
  telemetry:
    metrics: {{level: none}}
  pipelines:
    logs: {{receivers: [otlp], exporters: [file]}}
"""


class Collector:
    """A running collector that writes what it gets into a file."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._folder = folder
        (folder / "otel.yaml").write_text(CONFIG.format(port=self.port, folder=folder))
        self.start()

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            command = [from_cache("get_otel.sh"), f"--config={self._folder}/otel.yaml"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._listens, "the collector listens", 30)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)

    def records(self) -> list[dict]:
        written = (self._folder / "records.json").read_text().split("\n")[:-1]  # the last one is being written
        scopes = [scope for line in written for resource in json.loads(line)["resourceLogs"] for scope in resource["scopeLogs"]]
        return [record for scope in scopes for record in scope["logRecords"]]


@pytest.fixture
def collector(tmp_path):
    running = Collector(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def sender(collector, closing):
    there = http_destination("http", f"http://127.0.0.1:{collector.port}", preset="otlp", batch_events=200)
    return closing(generic.make(there, FAST))


def texts(collector: Collector, count: int) -> Counter[str]:
    end = time.monotonic() + 10
    while len(collector.records()) < count and time.monotonic() < end:
        time.sleep(0.1)
    return Counter(record["body"]["stringValue"] for record in collector.records())


def test_every_golden_row_arrives_exactly_as_it_was_written(collector, sender):
    formatter, sent = make_formatter(Format(CefOptions())), Counter()
    for stream, raw in golden_rows():
        try:
            message = formatter.format(DuoEvent(stream, raw))
        except Exception:  # rows that no format takes are told in tests/formats
            continue
        sender.begin(stream)
        sender.send(FormattedPage(stream, [raw], [message]))
        assert sender.confirm().rejected == ()
        sent[message.decode()] += 1
    assert texts(collector, sent.total()) == sent


def test_a_record_has_the_event_s_own_time(collector, sender):
    sender.begin()
    sender.send(page([row(0)]))
    sender.confirm()
    assert texts(collector, 1)[row(0).decode()] == 1
    assert collector.records()[0]["timeUnixNano"] == str(TIME_MS * 1_000_000)


def test_a_restart_in_the_middle_loses_nothing(collector, sender):
    for start in range(0, 2000, 500):
        if start == 1000:
            collector.stop()
            collector.start()
        sender.begin(STREAM)
        sender.send(page(rows(500, start)))
        assert sender.confirm().rejected == ()
    arrived = texts(collector, 2000)
    assert len(arrived) == 2000
    assert arrived.total() - 2000 <= 200


def test_a_connection_can_be_tried_and_nothing_is_sent(collector, sender):
    sender.test_connection()
    sender.begin()
    sender.send(page([row(0)]))
    sender.confirm()
    assert texts(collector, 1).total() == 1
