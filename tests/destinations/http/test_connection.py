"""The connection below all senders over HTTP: TLS, proxies, and that nothing waits for ever or is taken for what it is not."""

import contextlib
import socket
import ssl
import threading
import time

import pytest

from tests.destinations.http.standins.server import Reply, cut_in_the_answer, dripping_answer, silence_after_taking
from tests.destinations.peers import Peer
from tests.destinations.test_tls import Authority
from transforms.destinations import certificates
from transforms.destinations.http.connection import HttpConnection, Origin, Request, Unanswered, Way
from transforms.errors import BadDestination, BundleReplaced
from transforms.secrets import SecretRef
from transforms.settings import Proxy, Tls

HELLO = Request("POST", "/hello", {"Content-Type": "text/plain"}, b"hello")


def take(connection: socket.socket) -> bool:
    """Reads one request, ``HELLO``, whole: who closes before that resets the connection. False where none comes any more."""
    request = b""
    while not request.endswith(b"\r\n\r\nhello"):
        data = connection.recv(65536)
        if not data:
            return False
        request += data
    return True


class Echo:
    def __init__(self):
        self.received = []

    def answer(self, asked):
        self.received.append(asked.body)
        return Reply(200, asked.body)


def never():
    """A watch that never ends a wait."""


@pytest.fixture
def echo(serve):
    return serve(Echo())


@pytest.fixture
def connect(closing):
    def to(port, *, host="127.0.0.1", **way):
        secure = "tls" in way
        return closing(_Closed(HttpConnection("siem", lambda: Origin(secure, host, port), Way(**way))))

    return to


class _Closed:
    """Closed as senders are."""

    def __init__(self, connection):
        self.connection = connection
        self.call = connection.call

    def close(self, _grace_secs):
        self.connection.close()


def test_requests_follow_one_another_on_one_connection(connect, echo):
    there = connect(echo.port)
    answers = [there.call(HELLO, never) for _ in range(5)]

    assert [(answer.status, answer.body) for answer in answers] == [(200, b"hello")] * 5
    assert echo.connections == 1


def test_a_connection_that_the_receiver_has_closed_is_made_anew_before_a_request_is_lost_on_it(connect, echo):
    there = connect(echo.port)
    there.call(HELLO, never)
    echo.stop()
    echo.start()
    assert there.call(HELLO, never).body == b"hello"
    assert there.connection.opened == 2


def test_one_that_was_idle_for_long_is_not_used_again(connect, echo, monkeypatch):
    there = connect(echo.port)
    there.call(HELLO, never)
    monkeypatch.setattr("transforms.destinations.http.connection._IDLE_SECS", 0.0)
    there.call(HELLO, never)
    assert echo.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["chunked", "closing", "http 1.0", "continue"],
)
def test_answers_of_all_shapes_are_read_whole_and_the_next_request_is_answered_too(connect, answer):
    def script(peer, connection):
        while take(connection):
            connection.sendall(answer)
            if b"close" in answer or b"1.0" in answer:
                connection.close()
                return

    peer = Peer(script)
    there = connect(peer.port)
    assert [there.call(HELLO, never).body for _ in range(3)] == [b"hello"] * 3
    peer.stop_listening()


def test_a_chunked_answer_that_is_cut_is_none(connect):
    cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel"
    peer = Peer(lambda peer, connection: (take(connection), connection.sendall(cut), connection.close()))
    with pytest.raises(Unanswered, match="cut short"):
        connect(peer.port).call(HELLO, never)
    peer.stop_listening()


def test_an_answer_that_comes_before_the_request_was_read_is_an_answer(connect):
    def script(peer, connection):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    peer = Peer(script)
    assert connect(peer.port).call(HELLO._replace(body=b"x" * 5_000_000), never).status == 413
    peer.stop_listening()


