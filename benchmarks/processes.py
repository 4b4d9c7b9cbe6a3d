"""The processes of a measurement: simulator, receiver and the forwarder under test, and what they used.

Place: below ``benchmarks.drain`` and ``benchmarks.memory``. Each is a process of its own, so that the CPU seconds and the
memory of the forwarder are the forwarder's alone.

Contract: everything is ended when its ``with`` block is left. CPU seconds are user + system of the whole process; memory is
the kernel's high-water mark (VmHWM). Both are read from /proc, so this runs on Linux only.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.demo.certificates import ServerFiles, make_certificates

ROOT = Path(__file__).parent.parent
_IKEY = "DISIMULATOR000000000"
_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")
_END_SECS = 30.0
_CONFIG = """\
version: 2
accounts:
  - name: bench
    api_host: localhost
    port: {duo_port}
    ca_file: {ca_file}
    ikey: {ikey}
    skey: file:{skey_file}
reading: {{start_days: 8, poll_interval_secs: 1, lag_secs: 1}}
destinations:
  - name: siem
    kind: {transport}
    host: localhost
    port: {siem_port}
    format: {format}
{tls}{routes}storage: {{checkpoint_dir: {folder}/checkpoints, dead_letter_dir: {folder}/dead-letters}}
"""


@dataclass(frozen=True)
class Duo:
    """A running simulator and what one needs to call it."""

    process: Process
    port: int
    folder: Path
    files: ServerFiles

    @property
    def skey_file(self) -> Path:
        """CircuitBreakers the key that requests are signed with."""
        return self.folder / "skey"


class Process:
    """A child whose last JSON line is kept; stderr goes to a file that is shown when something is wrong."""

    def __init__(self, command: Sequence[str], log_file: Path) -> None:
        self.started_at = time.time()
        self._log_file = log_file
        with log_file.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, env=_environment()
            )
        self._cpu_secs_of_life = 0.0
        self.last: dict[str, Any] = {}
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if line.startswith("{"):
                with self._changed:
                    self.last = json.loads(line)
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, event: str) -> dict[str, Any]:
        """The first line with this event. Raises RuntimeError where the process ends before."""
        with self._changed:
            self._changed.wait_for(lambda: self.last.get("event") == event or not self._reader.is_alive(), 120)
            if self.last.get("event") != event:
                raise RuntimeError(f"A process ended before it said {event!r}:\n{self.log()}")
            return self.last

    @property
    def running(self) -> bool:
        # Not poll(): that would take the exit status, and with it the CPU seconds, away from end().
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    @property
    def pid(self) -> int:
        return self._child.pid

    def cpu_secs(self) -> float:
        """User and system time until now."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SEC

    def memory_mb(self, field: str = "VmHWM") -> float:
        """The highest (VmHWM) or present (VmRSS) resident memory; 0 where the process has ended."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith(field):
                    return int(line.split()[1]) / 1024
        return 0.0

    def end(self) -> float:
        """Asks it to end where it has not ended by itself; the CPU seconds of its whole life."""
        if self._child.returncode is not None:
            return self._cpu_secs_of_life
        if self.running:
            os.kill(self.pid, signal.SIGTERM)
        killer = threading.Timer(_END_SECS, self._child.kill)
        killer.start()
        try:
            _, status, usage = os.wait4(self.pid, 0)
        finally:
            killer.cancel()
        self._child.returncode = os.waitstatus_to_exitcode(status)
        self._reader.join()
        self._cpu_secs_of_life = usage.ru_utime + usage.ru_stime
        return self._cpu_secs_of_life

    def log(self) -> str:
        """The end of what it wrote to stderr."""
        return self._log_file.read_text(errors="replace")[-4000:]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "BENCH_REDACTION_KEY": "k" * 32}


@contextlib.contextmanager
def simulator(events: int, *, rate: float = 0.0) -> Iterator[Duo]:
    """Duo with so many authentication events of about 1.2 KB (and, with a rate, new ones of all logs), over HTTPS."""
    with tempfile.TemporaryDirectory(prefix="duologsync-bench-") as name:
        folder = Path(name)
        files = make_certificates(folder)
        (folder / "skey").touch(mode=0o600)
        (folder / "skey").write_text(secrets.token_hex(20))
        command = ["-m", "pipelines.demo.simulator", "--ikey", _IKEY, "--skey-file", str(folder / "skey"), "--delay-secs", "1"]
        command += ["--tls-cert", files.cert_file, "--tls-key", files.key_file, "--rate", str(rate)]
        command += ["--backlog", str(events), "--backlog-log-type", "auth"] if events else []
        process = Process(command, folder / "simulator.log")
        try:
            ready = process.wait_for("ready")
            # The newest event of the backlog must be old enough to be served.
            time.sleep(1.5)
            yield Duo(process, ready["port"], folder, files)
        finally:
            process.end()


@contextlib.contextmanager
def receiver(duo: Duo, transport: str) -> Iterator[tuple[Process, int]]:
    """A SIEM that counts by event id, and its port."""
    command = ["-m", "pipelines.demo.receiver", "--transport", transport, "--report-secs", "0.1"]
    if transport == "tls":
        command += ["--tls-cert", duo.files.cert_file, "--tls-key", duo.files.key_file]
    process = Process(command, duo.folder / "receiver.log")
    try:
        yield process, process.wait_for("ready")["port"]
    finally:
        process.end()


def start_floor(duo: Duo, siem_port: int, transport: str, format_name: str) -> Process:
    """The hand-written forwarder."""
    command = [str(ROOT / "benchmarks" / "floor.py"), "--duo-port", str(duo.port), "--siem-port", str(siem_port)]
    command += ["--ikey", _IKEY, "--skey-file", str(duo.skey_file), "--ca-file", duo.files.ca_file, "--format", format_name]
    return Process(command + (["--tls"] if transport == "tls" else []), duo.folder / "floor.log")


def start_product(
    duo: Duo,
    siem_port: int,
    transport: str,
    format_name: str,
    folder: Path,
    log_types: Sequence[str] = ("auth",),
    selects: str = "",
) -> Process:
    """``python -m pipelines run`` with a configuration like a user's, and checkpoints on disk in a fresh folder.

    Args:
      selects: what its route does with events, as YAML in one line.
    """
    config = folder / "config.yml"
    config.write_text(
        _CONFIG.format(
            duo_port=duo.port, ca_file=duo.files.ca_file, ikey=_IKEY, skey_file=duo.skey_file, transport=transport,
            siem_port=siem_port, format=format_name, folder=folder,
            tls=f"    tls: {{ca_file: {duo.files.ca_file}}}\n" if transport == "tls" else "",
            routes=f"routes: [{{log_types: [{', '.join(log_types)}], destinations: [siem]{selects}}}]\n",
        )
    )  # fmt: skip
    return Process(["-m", "pipelines", "run", str(config)], folder / "product.log")
