"""``duologsync run``: how it ends, and what it says of that."""

import json
import signal
import subprocess
import sys
import threading

from pipelines import exit_codes
from pipelines.commands.status import present_report
from pipelines.config import load
from tests.conftest import now_ms


class Running:
    """A run as a process, and what it logs."""

    def __init__(self, config, *words: str) -> None:
        command = [sys.executable, "-m", "pipelines", "run", str(config), *words]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(json.loads(line)["message"])

    def said(self, what: str) -> bool:
        return any(what in line for line in self.lines)

    def end(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        self._reader.join(10)
        return code

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def has_read_what_it_cannot_deliver(config) -> bool:
    streams = present_report(load(config).job).streams
    return any(stream.log_type == "auth" and stream.oldest_undelivered_ms is not None for stream in streams)


def test_a_run_that_delivered_all_says_so_at_its_end(config, simulator, receiver, eventually):
    simulator.add("auth", 5, at_ms=now_ms() - 5_000)
    run = Running(config)
    try:
        assert receiver.wait_for(5, 60)
        eventually(lambda: run.said("main/auth to siem is caught up"), within_secs=60)
        assert run.end() == exit_codes.OK, run.lines
    finally:
        run.kill()
    assert run.lines[-1].startswith("Ended as asked, after ")
    assert run.lines[-1].endswith(": 5 events delivered. All that was read is delivered.")
    assert any(line.startswith("main/auth to siem since the start: 5 events delivered") for line in run.lines)


def test_a_run_whose_siem_was_away_all_the_time_does_not_end_as_if_all_was_delivered(config, simulator, receiver, eventually):
    simulator.add("auth", 5, at_ms=now_ms() - 5_000)
    receiver.stop()
    run = Running(config, "--grace-secs", "1")
    try:
        eventually(lambda: has_read_what_it_cannot_deliver(config), within_secs=60)
        assert run.end() == exit_codes.DELIVERY, run.lines
    finally:
        run.kill()
    assert "0 events delivered. Not delivered: what was read of main/auth to siem" in run.lines[-1]
    assert run.lines[-1].endswith("the next start reads it again and sends it (exit code 4).")
