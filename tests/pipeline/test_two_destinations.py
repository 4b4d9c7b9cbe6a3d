"""Two destinations of one log: each has a position of its own, and neither waits for the other."""

import shutil
from dataclasses import replace

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from pipelines.local import stream_runner
from pipelines.local.supervisor import run_local
from tests.conftest import FAST, now_ms
from tests.pipeline.test_local_run import RunningJob
from transforms.destinations.stream.settings import TcpSettings, TlsSettings
from transforms.duo.fetch import failure_classifier
from transforms.formats.json_lines import JsonOptions
from transforms.records import Stream, Subscription
from transforms.settings import Destination, Format, Job, Route, Start, Storage, Tls
from transforms.state.checkpoints.local import CheckpointStore


@pytest.fixture
def near():
    with SiemReceiver() as receiver:
        yield receiver


@pytest.fixture
def far():
    with SiemReceiver() as receiver:
        yield receiver


def to(receiver, name):
    return Destination(name, TcpSettings("127.0.0.1", receiver.port), Format(JsonOptions()))


@pytest.fixture
def job(account, near, far, tmp_path):
    storage = Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead"))
    routes = (Route(("auth",), ("near", "far")),)
    return Job((account,), (to(near, "near"), to(far, "far")), routes, storage, FAST)


def delivered(job):
    records = CheckpointStore(job.storage.checkpoint_dir).records()
    return {record.destination: record.delivered for record in records}


def test_a_destination_that_is_away_holds_up_no_other_and_gets_all_when_it_is_back(job, simulator, near, far, eventually):
    simulator.add_backlog("auth", 20_000, now_ms() - 3_600_000, now_ms() - 1_000)
    far.refuse()
    with RunningJob(job):
        assert near.wait_for(20_000, 60)
        for _ in range(3):
            before = near.total()
            simulator.add("auth", 10)
            assert near.wait_for(before + 10, 10), "a new event waits for a destination that is not its own"
        assert far.total() == 0
        eventually(lambda: delivered(job) == {"near": 20_030, "far": 0})
        far.reopen()
        assert far.wait_for(20_030, 60)

    assert delivered(job) == {"near": 20_030, "far": 20_030}
    assert near.total() == far.total() == 20_030
    assert near.unique_ids("auth") == far.unique_ids("auth") == set(simulator.produced_ids("auth"))


def test_each_goes_on_at_its_own_position_after_a_restart(job, simulator, near, far):
    simulator.add_backlog("auth", 3_000, now_ms() - 3_600_000, now_ms() - 1_000)
    far.refuse()
    with RunningJob(job, grace_secs=1.0):
        assert near.wait_for(3_000, 30)
    far.reopen()
    with RunningJob(job) as running:
        assert far.wait_for(3_000, 30)

    assert running.exit_code == exit_codes.OK
    assert near.total() == far.total() == 3_000


@pytest.mark.parametrize(
    ("start", "gets"),
    [(Start(), 50), (Start(days=0), 10), (Start(days=0.5), 40), (Start(checkpoint_of="near"), 10)],
    ids=["the look-back", "now", "days back", "where another one is"],
)
def test_one_that_is_added_later_begins_as_its_route_says(job, simulator, near, far, start, gets, eventually):
    simulator.add("auth", 10, at_ms=now_ms() - 20 * 3_600_000)
    simulator.add("auth", 30, at_ms=now_ms() - 6 * 3_600_000)
    only_near = replace(job, destinations=job.destinations[:1], routes=(Route(("auth",), ("near",)),))
    with RunningJob(only_near):
        assert near.wait_for(40, 30)
    both = replace(job, routes=(*only_near.routes, Route(("auth",), ("far",), start=start)))
    with RunningJob(both):
        eventually(lambda: "far" in delivered(both), "the new destination to have a position")
        simulator.add("auth", 10)
        assert far.wait_for(gets, 30)
        assert near.wait_for(50, 30)

    assert (near.total(), far.total()) == (50, gets)


def test_a_destination_whose_address_changes_goes_on_where_it_was(job, simulator, near, far):
    simulator.add("auth", 20, at_ms=now_ms() - 60_000)
    with RunningJob(job):
        assert far.wait_for(20, 30)
    with SiemReceiver() as moved:
        simulator.add("auth", 5)
        with RunningJob(replace(job, destinations=(job.destinations[0], to(moved, "far")))):
            assert moved.wait_for(5, 30)
            assert near.wait_for(25, 30)
        assert moved.total() == 5


