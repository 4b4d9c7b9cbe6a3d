"""A call to Duo ends when its time is over, whatever drips, and an answer that is not in order costs its connection only."""

import contextlib
import socket
import ssl
import threading
from dataclasses import replace

import pytest

from tests.conftest import now_ms
from tests.duo.test_client import call_for
from transforms.duo.client import resolver
from transforms.duo.client.client import DuoClient
from transforms.duo.client.connections import Connections
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import RetryLater
from transforms.settings import Proxy

AUTH = LOG_TYPES["auth"]
PAGE = b'{"stat":"OK","response":{"authlogs":[],"metadata":{"total_objects":0}}}'
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(PAGE), PAGE)


class RawServer:
    """Answers each request with ``answer`` at once and then with ``drip`` again and again, a piece every 0.1 s, for 20 s."""

    def __init__(self, authority, answer=b"", drip=b"", end=b"", *, tls=True):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(authority.cert_file, authority.key_file)
        self._answer, self._drip, self._end, self._tls = answer, drip, end, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._left = threading.Event()
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self.requests = 0
        self.drips = 0  # of 200; a client that gives up in time sees the first ten or so

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exc):
        self._left.set()
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(sock)
            if self._tls:
                sock = stack.enter_context(self._context.wrap_socket(sock, server_side=True))
            while not self._left.is_set():
                request = b""
                while b"\r\n\r\n" not in request:
                    received = sock.recv(4096)
                    if not received:
                        return
                    request += received
                self.requests += 1
                sock.sendall(self._answer)
                for _ in range(200 if self._drip else 0):
                    if self._left.wait(0.1):
                        return
                    sock.sendall(self._drip)
                    self.drips += 1
                sock.sendall(self._end)


def fetch(account, server, connections=None, timeout_secs=1.0, **changes):
    here = replace(account, port=server.port, **changes)
    client = DuoClient(here, user_agent="test", timeout_secs=timeout_secs, connections=connections or Connections(8))
    try:
        return client.fetch_page(AUTH, call_for(now_ms() - 1000, now_ms()))
    finally:
        if connections is None:
            client.close()


@pytest.mark.parametrize(
    ("answer", "drip", "end"),
    [
        (b"HTTP/1.1 200 O", b"K", b"\r\n" + GOOD.partition(b"\r\n")[2]),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"y", b"\r\n" + GOOD.partition(b"\r\n")[2]),
        (b"HTTP/1.1 200 OK\r\n", b"X-One: more\r\n", GOOD.partition(b"\r\n")[2]),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", GOOD),
        (b"HTTP/1.1 100 Continue\r\n", b"X: y\r\n", b"\r\n" + GOOD),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b" ", b""),
        (CHUNKED, b"1\r\n \r\n", b"0\r\n\r\n"),
        (CHUNKED + b"0\r\n", b"X-Trailer: y\r\n", b"\r\n"),
        (CHUNKED + b"0\r\nX-Trailer: ", b"y", b"\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + PAGE, b" ", b""),
    ],
    ids=[
        "status line", "one header", "many headers", "100 Continue", "headers of 100 Continue", "body", "chunks", "trailers",
        "one trailer", "body without a length",
    ],
)  # fmt: skip
def test_an_answer_that_drips_anywhere_ends_with_the_time_of_the_call(account, authority, answer, drip, end):
    with (
        RawServer(authority, answer, drip, end) as server,
        pytest.raises(RetryLater, match="did not answer within 1 s") as caught,
    ):
        fetch(account, server)
    assert caught.value.kind == "timeout"
    assert server.drips < 100


def test_a_server_that_never_begins_tls_ends_with_the_time_of_the_call(account, authority):
    with RawServer(authority, tls=False) as server, pytest.raises(RetryLater) as caught:
        fetch(account, server)
    assert caught.value.kind == "timeout"


def test_a_proxy_whose_answer_drips_ends_with_the_time_of_the_call(account, authority):
    drips = RawServer(authority, b"HTTP/1.1 200 OK\r\n", b"X-One: more\r\n", tls=False)
    with drips as proxy, pytest.raises(RetryLater, match="through the proxy") as caught:
        fetch(account, proxy, proxy=Proxy("127.0.0.1", proxy.port))
    assert caught.value.kind == "timeout"
    assert proxy.drips < 100


