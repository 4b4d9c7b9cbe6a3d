"""Delivery to a real rsyslog, which is restarted under load."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
import trustme

from tests.destinations.peers import deliver, destination, eventually
from transforms.destinations import make_sender
from transforms.settings import Tls

pytestmark = pytest.mark.servers

RSYSLOGD = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"


def messages(count: int, start: int = 0) -> list[bytes]:
    return [
        b"<134>1 2026-01-02T03:04:05.678Z duo duologsync - - - %08d %s" % (n, b"x" * 900) for n in range(start, start + count)
    ]


def numbers(those: list[bytes]) -> set[int]:
    return {int(message.split(b" ")[7]) for message in those}


class Rsyslog:
    """One rsyslogd on a loopback port, writing what it gets, a line each, into one file."""

    def __init__(self, folder: Path, kind: str, port: int, ca: trustme.CA) -> None:
        if not Path(RSYSLOGD).exists():
            pytest.fail("rsyslogd is not installed; these tests need it: apt-get install rsyslog rsyslog-openssl")
        self.folder, self.port, self.out = folder, port, folder / "out"
        self.process: subprocess.Popen | None = None
        (folder / "conf").write_text(self._config(kind, ca))

    def _config(self, kind: str, ca: trustme.CA) -> str:
        inputs = {
            "tcp": f'module(load="imtcp")\ninput(type="imtcp" address="127.0.0.1" port="{self.port}")\n',
            "udp": f'module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="{self.port}" rcvbufSize="4m")\n',
            "tls": 'module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" '
            'streamDriver.authMode="x509/certvalid")\n'
            f'input(type="imtcp" address="127.0.0.1" port="{self.port}")\n',
        }
        tls = ""
        if kind == "tls":
            cert = ca.issue_cert("127.0.0.1")
            ca.cert_pem.write_to_path(str(self.folder / "ca.pem"))
            cert.cert_chain_pems[0].write_to_path(str(self.folder / "server.pem"))
            cert.private_key_pem.write_to_path(str(self.folder / "server.key"))
            tls = (
                f'defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{self.folder}/ca.pem" '
                f'defaultNetstreamDriverCertFile="{self.folder}/server.pem" '
                f'defaultNetstreamDriverKeyFile="{self.folder}/server.key"'
            )
        return (
            f'global(workDirectory="{self.folder}" maxMessageSize="64k" {tls})\n{inputs[kind]}'
            f'template(name="line" type="string" string="%rawmsg%\\n")\n'
            f'action(type="omfile" file="{self.out}" template="line" asyncWriting="off")\n'
        )

    def start(self) -> None:
        command = [RSYSLOGD, "-n", "-f", str(self.folder / "conf"), "-i", str(self.folder / "pid")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(self._listens, 10)

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        ports = Path("/proc/net/tcp").read_text() + Path("/proc/net/udp").read_text()
        return f"0100007F:{self.port:04X} 00000000:0000" in ports

    def end(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None:
            os.kill(self.process.pid, how)
            os.kill(self.process.pid, signal.SIGCONT)  # where it was halted, it obeys only now
            self.process.wait(15)
            self.process = None

    def halt(self) -> None:
        """Stops all of its threads where they are, and returns when they stand."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        os.kill(self.process.pid, signal.SIGSTOP)
        eventually(lambda: all(") T " in (task / "stat").read_text() for task in tasks.iterdir()))

    def received(self) -> list[bytes]:
        return self.out.read_bytes().splitlines() if self.out.exists() else []


@pytest.fixture
def make(tmp_path):
    made = []
    ca = trustme.CA()

    def start(kind: str, **changes):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = Rsyslog(tmp_path, kind, port, ca)
        made.append(server)
        server.start()
        if kind == "tls":
            client = ca.issue_cert("duologsync@example.org")
            client.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
            changes["tls"] = Tls(ca_file=str(tmp_path / "ca.pem"), client_cert_file=str(tmp_path / "client.pem"))
        return server, make_sender(destination(port, kind, **changes))

    yield start
    for server in made:
        server.end(signal.SIGKILL)


