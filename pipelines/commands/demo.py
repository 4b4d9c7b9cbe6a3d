"""``duologsync demo``: a simulated Duo → the real pipeline → a receiver that shows what arrives; needs no credentials.

The simulator is a real HTTPS server and the receiver a real TCP listener, both on loopback; the pipeline is a ``duologsync
run`` in a process of its own with a configuration file like a user's, so that the demo can be played with: kill the pipeline's
process, and it is started again and goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from pipelines import exit_codes
from pipelines.commands.status import present_report
from pipelines.config import load
from pipelines.demo.certificates import ServerFiles, make_certificates
from pipelines.demo.receiver import SiemReceiver
from pipelines.demo.receiver.recognise import recognise
from pipelines.demo.show import Screen, summary
from pipelines.demo.simulator import LOG_TYPES, DuoSimulator
from pipelines.monitoring.report import Report
from transforms.errors import DuoLogSyncError
from transforms.formats import FORMATS
from transforms.settings import MONITORING_PORT, Job

_IKEY = "DISIMULATOR000000000"
_HOUR_MS = 3_600_000
_TICK_SECS = 0.1
_DRAIN_SECS = 30.0
_CONFIG = """\
# What the demo runs. Your own looks the same: 'duologsync schema --sample' prints one with every key explained.
version: 2
accounts:
  - name: demo
    api_host: localhost
    port: {duo_port}
    ca_file: {ca_file}
    ikey: {ikey}
    skey: file:{skey_file}
reading: {{start_days: 1, poll_interval_secs: 1, lag_secs: 1}}
destinations:
  - name: siem
    kind: tcp
    host: 127.0.0.1
    port: {siem_port}
    format: {format}
storage: {{checkpoint_dir: {folder}/checkpoints, dead_letter_dir: {folder}/dead-letters}}
monitoring: {{port: {page_port}}}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    parser.add_argument("--rate", type=float, default=20.0, help="new events per second, over all log types (20)")
    parser.add_argument("--backlog", type=int, default=20_000, help="events that are there at the start (20000)")
    parser.add_argument("--format", choices=tuple(FORMATS), default="json", help="how events are written (json)")
    parser.add_argument("--seconds", type=float, help="end by itself after so long; without it, at Ctrl-C")


def run(arguments: argparse.Namespace) -> int:
    """Runs until Ctrl-C, then says what was produced, delivered, lost and repeated."""
    with tempfile.TemporaryDirectory(prefix="duologsync-demo-") as folder:
        return _Demo(arguments, Path(folder)).run()


