"""Real receivers, started with the configuration files that ``docs/receivers/`` gives to users.

Place: used by the tests beside it. Of a file nothing is changed but what cannot be on this machine: addresses, ports, and where
certificates and results are.

Contract: everything is on loopback and in one folder; leaving a ``with`` ends what was started.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from typing_extensions import Self

from tests.conftest import Authority
from tests.servers.harness import ROOT, wait_until

DOCS = ROOT / "docs" / "receivers"
_HERE = Path(__file__).parent
_PORTS = {"tls": 6514, "tcp": 1514, "udp": 1514}


@cache
def from_cache(script: str) -> str:
    """What a script beside this file made sure of; ``tests/run.sh`` has called it before, so that this takes no time."""
    env = {**os.environ, "PYTHON": sys.executable}
    return subprocess.run([_HERE / script], capture_output=True, text=True, check=True, env=env).stdout.strip()


@dataclass(frozen=True)
class Kind:
    """One program that receives.

    Attributes:
      config: its file in ``docs/receivers``.
      command: what starts it in the foreground, of the folder and the configuration file.
      results: the file that it writes to.
      read: a written line as what was sent: (time, host, app name, message id, message) for each event in it.
      transports: those that it listens on.
    """

    config: str
    command: Callable[[Path, Path], tuple[list[str], dict[str, str]]]
    results: str
    read: Callable[[str], list[tuple[str, ...]]]
    transports: tuple[str, ...] = ("tls", "tcp", "udp")


def _rsyslog(folder: Path, config: Path) -> tuple[list[str], dict[str, str]]:
    binary = shutil.which("rsyslogd", path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin")
    assert binary is not None, "rsyslogd is missing; tests/run.sh installs it"
    return [binary, "-n", "-f", str(config), "-i", str(folder / "pid")], {}


def _syslog_ng(folder: Path, config: Path) -> tuple[list[str], dict[str, str]]:
    root = Path(from_cache("get_syslog_ng.sh"))
    libraries = [root / "usr/lib/syslog-ng", root / "lib/x86_64-linux-gnu", root / "usr/lib/x86_64-linux-gnu"]
    modules = next((root / "usr/lib/syslog-ng").glob("3.*"))
    # fmt: off
    command = [
        root / "usr/sbin/syslog-ng", "--foreground", "--stderr", "--no-caps", "-f", config, f"--module-path={modules}",
        "--persist-file", folder / "persist", "--control", folder / "control", "--pidfile", folder / "pid",
    ]
    # fmt: on
    return [str(word) for word in command], {"LD_LIBRARY_PATH": ":".join(map(str, [*libraries, modules]))}


def _otel(_folder: Path, config: Path) -> tuple[list[str], dict[str, str]]:
    return [from_cache("get_otel.sh"), f"--config={config}"], {}


def _line(line: str) -> list[tuple[str, ...]]:
    time, *others = line.split(" ", 4)
    return [(time.replace("+00:00", "Z"), *others)]


def _records(line: str) -> list[tuple[str, ...]]:
    """The file exporter's batches: the body is the message as it came, the attributes what the header says."""
    scopes = [scope for resource in json.loads(line)["resourceLogs"] for scope in resource["scopeLogs"]]
    return [_record(record) for scope in scopes for record in scope["logRecords"]]


def _record(record: dict) -> tuple[str, ...]:
    # Of what is no message of RFC 5424 only the body is there.
    said = {each["key"]: each["value"].get("stringValue", "") for each in record.get("attributes", ())}
    time = re.sub(r"^(?:\d+ )?<\d+>1 (\S+) .*", r"\1", record["body"]["stringValue"], flags=re.DOTALL)
    return time, *(said.get(name, "") for name in ("hostname", "appname", "msg_id", "message"))


KINDS = {
    "rsyslog": Kind("rsyslog.conf", _rsyslog, "events.log", _line),
    "syslog-ng": Kind("syslog-ng.conf", _syslog_ng, "events.log", _line),
    "otel": Kind("otel.yaml", _otel, "events.json", _records),
}
RSYSLOG_CEF = Kind("rsyslog-cef.conf", _rsyslog, "events.json", lambda line: [(line,)], ("tcp",))


class Configured:
    """A running receiver.

    Attributes:
      ports: by transport: tls, tcp, udp.
    """

    def __init__(self, kind: Kind, folder: Path, authority: Authority, changes: dict[str, str] | None = None) -> None:
        self._kind = kind
        self._folder = folder
        self.ports = _free_ports()
        self._config = folder / self._kind.config
        self._config.write_text(self._here(authority, changes or {}))
        self._process: subprocess.Popen[bytes] | None = None

    def _here(self, authority: Authority, changes: dict[str, str]) -> str:
        text = (DOCS / self._kind.config).read_text(encoding="utf-8")
        for there, here in changes.items():
            assert there in text, f"{there!r} is not in {self._kind.config}"
            text = text.replace(there, here)
        for there, here in {
            "/etc/duo/ca.pem": authority.ca_file,
            "/etc/duo/server.pem": authority.cert_file,
            "/etc/duo/server.key": authority.key_file,
            "/var/log/duo": str(self._folder),
            "0.0.0.0": "127.0.0.1",
        }.items():
            text = text.replace(there, here)
        text = re.sub(r"\b6514\b(?=[)\"\n])", str(self.ports["tls"]), text)
        return re.sub(r"\b1514\b(?=[)\"\n])", str(self.ports["tcp"]), text)

    def __enter__(self) -> Self:
        command, env = self._kind.command(self._folder, self._config)
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **env}, cwd=self._folder, start_new_session=True
            )
        wait_until(self._listens, f"{command[0]} listens:\n{self.log()}", 30)
        return self

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it has ended:\n{self.log()}"
        return all(
            re.search(rf"^\s*\d+: 0100007F:{self.ports[name]:04X} \S+ (?:0A|07) ", Path(table).read_text(), re.MULTILINE)
            for name, table in {"tls": "/proc/net/tcp", "tcp": "/proc/net/tcp", "udp": "/proc/net/udp"}.items()
            if name in self._kind.transports
        )

    def __exit__(self, *_exc: object) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)

    def events(self) -> list[tuple[str, ...]]:
        """(time, host, app name, message id, message) of each event so far."""
        path = self._folder / self._kind.results
        written = path.read_bytes().decode() if path.exists() else ""
        return [event for line in written.split("\n")[:-1] for event in self._kind.read(line)]

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")


def _free_ports() -> dict[str, int]:
    """One for TLS, and one that is free for TCP and UDP alike."""
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        while True:
            second = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                datagrams.bind(("127.0.0.1", second))
            except OSError:
                continue
            return {"tls": first, "tcp": second, "udp": second}
