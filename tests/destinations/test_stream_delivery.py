"""TCP delivery against receivers that misbehave: nothing is lost, whatever they do."""

import contextlib
import logging
import threading
import time
from dataclasses import replace

import pytest

from tests.destinations.peers import (
    FAST,
    Peer,
    close_after,
    deliver,
    destination,
    eventually,
    messages,
    never_read,
    read_all,
    reset,
    reset_after,
    reset_unread_after,
    stall_then_read,
)
from transforms.destinations.stream import socket_probe, tcp
from transforms.destinations.stream.connection import PlainConnection
from transforms.destinations.stream.socket_probe import TcpFacts
from transforms.errors import DeliveryTimeout, Stopping
from transforms.process.retry import RetryPolicy
from transforms.process.shutdown import STOP

BUNDLE_BYTES = 100 * 201


def deliver_bundles(sender, count: int = 3, size: int = 100) -> list[bytes]:
    sent = []
    for number in range(count):
        bundle = messages(size, start=number * size)
        deliver(sender, bundle)
        sent += bundle
    return sent


def assert_all_read(peer: Peer, sent: list[bytes]) -> None:
    eventually(lambda: not peer.lost(sent))


def test_bundles_arrive_once_and_in_order():
    peer = Peer()
    sender = tcp.make(destination(peer.port), FAST)
    sent = deliver_bundles(sender)
    sender.close(5)
    eventually(lambda: len(peer.received) >= len(sent))
    assert peer.received == sent
    assert sender.reconnects == sender.resent == 0


def test_octet_counting_counts_bytes():
    received = bytearray()

    def script(peer, connection):
        while piece := connection.recv(65536):
            received.extend(piece)
        connection.close()

    peer = Peer(script)
    sender = tcp.make(destination(peer.port, framing="octet"), FAST)
    deliver(sender, ["é".encode(), b"ab\ncd"])
    sender.close(5)
    eventually(lambda: bytes(received) == b"2 \xc3\xa95 ab\ncd")


def test_an_empty_bundle_does_not_connect():
    sender = tcp.make(destination(1), FAST)
    sender.begin()
    sender.confirm()
    sender.check()
    sender.close(1)


def test_confirm_waits_for_the_kernel_of_a_peer_that_never_reads():
    peer = Peer(never_read, receive_buffer_bytes=8192)
    sender = tcp.make(destination(peer.port, delivery_timeout_secs=0.3), FAST)
    with pytest.raises(DeliveryTimeout, match="siem"):
        deliver(sender, messages(30_000))


@pytest.mark.parametrize("count", [1, 201, 5000, BUNDLE_BYTES - 1, BUNDLE_BYTES])
def test_a_reset_after_n_bytes_loses_nothing(count):
    peer = Peer(reset_after(count), read_all)
    sender = tcp.make(destination(peer.port), FAST)
    sent = deliver_bundles(sender)
    time.sleep(0.02)
    sender.check()
    assert_all_read(peer, sent)
    assert sender.reconnects == 1


@pytest.mark.parametrize("count", [1, 5000, BUNDLE_BYTES - 1, BUNDLE_BYTES])
def test_a_close_after_n_bytes_loses_nothing(count):
    peer = Peer(close_after(count), read_all)
    sender = tcp.make(destination(peer.port), FAST)
    sent = deliver_bundles(sender)
    # On a busy machine it may close only after the last bundle was confirmed, which a sender notices when it looks.
    eventually(lambda: sender.check() is None and not peer.lost(sent))


def test_many_resets_in_a_row_lose_nothing():
    peer = Peer(*[reset_after(3000 * n) for n in range(1, 6)], read_all)
    sender = tcp.make(destination(peer.port), FAST)
    assert_all_read(peer, deliver_bundles(sender, 5))
    assert sender.reconnects == 5


def test_a_bundle_that_the_peer_acknowledged_but_never_read_is_sent_again_by_check():
    peer = Peer(reset_unread_after(0.05), read_all)
    sender = tcp.make(destination(peer.port), FAST)
    bundle = messages(50)
    deliver(sender, bundle)  # the kernel took it
    assert peer.received == []
    eventually(lambda: sender.check() is None and sender.resent == 50)
    assert_all_read(peer, bundle)
    assert peer.repeats() == 0
    sender.close(5)
    assert sender.unread() == []


def test_what_was_never_read_goes_before_the_next_bundle():
    peer = Peer(reset_unread_after(0.05), read_all)
    sender = tcp.make(destination(peer.port), FAST)
    deliver(sender, messages(50))
    time.sleep(0.15)
    deliver(sender, messages(50, start=50))
    sender.close(5)
    assert peer.received == messages(100)


def test_a_reset_just_after_the_last_byte_is_seen_before_or_after_the_commit():
    for delay in (0.0, 0.0002, 0.0005, 0.001, 0.003):
        peer = Peer(reset_unread_after(delay), read_all)
        sender = tcp.make(destination(peer.port), FAST)
        bundle = messages(10)
        deliver(sender, bundle)
        eventually(lambda peer=peer, sender=sender, bundle=bundle: sender.check() is None and not peer.lost(bundle))


