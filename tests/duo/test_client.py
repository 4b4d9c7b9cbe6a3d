"""The client against the simulator over HTTPS: what it sends, and how it sorts what can go wrong."""

import contextlib
import pickle
import socket
import threading
import time
from email.utils import formatdate

import pytest

from pipelines.demo.simulator.paging import ENDPOINTS
from tests.conftest import now_ms
from tests.private_authority import make_chain, verify_as_python_3_13_does
from transforms.duo.client.client import DuoClient, PageRefused
from transforms.duo.client.connections import CONNECTIONS
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.position.windows import Call
from transforms.errors import BadCredentials, RetryLater, StreamUnavailable
from transforms.secrets import SecretRef
from transforms.settings import Account, Proxy
from transforms.state.cursor import Cursor

AUTH = LOG_TYPES["auth"]


@pytest.fixture
def client(account):
    client = DuoClient(account, user_agent="test", timeout_secs=5)
    yield client
    client.close()


def call_for(mintime_ms: int, maxtime_ms: int, offset: str | None = None) -> Call:
    return Call(Cursor(mintime_ms, maxtime_ms, offset), mintime_ms)


def whole_day() -> Call:
    return call_for(now_ms() - 86_400_000, now_ms() + 1)


@pytest.mark.parametrize("log_type", [t for t in LOG_TYPES.values() if t.path in ENDPOINTS], ids=lambda log_type: log_type.name)
def test_every_log_is_paged_to_its_end_with_its_own_cursor(client, simulator, log_type):
    simulator.add(log_type.name, 450, at_ms=now_ms() - 60_000, spread_ms=30_000)
    call, rows = whole_day(), []
    # Smaller pages than the real ones show the paging with few rows.
    small = type(log_type)(**{f: getattr(log_type, f) for f in log_type.__slots__} | {"page_limit": 200})
    while True:
        answer = client.fetch_page(small, call)
        rows += answer.rows
        if not answer.next_offset:
            break
        call = call_for(call.mintime_ms, call.maxtime_ms, answer.next_offset)

    assert rows == simulator.produced_rows(log_type.name)


def test_many_calls_share_one_connection_and_each_is_signed(client, simulator):
    for _ in range(5):
        client.fetch_page(AUTH, whole_day())

    assert [call.status for call in simulator.calls] == [200] * 5
    assert all(call.scheme for call in simulator.calls)
    assert len(CONNECTIONS.idle_at(client.place)) == 1


def test_a_connection_that_the_server_closed_meanwhile_costs_nothing(client, simulator):
    client.fetch_page(AUTH, whole_day())
    (kept,) = CONNECTIONS.idle_at(client.place)
    kept.sock.shutdown(socket.SHUT_RDWR)

    assert client.fetch_page(AUTH, whole_day()).rows == []


def test_rows_keep_their_bytes_and_never_hold_a_line_break(client, simulator):
    pretty = (
        b'{\n "txid": "t-1",\r\n "isotimestamp": "2026-11-01T00:00:00+00:00", "timestamp": 1793491200, "unknown": [1, 2.50]}'
    )
    simulator.add("auth", [pretty], at_ms=now_ms() - 1000)
    (row,) = client.fetch_page(AUTH, whole_day()).rows

    assert b"\n" not in row
    assert b"\r" not in row
    assert b'"unknown":[1,2.50]' in row


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 429}, "rate_limited"),
        ({"kind": "status", "status": 500}, "server_error"),
        ({"kind": "status", "status": 503}, "server_error"),
        ({"kind": "html"}, "malformed"),
        ({"kind": "malformed_json"}, "malformed"),
        ({"kind": "cut_body"}, "cut_body"),
        ({"kind": "reset_mid_body"}, "cut_body"),
        ({"kind": "clock_skew", "secs": 900}, "clock_skew"),
        ({"kind": "status", "status": 418}, "unexpected_status"),
    ],
    ids=str,
)
def test_what_passes_is_to_be_retried(client, simulator, fault, kind):
    simulator.add("auth", 300, at_ms=now_ms() - 60_000)
    simulator.faults.add(**fault, times=None)

    with pytest.raises(RetryLater) as caught:
        client.fetch_page(AUTH, whole_day())
    assert caught.value.kind == kind

    simulator.faults.clear()
    assert client.fetch_page(AUTH, whole_day()).rows


def test_clock_skew_is_told_with_its_size(client, simulator):
    simulator.faults.add("clock_skew", secs=900)

    with pytest.raises(RetryLater, match=r"off by -(89\d|90\d) s.*NTP"):
        client.fetch_page(AUTH, whole_day())


