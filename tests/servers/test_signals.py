"""Signals that ask nobody to end end nobody: logrotate, a dropped ssh session, habits."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from tests.servers.harness import ROOT, Duo, Program, tcp, wait_for_all, wait_until, write_config

pytestmark = pytest.mark.servers

# The terminal that the leader of a session opens first is the session's: who loses it is told to hang up.
_TAKE_TERMINAL = """
import os, sys
os.close(os.open(os.ttyname(0), os.O_RDWR))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_a_program_that_is_told_to_hang_up_goes_on_and_begins_a_new_log_file(tmp_path):
    own_log, moved = tmp_path / "own.log", tmp_path / "own.log.moved"
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"auth": 10})
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
        config.write_text(json.dumps(json.loads(config.read_text()) | {"log_file": str(own_log)}))
        with Program(tmp_path, "run", config) as program:
            wait_until(lambda: "caught up" in program.log() or not program.running, "the program reads")
            own_log.rename(moved)  # as logrotate does
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                program.send(number)
            wait_until(lambda: "SIGUSR2 means nothing here" in program.log() or not program.running, "all are told")
            duo.simulator.add("auth", 10)
            wait_for_all(duo, siem, ["auth"], program)
            assert program.end() == exit_codes.OK
    assert "the log file is opened again. The configuration is read at the start only" in program.log()
    fresh = [json.loads(line)["message"] for line in own_log.read_text().splitlines()]
    assert any(line.startswith("SIGHUP: the log file is opened again.") for line in fresh)
    assert own_log.stat().st_mode & 0o777 == 0o600
    assert "SIGHUP" not in moved.read_text()


@pytest.mark.parametrize("words", [("run",), ("backfill", "--from", "1d")], ids=["run", "backfill"])
def test_a_session_that_is_cut_off_costs_no_event(tmp_path, words):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"auth": 20_000}, until_secs_ago=1200)
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
        ours, theirs = pty.openpty()
        program = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, "-m", "pipelines", words[0], str(config), *words[1:]],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        try:
            assert siem.wait_for(1, 60.0), os.read(ours, 10_000).decode()
            os.close(ours)  # ssh is gone: the kernel sends SIGHUP, and nothing can be written any more
            wait_for_all(duo, siem, ["auth"])
            if words[0] == "run":
                program.send_signal(signal.SIGTERM)
            code = program.wait(120)
        finally:
            program.kill()
            program.wait()
    assert code >= 0, f"it died of {signal.Signals(-code).name}"
