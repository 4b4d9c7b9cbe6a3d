"""The receiver counts exactly what was sent, however it was framed, and fails as real receivers do when it is told to."""

import contextlib
import socket
import ssl
import time

import pytest

from pipelines.demo.receiver import SiemReceiver
from pipelines.demo.receiver.frames import FrameSplitter
from pipelines.demo.simulator import LOG_TYPES
from pipelines.demo.simulator.rows import RowFactory

ROWS = {log_type: [RowFactory(log_type).row(n, 1_700_000_000_123, 1200) for n in range(50)] for log_type in LOG_TYPES}
MIXED = [row for log_type in LOG_TYPES for row in ROWS[log_type]]


def lines(messages):
    return b"".join(message + b"\n" for message in messages)


def counted(messages):
    return b"".join(b"%d %b" % (len(message), message) for message in messages)


@pytest.fixture
def siem():
    with SiemReceiver(keep_messages=True) as receiver:
        yield receiver


def connect(receiver):
    return socket.create_connection(("127.0.0.1", receiver.port), timeout=5)


@pytest.mark.parametrize("frame", [lines, counted])
def test_messages_arrive_as_they_were_sent_and_are_counted_per_log_type(siem, frame):
    with connect(siem) as sock:
        sock.sendall(frame(MIXED))
        assert siem.wait_for(200)
    assert siem.messages == MIXED
    counts = siem.counts()
    assert {name: (c.messages, c.unique, c.repeated) for name, c in counts.items()} == dict.fromkeys(LOG_TYPES, (50, 50, 0))
    assert counts["auth"].bytes == sum(map(len, ROWS["auth"]))
    assert siem.unique_ids("trustmonitor") == {RowFactory("trustmonitor").ids.make(n).decode() for n in range(50)}


def test_repeated_events_are_told_from_new_ones(siem):
    with connect(siem) as sock:
        sock.sendall(lines(ROWS["auth"] + ROWS["auth"][:7]))
        assert siem.wait_for(57, log_type="auth")
    assert siem.wait_for(50, 0, unique=True)
    assert not siem.wait_for(51, 0, unique=True)
    assert siem.counts()["auth"].repeated == 7


def test_hashed_ids_count_the_same_without_keeping_ids():
    with SiemReceiver(ids="hashed") as siem, connect(siem) as sock:
        sock.sendall(lines(MIXED + MIXED[:3]))
        assert siem.wait_for(203)
        assert [siem.counts()[t].unique for t in LOG_TYPES] == [50] * 4
        assert siem.counts()["auth"].repeated == 3
        with pytest.raises(RuntimeError):
            siem.unique_ids("auth")


@pytest.mark.parametrize("step", [1, 2, 3, 7, 4096])
def test_frames_are_found_wherever_the_stream_is_cut_and_framing_may_change(step):
    messages = [b'{"a":1}', b"12 counted", b"<134>1 x", b"9", b"plain", b"{\n}"]
    stream = lines(messages[:1]) + counted(messages[1:2]) + lines(messages[2:3]) + counted(messages[3:4])
    stream += b"\n" + lines(messages[4:5]) + counted(messages[5:])
    splitter = FrameSplitter()
    found = [m for at in range(0, len(stream), step) for m in splitter.feed(stream[at : at + step])]
    assert found == messages
    assert (splitter.pending, splitter.errors) == (b"", 0)


def test_a_digit_without_a_count_is_a_line_and_an_error():
    splitter = FrameSplitter()
    assert splitter.feed(b"12x\n{}\n") == [b"12x", b"{}"]
    assert splitter.errors == 1


def test_a_cut_frame_is_no_message(siem):
    with connect(siem) as sock:
        sock.sendall(lines(ROWS["auth"][:2]) + ROWS["auth"][2][:100])
        assert siem.wait_for(2)
    eventually(lambda: siem.happenings.incomplete == 1)
    assert siem.total() == 2


def eventually(condition, within_secs=5.0):
    deadline = time.monotonic() + within_secs
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stalled_receiver_takes_connections_but_no_bytes_until_it_is_resumed(siem):
    siem.stall()
    with connect(siem) as sock:
        sock.settimeout(0.3)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 * 1024 * 1024:
                sent += sock.send(lines(MIXED))
        assert sent < 64 * 1024 * 1024
        assert (siem.total(), siem.connected()) == (0, 1)
        siem.resume()
        assert siem.wait_for(200)