@pytest.mark.parametrize(("kind", "framing"), [("tcp", "lf"), ("tcp", "octet"), ("tls", "lf"), ("tls", "octet")])
def test_everything_arrives_once_and_in_order(make, kind, framing):
    server, sender = make(kind, framing=framing)
    sent = messages(5000)
    for start in range(0, 5000, 1000):
        deliver(sender, sent[start : start + 1000])
    sender.close(10)
    # rsyslog answers the end of a connection after reading all of it: no waiting here.
    eventually(lambda: len(server.received()) >= 5000)
    assert server.received() == sent


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_restarts_under_load_lose_nothing(make, kind):
    server, sender = make(kind, framing="octet")
    stop = threading.Event()

    def restart():
        while not stop.wait(0.7):
            server.end()
            server.start()

    thread = threading.Thread(target=restart)
    thread.start()
    sent = 0
    end = time.monotonic() + 5
    while time.monotonic() < end:
        deliver(sender, messages(200, start=sent))
        sent += 200
        sender.check()
        time.sleep(0.01)
    stop.set()
    thread.join()
    sender.check()
    sender.close(10)
    assert sender.unread() == []
    eventually(lambda: not set(range(sent)) - complete(server), 10)
    assert sender.reconnects >= 2


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_a_crash_loses_nothing_that_rsyslog_had_not_read(make, kind):
    """What rsyslog had read but not stored when it crashes is lost, and nobody can mend that; so it is halted when idle."""
    server, sender = make(kind, framing="octet")
    sent = 0
    for _ in range(3):
        deliver(sender, messages(20, start=sent))
        sent += 20
        eventually(lambda sent=sent: not set(range(sent)) - complete(server))
        server.halt()
        deliver(sender, messages(20, start=sent))  # confirmed: the kernel took it
        sent += 20
        server.end(signal.SIGKILL)
        server.start()
        deliver(sender, messages(20, start=sent))
        sent += 20
    sender.close(10)
    assert sender.unread() == []
    eventually(lambda: not set(range(sent)) - complete(server))
    assert sender.reconnects == 3


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_a_shutdown_loses_nothing_that_rsyslog_had_not_read(make, kind):
    """Over TLS it then reads one record, drops it, and ends the connection as if it had read all."""
    server, sender = make(kind, framing="octet")
    sent = 0
    for _ in range(3):
        deliver(sender, messages(20, start=sent))
        sent += 20
        eventually(lambda sent=sent: not set(range(sent)) - complete(server))
        server.halt()
        deliver(sender, messages(10, start=sent))  # one record of TLS
        sent += 10
        server.end()
        server.start()
    sender.check()
    eventually(lambda: not set(range(sent)) - complete(server))


def complete(server: Rsyslog) -> set[int]:
    whole = [line for line in server.received() if line.startswith(b"<134>1 ") and len(line) == len(messages(1)[0])]
    return numbers(whole)


def test_udp(make):
    server, sender = make("udp")
    for start in range(0, 1000, 100):
        deliver(sender, messages(100, start=start))
    eventually(lambda: complete(server) == set(range(1000)))


def test_a_client_certificate_that_rsyslog_does_not_know_delivers_nothing_and_claims_nothing(make, tmp_path):
    from transforms.errors import BadDestination, DeliveryTimeout

    server, _ = make("tls")
    trustme.CA().issue_cert("stranger@example.org").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "stranger.pem"))
    tls = Tls(ca_file=str(tmp_path / "ca.pem"), client_cert_file=str(tmp_path / "stranger.pem"))
    sender = make_sender(destination(server.port, "tls", name="stranger", tls=tls, delivery_timeout_secs=2.0))
    with pytest.raises((BadDestination, DeliveryTimeout)):
        deliver(sender, messages(10))
    assert server.received() == []
