"""The small parts: framing, ring, health, registry, sink."""

import logging
import pickle
import threading
import time

import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from tests.destinations.peers import Peer, destination, eventually, never_read, read_all, reset_unread_after
from tests.destinations.test_tls import Authority, server
from transforms.coders import DuoEvent, FormattedEvent, MessageBatch, Stream
from transforms.destinations import health, pool
from transforms.destinations.sink import SendToDestination
from transforms.destinations.stream.framing import FRAMINGS
from transforms.destinations.stream.replay_buffer import Block, ReplayBuffer
from transforms.destinations.waits import CONNECTING, Waits
from transforms.errors import DeliveryTimeout
from transforms.process.shutdown import FAILURES
from transforms.records import Subscription
from transforms.secrets import SecretRef
from transforms.settings import Tls
from transforms.state.dead_letters.letter import DEAD, DeadLetter

STREAM = Stream("acme", "auth", "api-1.duosecurity.com")


def event(raw: bytes = b"{}", stream: Stream = STREAM) -> DuoEvent:
    return DuoEvent(stream, raw)


@given(st.lists(st.binary().filter(lambda m: b"\n" not in m)))
def test_lines_are_split_as_they_were_joined(those):
    framing = FRAMINGS["lf"]
    assert framing.split(framing.join(those)) == those


@given(st.lists(st.binary()))
def test_counted_frames_are_split_as_they_were_joined(those):
    framing = FRAMINGS["octet"]
    assert framing.split(framing.join(those)) == those


@given(st.lists(st.integers(1, 50)), st.integers(0, 100))
def test_the_replay_buffer_keeps_at_least_its_limit_and_at_most_a_block_more(sizes, capacity):
    buffer = ReplayBuffer(unknown_bytes=10, floor_bytes=20, cap_bytes=120)
    buffer.allow_for(capacity)
    for size in sizes:
        buffer.extend([Block(b"x" * size, 1)], now=0.0)
    held = sum(len(block.frames) for block in buffer)
    assert held >= min(sum(sizes), buffer.limit_bytes)
    assert held < buffer.limit_bytes + 50
    assert 20 <= buffer.limit_bytes <= 120


def test_a_bundle_gets_an_attempt_within_its_own_time_however_often_idle_connections_failed_before():
    waits = Waits(destination(1, delivery_timeout_secs=4.0), CONNECTING)
    for _ in range(50):
        waits.failed()
        assert waits.pause_secs <= 2.0


def test_one_destination_has_one_health_and_says_little(caplog):
    caplog.set_level(logging.INFO)
    one = destination(1)
    assert health.health_of(one) is health.health_of(destination(1, max_message_bytes=5))
    known = health.health_of(one)
    for _ in range(100):
        known.away("Connection refused")
    known.back(7)
    known.back(0)
    for _ in range(10):
        known.away("Connection refused")  # flapping: not a line each time
        known.back(7)
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]


def test_while_it_stays_away_the_log_says_so_now_and_then(caplog, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: now[0])
    known = health.health_of(destination(2))
    for _ in range(600):
        known.away("Connection refused")
        now[0] += 1
    assert len(caplog.records) == 10
    assert "still away after 60 s" in caplog.records[1].getMessage()


def test_one_that_answers_otherwise_than_before_is_named_once_and_not_called_away(caplog, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: now[0])
    known = health.health_of(destination(2))
    cause = "Destination siem (192.0.2.1:6514) shows another certificate"
    known.wrong(cause)
    now[0] += 60
    known.wrong(cause)
    assert [record.getMessage() for record in caplog.records] == [
        f"{cause}. It took events before; they wait until that is put right. [DLS-S003]",
        f"{cause}. So for 60 s. [DLS-S003]",
    ]


def test_one_message_is_not_messages(caplog):
    caplog.set_level("INFO")
    known = health.health_of(destination(3))
    known.given_up(1)
    known.away("Connection refused")
    known.back(1)
    assert "long after 1 message had been acknowledged" in caplog.text
    assert "sent again: 1 message." in caplog.text


