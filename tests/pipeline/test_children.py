"""The children of an MSP parent while the program runs: they come, go, move and fail, and none of it costs another an event."""

import json
import logging
from dataclasses import replace

import pytest

from pipelines import exit_codes
from pipelines.commands.check import check_job
from pipelines.demo.receiver import SiemReceiver
from pipelines.local.children import list_children
from tests.conftest import FAST, now_ms
from tests.pipeline.test_local_run import RunningJob
from transforms.destinations.stream.settings import TcpSettings
from transforms.formats.cef import CefOptions
from transforms.formats.json_lines import CHILD_ACCOUNT_KEY, JsonOptions
from transforms.settings import Destination, Format, Job, Route, Storage
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.cursor import Cursor

ONE, TWO, THREE = (f"DA{number:018d}" for number in (1, 2, 3))
LOG_TYPES = ("auth", "activity", "telephony", "trustmonitor")
QUICK = replace(FAST, relist_secs=0.3, request_timeout_secs=2)


@pytest.fixture
def siem():
    with SiemReceiver(keep_messages=True) as siem:
        yield siem


@pytest.fixture
def parent(account):
    return replace(account, is_msp=True)


@pytest.fixture
def job(parent, siem, tmp_path):
    return Job(
        accounts=(parent,),
        destinations=(Destination("siem", TcpSettings("127.0.0.1", siem.port), Format(JsonOptions(envelope=True))),),
        routes=(Route(("auth",), ("siem",)),),
        storage=Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead")),
        reading=QUICK,
    )


@pytest.fixture
def children(simulator):
    simulator.add_child(ONE, "Customer One", "localhost")
    simulator.add_child(TWO, "Customer Two", "localhost")
    for child in (ONE, TWO):
        simulator.add("auth", 20, at_ms=now_ms() - 60_000, spread_ms=50_000, account_id=child)


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO, "duologsync")
    return lambda text: sum(text in record.getMessage() for record in caplog.records)


def calls_for(simulator, child):
    return [call for call in list(simulator.calls) if call.account_id == child]


def produced(simulator, *children, log_type="auth"):
    return {event_id for child in children for event_id in simulator.produced_ids(log_type, child)}


# --- coming and going ----------------------------------------------------------------------------------------------------


def test_a_new_child_is_read_while_the_program_runs(job, simulator, siem, children, told):
    with RunningJob(job):
        assert siem.wait_for(40, 20)
        simulator.add_child(THREE, "Customer Three", "localhost")
        simulator.add("auth", 20, account_id=THREE)
        assert siem.wait_for(60, 20)

    assert siem.unique_ids("auth") == produced(simulator, ONE, TWO, THREE)
    assert told("reading Customer Three") == 1


def test_a_removed_child_ends_and_nothing_of_what_was_read_is_lost(job, simulator, siem, children, told, eventually):
    with RunningJob(job) as running:
        assert siem.wait_for(40, 20)
        simulator.accounts.remove_child(ONE)
        eventually(lambda: told(f"main/{ONE}: has ended."))
        asked = len(calls_for(simulator, ONE))
        simulator.add("auth", 20, account_id=TWO)
        assert siem.wait_for(60, 20)

    assert len(calls_for(simulator, ONE)) == asked
    assert siem.unique_ids("auth") == produced(simulator, ONE, TWO)
    assert told("Customer One is not listed any more") == 1
    assert running.exit_code == exit_codes.OK


def test_pages_in_hand_of_a_removed_child_are_delivered_when_its_siem_comes_back(job, simulator, siem, told, eventually):
    simulator.add_child(ONE, "Customer One", "localhost")
    simulator.add_child(TWO, "Customer Two", "localhost")
    simulator.add_backlog("auth", 2_500, now_ms() - 3_600_000, now_ms() - 1_000, account_id=ONE)
    siem.refuse()
    with RunningJob(job):
        eventually(lambda: len(calls_for(simulator, ONE)) >= 3)
        simulator.accounts.remove_child(ONE)
        eventually(lambda: told("Customer One is not listed any more"))
        siem.reopen()
        eventually(lambda: told(f"main/{ONE}: has ended."))
        delivered = siem.unique_ids("auth")

    assert len(delivered) >= 2_000
    assert delivered <= produced(simulator, ONE)
    stored = {record.stream.account: record for record in CheckpointStore(job.storage.checkpoint_dir).records()}
    # What was delivered is committed, no more and no less.
    assert stored[f"main/{ONE}"].delivered == len(delivered)


