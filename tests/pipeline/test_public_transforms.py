"""The three transforms as an engineer meets them who knows Beam: parameters, errors, types, display data, metrics."""

import logging
import math
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.metrics.metric import Lineage
from apache_beam.transforms.display import DisplayData
from apache_beam.transforms.window import FixedWindows, SlidingWindows, TimestampedValue

from pipelines.demo.receiver import SiemReceiver
from pipelines.demo.simulator import DuoSimulator
from pipelines.demo.simulator.rate import RateLimit
from tests.conftest import IKEY, now_ms
from tests.dataflow.graphs import unpacked
from tests.destinations.peers import Peer, eventually
from transforms.coders import DuoEvent, FormattedEvent, Stream
from transforms.destinations import WriteToSiem, WriteToSiemResult, pool
from transforms.duo import ReadFromDuo
from transforms.formats import FormatEvents
from transforms.process import lifetime
from transforms.process.shutdown import STOP
from transforms.records import DuoRow
from transforms.state.dead_letters.letter import DeadLetter, read_dead_letters

ROOT = Path(__file__).parents[2]
HOST = "api-1.duosecurity.com"
DUO = {"ikey": IKEY, "skey": "env:DUO_SKEY", "checkpoint_dir": "/nowhere"}
KEPT = {"dead_letter_dir": "d"}
SIEM = {"host": "127.0.0.1", "port": 514, "dead_letter_dir": "/nowhere"}
EVENT = DuoEvent(Stream("acme", "auth", HOST), b'{"n":1}')
SEEN: list = []


@pytest.fixture(autouse=True)
def _new_process():
    lifetime.reset()
    SEEN.clear()
    yield
    pool.close_all(0.5)
    lifetime.reset()


