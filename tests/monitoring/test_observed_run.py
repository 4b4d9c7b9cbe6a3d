"""What a running program says of itself, asked over HTTP as everybody asks it, while things happen to it."""

import json
import logging
import re
import socket
import threading
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest

from pipelines.demo.receiver import SiemReceiver
from pipelines.monitoring import observe
from pipelines.monitoring.place import place_in
from tests.conftest import FAST, now_ms
from tests.pipeline.test_local_run import RunningJob
from tests.ports import free_port
from transforms.destinations.stream.settings import TcpSettings
from transforms.duo.fetch import failure_classifier
from transforms.formats.json_lines import JsonOptions
from transforms.settings import Destination, Format, Job, Monitoring, Route, Storage

CHILD = f"DA{7:018d}"
HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e"


@pytest.fixture
def siem():
    with SiemReceiver() as siem:
        yield siem


def to(siem, name="siem"):
    return Destination(name, TcpSettings("127.0.0.1", siem.port), Format(JsonOptions()))


@pytest.fixture
def job(account, siem, tmp_path):
    return Job(
        accounts=(account,),
        destinations=(to(siem),),
        routes=(Route(("auth", "activity"), ("siem",)),),
        storage=Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead")),
        reading=FAST,
        monitoring=Monitoring(port=free_port()),
    )


class Asked:
    """The endpoint of a job."""

    def __init__(self, job):
        self._port = job.monitoring.port

    def __call__(self, path):
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except ConnectionError:
            return 0, b""
        finally:
            connection.close()

    def report(self):
        status, body = self("/status.json")
        return json.loads(body) if status == 200 else {"state": "", "words": "", "streams": [], "destinations": []}

    def check(self, path):
        status, body = self(path)
        return status, json.loads(body)["why_not"] if body else []


@pytest.fixture
def asked(job):
    return Asked(job)


def test_a_run_that_keeps_up_says_so_and_how_far_it_is(job, asked, simulator, siem, eventually):
    simulator.add("auth", 50, at_ms=now_ms() - 60_000, spread_ms=50_000)
    with RunningJob(job):
        eventually(lambda: asked.report()["words"] == "all caught up" and siem.total() == 50)
        eventually(lambda: sum(stream["delivered"] for stream in asked.report()["streams"]) == 50)
        report = asked.report()
        auth = next(stream for stream in report["streams"] if stream["log_type"] == "auth")
        assert (auth["state"], auth["lag_secs"], auth["backlog_events"]) == ("caught_up", 0, 0)
        assert 0 <= now_ms() - auth["position_ms"] < 60_000
        (destination,) = report["destinations"]
        assert (destination["usable"], destination["connections"] > 0) == (True, True)
        assert report["process"]["threads"] > 0
        assert {budget["log_type"] for budget in report["budgets"]} == {"auth", "activity"}
        assert all(budget["calls"] > 0 for budget in report["budgets"])
        assert asked.check("/healthz") == (200, [])
        assert asked.check("/readyz") == (200, [])
    assert asked("/healthz") == (0, b"")
    assert place_in(job.storage.checkpoint_dir) is None


def test_a_siem_that_goes_away_is_named_with_its_cause_until_it_is_back(job, asked, simulator, siem, eventually):
    with RunningJob(job):
        eventually(lambda: asked.report()["words"] == "all caught up")
        siem.refuse()
        siem.reset_connections()
        simulator.add("auth", 10, at_ms=now_ms() - 1_000)
        eventually(lambda: asked.report()["state"] == "waiting")
        report = asked.report()
        assert "waiting for siem" in report["words"]
        (destination,) = report["destinations"]
        assert destination["usable"] is False
        assert destination["cause"]
        assert abs(destination["since_ms"] - now_ms()) < 60_000
        assert asked.check("/readyz") == (200, [])  # it was reached once, and is waited for: no reason to start anew
        siem.reopen()
        eventually(lambda: siem.total() == 10)
        eventually(lambda: asked.report()["words"] == "all caught up")
        assert asked.report()["destinations"][0]["usable"] is True


def test_one_that_was_never_reached_is_why_it_is_not_ready(job, asked, siem, eventually):
    siem.refuse()
    with RunningJob(job, grace_secs=1.0):
        eventually(lambda: asked("/readyz")[0] == 503)
        status, reasons = asked.check("/readyz")
        assert (status, [reason for reason in reasons if "destination siem was never reached" in reason] != []) == (503, True)
        assert asked.check("/healthz") == (200, [])


