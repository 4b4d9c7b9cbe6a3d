"""A system that has no thread left for a while: whatever could not be started is started later, and nothing is lost."""

import logging
import threading
from collections import Counter

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from tests.conftest import FAST, now_ms
from tests.pipeline.test_local_run import RunningJob
from transforms.destinations import idle_checker
from transforms.destinations.circuit_breaker import CircuitBreakers
from transforms.destinations.stream.settings import TcpSettings
from transforms.formats.json_lines import JsonOptions
from transforms.process.retry import RetryPolicy
from transforms.process.shutdown import STOP
from transforms.process.threads import each_in_threads
from transforms.records import Stream, Subscription
from transforms.settings import Destination, Format, Job, Route, Storage


@pytest.fixture
def refused(monkeypatch):
    """Lets the first threads of some names not start: how often each may still be refused, by the beginning of its name."""
    left, start = Counter(), threading.Thread.start

    def start_or_refuse(thread):
        for name in left:
            if thread.name.startswith(name) and left[name] > 0:
                left[name] -= 1
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_refuse)
    return left


TO_SIEM = Subscription(Stream("main", "auth"), "siem")


@pytest.fixture
def siem():
    with SiemReceiver() as receiver:
        yield receiver


def job_for(account, siem, tmp_path):
    destination = Destination("siem", TcpSettings("127.0.0.1", siem.port), Format(JsonOptions()))
    storage = Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead"))
    return Job((account,), (destination,), (Route(("auth", "activity"), ("siem",)),), storage, FAST)


def test_streams_and_probes_whose_threads_are_refused_at_the_start_run_later(
    account, simulator, siem, tmp_path, refused, caplog, eventually
):
    caplog.set_level(logging.INFO)
    refused.update({"main/auth": 3, "main/activity": 1, "probe": 2, "feed main/auth": 2})
    simulator.add("auth", 20, at_ms=now_ms() - 1000)
    simulator.add("activity", 20, at_ms=now_ms() - 1000)
    with RunningJob(job_for(account, siem, tmp_path)) as running:
        assert siem.wait_for(40, 30)
        eventually(lambda: "that were missing could be started" in caplog.text)

    assert running.exit_code == exit_codes.OK
    assert not +refused
    assert caplog.text.count("Not all streams are read yet: no thread can be started") == 1


def test_a_parent_whose_thread_is_refused_is_followed_later(account, simulator, siem, tmp_path, refused):
    from dataclasses import replace

    refused.update({"children of": 2, "main/DA": 1})
    child = "DA000000000000000001"
    simulator.add_child(child, "One", "localhost")
    simulator.add("auth", 20, at_ms=now_ms() - 1000, account_id=child)
    with RunningJob(job_for(replace(account, is_msp=True), siem, tmp_path)) as running:
        assert siem.wait_for(20, 30)

    assert running.exit_code == exit_codes.OK
    assert not +refused


def test_a_program_that_is_asked_to_end_while_threads_are_refused_ends(account, siem, tmp_path, refused, eventually, caplog):
    refused.update({"main/": 10_000})
    with RunningJob(job_for(account, siem, tmp_path)) as running:
        eventually(lambda: "Not all streams are read yet" in caplog.text)

    assert running.exit_code == exit_codes.OK


@pytest.mark.parametrize("most_refused", [0, 1, 100])
def test_work_for_many_threads_is_done_by_those_that_can_be_had(refused, most_refused):
    refused.update({"many": most_refused})

    assert sorted(each_in_threads(lambda number: number * 2, range(50), 8, "many")) == list(range(0, 100, 2))
    assert each_in_threads(abs, [], 8, "many") == []


def test_a_look_at_a_destination_whose_thread_is_refused_is_tried_again_and_the_stream_stays_held(refused, monkeypatch):
    monkeypatch.setattr("transforms.destinations.circuit_breaker._PROBE_EVERY_SECS", 0.0)
    refused.update({"look at": 2})
    holds, looked = CircuitBreakers(RetryPolicy(0.0, 0.0)), threading.Event()
    holds.hold(TO_SIEM, "siem", looked.set)

    assert holds.held(TO_SIEM)
    assert holds.held(TO_SIEM)
    assert not looked.is_set()
    assert holds.held(TO_SIEM)
    assert looked.wait(5)


def test_the_first_look_of_a_process_whose_thread_is_refused_holds_its_stream(refused):
    refused.update({"look at": 1})
    holds = CircuitBreakers()

    assert holds.held(TO_SIEM, lambda: None)


def test_a_bundle_does_not_fail_because_nobody_can_look_after_idle_connections(refused, monkeypatch, tmp_path):
    refused.update({"connections": 1})
    idle_checker.check_idle_connections(str(tmp_path))
    assert idle_checker.IDLE_CHECKER.thread is None
    idle_checker.check_idle_connections(str(tmp_path))
    assert idle_checker.IDLE_CHECKER.thread.is_alive()
    STOP.request(0)