def test_what_comes_without_having_been_asked_for_is_no_answer_to_the_next_request(connect):
    def script(peer, connection):
        for _ in range(2):
            take(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")
            time.sleep(0.05)
            with contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\nbad")

    peer = Peer(script)
    there = connect(peer.port)
    assert there.call(HELLO, never).body == b"first"
    time.sleep(0.2)
    assert there.call(HELLO, never).status == 200
    assert there.connection.opened == 2
    peer.stop_listening()


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        (silence_after_taking(3.0), "no answer within 1 s"),
        (dripping_answer(4.0), "no answer within 1 s"),
        (cut_in_the_answer, r"cut short|reset"),
    ],
)
def test_an_answer_that_does_not_come_whole_within_its_time_is_none(connect, echo, trouble, cause):
    echo.troubles = [trouble]
    there = connect(echo.port, answer_secs=1.0)
    began = time.monotonic()
    with pytest.raises(Unanswered, match=cause) as unanswered:
        there.call(HELLO, never)

    assert unanswered.value.sent
    assert time.monotonic() - began < 3.0  # which is when the first of them answers
    assert there.call(HELLO, never).body == b"hello", "the rest of it is not taken for the next one"


@pytest.mark.parametrize("early", [b"102 Processing", b"103 Early Hints\r\nLink: </x>", b"100 Continue"])
def test_what_comes_before_the_final_answer_is_no_answer(connect, early):
    def script(peer, connection):
        take(connection)
        for _ in range(3):
            connection.sendall(b"HTTP/1.1 %b\r\n\r\n" % early)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfinal")
        time.sleep(0.2)

    peer = Peer(script)
    assert connect(peer.port).call(HELLO, never).body == b"final"
    peer.stop_listening()


def test_success_for_a_request_that_never_came_whole_is_none(connect):
    def script(peer, connection):
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        time.sleep(0.2)
        connection.close()  # a reset, since something is not read

    peer = Peer(script)
    with pytest.raises(Unanswered, match="before it had the whole request") as unanswered:
        connect(peer.port).call(HELLO._replace(body=bytes(30_000_000)), never)
    assert unanswered.value.sent
    peer.stop_listening()


def test_a_refusal_that_comes_before_the_whole_request_is_one(connect):
    def script(peer, connection):
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 413 Oh\r\nContent-Length: 2\r\n\r\nno")
        time.sleep(0.2)
        connection.close()

    peer = Peer(script)
    assert connect(peer.port).call(HELLO._replace(body=bytes(30_000_000)), never).status == 413
    peer.stop_listening()


def test_who_waits_is_woken(connect, echo):
    echo.troubles = [silence_after_taking(5.0)]
    woken = threading.Event()

    def watch():
        if woken.is_set():
            raise BundleReplaced("another one")

    threading.Timer(0.2, woken.set).start()
    began = time.monotonic()
    with pytest.raises(BundleReplaced):
        connect(echo.port).call(HELLO, watch)
    assert time.monotonic() - began < 1.0


def test_a_receiver_that_is_not_there_has_been_sent_nothing(connect, echo):
    echo.stop()
    with pytest.raises(Unanswered, match="refused") as unanswered:
        connect(echo.port).call(HELLO, never)
    assert not unanswered.value.sent


def test_an_answer_without_end_is_none(connect, echo, monkeypatch):
    monkeypatch.setattr("transforms.destinations.http.connection.MOST_ANSWER_BYTES", 100)
    echo.troubles = [lambda exchange: exchange.reply(Reply(200, b"x" * 101))]
    with pytest.raises(Unanswered, match="over 100 bytes"):
        connect(echo.port).call(HELLO, never)


