"""The whole program and a SIEM that takes events and does not read them: none is lost, whichever of the two ends first."""

import contextlib
import time
from dataclasses import replace

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from tests.conftest import FAST, now_ms
from tests.destinations.peers import Peer, eventually
from tests.pipeline.test_local_run import RunningJob
from transforms.destinations.stream.settings import TcpSettings
from transforms.formats.json_lines import JsonOptions
from transforms.settings import Destination, Format, Job, Route, Storage
from transforms.state.checkpoints.local import CheckpointStore

EVENTS = 300


@pytest.fixture
def backlog(simulator):
    simulator.add_backlog("auth", EVENTS, now_ms() - 3_600_000, now_ms() - 1_000)


def job_to(port: int, account, tmp_path, **changes) -> Job:
    destination = Destination("siem", TcpSettings("127.0.0.1", port), Format(JsonOptions()))
    storage = Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead"))
    return Job((account,), (replace(destination, **changes),), (Route(("auth",), ("siem",)),), storage, FAST)


def hang(peer, connection):
    """Takes what comes, and reads nothing of it until the test ends."""
    peer.done.wait(60)
    with contextlib.suppress(OSError):
        connection.close()


def delivered(tmp_path) -> int:
    return sum(record.delivered for record in CheckpointStore(tmp_path / "checkpoints").records())


def test_what_a_siem_hung_on_when_the_program_ended_is_sent_by_the_next_start(backlog, simulator, account, tmp_path, caplog):
    hung = Peer(hang, receive_buffer_bytes=4_000_000)
    with RunningJob(job_to(hung.port, account, tmp_path), grace_secs=2) as running:
        eventually(lambda: delivered(tmp_path) == EVENTS, 20)
    hung.die()
    hung.done.set()

    assert running.exit_code == exit_codes.DELIVERY
    assert f"was not seen to read the last {EVENTS} messages" in caplog.text
    with SiemReceiver() as siem:
        with RunningJob(job_to(siem.port, account, tmp_path)) as again:
            assert siem.wait_for(EVENTS, 20)
        assert siem.unique_ids("auth") == set(simulator.produced_ids("auth"))
        assert again.exit_code == exit_codes.OK


def test_what_was_read_is_not_sent_by_the_next_start(backlog, account, tmp_path, simulator):
    with SiemReceiver() as siem:
        with RunningJob(job_to(siem.port, account, tmp_path)) as running:
            assert siem.wait_for(EVENTS, 20)
        assert running.exit_code == exit_codes.OK
        simulator.add("auth", 1)
        with RunningJob(job_to(siem.port, account, tmp_path)):
            assert siem.wait_for(EVENTS + 1, 20)
            time.sleep(0.5)
        assert siem.total() == EVENTS + 1


def test_a_siem_of_two_that_hangs_does_not_make_the_other_lose(backlog, simulator, account, tmp_path):
    hung = Peer(hang, receive_buffer_bytes=4_000_000)
    with SiemReceiver() as siem:
        job = job_to(hung.port, account, tmp_path)
        both = replace(
            job,
            destinations=(*job.destinations, Destination("other", TcpSettings("127.0.0.1", siem.port), Format(JsonOptions()))),
            routes=(Route(("auth",), ("siem", "other")),),
        )
        with RunningJob(both, grace_secs=2):
            assert siem.wait_for(EVENTS, 20)
            eventually(lambda: delivered(tmp_path) == 2 * EVENTS, 20)  # by each
    hung.die()
    hung.done.set()

    with SiemReceiver() as late:
        with RunningJob(job_to(late.port, account, tmp_path)):
            assert late.wait_for(EVENTS, 20)
        assert late.unique_ids("auth") == set(simulator.produced_ids("auth"))