def test_a_name_that_nobody_resolves_ends_with_the_time_of_the_call_and_one_look_up_serves_all(account, authority, monkeypatch):
    asked, hung = [], threading.Event()

    def hangs(*arguments, **_types):
        asked.append(arguments)
        hung.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(resolver.socket, "getaddrinfo", hangs)
    with RawServer(authority, GOOD) as server:
        for _ in range(2):
            with pytest.raises(RetryLater) as caught:
                fetch(account, server, timeout_secs=0.3)
            assert caught.value.kind == "timeout"
    hung.set()
    assert len(asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 60_000) for i in range(50)),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 99999 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
    ids=["huge headers", "endless 1xx", "another protocol", "status", "huge length", "chunks", "103", "101"],
)
def test_what_is_no_answer_of_http_is_to_be_retried_and_its_connection_is_not_used_again(account, authority, answer):
    connections = Connections(8)
    with RawServer(authority, answer) as server:
        for _ in range(2):
            with pytest.raises(RetryLater):
                fetch(account, server, connections)
        assert server.connections == 2


def test_a_connection_with_more_on_it_than_the_answer_is_not_used_again(account, authority):
    connections = Connections(8)
    forged = GOOD.replace(b'"total_objects":0', b'"total_objects":7')
    with RawServer(authority, GOOD + forged) as server:
        assert [fetch(account, server, connections).total for _ in range(3)] == [0, 0, 0]
        assert server.connections == 3


def test_what_comes_on_an_idle_connection_is_no_answer_to_the_next_call(account, authority, eventually):
    connections = Connections(8)
    with RawServer(authority, GOOD, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as server:
        fetch(account, server, connections)
        threading.Event().wait(0.3)
        assert fetch(account, server, connections).total == 0
        assert server.connections == 2


def test_an_answer_of_a_proxy_in_place_of_duo_says_nothing_of_keys_and_logs(account, authority):
    for status in (400, 401, 403, 404):
        page = b"<html>Please log in to the network.</html>"
        answer = b"HTTP/1.1 %d Denied\r\nContent-Length: %d\r\n\r\n%s" % (status, len(page), page)
        with RawServer(authority, answer) as server, pytest.raises(RetryLater, match="not Duo's") as caught:
            fetch(account, server)
        assert caught.value.kind == "not_duo"


@pytest.mark.parametrize(
    "body", [b'{"code": 40103, "message": "denied"}', b'{"stat": "FAIL", "code": 7}', b'{"stat": "OK", "code": 40103}', b"[]"]
)
def test_json_that_is_not_like_duos_is_no_refusal_of_duo(account, authority, body):
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with RawServer(authority, answer) as server, pytest.raises(RetryLater):
        fetch(account, server)


def test_a_proxy_that_wants_a_password_is_told_so(account, authority):
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
    with RawServer(authority, answer, tls=False) as proxy:
        with pytest.raises(RetryLater, match="wants a user and a password"):
            fetch(account, proxy, proxy=Proxy("127.0.0.1", proxy.port))
        with pytest.raises(RetryLater, match="does not take the password of its user 'reader'"):
            fetch(account, proxy, proxy=Proxy("127.0.0.1", proxy.port, "reader", account.skey))


def test_a_retry_after_date_is_reckoned_from_duos_clock_and_not_from_this_machines(account, authority):
    head = b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\nDate: Mon, 02 Nov 2020 10:00:00 GMT\r\n"
    answer = head + b"Retry-After: Mon, 02 Nov 2020 10:01:00 GMT\r\n\r\n"
    with RawServer(authority, answer) as server, pytest.raises(RetryLater) as caught:
        fetch(account, server)
    assert caught.value.wait_secs == 60


def test_a_ca_file_that_is_gone_or_holds_none_is_told(account, authority, tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")
    with RawServer(authority, GOOD) as server:
        for name in ("empty.pem", "gone.pem"):
            with pytest.raises(RetryLater, match=f"The CA file .*{name} cannot be used"):
                fetch(account, server, ca_file=str(tmp_path / name))
