"""A simulated Duo with days of events behind it, a configuration file, the program that delivers, and ``audit`` itself.

The day that is audited ended a day before the tests began: no midnight that passes while they run changes what they see.
"""

import json
import logging
import time

import pytest

from pipelines import cli
from pipelines.config import load
from tests.conftest import IKEY, now_ms
from tests.pipeline.test_local_run import RunningJob
from transforms.days import DAY_MS, day_of
from transforms.process import lifetime

END_MS = now_ms() // DAY_MS * DAY_MS - DAY_MS
BEGIN_MS, NOON_MS = END_MS - DAY_MS, END_MS - DAY_MS // 2
DAY, DAY_BEFORE, DAY_AFTER = day_of(BEGIN_MS), day_of(BEGIN_MS - DAY_MS), day_of(END_MS)
THE_DAY = ("--from", DAY, "--to", DAY_AFTER)


class World:
    """See the module.

    Attributes:
      config: the file. duo: the simulator.
    """

    def __init__(self, simulator, authority, skey, tmp_path):
        self.duo = simulator
        self.tmp_path = tmp_path
        self.config = tmp_path / "config.yml"
        (tmp_path / "skey").touch(mode=0o600)
        (tmp_path / "skey").write_text(skey)
        self._account = (
            f"{{api_host: localhost, port: {simulator.port}, ca_file: {authority.ca_file}, ikey: {IKEY}, "
            f'skey: "file:{tmp_path}/skey"'
        )

    def write(self, *destinations, routes="", account="", reading="start_days: 5"):
        """The configuration, with these destinations in YAML."""
        lines = "".join(f"  - {each}\n" for each in destinations)
        self.config.write_text(
            f"version: 2\naccounts:\n  - {self._account}{account}}}\n"
            f"reading: {{{reading}, poll_interval_secs: 1, lag_secs: 0}}\ndestinations:\n{lines}{routes}"
            f"storage: {{checkpoint_dir: {self.tmp_path}/checkpoints, dead_letter_dir: {self.tmp_path}/dead}}\n"
        )

    def happen(self, log_type, count, day_ms=BEGIN_MS, **more):
        """Events, evenly over a day."""
        self.duo.add_backlog(log_type, count, day_ms, day_ms + DAY_MS - 1, **more)

    def deliver(self, until, secs=60.0):
        """The program runs until this is true."""
        with RunningJob(load(self.config).job):
            end = time.monotonic() + secs
            while not until():
                assert time.monotonic() < end, "not delivered in time"
                time.sleep(0.05)
        lifetime.reset()

    def audit(self, *words):
        """The exit code."""
        try:
            return cli.main(["audit", str(self.config), *map(str, words)])
        finally:
            lifetime.reset()


@pytest.fixture
def world(simulator, authority, skey, tmp_path):
    return World(simulator, authority, skey, tmp_path)


@pytest.fixture
def audited(world, capsys):
    """Audits, and gives the exit code and the certificates as JSON."""

    def run(*words):
        capsys.readouterr()
        day = () if "--from" in words else THE_DAY
        code = world.audit("--json", *day, *words)
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]

    return run


@pytest.fixture(autouse=True)
def logging_as_before():
    """Commands set logging up for a process of their own."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


def outcome(certificate, log_type="auth", destination="siem"):
    (found,) = [each for each in certificate["streams"] if (each["log_type"], each["destination"]) == (log_type, destination)]
    return found
