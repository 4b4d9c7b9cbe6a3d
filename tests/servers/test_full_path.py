"""From Duo to a real rsyslog, over every transport: each event is in its files, as Duo sent it."""

import secrets
from collections import Counter

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from pipelines import exit_codes
from pipelines.demo.receiver import payload
from pipelines.demo.simulator import LOG_TYPES
from tests.servers.harness import Duo, Program, dead_letters, tcp, wait_until, write_config
from tests.servers.rsyslog import Listener, Rsyslog, Tls

pytestmark = pytest.mark.servers

COUNTS = {"auth": 1_500, "activity": 1_100, "telephony": 600, "trustmonitor": 450}
TRANSPORTS = {"lines": "tcp", "cef": "tcp", "octets": "tcp", "mutual": "tls", "datagrams": "udp"}


def test_every_event_is_in_the_files_of_a_real_rsyslog_and_none_is_altered(tmp_path):
    tls, ours, password = _certificates(tmp_path)
    rsyslog = Rsyslog(tmp_path / "rsyslog", [Listener(*item) for item in TRANSPORTS.items()], tls)
    destinations = [
        tcp(rsyslog.port("lines"), "lines"),
        tcp(rsyslog.port("cef"), "cef", format="cef"),
        tcp(rsyslog.port("octets"), "octets", format={"name": "json", "header": "rfc5424"}, framing="octet"),
        tcp(rsyslog.port("mutual"), "mutual", kind="tls", format={"name": "json", "header": "rfc5424"}, tls=ours),
        tcp(rsyslog.port("datagrams"), "datagrams", kind="udp", host="127.0.0.1"),
    ]
    with Duo(tmp_path) as duo, rsyslog:
        duo.add_backlog(COUNTS)
        config = write_config(tmp_path, duo, destinations)
        with Program(tmp_path, "run", config, env={"KEY_PASSWORD": password}) as program:
            expected = sum(COUNTS.values())
            for name in TRANSPORTS:
                wait_until(lambda name=name: len(rsyslog.messages(name)) >= expected, f"all events over {name}")
            code = program.end()
        rows = sorted(row for log_type in LOG_TYPES for row in duo.simulator.produced_rows(log_type))
        ids = duo.produced()

    assert code == exit_codes.OK
    assert dead_letters(tmp_path) == []
    assert sorted(rsyslog.messages("lines")) == rows
    assert sorted(rsyslog.messages("datagrams")) == rows
    for name in ("octets", "mutual"):
        assert all(message.startswith(b"<") for message in rsyslog.messages(name))
        assert sorted(map(payload, rsyslog.messages(name))) == rows
    assert rsyslog.ids("cef") == ids
    assert rsyslog.messages_per_log_type("cef") == Counter(COUNTS)
    assert all(b"CEF:0|Cisco|Duo|" in message for message in rsyslog.messages("cef"))


def _certificates(folder):
    """The server's files, the tls section of a client whose key has a password, and that password."""
    ca, password = trustme.CA(), secrets.token_hex(12)
    server, client = ca.issue_cert("127.0.0.1"), ca.issue_cert("duologsync@example.org")
    files = {
        name: str(folder / name) for name in ("tls-ca.pem", "tls-server.pem", "tls-server.key", "client.pem", "client.key")
    }
    ca.cert_pem.write_to_path(files["tls-ca.pem"])
    server.cert_chain_pems[0].write_to_path(files["tls-server.pem"])
    server.private_key_pem.write_to_path(files["tls-server.key"])
    client.cert_chain_pems[0].write_to_path(files["client.pem"])
    key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
    (folder / "client.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.encode()),
        )
    )
    section = {
        "ca_file": files["tls-ca.pem"],
        "client_cert_file": files["client.pem"],
        "client_key_file": files["client.key"],
        "client_key_password": "env:KEY_PASSWORD",
    }
    return Tls(files["tls-ca.pem"], files["tls-server.pem"], files["tls-server.key"]), section, password