def test_after_an_idle_close_nothing_is_repeated(caplog):
    peer = Peer(close_after(BUNDLE_BYTES), read_all)
    sender = tcp.make(destination(peer.port), replace(FAST, settle_secs=0))
    first = messages(100)
    deliver(sender, first)
    eventually(lambda: len(peer.received) >= 100)
    time.sleep(0.02)
    sender.check()
    repeated_by_confirm = sender.resent  # the close may have come before the bundle was confirmed
    second = messages(100, start=100)
    deliver(sender, second)
    assert_all_read(peer, first + second)
    assert sender.resent == repeated_by_confirm
    assert peer.repeats() == repeated_by_confirm


def test_a_receiver_that_restarts_on_its_port():
    peer = Peer(read_all)
    sender = tcp.make(destination(peer.port), FAST)
    sent = deliver_bundles(sender)
    peer.die()
    threading.Timer(0.3, peer.come_back).start()
    late = messages(100, start=1000)
    deliver(sender, late)
    assert_all_read(peer, sent + late)


def test_a_receiver_that_listens_only_after_a_while(caplog):
    caplog.set_level(logging.INFO)
    peer = Peer(read_all)
    peer.stop_listening()
    sender = tcp.make(destination(peer.port), FAST)
    threading.Timer(3.0, peer.come_back).start()
    bundle = messages(100)
    deliver(sender, bundle)
    assert_all_read(peer, bundle)
    assert peer.repeats() == 0
    texts = [r.getMessage() for r in caplog.records]
    assert [t for t in texts if "is away: Connection refused" in t and f"127.0.0.1:{peer.port}" in t]
    assert len(texts) == 2, "one warning, one all-clear"
    assert "is back after" in texts[1]
    assert "00000001" not in "".join(texts)


def test_a_stall_is_waited_for_on_the_same_connection():
    peer = Peer(stall_then_read(1.0), receive_buffer_bytes=8192)
    sender = tcp.make(destination(peer.port), replace(FAST, silence_secs=0.3, stall_secs=0.2))
    bundle = messages(10_000)
    deliver(sender, bundle)
    assert_all_read(peer, bundle)
    assert len(peer.connections) == 1
    assert peer.repeats() == 0


def test_a_closed_window_of_five_seconds_is_waited_for(caplog):
    peer = Peer(stall_then_read(5.0), receive_buffer_bytes=8192)
    sender = tcp.make(destination(peer.port), replace(FAST, silence_secs=2.0, stall_secs=1.0))
    bundle = messages(10_000)
    deliver(sender, bundle)
    assert_all_read(peer, bundle)
    assert len(peer.connections) == 1
    assert any("is stalled: connected, but it took nothing" in r.getMessage() for r in caplog.records)


def test_a_peer_that_acknowledges_nothing_is_left(monkeypatch):
    peer = Peer(never_read, read_all, receive_buffer_bytes=8192)
    seen = []

    def facts(self):
        seen.append(self)
        return TcpFacts(3, 60_000, 0) if self is seen[0] else None

    monkeypatch.setattr(PlainConnection, "facts", facts)
    sender = tcp.make(destination(peer.port), replace(FAST, silence_secs=0.1, stall_secs=0.1))
    bundle = messages(10_000)
    deliver(sender, bundle)
    assert_all_read(peer, bundle)
    assert len(peer.connections) == 2


def test_a_new_connection_begins_with_a_complete_frame():
    peer = Peer(*[reset_after(777 * n) for n in range(1, 8)], read_all)
    sender = tcp.make(destination(peer.port), FAST)
    sent = deliver_bundles(sender, 4)
    sender.close(5)
    assert_all_read(peer, sent)
    whole = [line for line in peer.received if line in set(sent)]
    assert len(whole) == len(peer.received), "half a message was read as a whole one"


def test_after_a_delivery_timeout_a_frame_under_way_is_finished_first():
    peer = Peer(stall_then_read(1.2), receive_buffer_bytes=8192)
    sender = tcp.make(destination(peer.port, delivery_timeout_secs=0.3), FAST)
    with pytest.raises(DeliveryTimeout):
        deliver(sender, messages(30_000))
    late = messages(10, start=50_000)
    sender._waits._limit_secs = None
    deliver(sender, late)
    sender.close(5)
    assert_all_read(peer, late)
    assert peer.torn == 0
    assert set(peer.received) <= set(messages(30_000) + late)
    assert len(peer.connections) == 1


def test_check_does_not_send_what_a_failed_bundle_has_left():
    """Its stream may have left for good; whoever reads the events again sends them."""
    peer = Peer(reset_unread_after(0.05), read_all)
    sender = tcp.make(destination(peer.port), FAST)
    deliver(sender, messages(1))
    eventually(lambda: bool(peer.connections))
    sender.begin()
    sender._close_block(messages(100, start=1))  # and then its bundle fails elsewhere
    sender._queue.clear()
    eventually(lambda: sender.check() is None and not peer.lost(messages(1)))
    time.sleep(0.05)
    assert peer.received == messages(1)