def test_closing_shows_the_sender_a_fin(siem):
    with connect(siem) as sock:
        sock.sendall(lines(ROWS["auth"]))
        assert siem.wait_for(50)
        siem.close_connections()
        assert sock.recv(1) == b""
    assert siem.connected() == 0


def test_resetting_shows_the_sender_a_reset(siem):
    with connect(siem) as sock:
        sock.sendall(lines(ROWS["auth"]))
        assert siem.wait_for(50)
        siem.reset_connections()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_a_stalled_connection_can_be_reset(siem):
    siem.stall()
    with connect(siem) as sock:
        sock.sendall(b"{}\n")
        eventually(lambda: siem.connected() == 1)
        siem.reset_connections()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert siem.total() == 0


def test_refusing_leaves_open_connections_alone_and_reopening_is_on_the_same_port(siem):
    port = siem.port
    with connect(siem) as old:
        eventually(lambda: siem.connected() == 1)
        siem.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(siem)
        old.sendall(lines(ROWS["auth"][:1]))
        assert siem.wait_for(1)
        siem.reopen()
        assert siem.port == port
        with connect(siem) as new:
            new.sendall(lines(ROWS["auth"][1:2]))
            assert siem.wait_for(2)


@pytest.mark.parametrize("frame", [lines, counted])
def test_what_has_come_before_the_stop_is_counted(frame):
    siem = SiemReceiver(ids="none").start()
    with connect(siem) as sock:
        sock.sendall(frame(MIXED * 100))
        siem.stop()
        assert siem.total() == 20_000
        assert sock.recv(1) == b""


def test_tls_is_received_and_a_failed_handshake_is_kept_as_text(authority):
    with SiemReceiver("tls", tls=(authority.cert_file, authority.key_file)) as siem:
        with contextlib.suppress(OSError), connect(siem) as plain:
            plain.sendall(lines(ROWS["auth"]))
            plain.recv(1)
        context = ssl.create_default_context(cafile=authority.ca_file)
        with context.wrap_socket(connect(siem), server_hostname="localhost") as sock:
            sock.sendall(counted(MIXED))
            assert siem.wait_for(200)
        assert len(siem.happenings.handshake_failures) == 1


def test_a_receiver_that_asks_for_client_certificates_takes_only_those_of_its_ca(authority, tmp_path):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(authority.cert_file, authority.key_file)
    server.load_verify_locations(authority.ca_file)
    server.verify_mode = ssl.CERT_REQUIRED
    with SiemReceiver(tls=server) as siem:
        client = ssl.create_default_context(cafile=authority.ca_file)
        with pytest.raises(OSError), client.wrap_socket(connect(siem), server_hostname="localhost") as sock:  # noqa: PT011
            sock.recv(1)
        authority.ca.issue_cert("collector.example.com").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "pem"))
        client.load_cert_chain(str(tmp_path / "pem"))
        with client.wrap_socket(connect(siem), server_hostname="localhost") as sock:
            sock.sendall(lines(ROWS["auth"]))
            assert siem.wait_for(50)


def test_every_datagram_is_a_message_and_a_closed_port_refuses():
    with SiemReceiver("udp", keep_messages=True) as siem, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", siem.port))
        for row in ROWS["telephony"]:
            sock.send(row)
        assert siem.wait_for(50, log_type="telephony", unique=True)
        assert siem.messages == ROWS["telephony"]
        siem.refuse()
        sock.send(b"{}")  # the refusal of this one is told to the next
        with pytest.raises(ConnectionRefusedError):
            sock.send(b"{}")
        siem.reopen()
        siem.stall()
        sock.send(ROWS["telephony"][0])
        assert not siem.wait_for(51, 0.2)
        siem.resume()
        assert siem.wait_for(51)


def test_forgetting_begins_anew(siem):
    with connect(siem) as sock:
        sock.sendall(lines(MIXED))
        assert siem.wait_for(200)
        siem.forget()
        assert (siem.total(), siem.counts(), siem.messages) == (0, {}, [])
        sock.sendall(lines(MIXED[:1]))
        assert siem.wait_for(1)
    assert siem.counts()["auth"].repeated == 0


@pytest.mark.parametrize("arguments", [("tls", None), ("udp", ("a", "b")), ("smtp", None)])
def test_transports_that_make_no_sense_are_errors(arguments):
    with pytest.raises(ValueError, match="ransport"):
        SiemReceiver(arguments[0], tls=arguments[1])
