"""The HTTP endpoint by itself: who is answered, what a slow or a hostile client can do to it, and where it listens."""

import base64
import json
import logging
import socket
import stat
import threading
import time
from contextlib import ExitStack, suppress
from http.client import HTTPConnection

import pytest

from pipelines.monitoring import exchange, server
from pipelines.monitoring.exchange import Answer, text
from pipelines.monitoring.place import FILE_NAME, place_in
from pipelines.monitoring.server import MOST_AT_ONCE, MOST_STREAMS, Route
from tests.ports import free_port
from transforms.secrets import SecretRef
from transforms.settings import MONITORING_PORT, Monitoring

TOKEN = "correct horse battery staple"


def endless(_request):
    def parts():
        while True:
            yield b"more\n"
            time.sleep(0.02)

    return Answer(200, "text/plain", parts())


def bug(_request):
    raise RuntimeError("a bug")


ROUTES = {
    "/": Route(lambda _: text(200, "hello")),
    "/healthz": Route(lambda _: Answer(503, "application/json", b'{"why_not":["a reason"]}'), open_status=True),
    "/echo": Route(lambda request: text(200, f"{request.path}?{request.query}")),
    "/tap": Route(endless, streams=True),
    "/bug": Route(bug),
}


@pytest.fixture
def directory(tmp_path):
    directory = tmp_path / "checkpoints"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def started(directory):
    """Starts a server, and closes it at the end."""
    with ExitStack() as stack:

        def start(**settings):
            made = server.start(Monitoring(**{"port": free_port(), **settings}), ROUTES, str(directory))
            if made is not None:
                stack.callback(made.close)
            return made

        yield start


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    return SecretRef("file", str(path))


def port_of(made) -> int:
    return int(made.url.rstrip("/").rpartition(":")[2])