def test_something_that_does_not_speak_http_is_told_and_not_quoted(connect):
    peer = Peer(lambda peer, connection: (take(connection), connection.sendall(b"220 mail.example.com s3cret\r\n")))
    with pytest.raises(Unanswered, match=r"does not speak HTTP|closed|reset") as unanswered:
        connect(peer.port).call(HELLO, never)
    assert "s3cret" not in str(unanswered.value)
    peer.stop_listening()


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path):
        return Authority(tmp_path)

    @pytest.fixture
    def secured(self, serve, authority):
        def start(*, clients=False):
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            authority.issue("127.0.0.1").configure_cert(context)
            if clients:
                context.verify_mode = ssl.CERT_REQUIRED
                authority.ca.configure_trust(context)
            return serve(Echo(), tls=context)

        return start

    def test_a_private_ca_is_trusted_where_it_is_named(self, connect, secured, authority):
        there = connect(secured().port, tls=Tls(ca_file=authority.ca_file))
        assert [there.call(HELLO, never).body for _ in range(3)] == [b"hello"] * 3
        assert there.connection.opened == 1, "a session ticket is no word that nobody asked for"

    def test_without_it_the_certificate_is_refused_and_the_fix_is_told(self, connect, secured):
        with pytest.raises(BadDestination, match=r"does not lead to the CAs that this system trusts.*tls\.ca_file"):
            connect(secured().port, tls=Tls()).call(HELLO, never)

    def test_a_certificate_for_another_name_is_refused(self, connect, secured, authority):
        there = connect(secured().port, host="localhost", tls=Tls(ca_file=authority.ca_file))
        with pytest.raises(BadDestination, match="not for localhost"):
            there.call(HELLO, never)

    def test_a_client_certificate_with_a_key_password_is_shown(self, connect, secured, authority, monkeypatch):
        monkeypatch.setenv("KEY_PASSWORD", "open sesame")
        cert, key = authority.client_files(password="open sesame")
        own = Tls(authority.ca_file, cert, key, SecretRef("env", "KEY_PASSWORD"))
        assert connect(secured(clients=True).port, tls=own).call(HELLO, never).body == b"hello"

    def test_it_is_known_then_when_both_certificates_end(self, connect, secured, authority):
        cert, key = authority.client_files()
        assert certificates.expires_ms("siem", "server") is None
        connect(secured(clients=True).port, tls=Tls(authority.ca_file, cert, key)).call(HELLO, never)
        now_ms = time.time() * 1000
        assert certificates.expires_ms("siem", "server") > now_ms
        assert certificates.expires_ms("siem", "client") > now_ms

    def test_one_that_is_missing_is_told(self, connect, secured, authority):
        with pytest.raises((BadDestination, Unanswered), match=r"client certificate|closed the connection|reset|TLS failed"):
            connect(secured(clients=True).port, tls=Tls(ca_file=authority.ca_file)).call(HELLO, never)

    def test_plain_text_where_tls_is_expected_is_told(self, connect, echo):
        with pytest.raises(BadDestination, match="does not speak TLS on this port"):
            connect(echo.port, tls=Tls()).call(HELLO, never)


class TestProxies:
    @pytest.fixture
    def password(self, monkeypatch):
        monkeypatch.setenv("PROXY_PASSWORD", "pass word")
        return SecretRef("env", "PROXY_PASSWORD")

    def test_tls_goes_through_a_tunnel_with_user_and_password(self, connect, serve, tmp_path, password):
        authority = Authority(tmp_path)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue("127.0.0.1").configure_cert(context)
        siem = serve(Echo(), tls=context)
        heads = []
        proxy = Peer(lambda peer, connection: tunnel(connection, siem.port, heads))
        through = Proxy("127.0.0.1", proxy.port, "reader", password)

        answer = connect(siem.port, tls=Tls(ca_file=authority.ca_file), proxy=through).call(HELLO, never)
        assert answer.body == b"hello"
        assert heads[0].startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % siem.port)
        assert b"Proxy-Authorization: Basic cmVhZGVyOnBhc3Mgd29yZA==" in heads[0]
        proxy.stop_listening()

    def test_plain_text_is_asked_of_the_proxy(self, connect, serve, password):
        proxy = serve(Echo())
        through = Proxy("127.0.0.1", proxy.port, "reader", password)
        connect(8088, host="siem.example.com", proxy=through).call(HELLO, never)
        (asked,) = proxy.asked

        assert asked.headers["host"] == "siem.example.com:8088"
        assert asked.headers["proxy-authorization"] == "Basic cmVhZGVyOnBhc3Mgd29yZA=="

    def test_a_proxy_that_refuses_is_told(self, connect):
        proxy = Peer(lambda peer, connection: (connection.recv(65536), connection.sendall(b"HTTP/1.1 407 Oh\r\n\r\n")))
        there = connect(443, host="siem.example.com", tls=Tls(), proxy=Proxy("127.0.0.1", proxy.port))
        with pytest.raises(Unanswered, match=r"wants a user and a password \(407\)") as unanswered:
            there.call(HELLO, never)
        assert not unanswered.value.sent
        proxy.stop_listening()


def tunnel(connection: socket.socket, port: int, heads: list[bytes]) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(65536)
    heads.append(head)
    there = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    threading.Thread(target=copy, args=(there, connection), daemon=True).start()
    copy(connection, there)
    there.close()
    connection.close()
