"""The program's log at its default level says nothing of what an event holds, and no secret, whatever goes wrong."""

import json
import os
import re
import secrets
import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from pipelines.demo.receiver import SiemReceiver
from tests.ports import free_port
from tests.servers.harness import ROOT, Duo, Program, dead_letters, now_ms, tcp, wait_until, write_config

pytestmark = pytest.mark.servers

MARK = "Lovelace"
"""In every text of every row: what a log must not hold."""
OWN_CODE = """
def quotes_the_event(row, stream):
    if row.get("reason") == "explode":
        raise ValueError(f"cannot do anything with {row!r}")
    if row.get("reason") == "key":
        raise KeyError(row["user"]["name"])
    return row
"""


def row(number: int, **changes) -> dict:
    ms = now_ms() - 600_000 + number * 1000
    return {
        "txid": f"{MARK}-{number}",
        "timestamp": ms // 1000,
        "isotimestamp": f"{MARK} o'clock",
        "email": f"ada.{MARK}@example.com",
        "alias": f"\x1b[2J{MARK}\u202e\ud800",
        "event_type": "authentication",
        "result": f"{MARK} \n{MARK}",
        "reason": f"{MARK}%s%d",
        "user": {"name": f"{MARK}", "key": f"DU{MARK}", "groups": [f"{MARK}'s friends"]},
        "access_device": {"hostname": f"{MARK}.example.com", "ip": f"198.51.100.1{MARK}", "location": {"city": MARK}},
        "application": {"name": MARK, "key": MARK},
        "adaptive_trust_assessments": {f"{MARK}@example.com": {MARK: MARK}},
    } | changes


def odd_rows() -> Iterator[dict | bytes]:
    yield from (row(number) for number in range(20))
    yield from (row(number, reason="explode") for number in range(20, 25))
    yield from (row(number, reason="key") for number in range(25, 30))
    yield row(30, user=MARK, access_device=[MARK], application=None)
    yield row(31, user={"name": 7, "groups": {MARK: MARK}}, email=[MARK], result={MARK: MARK})
    yield row(32, alias=MARK * 20_000)  # over every limit
    seconds = now_ms() // 1000 - 500
    yield b'{"txid":"%s-33","timestamp":%d,"email":"%s\\ud800","user":NaN}' % (MARK.encode(), seconds, MARK.encode())
    yield b'{"txid":"%s-34","timestamp":%d,"deep":%s"%s"%s}' % (MARK.encode(), seconds, b"[" * 1200, MARK.encode(), b"]" * 1200)
    yield b'"%s\t"' % MARK.encode()
    yield b'["%s",{"txid":"%s"},NaN]' % (MARK.encode(), MARK.encode())
    yield b'{"txid":"%s-35","timestamp":"%s"}' % (MARK.encode(), MARK.encode())


class Repeating(socketserver.ThreadingTCPServer):
    """A collector over HTTP that refuses every event, and repeats it in its answer."""

    allow_reuse_address = daemon_threads = True


class _Refusal(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while head := self._head():
            body = self.rfile.read(int(re.search(rb"(?i)content-length: *(\d+)", head)[1]))
            text = json.dumps({"error": {"type": f"about {MARK}", "reason": body.decode(errors="replace")}}).encode()
            self.wfile.write(b"HTTP/1.1 400 %s\r\nContent-Length: %d\r\n\r\n%s" % (MARK.encode(), len(text), text))

    def _head(self) -> bytes:
        lines = iter(self.rfile.readline, b"")
        head = b""
        for line in lines:
            head += line
            if line == b"\r\n":
                return head
        return b""


@pytest.fixture
def refusing():
    with Repeating(("127.0.0.1", 0), _Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_the_log_holds_nothing_of_an_event_and_no_secret(tmp_path, refusing):
    (tmp_path / "own_code.py").write_text(OWN_CODE)
    words = {name: secrets.token_hex(16) for name in ("TOKEN", "REDACTION_KEY")}
    with Duo(tmp_path) as duo, SiemReceiver() as siem, socket.create_server(("127.0.0.1", 0)) as deaf:
        rows = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in odd_rows()]
        duo.simulator.add("auth", rows, at_ms=now_ms() - 300_000)
        destinations = [
            tcp(siem.port, "good", format="cef"),
            tcp(siem.port, "own", max_message_bytes=4000),
            tcp(free_port(), "away"),
            tcp(deaf.getsockname()[1], "deaf"),
            {"name": "refusing", "kind": "hec", "url": f"http://127.0.0.1:{refusing.server_address[1]}"}
            | {"token": "env:TOKEN", "format": "json"},
        ]
        redact = {"hash": ["user.name"], "drop": ["email"], "key": "env:REDACTION_KEY"}
        routes = [
            {"log_types": ["auth"], "destinations": ["good"], "where": "event.user.name != 'x'", "redact": redact},
            {"log_types": ["auth"], "destinations": ["own"], "function": "own_code:quotes_the_event"},
            {"log_types": ["auth"], "destinations": ["away", "deaf", "refusing"]},
        ]
        config = write_config(tmp_path, duo, destinations, routes=routes)
        env = words | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(tmp_path)))}
        with Program(tmp_path, "run", config, "--grace-secs", 1, env=env) as program:
            for code in ("E001", "E002", "E003", "S001", "S004"):
                wait_until(lambda code=code: f"DLS-{code}" in program.log() or not program.running, f"DLS-{code}")
            wait_until(lambda: siem.wait_for(20, 0.1) or not program.running, "events")
            wait_until(lambda: len(dead_letters(tmp_path)) > 10 or not program.running, "dead letters")
            program.end()
    log = program.log()
    assert len(dead_letters(tmp_path)) > 10
    assert MARK.lower() not in log.lower()
    for secret in (duo.skey, *words.values()):
        assert secret not in log
    assert "Traceback" not in log
    assert "[while running" not in log
