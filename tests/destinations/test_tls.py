"""TLS against real TLS servers: what is accepted, and how plainly a refusal is explained."""

import datetime as dt
import resource
import socket
import ssl
import sys
import time
from contextlib import suppress

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from tests.destinations.peers import FAST, Peer, deliver, destination, eventually, messages, read_all
from tests.private_authority import LACKS, make_chain, verify_as_python_3_13_does
from transforms.destinations import certificates
from transforms.destinations.stream import tls
from transforms.errors import BadDestination, DeliveryTimeout, RetryLater
from transforms.secrets import SecretRef, SecretUnavailable
from transforms.settings import Tls

BUNDLE = messages(50)
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Authority:
    """A CA, its file, and what it has issued."""

    def __init__(self, folder):
        self.ca = trustme.CA()
        self.folder = folder
        self.ca_file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.ca_file)

    def issue(self, *names, **kwargs):
        return self.ca.issue_cert(*names, **kwargs)

    def client_files(self, name="client@example.org", password=None):
        cert = self.issue(name)
        cert_file, key_file = self.folder / "client.pem", self.folder / "client.key"
        cert.cert_chain_pems[0].write_to_path(str(cert_file))
        pem = cert.private_key_pem.bytes()
        if password is not None:
            key = serialization.load_pem_private_key(pem, None)
            pem = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password.encode()),
            )
        key_file.write_bytes(pem)
        return str(cert_file), str(key_file)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def server(cert, *, version=None, clients=None, tickets=2):
    """A peer whose scripts speak TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    cert.configure_cert(context)
    context.num_tickets = tickets
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if clients is not None:
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED

    def script(peer, connection):
        try:
            wrapped = context.wrap_socket(connection, server_side=True)
        except (ssl.SSLError, OSError):
            connection.close()
            return
        peer.connections[-1] = wrapped
        peer.read(wrapped)
        with suppress(OSError, ValueError):
            wrapped.unwrap()
        wrapped.close()

    return Peer(script)


def at(peer, authority, **changes):
    changes.setdefault("ca_file", authority.ca_file)
    host = changes.pop("host", "127.0.0.1")
    others = {name: changes.pop(name) for name in ("delivery_timeout_secs", "connect_timeout_secs", "name") if name in changes}
    return tls.make(destination(peer.port, "tls", host=host, tls=Tls(**changes), **others), FAST)


def refused(sender) -> str:
    """What the error says that a first delivery ends with."""
    began = time.monotonic()
    with pytest.raises(BadDestination) as caught:
        deliver(sender, BUNDLE)
    assert time.monotonic() - began < 3
    return str(caught.value)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("tickets", [0, 2])
def test_bundles_arrive_once(authority, version, tickets):
    peer = server(authority.issue("127.0.0.1"), version=version, tickets=tickets)
    sender = at(peer, authority)
    for start in range(0, 500, 50):
        deliver(sender, messages(50, start=start))
    sender.close(5)
    assert peer.received == messages(500)
    assert sender.reconnects == 0


def test_a_session_ticket_shortens_the_wait_for_trust(authority):
    peer = server(authority.issue("127.0.0.1"), version=ssl.TLSVersion.TLSv1_3)
    sender = at(peer, authority)
    began = time.monotonic()
    sender.test_connection()
    assert time.monotonic() - began < 0.09


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_certificate_is_shown(authority, version):
    cert_file, key_file = authority.client_files()
    peer = server(authority.issue("127.0.0.1"), version=version, clients=authority.ca)
    sender = at(peer, authority, client_cert_file=cert_file, client_key_file=key_file)
    deliver(sender, BUNDLE)
    sender.close(5)
    assert peer.received == BUNDLE


@pytest.mark.parametrize("version", VERSIONS)
def test_a_missing_client_certificate(authority, version):
    peer = server(authority.issue("127.0.0.1"), version=version, clients=authority.ca)
    text = refused(at(peer, authority))
    assert "demands a client certificate" in text
    assert "client_cert_file" in text
    assert peer.received == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_certificate_of_an_unknown_ca(authority, tmp_path, version):
    (tmp_path / "other").mkdir()
    cert_file, key_file = Authority(tmp_path / "other").client_files()
    peer = server(authority.issue("127.0.0.1"), version=version, clients=authority.ca)
    text = refused(at(peer, authority, client_cert_file=cert_file, client_key_file=key_file))
    assert f"refused the client certificate {cert_file}: the SIEM does not know the CA" in text


def test_a_wrong_ca(authority, tmp_path):
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    peer = server(authority.issue("127.0.0.1"))
    assert f"does not lead to the CAs in {other.ca_file}" in refused(at(peer, other))


def test_no_ca_file_means_the_systems_trust(authority):
    peer = server(authority.issue("127.0.0.1"))
    text = refused(at(peer, authority, ca_file=None))
    assert "the CAs that this system trusts" in text
    assert "Set tls.ca_file" in text


def test_a_wrong_name_names_the_names(authority):
    peer = server(authority.issue("siem.example.org", "10.1.2.3"))
    text = refused(at(peer, authority))
    assert "not for 127.0.0.1: it is for siem.example.org, 10.1.2.3" in text
    assert "tls.server_name" in text


def test_server_name_is_asked_for_and_checked(authority):
    peer = server(authority.issue("siem.example.org"))
    deliver(at(peer, authority, server_name="siem.example.org"), BUNDLE)
    eventually(lambda: peer.received == BUNDLE)
    assert "not for other.example.org" in refused(at(peer, authority, server_name="other.example.org", name="fresh"))


def test_an_address_in_the_certificate_is_enough_for_an_address(authority):
    peer = server(authority.issue("127.0.0.1"))
    deliver(at(peer, authority), BUNDLE)


def test_a_name_in_the_certificate_is_not_enough_for_an_address(authority):
    peer = server(authority.issue("localhost"))
    deliver(at(peer, authority, host="localhost"), BUNDLE)
    assert "not for 127.0.0.1: it is for localhost" in refused(at(peer, authority))


def weak_server(tmp_path, lacking):
    """A receiver with a chain that lacks something, and a sender that trusts its authority."""
    chain = make_chain(tmp_path, lacking=lacking)
    peer = server(chain)
    return tls.make(destination(peer.port, "tls", name="weak", tls=Tls(ca_file=chain.ca_file)), FAST)


@pytest.mark.parametrize("lacking", LACKS)
def test_what_a_chain_lacks_for_python_3_13_is_named_with_the_cure(tmp_path, lacking, monkeypatch):
    verify_as_python_3_13_does(monkeypatch)
    text = refused(weak_server(tmp_path, lacking))
    assert f"has a chain of certificates that lacks {LACKS[lacking]}" in text
    assert "docs/install.md" in text


def test_a_complete_chain_is_good_for_python_3_13(tmp_path, monkeypatch):
    verify_as_python_3_13_does(monkeypatch)
    deliver(weak_server(tmp_path, ""), BUNDLE)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="not on Python 3.13 and later: it refuses such a certificate")
def test_a_certificate_that_a_newer_python_refuses_is_known_once_it_was_seen(tmp_path):
    weak_server(tmp_path, "").test_connection()
    assert not certificates.refused_later("weak")
    weak_server(tmp_path, "authorityKeyIdentifier").test_connection()
    assert certificates.refused_later("weak")


def test_an_expired_certificate(authority):
    past = dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=1)
    peer = server(authority.issue("127.0.0.1", not_after=past))
    assert "has expired" in refused(at(peer, authority))


def test_plain_text_that_answers(authority):
    def script(peer, connection):
        connection.recv(100)
        connection.sendall(b"220 this is not TLS\n")
        time.sleep(0.5)

    assert "does not speak TLS on this port" in refused(at(Peer(script), authority))


def test_plain_text_that_is_silent_is_tried_again_with_a_hint(authority, caplog):
    sender = at(Peer(read_all), authority, connect_timeout_secs=0.2, delivery_timeout_secs=0.5)
    with pytest.raises(DeliveryTimeout):
        deliver(sender, BUNDLE)
    assert any("may expect plain text" in r.getMessage() for r in caplog.records)


def test_a_server_that_closes_during_the_handshake_is_tried_again(authority):
    peer = server(authority.issue("127.0.0.1"))
    peer.scripts.insert(0, lambda peer, connection: connection.close())
    deliver(at(peer, authority), BUNDLE)
    eventually(lambda: peer.received == BUNDLE)


def test_tls_too_old(authority):
    old = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue("127.0.0.1").configure_cert(old)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")

    def script(peer, connection):
        with suppress(OSError):
            old.wrap_socket(connection, server_side=True)
        time.sleep(0.2)

    assert "offers no TLS 1.2 or newer" in refused(at(Peer(script), authority))


def test_a_key_with_a_password(authority, monkeypatch):
    cert_file, key_file = authority.client_files(password="correct horse")
    monkeypatch.setenv("KEY_PASSWORD", "correct horse")
    peer = server(authority.issue("127.0.0.1"), clients=authority.ca)
    files = {"client_cert_file": cert_file, "client_key_file": key_file}
    deliver(at(peer, authority, **files, client_key_password=SecretRef("env", "KEY_PASSWORD")), BUNDLE)
    eventually(lambda: peer.received == BUNDLE)


def test_a_wrong_a_missing_and_an_unset_password(authority, monkeypatch):
    cert_file, key_file = authority.client_files(password="correct horse")
    monkeypatch.setenv("KEY_PASSWORD", "battery staple")
    peer = server(authority.issue("127.0.0.1"), clients=authority.ca)
    files = {"client_cert_file": cert_file, "client_key_file": key_file}
    text = refused(at(peer, authority, **files, client_key_password=SecretRef("env", "KEY_PASSWORD")))
    assert "the password in env:KEY_PASSWORD does not open the key" in text
    assert "battery" not in text
    assert "the key has a password. Set tls.client_key_password" in refused(at(peer, authority, **files))
    with pytest.raises(SecretUnavailable, match="UNSET_VARIABLE"):
        deliver(at(peer, authority, **files, client_key_password=SecretRef("env", "UNSET_VARIABLE")), BUNDLE)


def test_files_that_cannot_be_used(authority, tmp_path):
    peer = server(authority.issue("127.0.0.1"))
    cert_file, _ = authority.client_files()
    (tmp_path / "junk").write_text("junk")
    other_key = tmp_path / "other.key"
    authority.issue("x@example.org").private_key_pem.write_to_path(str(other_key))
    assert "No such file" in refused(at(peer, authority, ca_file="/nowhere/ca.pem"))
    assert "no PEM certificate" in refused(at(peer, authority, ca_file=str(tmp_path / "junk")))
    assert "No such file" in refused(at(peer, authority, client_cert_file="/nowhere/c.pem"))
    mismatch = refused(at(peer, authority, client_cert_file=cert_file, client_key_file=str(other_key)))
    assert "the key is not this certificate's" in mismatch


def test_files_that_cannot_be_read_for_want_of_a_descriptor_are_read_later(authority):
    cert_file, key_file = authority.client_files()
    peer = server(authority.issue("127.0.0.1"))
    for changes in ({}, {"client_cert_file": cert_file, "client_key_file": key_file}):
        sender = at(peer, authority, **changes)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            with pytest.raises(RetryLater, match="LimitNOFILE"):
                sender.test_connection()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_certificate_that_is_replaced_while_running_is_waited_for(authority, tmp_path, caplog):
    (tmp_path / "other").mkdir()
    good, bad = authority.issue("127.0.0.1"), Authority(tmp_path / "other").issue("127.0.0.1")
    peer = server(good)
    sender = at(peer, authority)
    deliver(sender, BUNDLE)
    serve_good, serve_bad = peer.scripts[0], server(bad).scripts[0]
    peer.scripts[:] = [serve_bad, serve_bad, serve_good]
    eventually(lambda: peer.received == BUNDLE)
    peer.connections[0].shutdown(socket.SHUT_RDWR)
    late = messages(50, start=50)
    deliver(sender, late)
    eventually(lambda: not peer.lost(BUNDLE + late))
    assert any("does not lead to the CAs" in r.getMessage() for r in caplog.records)


def test_a_crash_of_the_server_loses_nothing(authority):
    peer = server(authority.issue("127.0.0.1"))
    good = peer.scripts[0]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue("127.0.0.1").configure_cert(context)

    def shake_hands_and_crash(peer, connection):
        wrapped = context.wrap_socket(connection, server_side=True)
        time.sleep(0.1)
        wrapped.close()  # with unread bytes: a reset

    peer.scripts[:] = [shake_hands_and_crash, shake_hands_and_crash, good]
    sender = at(peer, authority)
    deliver(sender, BUNDLE)
    eventually(lambda: sender.check() is None and not peer.lost(BUNDLE))


def test_a_stall_over_tls_is_waited_for(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue("127.0.0.1").configure_cert(context)

    def script(peer, connection):
        wrapped = context.wrap_socket(connection, server_side=True)
        time.sleep(1)
        read_all(peer, wrapped)

    peer = Peer(script, receive_buffer_bytes=8192)
    sender = at(peer, authority, connect_timeout_secs=3)
    bundle = messages(30_000)
    deliver(sender, bundle)
    eventually(lambda: not peer.lost(bundle))
    assert len(peer.connections) == 1
    assert peer.repeats() == 0


def test_a_test_connection_says_what_is_wrong(authority):
    peer = server(authority.issue("elsewhere.example.org"))
    with pytest.raises(BadDestination, match="elsewhere"):
        at(peer, authority).test_connection()
    peer.stop_listening()
    with pytest.raises(RetryLater, match="refused"):
        at(peer, authority).test_connection()


def test_the_context_cannot_be_made_lax(authority):
    context = tls.context_for(Tls(ca_file=authority.ca_file), "siem")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