def test_one_that_was_away_at_the_start_is_looked_at_again_without_an_event(job, asked, siem, eventually, monkeypatch):
    from pipelines.local import supervisor

    monkeypatch.setattr(supervisor, "_LOOK_AGAIN_SECS", 0.5)
    siem.refuse()
    with RunningJob(job):
        eventually(lambda: "refused" in " ".join(asked.check("/readyz")[1]).lower())
        siem.reopen()
        eventually(lambda: asked("/readyz")[0] == 200)
        assert asked.report()["destinations"][0]["usable"] is True


def in_the_way_of(record: Path) -> bool:
    """Puts a directory where a record is written aside, unless it is just being written."""
    try:
        record.with_name(f".{record.name}.new").mkdir()
    except FileExistsError:
        return False
    return True


def test_checkpoints_that_cannot_be_written_concern_everything(job, asked, simulator, siem, eventually, monkeypatch):
    monkeypatch.setattr(observe, "_UNWRITTEN_SECS", 0.2)
    with RunningJob(job):
        eventually(lambda: asked.report()["words"] == "all caught up")
        for record in Path(job.storage.checkpoint_dir).glob("*.json"):
            eventually(lambda record=record: in_the_way_of(record), "the next one finds something in its way, for root, too")
        simulator.add("auth", 5, at_ms=now_ms() - 1_000)
        eventually(lambda: "checkpoints cannot be written" in asked.report()["words"])
        assert siem.wait_for(5)
        for blocker in Path(job.storage.checkpoint_dir).glob(".*.new"):
            blocker.rmdir()
        eventually(lambda: asked.report()["words"] == "all caught up")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("pipelines.monitoring.observe.Observer.tick", "could not be looked at"),
        ("pipelines.monitoring.server.start", "There is no status page"),
    ],
)
def test_a_mistake_in_what_only_looks_does_not_end_the_run(job, simulator, siem, eventually, monkeypatch, caplog, place, told):
    def mistake(*_):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(place, mistake)
    with RunningJob(job) as running:
        simulator.add("auth", 5, at_ms=now_ms() - 1_000)
        assert siem.wait_for(5)
        eventually(lambda: told in caplog.text)
    assert running.exit_code == 0
    assert caplog.text.count(told) == 1


def test_what_only_a_person_can_mend_is_the_first_thing_that_is_said(job, asked, simulator, eventually):
    simulator.faults.add("status", "auth", status=403, times=None)
    with RunningJob(job):
        eventually(lambda: asked.report()["state"] == "refused")
        report = asked.report()
        assert "1 of 2 streams needs you: main/auth" in report["words"]
        assert report["todo"]
        status, reasons = asked.check("/readyz")
        assert status == 503
        assert any("main/auth to siem is not served by Duo" in reason for reason in reasons)


def test_duo_that_is_away_is_what_is_waited_for(job, asked, simulator, eventually):
    simulator.faults.add("status", status=503, times=None)
    with RunningJob(job):
        eventually(lambda: asked.report()["state"] == "waiting")
        assert "waiting for Duo" in asked.report()["words"]


def test_keys_that_duo_refuses_for_the_first_time_are_doubted(job, asked, simulator, eventually, monkeypatch):
    monkeypatch.setattr(failure_classifier, "REFUSAL_WAITS_SECS", (60.0, 60.0))
    with RunningJob(job):
        eventually(lambda: asked.report()["words"] == "all caught up")
        simulator.faults.add("status", status=401, times=None)
        eventually(lambda: "waiting for Duo" in asked.report()["words"])


def test_keys_that_stay_revoked_need_a_person(job, asked, simulator, eventually, monkeypatch):
    monkeypatch.setattr(failure_classifier, "REFUSAL_WAITS_SECS", (0.1, 0.1))
    with RunningJob(job):
        eventually(lambda: asked.report()["words"] == "all caught up")
        simulator.faults.add("status", status=401, times=None)
        eventually(lambda: {stream["state"] for stream in asked.report()["streams"]} == {"suspended"})
        assert "Check ikey, skey and api_host" in asked.report()["todo"]
        assert asked.check("/readyz")[0] == 503
        assert asked.check("/healthz")[0] == 200  # a new start would not help


def test_the_last_lines_of_the_log_are_there(job, asked, eventually, caplog):
    caplog.set_level(logging.INFO, "duologsync")
    with RunningJob(job):
        eventually(lambda: any("is caught up" in line["message"] for line in asked.report().get("log", [])))


def test_prometheus_gets_its_metrics(job, asked, simulator, siem, eventually):
    simulator.add("auth", 5, at_ms=now_ms() - 1_000)
    with RunningJob(job):
        assert siem.wait_for(5)
        line = re.compile(r'^duologsync_events_delivered_total\{[^}]*log_type="auth"[^}]*\} 5', re.MULTILINE)
        eventually(lambda: line.search(asked("/metrics")[1].decode()))


