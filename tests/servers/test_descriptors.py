"""Many streams with few file descriptors: they share connections to Duo, and nothing is left open or undone."""

import contextlib
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from tests.servers.harness import HOUR_MS, Duo, Program, now_ms, tcp, wait_until, write_config

LOGS = ("auth", "activity", "telephony")
CHILDREN = 64
FEW = 128


class FrugalProgram(Program):
    """The program with so many descriptors and not one more."""

    descriptors = FEW

    def start(self):
        words = ["sh", "-c", f'ulimit -n {self.descriptors}; exec "$@"', "sh", sys.executable, "-m", "pipelines", *self._words]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                words, cwd=self._folder, env=self._env, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def open_files(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self._process.pid}/fd").iterdir())

    def connections(self, port: int) -> list[str]:
        """The states of its connections to a port, as the kernel writes them: 01 is established, 08 is CLOSE_WAIT."""
        inodes = set()
        for descriptor in Path(f"/proc/{self._process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed while we looked
                inodes.add(descriptor.readlink().name)
        rows = [line.split() for line in Path(f"/proc/{self._process.pid}/net/tcp").read_text().splitlines()[1:]]
        mine = [row for row in rows if f"socket:[{row[9]}]" in inodes]
        return [row[3] for row in mine if int(row[2].rpartition(":")[2], 16) == port]


@pytest.fixture
def parent(tmp_path):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        ids = [f"DA{number:018d}" for number in range(CHILDREN)]
        for child in ids:
            duo.simulator.add_child(child, child, "localhost")
            for log_type in LOGS:
                duo.simulator.add_backlog(log_type, 40, now_ms() - HOUR_MS, now_ms() - 1000, account_id=child)
        config = write_config(
            tmp_path, duo, [tcp(siem.port)], log_types=LOGS, account=duo.account(msp=True), poll_interval_secs=35
        )
        yield duo, siem, ids, config


def produced(duo, ids):
    return {log_type: {i for child in ids for i in duo.simulator.produced_ids(log_type, child)} for log_type in LOGS}


def all_arrived(duo, siem, ids):
    return all(siem.unique_ids(log_type) >= wanted for log_type, wanted in produced(duo, ids).items())


def test_a_hundred_and_ninety_streams_with_128_descriptors_deliver_everything_and_close_what_is_idle(parent, tmp_path):
    duo, siem, ids, config = parent
    most = 0
    with FrugalProgram(tmp_path, "run", config) as program:
        deadline = time.monotonic() + 120
        while not all_arrived(duo, siem, ids):
            assert time.monotonic() < deadline, program.log()[-3000:]
            most = max(most, program.open_files())
            time.sleep(0.1)
        wait_until(lambda: not program.connections(duo.simulator.port), "idle connections to Duo are closed")
        for child in ids:
            duo.simulator.add("auth", 1, account_id=child)
        wait_until(lambda: all_arrived(duo, siem, ids), "new events arrive")
        wait_until(lambda: not program.connections(duo.simulator.port), "idle connections to Duo are closed again")
        assert program.end() == exit_codes.OK

    assert most < FEW
    told = [line for line in program.lines("WARNING") if "file descriptors" in line]
    assert len(told) == 1
    assert "LimitNOFILE" in told[0]
    assert not program.lines("ERROR")
    assert "Traceback" not in program.log()


def test_a_low_soft_limit_is_raised_at_the_start(parent, tmp_path):
    *_, config = parent
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > 1024

    class SoftlyLimited(FrugalProgram):
        descriptors = f"{hard} && ulimit -S -n {FEW}"

    with SoftlyLimited(tmp_path, "run", config) as program:
        wait_until(lambda: program.log().count(": reading ") == CHILDREN, "all streams are started")
        soft, _ = resource.prlimit(program._process.pid, resource.RLIMIT_NOFILE)
        assert program.end() == exit_codes.OK

    assert soft == min(hard, 65_536)
    assert not [line for line in program.lines("WARNING") if "file descriptors" in line]
