"""The logs of API v1 through the whole pipeline: every row arrives, rows that are alike as often as they happened."""

from collections import Counter
from dataclasses import replace

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from tests.conftest import FAST, now_ms
from tests.pipeline.test_local_run import RunningJob, destination
from transforms.settings import Job, Route, Storage

OLD_LOGS = ("admin", "offline_enrollment")


@pytest.fixture
def siem():
    with SiemReceiver(keep_messages=True) as siem:
        yield siem


@pytest.fixture
def job(account, siem, tmp_path):
    return Job(
        accounts=(account,),
        destinations=(destination(siem),),
        routes=(Route(OLD_LOGS, ("siem",)),),
        storage=Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead")),
        reading=FAST,
    )


def test_every_row_of_the_old_logs_arrives_as_duo_sent_it_across_a_restart(job, simulator, siem):
    alike = {"timestamp": now_ms() // 1000 - 60, "username": "API", "action": "user_update", "object": "jdoe"}
    for log_type in OLD_LOGS:
        simulator.add_backlog(log_type, 2_500, now_ms() - 3_600_000, now_ms() - 1_000)
    simulator.add("admin", [alike] * 3)
    with RunningJob(job):
        assert siem.wait_for(5_003, 40)
    simulator.add("admin", 4)
    simulator.add("admin", [{**alike, "timestamp": now_ms() // 1000}] * 2)
    with RunningJob(job) as running:
        assert siem.wait_for(5_009, 20)

    assert running.exit_code == exit_codes.OK
    assert Counter(siem.messages) == Counter(row for log_type in OLD_LOGS for row in simulator.produced_rows(log_type))


def test_a_repeat_can_be_told_by_the_id_that_cef_has(job, simulator, account, siem):
    with SiemReceiver(keep_messages=True) as cef:
        both = replace(
            job,
            destinations=(destination(siem), destination(cef, "cef", "cef")),
            routes=(Route(OLD_LOGS, ("siem", "cef")),),
        )
        for log_type in OLD_LOGS:
            simulator.add(log_type, 50, at_ms=now_ms() - 60_000, spread_ms=30_000)
        with RunningJob(both):
            assert cef.wait_for(100, 30)
            assert siem.wait_for(100, 30)

        for log_type in OLD_LOGS:
            assert cef.unique_ids(log_type) == siem.unique_ids(log_type) == set(simulator.produced_ids(log_type))


@pytest.mark.parametrize("status", [403, 404, 410])
def test_an_old_log_that_duo_has_ended_costs_the_others_nothing(job, simulator, siem, status):
    job = replace(job, routes=(Route(("activity", *OLD_LOGS), ("siem",)),))
    for log_type in OLD_LOGS:
        simulator.faults.add("status", log_type, status=status, times=None)
    simulator.add("activity", 20, at_ms=now_ms() - 60_000)
    with RunningJob(job) as running:
        assert siem.wait_for(20, 30)

    assert running.exit_code == exit_codes.OK
    assert siem.unique_ids("activity") == set(simulator.produced_ids("activity"))
