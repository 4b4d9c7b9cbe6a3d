"""The whole pipeline in one process: simulated Duo over HTTPS → graph in passes → a receiver on a real socket."""

import logging
import threading
import time
from dataclasses import replace

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from pipelines.local.supervisor import run_local
from tests.conftest import FAST, now_ms
from transforms.destinations.stream.settings import TcpSettings
from transforms.duo.client.connections import CONNECTIONS
from transforms.duo.fetch import failure_classifier
from transforms.formats import FORMATS
from transforms.process import lifetime
from transforms.process.shutdown import STOP
from transforms.settings import Destination, Format, Job, Route, Storage

LOG_TYPES = ("auth", "activity", "telephony", "trustmonitor")


class RunningJob:
    """``run_local`` in a thread, ended on leaving."""

    def __init__(self, job, grace_secs=10.0):
        self._job = job
        self._grace_secs = grace_secs
        self.exit_code = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        self.exit_code = run_local(self._job, grace_secs=self._grace_secs)

    def __enter__(self):
        lifetime.reset()
        self._thread.start()
        return self

    def __exit__(self, *_exc):
        self.stop()

    def stop(self):
        STOP.request(self._grace_secs)
        self.join()

    def join(self, within_secs=30):
        self._thread.join(within_secs)
        assert not self._thread.is_alive()


@pytest.fixture
def receiver():
    with SiemReceiver() as receiver:
        yield receiver


def until_it_stands_still(count):
    """Waits until something has begun and does not move for a second."""
    before, since = count(), time.monotonic()
    while not before or time.monotonic() - since < 1.0:
        time.sleep(0.05)
        if count() != before:
            before, since = count(), time.monotonic()


def destination(receiver, name="siem", format_name="json", **changes):
    return Destination(name, TcpSettings("127.0.0.1", receiver.port), Format(FORMATS[format_name].options()), **changes)


@pytest.fixture
def job(account, receiver, tmp_path):
    return Job(
        accounts=(account,),
        destinations=(destination(receiver),),
        routes=(Route(LOG_TYPES, ("siem",)),),
        storage=Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead")),
        reading=FAST,
    )


def test_every_event_of_every_log_arrives_once_and_as_duo_sent_it(job, simulator, account, tmp_path):
    with SiemReceiver(keep_messages=True) as receiver:
        job = replace(job, destinations=(destination(receiver),))
        for log_type in LOG_TYPES:
            simulator.add_backlog(log_type, 1_200, now_ms() - 3_600_000, now_ms() - 1_000)
        with RunningJob(job) as running:
            assert receiver.wait_for(4_800, 30)
            simulator.add("auth", 3)
            assert receiver.wait_for(4_803, 10)
        expected = sorted(row for log_type in LOG_TYPES for row in simulator.produced_rows(log_type))

        assert running.exit_code == exit_codes.OK
        assert sorted(receiver.messages) == expected


def test_a_fresh_launch_goes_on_where_the_last_one_ended(job, simulator, receiver):
    simulator.add_backlog("auth", 1_500, now_ms() - 3_600_000, now_ms() - 1_000)
    with RunningJob(job):
        assert receiver.wait_for(1_500, 30)
    simulator.add("auth", 10)
    with RunningJob(job):
        assert receiver.wait_for(1_510, 20)

    assert receiver.total() == 1_510
    assert receiver.unique_ids("auth") == set(simulator.produced_ids("auth"))


def test_a_siem_that_is_away_costs_nothing_but_time(job, simulator, receiver, eventually):
    simulator.add_backlog("auth", 3_000, now_ms() - 3_600_000, now_ms() - 1_000)
    receiver.refuse()
    with RunningJob(job):
        eventually(lambda: len(simulator.calls) >= 4)
        receiver.reopen()
        assert receiver.wait_for(3_000, 30, unique=True)

    assert receiver.unique_ids("auth") == set(simulator.produced_ids("auth"))


