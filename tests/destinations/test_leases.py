"""Two bundles of one stream in one process: a runner gave the first one up, and its thread does not know."""

import threading
from dataclasses import replace

import pytest
from apache_beam.utils.timestamp import Timestamp

from tests.destinations.peers import Peer, destination, eventually, messages, never_read, page, read_all
from tests.destinations.toy import Siem, ToySender
from transforms.coders import DuoEvent, FormattedEvent, Stream
from transforms.destinations import pool
from transforms.destinations.kinds import KINDS, Kind
from transforms.destinations.sender import Confirmation
from transforms.destinations.sink import SendToDestination
from transforms.destinations.udp.settings import UdpSettings
from transforms.errors import BadDestination, BundleReplaced
from transforms.process.shutdown import FAILURES
from transforms.records import Subscription

STREAM = Stream("acme", "auth")


def test_what_a_replaced_bundle_sends_is_refused():
    peer = Peer()
    there = destination(peer.port)
    old = pool.begin(there, STREAM)
    old.send(page([b"old 1"]))
    new = pool.begin(there, STREAM)
    new.send(page([b"new 1"]))
    with pytest.raises(BundleReplaced):
        old.send(page([b"old 2"]))
    with pytest.raises(BundleReplaced):
        old.confirm()
    new.send(page([b"new 2"]))
    new.confirm()
    eventually(lambda: peer.received == [b"new 1", b"new 2"])


def test_a_replaced_bundle_does_not_free_its_successors_sender():
    there = destination(1)
    old = pool.begin(there, STREAM)
    new = pool.begin(there, STREAM)
    pool.done(there, old)
    assert pool.begin(there, Stream("acme", "other")).sender is not new.sender


def test_a_bundle_that_waits_for_the_destination_makes_way_at_once():
    peer = Peer(never_read, read_all, receive_buffer_bytes=8192)
    there = destination(peer.port)
    old = pool.begin(there, STREAM)
    ended = []

    def wait():
        try:
            for message in messages(30_000):
                old.send(page([message]))
        except BundleReplaced as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    eventually(lambda: old.sender.waited_secs > 0.1)
    began = threading.Thread(target=lambda: pool.begin(there, STREAM))
    began.start()
    waiting.join(5)
    began.join(5)
    assert len(ended) == 1
    assert not began.is_alive()


def test_two_bundles_at_work_at_the_same_time_mangle_no_line_and_the_last_one_is_whole():
    peer = Peer()
    there = destination(peer.port)
    sinks = [SendToDestination(there) for _ in range(2)]
    begun, outcomes = threading.Barrier(2), [None, None]
    sent = [[b"%d %05d " % (number, n) + b"x" * 300 for n in range(4000)] for number in range(2)]

    def run(number):
        sink = sinks[number]
        try:
            sink.start_bundle()
            begun.wait()
            for message in sent[number]:
                sink.process(FormattedEvent(DuoEvent(STREAM, b"{}"), message), Timestamp(0))
            sink.finish_bundle()
        except BundleReplaced as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()

    (whole,) = [number for number in range(2) if outcomes[number] is None]
    eventually(lambda: set(sent[whole]) <= set(peer.received))
    assert set(peer.received) <= {*sent[0], *sent[1]}, "a line was mangled"
    assert FAILURES.take(Subscription(STREAM, there.name)) is None


def test_a_destination_whose_sender_takes_its_time_to_be_made_holds_up_no_other(monkeypatch):
    """A kind may ask a secret manager, or load a library."""
    asked, answered = threading.Event(), threading.Event()

    def slow(_destination):
        asked.set()
        answered.wait(10)
        return ToySender(Siem(lambda _: False))

    monkeypatch.setitem(KINDS, "udp", Kind(UdpSettings, slow))
    slow_one = replace(destination(1), name="slow", settings=UdpSettings("127.0.0.1", 1))
    begun = []
    begins = [threading.Thread(target=lambda: begun.append(pool.begin(slow_one, STREAM))) for _ in range(2)]
    begins[0].start()
    assert asked.wait(5)
    other = threading.Thread(target=lambda: pool.begin(destination(2), STREAM))
    other.start()
    other.join(2)
    held_up = other.is_alive()
    begins[1].start()
    answered.set()
    for thread in (*begins, other):
        thread.join(5)

    assert not held_up
    assert begun[0].sender is begun[1].sender, "one stream has one sender there"
    assert sorted(lease.ended for lease in begun) == [False, True]


def test_a_sender_that_cannot_be_looked_after_is_told_once_and_leaves_no_other_without_care(monkeypatch, caplog):
    looked_at = []

    class Ailing(ToySender):
        def check(self) -> None:
            looked_at.append(self)
            raise BadDestination("it is ill")

    monkeypatch.setitem(KINDS, "udp", Kind(UdpSettings, lambda _: Ailing(Siem(lambda _: False))))
    there = [replace(destination(1), name=name, settings=UdpSettings("127.0.0.1", 1)) for name in ("one", "other")]
    for each in there:
        pool.done(each, pool.begin(each, STREAM))
    pool.check_all()
    pool.check_all()

    assert len(looked_at) == 4
    assert caplog.text.count("An idle connection to one could not be looked after.") == 1
    assert caplog.text.count("An idle connection to other could not be looked after.") == 1


def test_a_sender_that_hangs_does_not_keep_the_program_from_its_end(monkeypatch, caplog):
    """A file system that is gone answers nobody, and no thread can be called back from it."""
    hangs, back = threading.Event(), threading.Event()

    class Hanging(ToySender):
        def confirm(self) -> Confirmation:
            hangs.set()
            back.wait(30)
            return super().confirm()

    monkeypatch.setattr(pool, "_LEAVE_SECS", 0.1)
    monkeypatch.setitem(KINDS, "udp", Kind(UdpSettings, lambda _: Hanging(Siem(lambda _: False))))
    there = replace(destination(1), name="gone", settings=UdpSettings("127.0.0.1", 1))
    bundle = threading.Thread(target=pool.begin(there, STREAM).confirm, daemon=True)
    bundle.start()
    assert hangs.wait(5)
    end = threading.Thread(target=pool.close_all, args=(0.1,))
    end.start()
    end.join(5)
    ended = not end.is_alive()
    back.set()
    bundle.join(5)
    end.join(5)

    assert ended
    assert "Destination gone does not answer, and is not waited for any more." in caplog.text