def test_bundles_at_the_same_time_have_senders_of_their_own():
    found, barrier = [], threading.Barrier(8)

    def get(number):
        barrier.wait()
        found.append(pool.begin(destination(3), Stream("acme", f"log {number}")).sender)

    threads = [threading.Thread(target=get, args=(number,)) for number in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len({id(sender) for sender in found}) == 8


def test_bundles_one_after_another_share_a_sender_whatever_their_stream():
    streams = [Stream("acme", f"log {number}") for number in range(50)]
    found = set()
    for stream in streams:
        lease = pool.begin(destination(3), stream)
        found.add(id(lease.sender))
        pool.done(destination(3), lease)
    assert len(found) == 1
    assert id(pool.begin(destination(4), streams[0]).sender) not in found


def test_a_stream_gets_the_sender_that_it_had_last_where_that_is_free():
    one, two = Stream("acme", "one"), Stream("acme", "two")
    first, second = pool.begin(destination(3), one), pool.begin(destination(3), two)
    pool.done(destination(3), first)
    pool.done(destination(3), second)
    assert pool.begin(destination(3), one).sender is first.sender
    assert pool.begin(destination(3), two).sender is second.sender


def test_a_bundle_that_failed_keeps_its_sender_until_its_stream_leaves():
    one, two = Stream("acme", "one"), Stream("acme", "two")
    failed = pool.begin(destination(3), one).sender
    assert pool.begin(destination(3), two).sender is not failed
    assert pool.begin(destination(3), one).sender is failed
    pool.leave(destination(4), one)
    assert pool.begin(destination(3), one).sender is failed
    pool.leave(destination(3), one)
    assert pool.begin(destination(3), Stream("acme", "three")).sender is failed


def test_what_may_be_unread_is_told_for_each_stream_of_a_shared_connection():
    peer = Peer(reset_unread_after(0.05))
    there = destination(peer.port)
    sink = SendToDestination(there)
    for name in ("one", "two"):
        run(sink, [(DuoEvent(Stream("acme", name), b"{}"), name.encode())])
    peer.stop_listening()
    time.sleep(0.1)
    left = pool.close_all(0.2)
    assert sorted((each.stream.log_type, each.messages) for each in left) == [("one", [b"one"]), ("two", [b"two"])]


def test_check_leaves_a_sender_within_a_bundle_alone():
    calls = []
    lease = pool.begin(destination(4), STREAM)
    lease.sender.check = lambda: calls.append(1)
    pool.check_all()
    pool.check(destination(4), STREAM)
    assert calls == []
    pool.done(destination(4), lease)
    pool.check_all()
    pool.check(destination(4), Stream("other", "auth"))
    assert calls == [1]


def test_close_all_waits_until_a_check_has_left_the_sender(monkeypatch):
    stream, begun, order = Stream("acme", "auth"), threading.Event(), []
    lease = pool.begin(destination(3), stream)
    pool.done(destination(3), lease)

    def check():
        begun.set()
        time.sleep(0.2)
        order.append("checked")

    monkeypatch.setattr(lease.sender, "check", check)
    monkeypatch.setattr(lease.sender, "close", lambda _grace_secs: order.append("closed"))
    checking = threading.Thread(target=pool.check_all)
    checking.start()
    assert begun.wait(5)
    pool.close_all(0.1)
    checking.join()
    assert order == ["checked", "closed"]


def test_an_idle_sender_whose_stream_waits_elsewhere_is_looked_after_by_others(monkeypatch):
    calls, now = [], [1000.0]
    monkeypatch.setattr(pool.time, "monotonic", lambda: now[0])
    lease = pool.begin(destination(4), STREAM)
    lease.sender.check = lambda: calls.append(1)
    pool.done(destination(4), lease)
    pool.check(destination(4), Stream("other", "auth"))
    assert calls == []
    now[0] += 11
    pool.check(destination(4), Stream("other", "auth"))
    pool.check(destination(4), Stream("another", "auth"))
    assert calls == [1]


def test_close_all_hands_over_what_may_be_unread():
    peer = Peer(reset_unread_after(0.02))
    there = destination(peer.port)
    sink = SendToDestination(there)
    run(sink, [(event(), b"one"), (event(), b"two")])
    peer.stop_listening()
    time.sleep(0.1)
    (left,) = pool.close_all(0.2)
    assert (left.destination, left.stream, left.messages) == (there, STREAM, [b"one", b"two"])
    assert pool.close_all(1) == []


def run(sink: SendToDestination, elements) -> list[TaggedOutput]:
    sink.start_bundle()
    sink.process_batch(MessageBatch.of(FormattedEvent(*element) for element in elements), Timestamp(0))
    return list(sink.finish_bundle())


def test_a_bundle_of_several_streams_is_confirmed_for_each():
    peer = Peer()
    streams = [Stream("acme", t) for t in ("auth", "activity", "telephony")]
    sink = SendToDestination(destination(peer.port))
    elements = [(event(stream=s), b"%d %d" % (i, j)) for i in range(20) for j, s in enumerate(streams)]
    assert run(sink, elements) == []
    eventually(lambda: sorted(peer.received) == sorted(m for _, m in elements))
    assert len(peer.connections) == 3
    run(sink, elements)
    assert len(peer.connections) == 3, "senders are kept across bundles"


def test_an_oversize_message_becomes_a_dead_letter_and_the_rest_is_delivered():
    peer = Peer()
    sink = SendToDestination(destination(peer.port, max_message_bytes=5))
    (out,) = run(sink, [(event(b'{"a":1}'), b"short"), (event(b'{"b":2}'), b"too long"), (event(), b"last")])
    assert out.tag == DEAD
    letter = out.value.value
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.raw, letter.account, letter.log_type) == ("oversize", b'{"b":2}', "acme", "auth")
    assert letter.destination == f"siem-{peer.port}"
    assert "too long" not in letter.detail
    eventually(lambda: peer.received == [b"short", b"last"])


def test_a_failed_bundle_is_forgotten_and_the_next_one_begins_anew():
    peer = Peer(never_read, read_all, receive_buffer_bytes=8192)
    sink = SendToDestination(destination(peer.port, delivery_timeout_secs=0.3))
    with pytest.raises(DeliveryTimeout):
        run(sink, [(event(), b"x" * 1000)] * 8000)
    assert isinstance(FAILURES.take(Subscription(STREAM, destination(peer.port).name)), DeliveryTimeout)
    peer.connections[0].close()
    run(sink, [(event(), b"fresh")])
    eventually(lambda: peer.received == [b"fresh"])


def test_a_pickled_sink_holds_no_secret(monkeypatch, tmp_path):
    monkeypatch.setenv("KEY_PASSWORD", "correct horse battery")
    authority = Authority(tmp_path)
    peer = server(authority.issue("127.0.0.1"), clients=authority.ca)
    tls = Tls(authority.ca_file, *authority.client_files(password="correct horse battery"), SecretRef("env", "KEY_PASSWORD"))
    sink = SendToDestination(destination(peer.port, "tls", tls=tls))
    frozen = pickle.dumps(sink)
    assert b"correct horse" not in frozen
    thawed = pickle.loads(frozen)
    run(thawed, [(event(), b"message")])
    assert b"correct horse" not in pickle.dumps(thawed)