def test_a_blocked_destination_holds_only_its_own_streams(job, simulator, account, receiver):
    with SiemReceiver() as stuck:
        stuck.stall()
        both = replace(
            job,
            destinations=(destination(receiver), destination(stuck, "stuck")),
            routes=(Route(("auth",), ("stuck",)), Route(("activity",), ("siem",))),
        )
        simulator.add_backlog("auth", 20_000, now_ms() - 3_600_000, now_ms() - 1_000)
        simulator.add_backlog("activity", 2_500, now_ms() - 3_600_000, now_ms() - 1_000)
        with RunningJob(both, grace_secs=1.0) as running:
            assert receiver.wait_for(2_500, 30, log_type="activity")
            until_it_stands_still(lambda: len([call for call in simulator.calls if call.log_type == "auth"]))

        # What the stalled destination did not take is not delivered, and said not to be.
        assert running.exit_code == exit_codes.DELIVERY


def test_events_that_can_never_be_sent_become_dead_letters_and_the_stream_goes_on(job, simulator, receiver, tmp_path):
    from transforms.state.dead_letters.letter import read_dead_letters

    small = replace(job, destinations=(destination(receiver, max_message_bytes=2_000),))
    simulator.add("auth", 5, at_ms=now_ms() - 5_000, row_bytes=1_000)
    simulator.add("auth", 2, at_ms=now_ms() - 4_000, row_bytes=4_000)
    simulator.add("auth", 5, at_ms=now_ms() - 3_000, row_bytes=1_000)
    with RunningJob(small):
        assert receiver.wait_for(10, 20)
    letters = [letter for path in (tmp_path / "dead").glob("*.avro") for letter in read_dead_letters(path)]

    assert [letter.reason for letter in letters] == ["oversize", "oversize"]
    assert {letter.raw for letter in letters} == {row for row in simulator.produced_rows("auth") if len(row) > 2_000}
    assert receiver.total() == 10


def test_one_stream_goes_to_several_destinations_in_their_own_formats(job, simulator, receiver):
    with SiemReceiver(keep_messages=True) as cef:
        two = replace(
            job,
            destinations=(destination(receiver), destination(cef, "cef", "cef")),
            routes=(Route(("auth",), ("siem", "cef")),),
        )
        simulator.add("auth", 20, at_ms=now_ms() - 60_000, spread_ms=1_000)
        with RunningJob(two):
            assert receiver.wait_for(20, 20)
            assert cef.wait_for(20, 20)

        assert all(message.startswith(b"CEF:0|Cisco|Duo|") for message in cef.messages)
        assert cef.unique_ids("auth") == receiver.unique_ids("auth")


def test_a_log_that_the_account_may_not_read_does_not_stop_the_others(job, simulator, receiver):
    simulator.faults.add("status", "trustmonitor", status=403, times=None)
    simulator.add("auth", 20)
    with RunningJob(job) as running:
        assert receiver.wait_for(20, 20)

    assert running.exit_code == exit_codes.OK