def test_shutdown_ends_the_wait_for_a_receiver_that_is_away():
    peer = Peer()
    peer.stop_listening()
    sender = tcp.make(destination(peer.port), FAST)
    threading.Timer(0.2, STOP.request, args=(0.2,)).start()
    began = time.monotonic()
    with pytest.raises(Stopping):
        deliver(sender, messages(10))
    assert time.monotonic() - began < 2
    sender.close(0.2)


def test_shutdown_ends_the_wait_for_a_receiver_that_stalls():
    peer = Peer(never_read, receive_buffer_bytes=8192)
    sender = tcp.make(destination(peer.port), FAST)
    threading.Timer(0.2, STOP.request, args=(0.2,)).start()
    with pytest.raises(Stopping):
        deliver(sender, messages(30_000))


def test_what_cannot_be_sent_again_before_the_end_is_handed_over():
    peer = Peer(reset_unread_after(0.02))
    sender = tcp.make(destination(peer.port), FAST)
    bundle = messages(50)
    deliver(sender, bundle)
    peer.stop_listening()
    time.sleep(0.1)
    STOP.request(0)
    sender.close(0.3)
    assert [m for _, those in sender.unread() for m in those] == bundle


def test_a_reset_at_the_close_is_mended_within_the_grace():
    peer = Peer(never_read, read_all)
    sender = tcp.make(destination(peer.port), FAST)
    bundle = messages(50)
    deliver(sender, bundle)
    threading.Timer(0.2, lambda: (peer.connections[0].close(), peer.done.set())).start()
    sender.close(5)
    assert_all_read(peer, bundle)
    assert sender.unread() == []


def test_close_waits_until_the_receiver_has_read_everything():
    peer = Peer(stall_then_read(0.5))
    sender = tcp.make(destination(peer.port), FAST)
    deliver(sender, messages(50))
    sender.close(5)
    assert len(peer.received) == 50


def test_blocks_leave_the_ring_after_two_quiet_connections_were_reset():
    def read_and_reset_later(peer, connection):
        peer.read(connection, 50 * 201)
        time.sleep(0.05)
        reset(connection)

    peer = Peer(read_and_reset_later)
    sender = tcp.make(destination(peer.port), replace(FAST, read_within_secs=0.01))
    deliver(sender, messages(50))
    for _ in range(50):
        time.sleep(0.02)
        sender.check()
    assert peer.repeats() == 50


def test_resets_that_come_at_once_are_met_with_pauses():
    peer = Peer(lambda peer, connection: connection.close() or None)
    sender = tcp.make(
        destination(peer.port, delivery_timeout_secs=1.0),
        replace(FAST, connecting=RetryPolicy(0.2, 0.4, immediate_first=True)),
    )
    with pytest.raises(DeliveryTimeout):
        deliver_bundles(sender, 10_000, 10)
    assert len(peer.connections) < 30


def test_oversize_is_refused_and_the_rest_goes_on():
    peer = Peer()
    sender = tcp.make(destination(peer.port, max_message_bytes=100), FAST)
    (rejection,) = deliver(sender, [b"a" * 100, b"b" * 101, b"c"]).rejected
    assert "101 bytes" in rejection.detail
    assert (rejection.index, rejection.reason) == (1, "oversize")
    assert_all_read(peer, [b"a" * 100, b"c"])


def test_a_receiver_that_talks_is_listened_past():
    def talkative(peer, connection):
        connection.sendall(b"220 hello\n" * 1000)
        read_all(peer, connection)

    peer = Peer(talkative)
    sender = tcp.make(destination(peer.port), FAST)
    sent = deliver_bundles(sender)
    sender.close(5)
    assert peer.received == sent


def test_the_ring_is_bounded():
    peer = Peer()
    sender = tcp.make(destination(peer.port), FAST)
    for _ in range(30):
        deliver(sender, messages(500, size=2000))
    assert sender._unread.replay.size_bytes <= FAST.replay_cap_bytes + FAST.block_bytes + 2001


def test_a_port_without_a_listener_does_not_connect_to_itself(monkeypatch):
    """On loopback a port of the outgoing range can be its own answer."""
    import socket

    from transforms.destinations.stream import connection

    class OwnPeer(socket.socket):
        def getpeername(self):
            return self.getsockname()

    peer = Peer()
    monkeypatch.setattr(connection.socket, "socket", OwnPeer)
    with pytest.raises(ConnectionRefusedError):
        connection.open_socket("127.0.0.1", peer.port, time.monotonic() + 1, lambda: None)


def test_the_probe_counts_what_is_not_acknowledged():
    peer = Peer(never_read, receive_buffer_bytes=8192)
    import socket

    sock = socket.create_connection(("127.0.0.1", peer.port))
    sock.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += sock.send(b"x" * 65536)
    left = socket_probe.unacknowledged_bytes(sock)
    assert left is not None
    assert 0 < left < sent
    facts = socket_probe.tcp_facts(sock)
    assert facts is not None
    assert facts.window_bytes is not None
    assert facts.window_bytes < 65536