@pytest.mark.parametrize("status", [403, 404])
def test_a_log_that_duo_does_not_serve_suspends_its_stream_only(client, simulator, status):
    simulator.faults.add("status", status=status)

    with pytest.raises(StreamUnavailable):
        client.fetch_page(AUTH, whole_day())


def test_a_refused_window_says_which_parameter(client):
    with pytest.raises(PageRefused, match="mintime"):
        client.fetch_page(AUTH, call_for(1, now_ms()))


def test_retry_after_is_passed_on(client, simulator):
    simulator.faults.add("status", status=429, retry_after=17)

    with pytest.raises(RetryLater) as caught:
        client.fetch_page(AUTH, whole_day())
    assert caught.value.wait_secs == 17


def test_retry_after_may_be_a_date(client, simulator):
    when = formatdate(time.time() + 90, usegmt=True)
    simulator.faults.add("status", status=429, retry_after=when)

    with pytest.raises(RetryLater) as caught:
        client.fetch_page(AUTH, whole_day())
    assert 80 < caught.value.wait_secs <= 90


@pytest.mark.parametrize("nonsense", ["soon", "-5", "\u00b2", "Thu, 32 Foo 2026 00:00:00 GMT"])
def test_a_retry_after_that_says_nothing_is_left_out(client, simulator, nonsense):
    simulator.faults.add("status", status=429, retry_after=nonsense)

    with pytest.raises(RetryLater) as caught:
        client.fetch_page(AUTH, whole_day())
    assert caught.value.wait_secs is None


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"stat":"FAIL","code":' + b"[" * 100_000, b"\xff" * 50])
def test_a_refusal_whose_text_nobody_can_read_is_not_taken_for_duos(client, body):
    error = client._failure(403, {}, body, "/admin/v2/logs/authentication")
    assert isinstance(error, RetryLater)


def test_wrong_keys_are_told_without_showing_them(account, simulator, tmp_path):
    wrong = "b" * 40
    (tmp_path / "wrong").write_text(wrong)
    client = DuoClient(_with(account, skey=SecretRef("file", str(tmp_path / "wrong"))), user_agent="test", timeout_secs=5)

    with pytest.raises(BadCredentials, match="ikey, skey and api_host") as caught:
        client.fetch_page(AUTH, whole_day())
    assert wrong not in str(caught.value)


def test_an_answer_that_drips_ends_at_the_deadline(account, simulator):
    simulator.add("auth", 300, at_ms=now_ms() - 60_000)
    simulator.faults.add("slow", secs=30)
    client = DuoClient(account, user_agent="test", timeout_secs=1)
    began = time.monotonic()

    with pytest.raises(RetryLater) as caught:
        client.fetch_page(AUTH, whole_day())
    assert caught.value.kind == "timeout"
    assert time.monotonic() - began < 10


def test_a_server_that_never_answers_ends_at_the_deadline(account, simulator):
    simulator.faults.add("hang")
    client = DuoClient(account, user_agent="test", timeout_secs=1)

    with pytest.raises(RetryLater) as caught:
        client.fetch_page(AUTH, whole_day())
    assert caught.value.kind == "timeout"


def test_a_server_of_another_ca_is_refused_and_the_fix_is_named(account):
    client = DuoClient(_with(account, ca_file=None), user_agent="test", timeout_secs=5)

    with pytest.raises(RetryLater, match=r"not trusted.*ca_file"):
        client.fetch_page(AUTH, whole_day())


def test_what_the_chain_of_a_gateway_lacks_for_python_3_13_is_named_with_the_cure(account, skey, tmp_path, monkeypatch):
    from pipelines.demo.simulator import DuoSimulator

    chain = make_chain(tmp_path, lacking="keyUsage")
    verify_as_python_3_13_does(monkeypatch)
    with DuoSimulator(account.ikey, skey, tls=(chain.cert_file, chain.key_file)) as gateway:
        client = DuoClient(_with(account, port=gateway.port, ca_file=chain.ca_file), user_agent="test", timeout_secs=5)
        with pytest.raises(RetryLater, match=r"lacks keyUsage.*docs/install\.md"):
            client.fetch_page(AUTH, whole_day())


def test_a_server_of_another_name_is_refused(account, authority, skey):
    from pipelines.demo.simulator import DuoSimulator

    other = authority.ca.issue_cert("other.example.com")
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    other.configure_cert(context)
    with DuoSimulator(account.ikey, skey, tls=context) as elsewhere:
        client = DuoClient(_with(account, port=elsewhere.port), user_agent="test", timeout_secs=5)
        with pytest.raises(RetryLater, match="localhost"):
            client.fetch_page(AUTH, whole_day())