def test_wrong_keys_end_the_program_with_their_own_exit_code_and_each_log_says_so_once(
    job, account, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(failure_classifier, "REFUSAL_WAITS_SECS", (0.1, 0.2))
    (tmp_path / "skey").write_text("b" * 40)
    with RunningJob(job) as running:
        running.join(20)

    assert running.exit_code == exit_codes.CREDENTIALS
    told = [record for record in caplog.records if "Check ikey" in record.getMessage()]
    assert {record.levelno for record in told} == {logging.ERROR}
    assert len(told) == len({record.getMessage() for record in told}) == len(job.log_types_of("main"))


def test_a_connection_that_duo_has_closed_is_closed_here_as_well(job, simulator, receiver, eventually):
    """Between two polls that are too near to each other for giving it up at once."""
    simulator.add("auth", 1, at_ms=now_ms() - 5_000)
    quiet = replace(job, reading=replace(FAST, poll_interval_secs=25), routes=(Route(("auth",), ("siem",)),))
    with RunningJob(quiet):
        assert receiver.wait_for(1, 20)
        eventually(lambda: CONNECTIONS._idle, "the connection is kept")
        simulator.stop()
        eventually(lambda: not CONNECTIONS._idle, "the connection is closed", within_secs=10)


def test_three_thousand_events_in_one_millisecond_arrive_once(job, simulator, receiver, eventually):
    for log_type in ("auth", "activity", "telephony"):
        simulator.add(log_type, 3_000, at_ms=now_ms() - 10_000)
    with RunningJob(job):
        assert receiver.wait_for(9_000, 30)
        simulator.add("auth", 1)
        assert receiver.wait_for(9_001, 10)

    for log_type in ("auth", "activity", "telephony"):
        assert receiver.unique_ids(log_type) == set(simulator.produced_ids(log_type))
    assert receiver.total() == 9_001


def test_pages_are_fetched_once(job, simulator, receiver):
    simulator.add_backlog("auth", 10_000, now_ms() - 3_600_000, now_ms() - 1_000)
    with RunningJob(replace(job, routes=(Route(("auth",), ("siem",)),))):
        assert receiver.wait_for(10_000, 30)
    offsets = [dict(call.params).get("next_offset") for call in simulator.calls]
    paged = [offset for offset in offsets if offset]

    assert len(paged) == len(set(paged))


def test_a_second_copy_on_the_same_checkpoints_is_refused(job, receiver, simulator):
    simulator.add("auth", 1)
    with RunningJob(job):
        assert receiver.wait_for(1, 20)
        other = RunningJob(job)
        other._run()

    assert other.exit_code == exit_codes.STATE


def test_an_msp_parents_children_are_read_on_their_own_hosts(job, simulator, account, receiver):
    simulator.add_child("DA000000000000000001", "One", "localhost")
    simulator.add_child("DA000000000000000002", "Two", "localhost")
    simulator.add_child("DA000000000000000003", "Blocked", "localhost")
    for child in ("DA000000000000000001", "DA000000000000000002", "DA000000000000000003"):
        simulator.add("auth", 50, account_id=child)
    parent = replace(account, is_msp=True, block_list=("DA000000000000000003",))
    with RunningJob(replace(job, accounts=(parent,))):
        assert receiver.wait_for(100, 20)

    produced = set(
        simulator.produced_ids("auth", "DA000000000000000001") + simulator.produced_ids("auth", "DA000000000000000002")
    )
    assert receiver.unique_ids("auth") == produced


def test_a_bundle_that_waits_for_its_dead_letter_goes_on_also_where_nothing_new_happens(
    job, simulator, receiver, eventually, tmp_path, caplog
):
    """The dead letter directory is in the way; once it is mended, what waited is delivered without a new event, and once."""
    (tmp_path / "dead").write_text("in the way")
    small = replace(job, destinations=(destination(receiver, max_message_bytes=2_000),), routes=(Route(("auth",), ("siem",)),))
    simulator.add("auth", 5, at_ms=now_ms() - 5_000, row_bytes=1_000)
    simulator.add("auth", 1, at_ms=now_ms() - 4_000, row_bytes=4_000)
    with RunningJob(small):
        eventually(lambda: "what needs one waits" in caplog.text, "the trouble in the log")
        (tmp_path / "dead").unlink()
        eventually(lambda: list((tmp_path / "dead").glob("*.avro")), "the dead letter is kept")
        assert receiver.wait_for(5, 20)

    assert receiver.unique_ids("auth") >= set(simulator.produced_ids("auth")[:5])
    assert receiver.total() == 5


def test_what_was_not_delivered_at_the_end_shows_in_the_exit_code(job, simulator, receiver, eventually, tmp_path, caplog):
    (tmp_path / "dead").write_text("in the way")
    small = replace(job, destinations=(destination(receiver, max_message_bytes=2_000),), routes=(Route(("auth",), ("siem",)),))
    simulator.add("auth", 1, at_ms=now_ms() - 5_000, row_bytes=1_000)
    simulator.add("auth", 1, at_ms=now_ms() - 4_000, row_bytes=4_000)
    with RunningJob(small, grace_secs=2.0) as running:
        eventually(lambda: "what needs one waits" in caplog.text, "the trouble in the log")

    assert running.exit_code == exit_codes.DELIVERY


def test_a_checkpoint_that_cannot_be_written_repeats_nothing_in_this_process(job, simulator, receiver, monkeypatch, caplog):
    from transforms.state.checkpoints.local import CheckpointStore

    def full(*_args):
        raise OSError(28, "No space left on device")

    simulator.add_backlog("auth", 3_000, now_ms() - 3_600_000, now_ms() - 1_000)
    with RunningJob(replace(job, routes=(Route(("auth",), ("siem",)),))):
        assert receiver.wait_for(3_000, 30)
        monkeypatch.setattr(CheckpointStore, "_write", full)
        simulator.add("auth", 10)
        assert receiver.wait_for(3_010, 20)
        simulator.add("auth", 10)
        assert receiver.wait_for(3_020, 20)
        monkeypatch.undo()

    assert receiver.total() == 3_020
    assert "No space left" in caplog.text
