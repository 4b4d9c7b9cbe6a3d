"""The program as its users run it: a process with a configuration file, that is killed, asked to end and started again.

Place: used by the tests beside it and by ``benchmarks.recovery``. Duo's simulator and the receivers run in the caller's
process, so that a test can make them fail and count what arrived; the program under test never does.

Contract: everything is on loopback and in one folder; secrets are made at run time; leaving a ``with`` ends what was started.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from typing_extensions import Self

from pipelines.demo.certificates import make_certificates
from pipelines.demo.receiver import SiemReceiver
from pipelines.demo.simulator import LOG_TYPES, DuoSimulator
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.checkpoints.record import Record
from transforms.state.dead_letters.letter import read_dead_letters

ROOT = Path(__file__).parents[2]
IKEY = "DISIMULATOR000000000"
PATIENCE_SECS = 120.0
HOUR_MS = 3_600_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def wait_until(condition: Callable[[], object], what: str, within_secs: float = PATIENCE_SECS) -> None:
    """Returns when the condition holds; fails with ``what`` where that takes too long."""
    deadline = time.monotonic() + within_secs
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_secs:g} s: {what}"
        time.sleep(0.02)


def _catches(pid: int, number: int) -> bool:
    """Whether a process has a handler of its own for a signal: the kernel knows."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:  # it has ended
        return False
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


_IMPATIENT = """
import sys
from pipelines.cli import main
from transforms.duo.fetch import failure_classifier
failure_classifier.REFUSAL_WAITS_SECS = (0.5, 1.5)
sys.exit(main())
"""
AT_ONCE = ("-c", _IMPATIENT)
"""Starts a ``Program`` that believes a refusal of its keys after two seconds; ``test_feed_steps`` has the whole minute."""


class Program:
    """``python -m pipelines`` with the words that a user would type; one log for all its launches.

    Attributes:
      started_by: what Python is told to start.
    """

    started_by: tuple[str, ...] = ("-m", "pipelines")

    def __init__(self, folder: Path, *words: object, env: dict[str, str] | None = None) -> None:
        self._words = [str(word) for word in words]
        self._env = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        self._folder = folder
        self.log_file = folder / "program.log"
        self.launches = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        assert not self.running, "it runs already"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self.started_by, *self._words],
                cwd=self._folder,
                env=self._env,
                stdout=log,
                stderr=log,
                # Ctrl-C at the tests' terminal is not meant for it.
                start_new_session=True,
            )
        self.launches += 1
        return self

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """kill -9, of a process that must be alive: one that ended by itself before was not killed by us."""
        assert self.running, f"it ended by itself:\n{self.log()[-3000:]}"
        self._process.kill()
        self._process.wait()

    def send(self, number: int) -> None:
        """Sends a signal where it runs."""
        if self.running:
            self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM, within_secs: float = 60.0) -> int:
        """Asks it to end, once it listens; its exit code. One that has just been started would die like any program."""
        wait_until(lambda: not self.running or _catches(self._process.pid, signal.SIGTERM), "the program listens to signals")
        assert self.running, f"it ended by itself:\n{self.log()[-3000:]}"
        self._process.send_signal(number)
        return self.wait(within_secs)

    def wait(self, within_secs: float = PATIENCE_SECS) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None
        return self._process.wait(within_secs)

    def run(self, within_secs: float = PATIENCE_SECS) -> int:
        """Starts it and waits for its end."""
        try:
            return self.start().wait(within_secs)
        finally:
            self.destroy()

    def destroy(self) -> None:
        if self.running:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.destroy()

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def lines(self, level: str) -> list[str]:
        """The messages of one level."""
        records = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [record["message"] for record in records if record["level"] == level]