def test_no_secret_is_in_what_is_shown(job, asked, skey, eventually):
    with RunningJob(job):
        eventually(lambda: asked.report()["words"] == "all caught up")
        for path in ("/", "/status.json", "/metrics", "/healthz", "/readyz"):
            assert asked(path)[0] == 200
            assert skey.encode() not in asked(path)[1]


def test_a_childs_name_is_shown_as_people_gave_it_and_as_a_text(job, asked, account, simulator, eventually):
    simulator.add_child(CHILD, HOSTILE, "localhost")
    job = replace(job, accounts=(replace(account, is_msp=True),))
    with RunningJob(job):
        eventually(lambda: asked.report()["words"] == "all caught up")
        (title,) = {stream["title"] for stream in asked.report()["streams"]}
        assert title == HOSTILE
        assert asked.report()["streams"][0]["account"] == f"main/{CHILD}"
        assert HOSTILE.encode() not in asked("/")[1]


def test_an_msp_whose_children_cannot_be_listed_says_why(job, asked, account, simulator, eventually):
    simulator.faults.add("status", "/accounts/v1/account/list", status=500, times=None)
    with RunningJob(replace(job, accounts=(replace(account, is_msp=True),))):
        eventually(lambda: "the children of main cannot be listed" in asked.report()["words"])
        assert asked.check("/readyz")[0] == 503


def test_a_stream_whose_thread_is_dead_is_why_it_does_not_work(job, asked, eventually, monkeypatch):
    from pipelines.local.stream_runner import StreamRunner

    def die(_self):
        raise SystemExit  # no error that a stream would survive

    monkeypatch.setattr(StreamRunner, "_work", die)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with RunningJob(job):
        eventually(lambda: asked("/healthz")[0] == 503)
        assert any("the thread of main/auth" in reason for reason in asked.check("/healthz")[1])


def test_systemd_hears_of_the_run_from_its_beginning_to_its_end(job, tmp_path, monkeypatch, eventually):
    heard = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1000")
        with RunningJob(job):
            while "WATCHDOG=1" not in heard or not any(each.startswith("STATUS=") for each in heard):
                heard.append(manager.recv(4096).decode())
        while not heard[-1].startswith("STOPPING=1"):
            heard.append(manager.recv(4096).decode())
    assert heard[0] == "READY=1"


def test_a_look_that_hangs_does_not_hold_up_the_run(job, asked, tmp_path, monkeypatch, eventually):
    """The dead letters lie on a file system that does not answer, and somebody looks at the page."""
    from pipelines.monitoring.letters import LetterCounts

    looking, go_on = threading.Event(), threading.Event()
    count = LetterCounts.count

    def hang(self):
        looking.set()
        go_on.wait(60)
        return count(self)

    rounds = []
    tick = observe.Observer.tick
    monkeypatch.setattr(observe, "_LOOK_SECS", 0.2)
    monkeypatch.setattr(LetterCounts, "count", hang)
    monkeypatch.setattr(observe.Observer, "tick", lambda self: (rounds.append(1), tick(self)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with RunningJob(job):
            eventually(lambda: asked("/healthz")[0] == 200)
            asking = threading.Thread(target=asked, args=("/status.json",))
            asking.start()
            assert looking.wait(20)
            before = len(rounds)
            eventually(lambda: len(rounds) > before + 3, "the main loop comes round")
            assert asked.check("/healthz") == (200, [])
            assert asked("/readyz") == (0, b"")  # not known yet, and its thread is free again
            assert asked.check("/healthz") == (200, [])
            go_on.set()
            asking.join(20)


def test_two_runs_on_one_machine_do_not_get_into_each_others_way(job, asked, tmp_path, eventually):
    """The second one takes another port, and says where it is in its own directory."""
    other = replace(job, storage=Storage(str(tmp_path / "other"), str(tmp_path / "dead")))
    with RunningJob(job):
        eventually(lambda: asked("/healthz")[0] == 200)
        from pipelines.monitoring import server

        second = server.start(other.monitoring, {}, str(tmp_path))
        try:
            assert place_in(str(tmp_path)).url != place_in(job.storage.checkpoint_dir).url
        finally:
            second.close()


def test_without_monitoring_no_port_is_open(job, asked, simulator, siem):
    simulator.add("auth", 5, at_ms=now_ms() - 1_000)
    with RunningJob(replace(job, monitoring=replace(job.monitoring, enabled=False))):
        assert siem.wait_for(5)
        assert asked("/healthz") == (0, b"")
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("monitoring")]
