"""The whole program where another user of the machine was there first: it says what it found, with its exit code."""

import json
import os

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from tests.servers.harness import Duo, Program, tcp, wait_for_all, write_config

pytestmark = pytest.mark.servers
VICTIM = b"another program's data"


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_bytes(VICTIM)
    yield path
    assert path.read_bytes() == VICTIM


@pytest.fixture
def duo(tmp_path):
    with Duo(tmp_path) as duo:
        duo.add_backlog({"auth": 50})
        yield duo


@pytest.fixture
def siem():
    with SiemReceiver() as siem:
        yield siem


def refused(program: Program) -> str:
    """What a program that must refuse to run says."""
    assert program.run() == exit_codes.STATE
    assert "Traceback" not in program.log()
    (said,) = program.lines("ERROR")
    return said


def test_a_lock_that_is_a_link(tmp_path, duo, siem, victim):
    (tmp_path / "checkpoints").mkdir(mode=0o700)
    (tmp_path / "checkpoints" / ".lock").symlink_to(victim)
    config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
    assert "it is a symbolic link, which is not followed" in refused(Program(tmp_path, "run", config))


@pytest.mark.parametrize("name", ["checkpoints", "dead-letters"])
def test_a_state_directory_that_others_can_write_to(name, tmp_path, duo, siem):
    (tmp_path / name).mkdir()
    (tmp_path / name).chmod(0o1777)
    config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
    assert f"Run: chmod 700 {tmp_path / name}" in refused(Program(tmp_path, "run", config))
    assert siem.total() == 0


def test_a_log_file_that_is_a_link(tmp_path, duo, siem, victim):
    (tmp_path / "duologsync.log").symlink_to(victim)
    config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
    config.write_text(json.dumps(json.loads(config.read_text()) | {"log_file": str(tmp_path / "duologsync.log")}))
    assert "it is a symbolic link, which is not followed" in refused(Program(tmp_path, "run", config))


def test_a_log_file_that_is_a_pipe_keeps_nobody_waiting(tmp_path, duo, siem):
    os.mkfifo(tmp_path / "duologsync.log")
    config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
    config.write_text(json.dumps(json.loads(config.read_text()) | {"log_file": str(tmp_path / "duologsync.log")}))
    assert "it is no regular file" in refused(Program(tmp_path, "run", config))


def test_the_record_of_a_stream_that_is_a_link(tmp_path, duo, siem, victim):
    (tmp_path / "checkpoints").mkdir(mode=0o700)
    (tmp_path / "checkpoints" / "main.auth.siem.json").symlink_to(victim)
    config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
    assert "it is a symbolic link, which is not followed" in refused(Program(tmp_path, "run", config))
    status = Program(tmp_path / "checkpoints", "status", config)
    assert status.run() == exit_codes.SUSPENDED
    assert "it is a symbolic link, which is not followed" in status.log()
    assert VICTIM.decode() not in status.log()


def test_what_is_written_aside_is_never_written_through_a_link(tmp_path, duo, siem, victim):
    (tmp_path / "checkpoints").mkdir(mode=0o700)
    for name in (".main.auth.siem.json.new", ".rate-budgets.new"):
        (tmp_path / "checkpoints" / name).symlink_to(victim)
    config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
    with Program(tmp_path, "run", config) as program:
        wait_for_all(duo, siem, ["auth"], program)
        assert program.end() == exit_codes.OK
    assert not (tmp_path / "checkpoints" / "main.auth.siem.json").is_symlink()


def test_a_backfill_keeps_its_end_in_no_file_of_another(tmp_path, duo, siem, victim):
    config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
    begun = Program(tmp_path, "backfill", config, "--from", "1d")
    assert begun.run() == exit_codes.OK
    (kept,) = (tmp_path / "checkpoints" / "backfill").glob("*/until")
    kept.unlink()
    kept.symlink_to(victim)
    again = Program(tmp_path, "backfill", config, "--from", "1d")
    assert again.run() == exit_codes.STATE
    assert "it is a symbolic link, which is not followed" in again.log()
    assert "Traceback" not in again.log()