class Duo:
    """A simulated Duo over HTTPS, with the files that a program needs to call it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.files = make_certificates(folder)
        self.skey = secrets.token_hex(20)
        self.skey_file = folder / "skey"
        self.skey_file.touch(mode=0o600)
        self.skey_file.write_text(self.skey)
        self.simulator = DuoSimulator(IKEY, self.skey, delay_secs=0, tls=(self.files.cert_file, self.files.key_file), **options)

    def __enter__(self) -> Self:
        self.simulator.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.simulator.stop()

    def add_backlog(self, counts: dict[str, int], *, until_secs_ago: int = 5) -> None:
        """So many events of each log, evenly over half a day."""
        for log_type, count in counts.items():
            self.simulator.add_backlog(log_type, count, now_ms() - 12 * HOUR_MS, now_ms() - until_secs_ago * 1000)

    def produced(self, log_types: Iterable[str] = LOG_TYPES) -> dict[str, set[str]]:
        return {log_type: set(self.simulator.produced_ids(log_type)) for log_type in log_types}

    def account(self, **changes: Any) -> dict[str, Any]:
        """The account section of a configuration file."""
        return {
            "name": "main",
            "api_host": "localhost",
            "port": self.simulator.port,
            "ca_file": self.files.ca_file,
            "ikey": IKEY,
            "skey": f"file:{self.skey_file}",
        } | changes


def tcp(port: int, name: str = "siem", **changes: Any) -> dict[str, Any]:
    """A destination section: JSON lines over TCP to loopback."""
    return {"name": name, "kind": "tcp", "host": "127.0.0.1", "port": port, "format": "json"} | changes


def write_config(
    folder: Path,
    duo: Duo,
    destinations: list[dict[str, Any]],
    *,
    log_types: Iterable[str] = LOG_TYPES,
    routes: list[dict[str, Any]] | None = None,
    account: dict[str, Any] | None = None,
    **reading: Any,
) -> Path:
    """A configuration file of our own dialect (JSON is YAML)."""
    path = folder / "config.yml"
    config = {
        "version": 2,
        "accounts": [account or duo.account()],
        "reading": {"start_days": 1, "poll_interval_secs": 1, "lag_secs": 0, "request_timeout_secs": 20} | reading,
        "destinations": destinations,
        "routes": routes or [{"log_types": list(log_types), "destinations": [d["name"] for d in destinations]}],
        "storage": {"checkpoint_dir": str(folder / "checkpoints"), "dead_letter_dir": str(folder / "dead-letters")},
    }
    path.write_text(json.dumps(config, indent=1))
    return path


def dead_letters(folder: Path) -> list[Any]:
    return [letter for path in (folder / "dead-letters").glob("*.avro") for letter in read_dead_letters(path)]


def checkpoints(folder: Path) -> list[Record]:
    """Every record, through the same reader as ``duologsync status``; a file that is no record is missing from it."""
    return list(CheckpointStore(folder / "checkpoints").records())


def assert_checkpoints_readable(folder: Path) -> None:
    """Whatever moment the program was killed at, what stands under a checkpoint's name is a whole record."""
    files = list((folder / "checkpoints").glob("*.json"))
    assert len(checkpoints(folder)) == len(files)


def missing(produced: dict[str, set[str]], *receivers: SiemReceiver) -> Counter[str]:
    """How many events of each log type no receiver got; empty for none."""
    left = {log_type: set(ids).difference(*(r.unique_ids(log_type) for r in receivers)) for log_type, ids in produced.items()}
    return Counter({log_type: len(ids) for log_type, ids in left.items() if ids})


def repeated(receiver: SiemReceiver) -> dict[str, int]:
    return {log_type: counts.repeated for log_type, counts in receiver.counts().items()}


def wait_for_all(duo: Duo, receiver: SiemReceiver, log_types: Iterable[str], program: Program | None = None) -> None:
    """Returns when every event that was produced has arrived."""
    produced = duo.produced(log_types)
    deadline = time.monotonic() + PATIENCE_SECS
    for log_type, ids in produced.items():
        while not receiver.wait_for(len(ids), 1.0, log_type=log_type, unique=True):
            log = program.log()[-2000:] if program else ""
            assert program is None or program.running, f"it ended by itself:\n{log}"
            assert time.monotonic() < deadline, f"lost, or late: {dict(missing(produced, receiver))}\n{log}"
    assert not missing(produced, receiver)