def test_a_child_that_comes_back_goes_on_where_it_was(job, simulator, siem, children, told, eventually):
    with RunningJob(job):
        assert siem.wait_for(40, 20)
        simulator.accounts.remove_child(ONE)
        eventually(lambda: told(f"main/{ONE}: has ended."))
        simulator.add("auth", 20, account_id=ONE)
        simulator.add_child(ONE, "Customer One", "localhost")
        assert siem.wait_for(60, 20)

    assert siem.unique_ids("auth") == produced(simulator, ONE, TWO)
    assert siem.total() == 60


def test_a_child_that_comes_back_goes_on_where_it_was_even_without_checkpointing(
    job, simulator, siem, children, told, eventually
):
    job = replace(job, storage=replace(job.storage, resume=False))
    with RunningJob(job):
        assert siem.wait_for(40, 20)
        simulator.accounts.remove_child(ONE)
        eventually(lambda: told(f"main/{ONE}: has ended."))
        simulator.add_child(ONE, "Customer One", "localhost")
        simulator.add("auth", 20, account_id=ONE)
        assert siem.wait_for(60, 20)

    assert siem.total() == 60


def test_a_child_that_moves_to_another_host_is_read_there_and_goes_on_where_it_was(job, simulator, siem, children, told):
    with RunningJob(job):
        assert siem.wait_for(40, 20)
        simulator.add_child(ONE, "Customer One", "127.0.0.1")
        simulator.add("auth", 20, account_id=ONE)
        assert siem.wait_for(60, 20)
        simulator.add_child(ONE, "Customer One", "localhost")
        simulator.add("auth", 20, account_id=ONE)
        assert siem.wait_for(80, 20)

    assert siem.total() == 80
    assert siem.unique_ids("auth") == produced(simulator, ONE, TWO)
    assert {call.host for call in calls_for(simulator, ONE) if call.status == 200} == {"localhost", "127.0.0.1"}
    assert told("has moved to 127.0.0.1") == 1


def test_a_child_that_moves_while_one_destination_is_away_is_read_on_for_the_other(job, simulator, siem, children, told):
    with SiemReceiver(keep_messages=True) as away:
        other = Destination("away", TcpSettings("127.0.0.1", away.port), Format(JsonOptions(envelope=True)))
        job = replace(job, destinations=(*job.destinations, other), routes=(Route(("auth",), ("siem", "away")),))
        away.refuse()
        with RunningJob(job, grace_secs=1.0):
            assert siem.wait_for(40, 20)
            simulator.add_child(ONE, "Customer One", "127.0.0.1")
            simulator.add("auth", 20, account_id=ONE)
            assert siem.wait_for(60, 10), "a destination waits for another one"
            away.reopen()
            assert away.wait_for(60, 40)

        assert away.unique_ids("auth") == siem.unique_ids("auth") == produced(simulator, ONE, TWO)


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 403}, {"kind": "status", "status": 500}, {"kind": "html"}])
def test_a_list_that_cannot_be_read_leaves_the_running_children_alone(fault, job, simulator, siem, children, told, eventually):
    with RunningJob(job) as running:
        assert siem.wait_for(40, 20)
        broken = simulator.faults.add(target="/accounts/v1/account/list", times=None, **fault)
        eventually(lambda: broken.hits >= 3)
        for child in (ONE, TWO):
            simulator.add("auth", 20, account_id=child)
        assert siem.wait_for(80, 20)
        simulator.faults.clear()
        eventually(lambda: told("its children can be listed again"))

    assert siem.unique_ids("auth") == produced(simulator, ONE, TWO)
    assert told("its children cannot be listed") == 1  # not every time
    assert running.exit_code == exit_codes.OK


# --- a child's trouble is its own ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 403}, {"kind": "status", "status": 500}, {"kind": "hang"}, {"kind": "reset"}],
    ids=["403", "500", "hangs", "resets"],
)
def test_a_child_that_always_fails_costs_the_others_nothing(fault, job, simulator, siem, children):
    simulator.faults.add(account_id=ONE, times=None, **fault)
    every_log = replace(job, routes=(Route(LOG_TYPES, ("siem",)),))
    with RunningJob(every_log, grace_secs=3.0):
        for round_number in range(1, 4):
            simulator.add("activity", 30, account_id=TWO)
            assert siem.wait_for(30 * round_number, 20, log_type="activity")
        assert siem.wait_for(20, 20, log_type="auth")

    assert siem.unique_ids("auth") == produced(simulator, TWO)
    assert siem.unique_ids("activity") == produced(simulator, TWO, log_type="activity")
    assert not any(call.status == 200 for call in calls_for(simulator, ONE))