def ask(made, path="/", method="GET", **headers):
    """Status, headers and body."""
    connection = HTTPConnection("127.0.0.1", port_of(made), timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def threads_of_answers() -> int:
    return sum(thread.name == "monitoring answer" for thread in threading.enumerate())


class TestWhoIsAnswered:
    def test_whoever_asks_on_loopback(self, started):
        status, headers, body = ask(started())
        assert (status, body) == (200, b"hello\n")
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "Access-Control-Allow-Origin" not in headers

    def test_a_head_request_gets_no_body(self, started):
        status, headers, body = ask(started(), method="HEAD")
        assert (status, headers["Content-Length"], body) == (200, "6", b"")

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
    def test_nothing_can_be_changed_by_any_method(self, started, method):
        status, headers, _ = ask(started(), method=method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")

    def test_of_other_paths_there_is_nothing(self, started):
        made = started()
        assert [ask(made, path)[0] for path in ("/nothing", "//", "/../etc/passwd", "/status.json/", "/%2e%2e/")] == [404] * 5

    def test_a_query_does_not_hide_a_path(self, started):
        assert ask(started(), "/echo?a=b")[2] == b"/echo?a=b\n"

    @pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1", "[::1]:80", "127.9.9.9", "LOCALHOST."])
    def test_names_of_this_machine_are_answered(self, started, host):
        assert ask(started(), Host=host)[0] == 200

    @pytest.mark.parametrize("host", ["rebound.example.com", "127.0.0.1.example.com", "localhost.example.com", "", "192.0.2.1"])
    def test_a_name_from_elsewhere_that_leads_here_is_not(self, started, host):
        """What a page on the internet can reach by letting its own name lead to 127.0.0.1."""
        assert ask(started(), Host=host)[0] == 421


class TestToken:
    def test_without_it_nothing_is_shown(self, started, secret):
        status, headers, body = ask(started(token=secret))
        assert (status, body) == (401, b"a token is needed\n")
        assert {each.split()[0] for each in headers.get_all("WWW-Authenticate")} == {"Basic", "Bearer"}

    @pytest.mark.parametrize("path", ["/nothing", "/tap", "/echo"])
    def test_nor_which_paths_there_are(self, started, secret, path):
        assert ask(started(token=secret), path)[0] == 401

    def test_it_opens_as_a_bearer_token(self, started, secret):
        assert ask(started(token=secret), Authorization=f"Bearer {TOKEN}")[0] == 200

    def test_it_opens_as_the_password_in_a_browser(self, started, secret):
        shown = base64.b64encode(f"whoever:{TOKEN}".encode()).decode()
        assert ask(started(token=secret), Authorization=f"Basic {shown}")[0] == 200

    @pytest.mark.parametrize(
        "shown",
        ["Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Digest {TOKEN}", "Basic !", "Basic ZZZZ", TOKEN],
    )
    def test_anything_else_does_not(self, started, secret, shown):
        assert ask(started(token=secret), Authorization=shown)[0] == 401

    def test_it_is_not_taken_from_the_address(self, started, secret):
        assert ask(started(token=secret), f"/?token={TOKEN.replace(' ', '%20')}")[0] == 401

    def test_a_probe_without_it_learns_the_status_and_no_reason(self, started, secret):
        made = started(token=secret)
        assert ask(made, "/healthz")[::2] == (503, b"not ok\n")
        assert b"a reason" in ask(made, "/healthz", Authorization=f"Bearer {TOKEN}")[2]

    def test_one_that_cannot_be_read_is_told_and_opens_no_port(self, started, tmp_path, caplog):
        assert started(token=SecretRef("file", str(tmp_path / "missing"))) is None
        assert "There is no status page and there are no metrics: The secret file" in caplog.text


class TestHostileClients:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch):
        monkeypatch.setattr(exchange, "REQUEST_SECS", 1.0)

    def connect(self, made):
        return socket.create_connection(("127.0.0.1", port_of(made)), timeout=10)

    def said(self, sock) -> bytes:
        with sock:
            answer = b""
            while part := sock.recv(4096):
                answer += part
            return answer.partition(b"\r\n")[0]

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (b"\r\n\r\n", b"400"),
            (b"GET /\r\n\r\n", b"400"),
            (b"GET / HTTP/2.0\r\n\r\n", b"400"),
            (b"get / HTTP/1.1\r\n\r\n", b"400"),
            (b"GET /\x00 HTTP/1.1\r\n\r\n", b"400"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
            (b"GET /%s HTTP/1.1\r\n\r\n" % (b"x" * 5_000), b"400"),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"431"),
            (b"GET / HTTP/1.1\r\n" + b"x" * 20_000, b"431"),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"408"),
        ],
    )
    def test_what_is_no_request_gets_a_status_and_no_more(self, started, sent, status):
        sock = self.connect(started())
        sock.sendall(sent)
        assert self.said(sock).startswith(b"HTTP/1.0 " + status)

    def test_single_bytes_do_not_buy_time(self, started):
        sock = self.connect(started())
        began = time.monotonic()
        with sock, suppress(OSError):  # reset, or a broken pipe
            while time.monotonic() - began < 60:
                sock.sendall(b"G")
                time.sleep(0.05)
        assert time.monotonic() - began < 30

    def test_slow_ones_take_no_more_threads_than_there_are_and_give_them_back(self, started, eventually):
        made = started()
        slow = [self.connect(made) for _ in range(MOST_AT_ONCE)]
        eventually(lambda: threads_of_answers() == MOST_AT_ONCE)
        assert self.said(self.connect(made)).startswith(b"HTTP/1.0 503")
        assert threads_of_answers() <= MOST_AT_ONCE
        for sock in slow:
            assert self.said(sock).startswith(b"HTTP/1.0 408")
        eventually(lambda: threads_of_answers() == 0)
        assert ask(made)[0] == 200

    def test_whoever_goes_away_in_the_middle_leaves_nothing_behind(self, started, eventually):
        made = started()
        for _ in range(3 * MOST_AT_ONCE):
            sock = self.connect(made)
            sock.sendall(b"GET / HT")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
            sock.close()
        eventually(lambda: threads_of_answers() == 0)
        assert ask(made)[0] == 200

    def test_those_who_watch_leave_room_for_those_who_ask(self, started, eventually):
        made = started()
        watching = []
        for _ in range(MOST_STREAMS + 1):
            sock = self.connect(made)
            sock.sendall(b"GET /tap HTTP/1.1\r\nHost: localhost\r\n\r\n")
            watching.append(sock)
            first = sock.recv(12)
        assert first == b"HTTP/1.0 503"
        assert ask(made)[0] == 200
        for sock in watching:
            sock.close()
        eventually(lambda: threads_of_answers() == 0)

    def test_a_bug_in_an_answer_is_told_and_gives_its_thread_back(self, started, eventually, caplog):
        made = started()
        for _ in range(2 * MOST_AT_ONCE):
            sock = self.connect(made)
            sock.sendall(b"GET /bug HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.said(sock)
        eventually(lambda: threads_of_answers() == 0)
        assert "could not be answered" in caplog.text
        assert ask(made)[0] == 200


class TestWhereItListens:
    def test_at_a_free_port_where_the_usual_one_is_taken_without_noise(self, started, caplog, monkeypatch):
        taken = free_port()
        monkeypatch.setattr(server, "MONITORING_PORT", taken)
        caplog.set_level(logging.INFO, "duologsync")
        first, second = started(port=None), started(port=None)
        assert (port_of(first), port_of(second) == taken) == (taken, False)
        assert ask(second)[0] == 200
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

    def test_the_usual_port_is_the_documented_one(self):
        assert MONITORING_PORT == 9437

    def test_a_port_that_was_asked_for_and_is_taken_is_told(self, started, caplog):
        taken = port_of(started())
        other = started(port=taken)
        assert port_of(other) != taken
        assert f"Port {taken} of 127.0.0.1 cannot be had" in caplog.text

    def test_an_address_that_this_machine_does_not_have_is_told_and_stops_nothing(self, started, secret, caplog):
        assert started(host="192.0.2.1", token=secret) is None
        assert "nothing can listen at 192.0.2.1" in caplog.text

    def test_where_the_system_gives_no_thread_that_is_told_and_the_port_is_free_again(self, started, caplog, monkeypatch):
        port = free_port()
        with monkeypatch.context() as patched:
            patched.setattr(server, "started", lambda *_: None)
            assert started(port=port) is None
        assert "no thread can be started now" in caplog.text
        assert port_of(started(port=port)) == port

    def test_again_at_once_after_its_end(self, started):
        port = free_port()
        first = started(port=port)
        assert ask(first)[0] == 200
        first.close()
        assert port_of(started(port=port)) == port

    def test_the_place_is_noted_for_the_owner_alone_and_the_note_removed_at_the_end(self, started, directory):
        made = started()
        note = directory / FILE_NAME
        assert stat.S_IMODE(note.stat().st_mode) == 0o600
        assert set(json.loads(note.read_text())) == {"v", "url", "pid", "key"}
        assert place_in(str(directory)).url == made.url
        made.close()
        assert not note.exists()

    def test_no_note_of_an_earlier_run_outlives_a_start_without_a_port(self, started, directory):
        (directory / FILE_NAME).write_text('{"v":1,"url":"http://127.0.0.1:1/","pid":1}')
        assert started(enabled=False) is None
        assert place_in(str(directory)) is None

    @pytest.mark.parametrize("note", ["", "{", '{"v":9,"url":"http://127.0.0.1:1/","pid":1}', "\udcff", '{"url":1}'])
    def test_a_note_that_cannot_be_read_is_none(self, directory, note):
        (directory / FILE_NAME).write_text(note, errors="surrogateescape")
        assert place_in(str(directory)) is None

    def test_a_directory_that_takes_no_note_is_told_and_stops_nothing(self, started, directory, caplog):
        (directory / f"{FILE_NAME}.new").mkdir()
        made = started()
        assert ask(made)[0] == 200
        assert "cannot be noted" in caplog.text
