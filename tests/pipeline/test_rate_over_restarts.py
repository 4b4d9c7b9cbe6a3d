"""A local run keeps what it learnt about Duo's rate limit in its checkpoint directory, and the next one begins with it."""

import contextlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.demo.receiver import SiemReceiver
from pipelines.demo.simulator import DuoSimulator, RateLimit
from pipelines.local.supervisor import run_local
from tests.conftest import FAST, IKEY, now_ms
from transforms.destinations.stream.settings import TcpSettings
from transforms.duo.rate_limit.budgets import FILE_NAME
from transforms.formats.json_lines import JsonOptions
from transforms.process import lifetime
from transforms.process.shutdown import STOP
from transforms.secrets import SecretRef
from transforms.settings import Account, Destination, Format, Job, Route, Storage


@pytest.fixture
def limited_duo(authority, skey):
    tls = (authority.cert_file, authority.key_file)
    with DuoSimulator(IKEY, skey, delay_secs=0, tls=tls, rate_limit=RateLimit(60)) as duo:
        yield duo


@pytest.fixture
def job(limited_duo, authority, skey, tmp_path):
    key_file = tmp_path / "skey"
    key_file.write_text(skey)
    account = Account(
        "main", "localhost", IKEY, SecretRef("file", str(key_file)), port=limited_duo.port, ca_file=authority.ca_file
    )
    with SiemReceiver() as receiver:
        yield Job(
            accounts=(account,),
            destinations=(Destination("siem", TcpSettings("127.0.0.1", receiver.port), Format(JsonOptions())),),
            routes=(Route(("auth",), ("siem",)),),
            storage=Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead")),
            reading=replace(FAST, poll_interval_secs=0.05),
        )


@contextlib.contextmanager
def running(job):
    lifetime.reset()
    thread = threading.Thread(target=run_local, args=(job,), kwargs={"grace_secs": 10.0}, daemon=True)
    thread.start()
    yield
    STOP.request(10.0)
    thread.join(30)
    assert not thread.is_alive()


def statuses(duo):
    return [call.status for call in duo.calls]


def test_the_next_run_does_not_learn_the_limit_again(job, limited_duo, eventually):
    limited_duo.add_backlog("auth", 30_000, now_ms() - 3_600_000, now_ms() - 1_000)
    with running(job):
        eventually(lambda: statuses(limited_duo).count(200) >= 10)
    file = Path(job.storage.checkpoint_dir) / FILE_NAME
    assert file.stat().st_mode & 0o777 == 0o600
    assert 2 <= statuses(limited_duo).count(429) <= 12
    limited_duo.calls.clear()
    with running(job):
        eventually(lambda: statuses(limited_duo).count(200) >= 6)

    assert statuses(limited_duo).count(429) <= 1