def _free_port(wanted: int) -> int:
    """That port of loopback where nobody has it now, else another one."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return int(sock.getsockname()[1])
    return wanted


class _Demo:
    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self._arguments = arguments
        self._folder = folder
        self._stopped = threading.Event()
        self._latest: dict[str, bytes] = {}
        self._pipeline: subprocess.Popen[bytes] | None = None
        self._job: Job | None = None
        self._page_port = _free_port(MONITORING_PORT)

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._stopped.set())
        skey = secrets.token_hex(20)
        files = make_certificates(self._folder)
        duo = DuoSimulator(_IKEY, skey, delay_secs=1, tls=(files.cert_file, files.key_file))
        with SiemReceiver(on_messages=self._remember) as siem, duo:
            self._fill_backlog(duo)
            config = self._write_config(duo, siem, files, skey)
            self._job = load(config).job
            print(f"A simulated Duo is at https://localhost:{duo.port}, a receiver at tcp://127.0.0.1:{siem.port}.")
            print(f"The pipeline shows how it is doing at http://127.0.0.1:{self._page_port}/.")
            print(f"Its configuration is {config}; its log is beside it. Ctrl-C ends the demo.\n")
            self._start_pipeline(config)
            try:
                self._produce_and_show(duo, siem, config)
            finally:
                code = self._end(duo, siem)
        return code

    # --- events ------------------------------------------------------------------------------------------------------

    def _fill_backlog(self, duo: DuoSimulator) -> None:
        now_ms = time.time_ns() // 1_000_000
        share = self._arguments.backlog // 10
        counts = {"activity": 2 * share, "telephony": share, "trustmonitor": share // 2}
        counts["auth"] = self._arguments.backlog - sum(counts.values())
        for log_type, count in counts.items():
            duo.add_backlog(log_type, count, now_ms - 12 * _HOUR_MS, now_ms - 2_000)

    def _produce_and_show(self, duo: DuoSimulator, siem: SiemReceiver, config: Path) -> None:
        with Screen() as screen:
            self._produce(duo, siem, config, screen)

    def _produce(self, duo: DuoSimulator, siem: SiemReceiver, config: Path, screen: Screen) -> None:
        began = last_shown = time.monotonic()
        done, last_ms = 0, time.time_ns() // 1_000_000
        while not self._stopped.wait(_TICK_SECS):
            now, now_ms = time.monotonic(), time.time_ns() // 1_000_000
            due = int((now - began) * self._arguments.rate)
            if due > done:
                duo.accounts.add_mixed(due - done, (min(last_ms + 1, now_ms), now_ms), duo.row_bytes)
                done, last_ms = due, now_ms
            self._keep_pipeline(config)
            if now - last_shown >= screen.pause_secs:
                self._show(screen, duo, siem)
                last_shown = now
            if self._arguments.seconds is not None and now - began >= self._arguments.seconds:
                break
        self._show(screen, duo, siem)

    def _show(self, screen: Screen, duo: DuoSimulator, siem: SiemReceiver) -> None:
        produced: dict[str, int] = duo.stats()["produced"]
        screen.show(produced, siem.counts(), dict(self._latest), self._report())

    def _report(self) -> Report | None:
        """What the program says of itself, as ``duologsync status`` shows it."""
        try:
            return present_report(self._job) if self._job is not None else None
        except (DuoLogSyncError, OSError):  # its directory is not there yet
            return None

    def _remember(self, messages: list[bytes]) -> None:
        log_type, _ = recognise(messages[-1])
        self._latest[log_type] = messages[-1]

    # --- the pipeline ------------------------------------------------------------------------------------------------

    def _write_config(self, duo: DuoSimulator, siem: SiemReceiver, files: ServerFiles, skey: str) -> Path:
        skey_file, config = self._folder / "skey", self._folder / "config.yml"
        skey_file.touch(mode=0o600)
        skey_file.write_text(skey, encoding="utf-8")
        config.write_text(
            _CONFIG.format(
                duo_port=duo.port, siem_port=siem.port, ca_file=files.ca_file, ikey=_IKEY, skey_file=skey_file,
                format=self._arguments.format, folder=self._folder, page_port=self._page_port,
            ),
            encoding="utf-8",
        )  # fmt: skip
        return config

    def _start_pipeline(self, config: Path) -> None:
        with (self._folder / "pipeline.log").open("ab") as log:
            self._pipeline = subprocess.Popen(
                [sys.executable, "-m", "pipelines", "run", str(config)],
                stdout=log,
                stderr=log,
                # Ctrl-C reaches the whole group; the pipeline is to end only after it has delivered the rest.
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def _keep_pipeline(self, config: Path) -> None:
        """What systemd does for the real one: a pipeline that was killed is started again."""
        if self._pipeline is not None and self._pipeline.poll() is not None:
            print(f"The pipeline's process ended ({self._pipeline.returncode}) and is started again.")
            self._start_pipeline(config)

    def _end(self, duo: DuoSimulator, siem: SiemReceiver) -> int:
        """Waits for what was produced to arrive, ends the pipeline, and draws up the account."""
        print("\nEnding: waiting for the last events to arrive …")
        produced = {name: set(duo.produced_ids(name)) for name in LOG_TYPES}
        deadline = time.monotonic() + _DRAIN_SECS
        while self._missing(produced, siem) and time.monotonic() < deadline:
            time.sleep(_TICK_SECS)
        self._end_pipeline()
        counts = siem.counts()
        lost = self._missing(produced, siem)
        repeated = sum(log.repeated for log in counts.values())
        total = sum(len(ids) for ids in produced.values())
        print(summary(total, total - lost, lost, repeated))
        if not lost:
            print("Yours: 'duologsync init' asks, and writes a configuration.")
        if lost:
            sys.stdout.write((self._folder / "pipeline.log").read_text(encoding="utf-8", errors="replace")[-4_000:])
        return exit_codes.DELIVERY if lost else exit_codes.OK

    @staticmethod
    def _missing(produced: dict[str, set[str]], siem: SiemReceiver) -> int:
        return sum(len(ids - siem.unique_ids(name)) for name, ids in produced.items())

    def _end_pipeline(self) -> None:
        if self._pipeline is None:
            return
        self._pipeline.terminate()
        try:
            self._pipeline.wait(_DRAIN_SECS)
        except subprocess.TimeoutExpired:
            self._pipeline.kill()
            self._pipeline.wait()