# --- who is read ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lists", "read"),
    [
        ({}, {ONE, TWO, THREE}),
        ({"block_list": (ONE,)}, {TWO, THREE}),
        ({"block_list": ("customer one ",)}, {TWO, THREE}),
        ({"allow_list": (ONE.lower(), "Customer Two")}, {ONE, TWO}),
        ({"allow_list": ("Customer One", "Customer Two"), "block_list": (TWO,)}, {ONE}),
        ({"allow_list": ("Nobody",)}, set()),
        ({"block_list": ("Customer",)}, {ONE, TWO, THREE}),
    ],
    ids=["all", "blocked by id", "blocked by name", "allowed by id and name", "on both", "allowed nobody", "part of a name"],
)
def test_allow_and_block_list_take_ids_and_names(lists, read, parent, simulator, children):
    simulator.add_child(THREE, "Customer Three", "localhost")
    listing = list_children(replace(parent, **lists), 5)

    assert {child.account.account_id for child in listing.children} == read
    assert all(not (child.account.is_msp or child.account.allow_list or child.account.block_list) for child in listing.children)


def test_what_is_on_a_list_and_fits_no_child_is_told(parent, simulator, children):
    listing = list_children(replace(parent, allow_list=(ONE, "Custommer Two"), block_list=("DA9",)), 5)
    assert listing.unmatched == ("Custommer Two", "DA9")


def test_check_tells_of_entries_that_fit_no_child_and_fails_for_them(job, parent, simulator, siem, children):
    job = replace(job, accounts=(replace(parent, block_list=("Custommer Two",)),))
    findings = list(check_job(job))
    (bad,) = [finding for finding in findings if not finding.good]

    assert "Custommer Two" in bad.text
    assert bad.code == exit_codes.CONFIG
    assert any("2 are read: Customer One, Customer Two" in finding.text for finding in findings)


def test_a_renamed_child_that_is_on_the_block_list_now_ends(job, parent, simulator, siem, children, told, eventually):
    job = replace(job, accounts=(replace(parent, block_list=("Left us",)),))
    with RunningJob(job):
        assert siem.wait_for(40, 20)
        simulator.add_child(ONE, "Left Us", "localhost")
        eventually(lambda: told(f"main/{ONE}: has ended."))


# --- whose event it is ---------------------------------------------------------------------------------------------------


def test_every_event_of_every_log_carries_its_account(job, simulator, siem, tmp_path):
    with SiemReceiver(keep_messages=True) as cef, SiemReceiver(keep_messages=True) as incumbent:
        job = replace(
            job,
            destinations=(
                *job.destinations,
                Destination("cef", TcpSettings("127.0.0.1", cef.port), Format(CefOptions())),
                Destination(
                    "dls", TcpSettings("127.0.0.1", incumbent.port), Format(JsonOptions(account_key=CHILD_ACCOUNT_KEY))
                ),
            ),
            routes=(Route(LOG_TYPES, ("siem", "cef", "dls")),),
        )
        for child in (ONE, TWO):
            simulator.add_child(child, child, "localhost")
            for log_type in LOG_TYPES:
                simulator.add(log_type, 5, account_id=child)
        with RunningJob(job):
            assert all(receiver.wait_for(40, 30) for receiver in (siem, cef, incumbent))

        for child in (ONE, TWO):
            of_child = [json.loads(message) for message in siem.messages if child in message.decode()]
            assert len(of_child) == 20
            assert {(event["account"], event["account_id"]) for event in of_child} == {(f"main/{child}", child)}
            written = [message for message in cef.messages if f" deviceExternalId={child}" in message.decode()]
            assert len(written) == 20
            assert all(b" dvchost=localhost" in message for message in written)
            spliced = [m for m in incumbent.messages if json.loads(m).get("child_account_id") == child]
            rows = {row for log_type in LOG_TYPES for row in simulator.produced_rows(log_type, child)}
            assert {row[:-1] + b',"child_account_id":"%b"}' % child.encode() for row in rows} == set(spliced)


# --- checkpoints ---------------------------------------------------------------------------------------------------------


def test_a_checkpoint_stays_a_childs_own_wherever_duo_serves_it_and_nobody_elses(tmp_path):
    from transforms.records import Stream, Subscription

    def to_siem(host, child):
        return Subscription(Stream("main/DA1", "auth", host, child), "siem")

    at_home = to_siem("api-1.duosecurity.com", "DA1")
    CheckpointStore(tmp_path).commit(at_home, Cursor(1, 2, seq=7))

    assert CheckpointStore(tmp_path).load(to_siem("api-2.duosecurity.com", "DA1")).seq == 7
    assert CheckpointStore(tmp_path).load(to_siem("api-1.duosecurity.com", "DA2")) is None
