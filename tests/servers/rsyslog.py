"""A real rsyslog on loopback: its listeners, what it wrote, and how it ends.

Contract: everything it needs is in its folder; ports stay the same over restarts; each listener writes every message as it
came (rsyslog's ``rawmsg``) and a newline to a file of its own. The main queue is direct: what was read has been written.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import msgspec
from typing_extensions import Self

from pipelines.demo.receiver import recognise
from tests.ports import free_port

BINARY = shutil.which("rsyslogd", path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin")
_HEAD = """\
global(workDirectory="{folder}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off"{tls})
module(load="imtcp")
module(load="imudp")
template(name="raw" type="string" string="%rawmsg%\\n")
main_queue(queue.type="Direct")
"""
_TLS = """ defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{ca}"
 defaultNetstreamDriverCertFile="{cert}" defaultNetstreamDriverKeyFile="{key}\""""
_RULES = """\
ruleset(name="{name}") {{ action(type="omfile" file="{file}" template="raw" fileCreateMode="0600") }}
input({input} ruleset="{name}")
"""


@dataclass(frozen=True)
class Tls:
    """The server's files; clients must show a certificate of the same CA."""

    ca_file: str
    cert_file: str
    key_file: str


@dataclass(frozen=True)
class Listener:
    """One input: ``tcp`` and ``udp`` for themselves, ``tls`` with files. TCP takes lines and counted octets alike.

    Attributes:
      default_buffer: udp: as rsyslog comes; else one that takes whatever a test sends at once.
    """

    name: str
    transport: str = "tcp"
    default_buffer: bool = False


class Rsyslog:
    """One rsyslogd process."""

    def __init__(self, folder: Path, listeners: list[Listener], tls: Tls | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._listeners = {listener.name: listener for listener in listeners}
        self._ports = {listener.name: free_port() for listener in listeners}
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "rsyslog.conf").write_text(self._config(tls))

    def port(self, name: str) -> int:
        return self._ports[name]

    def _config(self, tls: Tls | None) -> str:
        driver = _TLS.format(ca=tls.ca_file, cert=tls.cert_file, key=tls.key_file) if tls else ""
        rules = (
            _RULES.format(name=name, file=self.file(name), input=self._input(listener))
            for name, listener in self._listeners.items()
        )
        return _HEAD.format(folder=self._folder, tls=driver) + "".join(rules)

    def _input(self, listener: Listener) -> str:
        place = f'port="{self._ports[listener.name]}" address="127.0.0.1"'
        if listener.transport == "udp":
            return f'type="imudp" {place}' + ("" if listener.default_buffer else ' rcvbufSize="16m"')
        if listener.transport == "tls":
            place += ' streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid"'
        else:
            place += ' streamDriver.name="ptcp" streamDriver.mode="0"'
        return f'type="imtcp" {place}'

    # Life

    def start(self) -> Self:
        assert BINARY is not None, "rsyslogd is missing; tests/run.sh installs it"
        with (self._folder / "rsyslog.log").open("ab") as log:
            self._process = subprocess.Popen(
                [BINARY, "-n", "-f", str(self._folder / "rsyslog.conf"), "-i", str(self._folder / "rsyslog.pid")],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while not all(self._listens(listener) for listener in self._listeners.values()):
            assert self._process.poll() is None, f"rsyslogd ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"rsyslogd does not listen:\n{self.log()}"
            time.sleep(0.05)
        return self

    def _listens(self, listener: Listener) -> bool:
        """Looked up in /proc, because a connection for a try would end up in its log."""
        table = Path("/proc/net/udp" if listener.transport == "udp" else "/proc/net/tcp").read_text().splitlines()[1:]
        wanted = f"0100007F:{self._ports[listener.name]:04X}"
        return any(line.split()[1] == wanted and line.split()[3] in {"0A", "07"} for line in table)

    def freeze(self) -> None:
        """It reads nothing any more, and this returns when it does; its kernel goes on taking what fits its buffers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self._process.pid}/task")
        while not all(") T " in (task / "stat").read_text() for task in tasks.iterdir()):
            time.sleep(0.01)

    def stop(self, number: int = signal.SIGTERM) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
        self.stop()

    # What arrived

    def file(self, name: str) -> Path:
        return self._folder / f"{name}.out"

    def size(self, name: str) -> int:
        return self.file(name).stat().st_size if self.file(name).exists() else 0

    def messages(self, name: str) -> list[bytes]:
        return self.file(name).read_bytes().splitlines() if self.file(name).exists() else []

    def ids(self, name: str) -> dict[str, set[str]]:
        """The different event ids per log type. A message that a lost connection cut short is no event."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for message in self._whole(name):
            log_type, event_id = recognise(message)
            found[log_type].add((event_id or b"").decode())
        return dict(found)

    def messages_per_log_type(self, name: str) -> Counter[str]:
        return Counter(recognise(message)[0] for message in self._whole(name))

    def _whole(self, name: str) -> list[bytes]:
        """Without what a lost connection cut short."""
        return [message for message in self.messages(name) if not message.startswith(b"{") or _is_json(message)]

    def log(self) -> str:
        path = self._folder / "rsyslog.log"
        return path.read_text(errors="replace") if path.exists() else ""


def _is_json(message: bytes) -> bool:
    try:
        msgspec.json.decode(message)
    except msgspec.DecodeError:
        return False
    return True
