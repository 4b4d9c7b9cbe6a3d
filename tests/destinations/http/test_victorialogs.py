"""What arrives at VictoriaLogs, a server that nobody here wrote, by each protocol that we share: exactly what was sent."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.destinations.http.making import FAST, STREAM, TIME_MS, http_destination, page, row, rows, secret
from tests.destinations.http.victorialogs import VictoriaLogs
from transforms.destinations.http import generic, hec
from transforms.formats import make_formatter
from transforms.formats.cef import CefOptions
from transforms.formats.json_lines import JsonOptions
from transforms.records import DuoEvent, FormattedPage, Stream
from transforms.settings import Format

pytestmark = pytest.mark.servers
GOLDEN = Path(__file__).parents[2] / "golden"
MANY = 4000


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    served = VictoriaLogs(tmp_path_factory.mktemp("victorialogs"))
    yield served
    served.stop()


@pytest.fixture
def server(tmp_path):
    served = VictoriaLogs(tmp_path)
    yield served
    served.stop()


WAYS = {
    "hec": ("hec", "/insert/splunk", {}),
    "lines": ("http", "/insert/jsonline?_time_field=isotimestamp&_msg_field=txid", {}),
    "elastic": ("http", "/insert/elasticsearch?_msg_field=message&_time_field=@timestamp", {"preset": "elastic"}),
    "otlp": ("http", "/insert/opentelemetry", {"preset": "otlp"}),
    "datadog": ("http", "/insert/datadog", {"preset": "datadog", "too_old": "send"}),
}
"""Kind, path and settings of each protocol."""


@pytest.fixture
def make(closing, monkeypatch):
    def made(way, url, **changes):
        kind, path, settings = WAYS[way]
        if way in ("hec", "elastic", "datadog"):
            changes["token"] = secret(monkeypatch, "any")
        module = hec if kind == "hec" else generic
        return closing(module.make(http_destination(kind, f"{url}{path}", name=way, **settings, **changes), FAST))

    return made


def golden_rows() -> list[tuple[Stream, bytes]]:
    """All rows that formats are held to, real, odd and hostile, of all logs."""
    paths = (path for path in sorted(GOLDEN.glob("*/*.json")) if path.name.count(".") == 1)
    rows_of = ((path.parent.name, path.read_bytes().strip()) for path in paths)
    return [(Stream("acme", log, STREAM.api_host), raw.replace(b"\n", b" ")) for log, raw in rows_of]


@pytest.mark.parametrize("way", ["hec", "elastic", "otlp", "datadog"])
@pytest.mark.parametrize("written", ["json", "cef"])
def test_every_golden_row_arrives_exactly_as_it_was_written(server, make, way, written):
    formatter = make_formatter(Format(CefOptions() if written == "cef" else JsonOptions()))
    sent, sender = Counter(), make(way, server.url)
    for stream, raw in golden_rows():
        try:
            message = formatter.format(DuoEvent(stream, raw))
        except Exception:  # rows that no format takes are told in tests/formats
            continue
        sender.begin(stream)
        sender.send(FormattedPage(stream, [raw], [message]))
        assert sender.confirm().rejected == ()
        sent[message.decode()] += 1
    server.wait_for(sent.total())

    arrived = Counter(event["_msg"] for event in server.query())
    assert sent.total() > 20
    assert arrived.total() == sent.total()
    assert arrived == sent


def test_lines_of_json_arrive_field_by_field(server, make):
    sender = make("lines", server.url)
    sender.begin()
    sender.send(page([row(0, user={"name": "ada", "key": "DU1"}, result="denied")]))
    sender.confirm()
    server.wait_for(1)
    (event,) = server.query()
    assert (event["user.name"], event["user.key"], event["result"], event["_msg"]) == ("ada", "DU1", "denied", "tx-00000000")
    assert event["_time"] == "2026-11-24T07:15:00.123Z"


def test_a_hec_event_has_its_own_time_and_the_names_of_splunk_s_app(server, make):
    sender = make("hec", server.url)
    sender.begin()
    sender.send(page([row(0)]))
    sender.confirm()
    server.wait_for(1)
    (event,) = server.query('sourcetype:="cisco:duo:authentication_v2" source:=cisco_duo')
    assert event["_time"] == "2026-11-24T07:15:00.123Z"
    assert event["host"] == STREAM.api_host
    assert json.loads(event["_msg"])["txid"] == "tx-00000000"


@pytest.mark.parametrize("way", ["otlp", "elastic"])
def test_an_event_has_its_own_time(server, make, way):
    sender = make(way, server.url)
    sender.begin()
    sender.send(page([row(0)]))
    sender.confirm()
    server.wait_for(1)
    assert server.query()[0]["_time"] == "2026-11-24T07:15:00.123Z"


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_can_be_tried_and_nothing_is_sent(program, make, way):
    before = program.count()
    make(way, program.url).test_connection()
    assert program.count() == before


@pytest.mark.parametrize("way", WAYS)
def test_a_restart_in_the_middle_loses_nothing_and_repeats_at_most_a_request(server, make, way):
    sender, each = make(way, server.url, batch_events=200), 500
    for start in range(0, MANY, each):
        if start == MANY // 2:
            server.stop()
            server.start()
        sender.begin(STREAM)
        sender.send(page(rows(each, start, time_ms=TIME_MS)))
        assert sender.confirm().rejected == ()
    server.wait_for(MANY)

    found = Counter(event["_msg"] if way == "lines" else json.loads(event["_msg"])["txid"] for event in server.query())
    assert len(found) == MANY, "lost"
    assert found.total() - MANY <= 200, "repeated"