def test_importing_the_packages_loads_no_beam():
    program = (
        "import sys, transforms.duo, transforms.formats, transforms.destinations\n"
        "assert 'apache_beam' not in sys.modules, 'loaded with ' + str([m for m in sys.modules if 'beam' in m][:3])\n"
        "assert transforms.duo.ReadFromDuo and 'apache_beam' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ReadFromDuo(HOST, **{**DUO, "ikey": None}), "ReadFromDuo needs ikey: give ikey=….",),
        (lambda: ReadFromDuo(HOST, **{**DUO, "checkpoint_dir": None}), "ReadFromDuo needs checkpoint_dir: give the directory"),
        (lambda: ReadFromDuo(HOST, **DUO, log_types="auth"), r"ReadFromDuo: log_types is a list: write \['auth'\]."),
        (lambda: ReadFromDuo(HOST, **DUO, log_types=["aut"]), "there is no log 'aut'. There are auth, "),
        (lambda: ReadFromDuo(HOST, **DUO, start_days=200), "ReadFromDuo: start_days: Duo keeps 180 days"),
        (lambda: ReadFromDuo(HOST, **DUO, port="443"), "ReadFromDuo: port: expected `int"),
        (lambda: ReadFromDuo(HOST, **DUO, port=0), "ReadFromDuo: port: it is too small. Give at least 1."),
        (lambda: ReadFromDuo(HOST, **DUO, start_days=math.nan), "ReadFromDuo: start_days: Duo keeps 180 days"),
        (lambda: ReadFromDuo(HOST, **DUO, poll_interval_secs=0), "ReadFromDuo: poll_interval_secs: it is too small."),
        (lambda: ReadFromDuo(HOST, **DUO, poll_interval_secs=math.nan), "ReadFromDuo: poll_interval_secs: it is no number."),
        (lambda: ReadFromDuo(HOST, **DUO, lag_secs=-1), "ReadFromDuo: lag_secs: it is too small. Give at least 0."),
        (lambda: ReadFromDuo(HOST, **DUO, lag_secs=math.inf), "ReadFromDuo: lag_secs: it is too large. Give at most 86400."),
        (lambda: ReadFromDuo(HOST, **DUO, overlap_secs=math.nan), "ReadFromDuo: overlap_secs: it is no number."),
        (lambda: ReadFromDuo(HOST, **{**DUO, "skey": "file:~nobody-here/skey"}), "ReadFromDuo: skey: .*home directory"),
        (lambda: ReadFromDuo(HOST, **{**DUO, "checkpoint_dir": Path("/tmp")}), "ReadFromDuo: checkpoint_dir: expected `str`"),
        (lambda: ReadFromDuo(HOST, **DUO, destination=7), "ReadFromDuo: destination: expected `str`"),
        (lambda: ReadFromDuo(HOST, **DUO, account=""), "ReadFromDuo: account: it is empty. Give a text."),
        (lambda: WriteToSiem("tcp", **SIEM, delivery_timeout_secs=math.nan), "delivery_timeout_secs: it is no number."),
        (lambda: WriteToSiem("tcp", **SIEM, dead_letter_timeout_secs="5"), "dead_letter_timeout_secs: expected `float"),
        (lambda: WriteToSiem("tcp", **SIEM, name=7), "WriteToSiem: name: expected `str`"),
        (lambda: WriteToSiem(7, **SIEM), "WriteToSiem: destination: expected `str`"),
        (lambda: FormatEvents(dead_letter_dir="d", header={"style": "rfc5424", "facility": 99}), "facility: it is too large."),
        (lambda: FormatEvents(dead_letter_dir="d", header={"style": "rfc5424", "hostname": "a\nb"}), "hostname: .* syslog"),
        (lambda: FormatEvents("cefx", dead_letter_dir="d"), "there is no format 'cefx'. There are json, cef."),
        (lambda: FormatEvents("cef", dead_letter_dir="d", header="rfc"), "there is no style 'rfc'. There are rfc5424, "),
        (lambda: FormatEvents("cef", dead_letter_dir="d", envelop=True), "has no parameter 'envelop'. It takes: "),
        (lambda: FormatEvents("cef", dead_letter_dir=""), "FormatEvents needs dead_letter_dir: give "),
        (lambda: WriteToSiem("tpc", **SIEM), "there is no kind of destination 'tpc'. There are tcp, tls, udp."),
        (lambda: WriteToSiem("tcp", **{**SIEM, "host": None}), r"WriteToSiem\('tcp'\) needs host: give host=…."),
        (lambda: WriteToSiem("tcp", **{**SIEM, "port": "514"}), r"WriteToSiem\('tcp'\): port: expected `int"),
        (lambda: WriteToSiem("tcp", **{**SIEM, "port": 70_000}), "port: it is too large. Give at most 65535."),
        (lambda: WriteToSiem("tcp", **{**SIEM, "host": "a:1"}), "host: a port is part of the host. Write only the host name"),
        (lambda: WriteToSiem("udp", **SIEM, framing="lf"), "framing"),
        (lambda: WriteToSiem("kafka", **KEPT, brokers=["k:9093", "k"], topic="duo"), "brokers: this is not HOST:PORT"),
        (lambda: WriteToSiem("kafka", **KEPT, brokers=["k:9093"], topic="a/b"), "topic: this is not the name of a topic"),
        (lambda: WriteToSiem("avro", **KEPT), "needs directory: give directory=…."),
        (lambda: WriteToSiem("tcp", **SIEM, max_message_bytes=0), "max_message_bytes: it is too small. Give at least 1."),
        (lambda: WriteToSiem("tcp", **{**SIEM, "dead_letter_dir": ""}), "WriteToSiem needs dead_letter_dir: give "),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_parameter_is_told_when_the_pipeline_is_built(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_secret_itself_is_refused_and_not_repeated():
    with pytest.raises(ValueError, match="ReadFromDuo: skey takes a reference to a secret") as refused:
        ReadFromDuo(HOST, **{**DUO, "skey": "correct horse battery"})
    assert "horse" not in str(refused.value)


def test_the_graph_holds_no_secret(monkeypatch):
    monkeypatch.setenv("DUO_SKEY", "correct horse battery")
    pipeline = beam.Pipeline()
    _ = (
        pipeline
        | ReadFromDuo(HOST, **DUO)
        | FormatEvents(dead_letter_dir="d")
        | WriteToSiem("tls", **SIEM, tls={"client_cert_file": "/c.pem", "client_key_password": "env:DUO_SKEY"})
    )
    assert not any(b"correct horse" in part for part in unpacked(pipeline.to_runner_api()))


def test_one_position_is_not_read_twice_in_a_pipeline_because_the_second_reader_would_get_nothing():
    pipeline = beam.Pipeline()
    _ = pipeline | ReadFromDuo(HOST, **DUO)
    _ = pipeline | "Other" >> ReadFromDuo(HOST, **DUO, destination="other")
    _ = pipeline | "Old" >> ReadFromDuo(HOST, **DUO, log_types=["admin"])
    told = "ReadFromDuo: auth of duo is read twice here for destination 'siem'.* Give each ReadFromDuo its own destination"
    with pytest.raises(ValueError, match=told):
        _ = pipeline | "Again" >> ReadFromDuo(HOST, **DUO, log_types=["auth"])
    _ = beam.Pipeline() | ReadFromDuo(HOST, **DUO)


def test_each_says_what_type_comes_out():
    pipeline = beam.Pipeline()
    events = pipeline | ReadFromDuo(HOST, **DUO)
    messages = events | FormatEvents(dead_letter_dir="d")
    result = messages | WriteToSiem("tcp", **SIEM)
    rows = pipeline | "Rows" >> ReadFromDuo(HOST, **DUO, rows=True, destination="other")

    assert (events.element_type, messages.element_type, rows.element_type) == (DuoEvent, FormattedEvent, DuoRow)
    assert isinstance(result, WriteToSiemResult)
    assert result.dead_letters.element_type is DeadLetter


@pytest.mark.parametrize(
    ("transform", "shown"),
    [
        (ReadFromDuo(HOST, **DUO, log_types=["auth"]), {"accounts": "duo", "api_hosts": HOST, "log_types": "auth"}),
        (FormatEvents("cef", header="rfc5424", dead_letter_dir="d"), {"format": "cef", "header": "rfc5424"}),
        (WriteToSiem("tcp", **SIEM, name="splunk"), {"name": "splunk", "kind": "tcp", "place": "127.0.0.1:514"}),
    ],
)  # fmt: skip
def test_display_data_says_what_a_person_looks_for(transform, shown):
    found = {item.key: item.value for item in DisplayData.create_from(transform).items}
    assert shown.items() <= found.items()
    assert pickle.dumps(transform)


def test_a_run_that_ends_ends_also_where_duo_does_not_serve_one_of_the_logs(
    simulator, authority, skey, monkeypatch, tmp_path, caplog
):
    monkeypatch.setenv("DUO_SKEY", skey)
    simulator.faults.add("status", "trustmonitor", status=403, times=None)
    simulator.add_backlog("auth", 30, now_ms() - 60_000, now_ms() - 1_000)
    with SiemReceiver() as siem:
        pipeline = beam.Pipeline()
        _ = (
            pipeline
            | ReadFromDuo(
                "localhost", ikey=IKEY, skey="env:DUO_SKEY", port=simulator.port, ca_file=authority.ca_file, start_days=1,
                log_types=["trustmonitor", "auth"], checkpoint_dir=str(tmp_path), lag_secs=0, once=True,
            )
            | FormatEvents("json", dead_letter_dir=str(tmp_path / "dead"))
            | WriteToSiem("tcp", host="127.0.0.1", port=siem.port, dead_letter_dir=str(tmp_path / "dead"))
        )  # fmt: skip
        running = threading.Thread(target=lambda: pipeline.run().wait_until_finish(), daemon=True)
        running.start()
        running.join(20)
        still_running = running.is_alive()
        STOP.request(0.0)
        running.join(20)

    assert not still_running
    assert siem.total() == 30
    assert caplog.text.count("duo/trustmonitor to siem: Duo does not serve it, and this run ends without it: ") == 1


def test_everything_together_delivers_and_reports_lineage_and_dead_letters(simulator, authority, skey, monkeypatch, tmp_path):
    monkeypatch.setenv("DUO_SKEY", skey)
    simulator.add_backlog("auth", 30, now_ms() - 60_000, now_ms() - 1_000)
    with SiemReceiver() as siem:
        pipeline = beam.Pipeline()
        result = (
            pipeline
            | ReadFromDuo(
                "localhost", ikey=IKEY, skey="env:DUO_SKEY", port=simulator.port, ca_file=authority.ca_file, log_types=["auth"],
                checkpoint_dir=str(tmp_path), lag_secs=0, start_days=1, once=True,
            )
            | beam.Map(lambda event: event)
            | FormatEvents("json", dead_letter_dir=str(tmp_path / "dead"))
            | beam.Map(_lengthen)
            | WriteToSiem(
                "tcp", host="127.0.0.1", port=siem.port, dead_letter_dir=str(tmp_path / "dead"), max_message_bytes=5_000
            )
        )  # fmt: skip
        _ = result.dead_letters | beam.Map(_see)
        ran = pipeline.run()
        ran.wait_until_finish()
        assert siem.wait_for(29, 5)

    assert [letter.reason for letter in SEEN] == ["oversize"]
    (kept,) = [letter for path in (tmp_path / "dead").glob("*.avro") for letter in read_dead_letters(path)]
    assert (kept.reason, kept.raw, kept.destination) == ("oversize", SEEN[0].raw, "siem")
    assert Lineage.query(ran.metrics(), Lineage.SOURCE) == {"duo:localhost.auth"}
    assert Lineage.query(ran.metrics(), Lineage.SINK) == {"siem:tcp:siem"}


def _lengthen(message: FormattedEvent) -> FormattedEvent:
    """The first one of all becomes longer than the destination takes."""
    if SEEN:
        return message
    SEEN.append(None)
    return FormattedEvent(message.event, b"x" * 6_000)


def _see(letter):
    SEEN[:] = [letter]


def test_time_that_duos_rate_limit_takes_is_counted_under_beams_own_name(authority, skey, monkeypatch, tmp_path):
    monkeypatch.setenv("DUO_SKEY", skey)
    limit = RateLimit(calls_per_minute=30, retry_after=2)
    with DuoSimulator(IKEY, skey, delay_secs=0, tls=(authority.cert_file, authority.key_file), rate_limit=limit) as duo:
        duo.add_backlog("auth", 1_500, now_ms() - 60_000, now_ms() - 1_000)
        pipeline = beam.Pipeline()
        _ = (
            pipeline
            | ReadFromDuo(
                "localhost", ikey=IKEY, skey="env:DUO_SKEY", port=duo.port, ca_file=authority.ca_file, log_types=["auth"],
                checkpoint_dir=str(tmp_path), lag_secs=0, start_days=1, once=True,
            )
            | beam.Map(SEEN.append)
        )  # fmt: skip
        ran = pipeline.run()
        ran.wait_until_finish()

    wanted = beam.metrics.MetricsFilter().with_name("cumulativeThrottlingSeconds")
    (counter,) = ran.metrics().query(wanted)["counters"]
    assert 1 <= counter.result <= 60
    assert counter.key.step.startswith("ReadFromDuo/")


def test_an_element_in_several_windows_is_sent_once(tmp_path):
    peer = Peer()
    with beam.Pipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create([TimestampedValue(FormattedEvent(EVENT, b"once"), 100)], reshuffle=False)
            | beam.WindowInto(SlidingWindows(30, 10))
            | WriteToSiem("tcp", host="127.0.0.1", port=peer.port, dead_letter_dir=str(tmp_path))
        )
    eventually(lambda: peer.received == [b"once"])


def test_rows_become_events_again(tmp_path):
    peer = Peer()
    with beam.Pipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create([DuoRow.of(EVENT)], reshuffle=False)
            | beam.WindowInto(FixedWindows(30))
            | FormatEvents("json", envelope=True, dead_letter_dir=str(tmp_path))
            | WriteToSiem("tcp", host="127.0.0.1", port=peer.port, dead_letter_dir=str(tmp_path))
        )
    eventually(lambda: peer.received == [b'{"log_type":"auth","account":"acme","event":{"n":1}}'])


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (FormatEvents(dead_letter_dir="d"), "An event of Duo is expected here, not str: hand on the DuoEvent"),
        (WriteToSiem("tcp", **SIEM), "A message to send is expected here, not str: put FormatEvents before"),
    ],
)
def test_elements_of_another_kind_are_told_with_the_fix(transform, message, caplog):
    caplog.set_level(logging.CRITICAL)
    pipeline = beam.Pipeline()
    _ = pipeline | beam.Create(["a line"], reshuffle=False) | transform
    with pytest.raises(Exception, match=message):
        pipeline.run()