def test_each_has_a_record_that_names_it(job, simulator, near, far):
    simulator.add("auth", 1, at_ms=now_ms() - 60_000)
    with RunningJob(job):
        assert near.wait_for(1, 30)
        assert far.wait_for(1, 30)

    stream = Stream("main", "auth", "localhost")
    found = {record.subscription for record in CheckpointStore(job.storage.checkpoint_dir).records()}
    assert found == {Subscription(stream, "near"), Subscription(stream, "far")}


# --- a backfill, and a destination that can never be reached as configured -------------------------------------------------


@pytest.fixture
def broken(job, far):
    """The job as a backfill, whose destination ``far`` names a CA file that is not there."""
    settings = TlsSettings("127.0.0.1", far.port, tls=Tls(ca_file="/nowhere/ca.pem"))
    reading = replace(job.reading, from_ms=now_ms() - 7_200_000, until_ms=now_ms() - 600_000, overlap_secs=0.0)
    return replace(job, destinations=(job.destinations[0], replace(job.destinations[1], settings=settings)), reading=reading)


def test_a_backfill_that_one_destination_did_not_get_does_not_end_well(broken, simulator, near, far):
    simulator.add_backlog("auth", 100, now_ms() - 3_600_000, now_ms() - 1_800_000)

    assert run_local(broken) == exit_codes.DELIVERY
    assert near.total() == 100
    assert far.total() == 0


def test_a_backfill_ends_well_where_a_destination_was_put_right_meanwhile(
    broken, simulator, near, authority, tmp_path, monkeypatch, caplog, eventually
):
    monkeypatch.setattr(stream_runner, "_SUSPENDED_SECS", 0.2)
    simulator.add_backlog("auth", 100, now_ms() - 3_600_000, now_ms() - 1_800_000)
    near.refuse()
    with SiemReceiver("tls", tls=(authority.cert_file, authority.key_file)) as far:
        settings = TlsSettings("localhost", far.port, tls=Tls(ca_file=str(tmp_path / "ca.pem")))
        job = replace(broken, destinations=(broken.destinations[0], replace(broken.destinations[1], settings=settings)))
        running = RunningJob(job)
        with running:
            eventually(lambda: "main/auth to far is suspended" in caplog.text)
            shutil.copy(authority.ca_file, tmp_path / "ca.pem")
            assert far.wait_for(100, 20)
            near.reopen()
            running.join()

    assert running.exit_code == exit_codes.OK
    assert near.total() == far.total() == 100


def test_a_backfill_ends_without_a_log_that_duo_does_not_serve_and_says_so(job, simulator, near, far, caplog):
    simulator.faults.add("status", "trustmonitor", status=403, times=None)
    simulator.add_backlog("auth", 100, now_ms() - 3_600_000, now_ms() - 1_800_000)
    reading = replace(job.reading, from_ms=now_ms() - 7_200_000, until_ms=now_ms() - 600_000, overlap_secs=0.0)
    with RunningJob(replace(job, routes=(Route(("auth", "trustmonitor"), ("near", "far")),), reading=reading)) as running:
        running.join()

    assert running.exit_code == exit_codes.CREDENTIALS
    assert near.total() == far.total() == 100
    for destination in ("near", "far"):
        assert f"main/trustmonitor to {destination}: Duo does not serve it, and the backfill ends without it: " in caplog.text


def test_a_refusal_that_passes_while_a_backfill_is_at_work_costs_it_nothing(job, simulator, near, far, monkeypatch):
    monkeypatch.setattr(failure_classifier, "_UNAVAILABLE_RETRY_SECS", 0.5)
    simulator.faults.add("status", "auth", status=403)
    simulator.add_backlog("activity", 100, now_ms() - 3_600_000, now_ms() - 1_800_000)
    simulator.add_backlog("auth", 100, now_ms() - 3_600_000, now_ms() - 1_800_000)
    reading = replace(job.reading, from_ms=now_ms() - 7_200_000, until_ms=now_ms() - 600_000, overlap_secs=0.0)
    far.refuse()
    with RunningJob(replace(job, routes=(Route(("auth", "activity"), ("near", "far")),), reading=reading)) as running:
        assert near.wait_for(200, 20)
        far.reopen()
        running.join()

    assert running.exit_code == exit_codes.OK
    assert near.total() == far.total() == 200