def test_a_client_cannot_be_pickled(client):
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(client)


def test_a_proxy_is_asked_to_connect_with_user_and_password(account, simulator, tmp_path):
    (tmp_path / "proxy-password").write_text("pass word")
    with _ConnectProxy() as proxy:
        through = Proxy("127.0.0.1", proxy.port, "user", SecretRef("file", str(tmp_path / "proxy-password")))
        client = DuoClient(_with(account, proxy=through), user_agent="test", timeout_secs=5)
        assert client.fetch_page(AUTH, whole_day()).rows == []
        client.close()

    assert proxy.requests[0].startswith(b"CONNECT localhost:%d HTTP/1." % simulator.port)
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNzIHdvcmQ=" in proxy.requests[0]


def test_a_proxy_that_is_not_there_is_named(account):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = DuoClient(_with(account, proxy=Proxy("127.0.0.1", unused.getsockname()[1])), user_agent="test", timeout_secs=5)
        with pytest.raises(RetryLater, match=r"through the proxy 127\.0\.0\.1"):
            client.fetch_page(AUTH, whole_day())


def test_a_proxy_that_dies_and_comes_back_costs_nothing_but_time(account, simulator, tmp_path):
    (tmp_path / "proxy-password").write_text("pass word")
    proxy = _ConnectProxy()
    client = DuoClient(
        _with(account, proxy=Proxy("127.0.0.1", proxy.port, "user", SecretRef("file", str(tmp_path / "proxy-password")))),
        user_agent="test",
        timeout_secs=2,
    )
    with proxy:
        client.fetch_page(AUTH, whole_day())
    (kept,) = CONNECTIONS.idle_at(client.place)
    kept.sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(RetryLater, match="through the proxy"):
        client.fetch_page(AUTH, whole_day())
    with _ConnectProxy(proxy.port):
        assert client.fetch_page(AUTH, whole_day()).rows == []


def test_a_proxy_that_refuses_is_told_with_its_answer(account):
    with _ConnectProxy(answer=b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as proxy:
        client = DuoClient(_with(account, proxy=Proxy("127.0.0.1", proxy.port)), user_agent="test", timeout_secs=2)
        with pytest.raises(RetryLater, match="407"):
            client.fetch_page(AUTH, whole_day())


def test_a_host_name_that_does_not_resolve_is_told(account):
    client = DuoClient(_with(account, api_host="api-00000000.duosecurity.invalid"), user_agent="test", timeout_secs=5)

    with pytest.raises(RetryLater, match="cannot be resolved") as caught:
        client.fetch_page(AUTH, whole_day())
    assert caught.value.kind == "network"


@pytest.mark.parametrize("limit", [200_000, 0])
def test_an_answer_over_the_limit_is_not_taken_into_memory(client, simulator, monkeypatch, limit):
    simulator.add("auth", 1_000, at_ms=now_ms() - 60_000)
    monkeypatch.setattr("transforms.duo.client.client.MAX_ANSWER_BYTES", limit)

    with pytest.raises(RetryLater, match="over the limit"):
        client.fetch_page(AUTH, whole_day())


def test_unknown_fields_and_new_values_pass_through(client, simulator):
    odd = (
        b'{"txid":"t-1","isotimestamp":"2026-11-01T00:00:00+00:00","result":"brand_new","factor":{"was":"text"},"extra":[null]}'
    )
    simulator.add("auth", [odd], at_ms=now_ms() - 1_000)

    assert client.fetch_page(AUTH, whole_day()).rows == [odd]


def _with(account: Account, **changes: object) -> Account:
    from dataclasses import replace

    return replace(account, **changes)


class _ConnectProxy:
    """A real CONNECT proxy for one connection."""

    def __init__(self, port: int = 0, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_exc):
        self._listener.close()

    def _serve(self) -> None:
        near, _ = self._listener.accept()
        request = b""
        while b"\r\n\r\n" not in request:
            request += near.recv(4096)
        self.requests.append(request)
        if b" 200 " not in self._answer:
            near.sendall(self._answer)
            near.close()
            return
        host, _, port = request.split()[1].decode().partition(":")
        far = socket.create_connection((host, int(port)))
        near.sendall(self._answer)
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either end may go first
        while data := source.recv(65536):
            target.sendall(data)
    target.close()
