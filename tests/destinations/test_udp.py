"""UDP: what little can be known is used."""

import contextlib
import socket
import threading
import time

import pytest

from tests.destinations.peers import deliver, destination, eventually, messages
from transforms.destinations.udp import sender as udp
from transforms.errors import DeliveryTimeout, Stopping
from transforms.process.retry import RetryPolicy
from transforms.process.shutdown import STOP

FAST = udp.Tuning(connecting=RetryPolicy(0.02, 0.05))


class Receiver:
    def __init__(self, port=0, family=socket.AF_INET):
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.received = []
        self.socket.settimeout(0.02)  # a blocked reader would keep the port open after close()
        self.closing = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.closing:
            with contextlib.suppress(TimeoutError):
                self.received.append(self.socket.recv(65536))

    def close(self):
        self.closing = True
        self.thread.join()
        self.socket.close()


@pytest.fixture
def make_sender():
    made = []

    def make(port, **changes):
        made.append(udp.make(destination(port, "udp", **changes), FAST))
        return made[-1]

    yield make
    for sender in made:
        sender.close(0)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_one_datagram_per_message(make_sender, family):
    receiver = Receiver(family=family)
    sender = make_sender(receiver.port, host="::1" if family == socket.AF_INET6 else "127.0.0.1")
    deliver(sender, messages(200))
    eventually(lambda: len(receiver.received) == 200)
    assert receiver.received == messages(200)
    receiver.close()


def test_nobody_listening_is_waited_for_and_nothing_is_lost(make_sender, caplog):
    receiver = Receiver()
    receiver.close()
    sender = make_sender(receiver.port)
    back = []
    threading.Timer(1.0, lambda: back.append(Receiver(receiver.port))).start()
    deliver(sender, messages(50))
    eventually(lambda: bool(back) and set(back[0].received) == set(messages(50)))
    assert sum("is away: Connection refused" in r.getMessage() for r in caplog.records) == 1
    back[0].close()


def test_a_receiver_that_goes_away_between_bundles(make_sender):
    receiver = Receiver()
    sender = make_sender(receiver.port)
    deliver(sender, messages(10))
    eventually(lambda: len(receiver.received) == 10)
    receiver.close()
    back = []
    threading.Timer(0.5, lambda: back.append(Receiver(receiver.port))).start()
    deliver(sender, messages(10, start=10))
    eventually(lambda: bool(back) and set(messages(10, start=10)) <= set(back[0].received))
    back[0].close()


def test_a_refusal_that_comes_late_sends_the_bundle_before_again(make_sender, monkeypatch):
    receiver = Receiver()
    sender = make_sender(receiver.port)
    deliver(sender, messages(10))
    eventually(lambda: len(receiver.received) == 10)
    answers = iter([111])
    real = udp.socket_probe.pending_error
    monkeypatch.setattr(udp.socket_probe, "pending_error", lambda sock: next(answers, None) or real(sock))
    sender.check()
    deliver(sender, messages(10, start=10))
    eventually(lambda: len(receiver.received) == 30)
    assert sorted(receiver.received) == sorted([*messages(20), *messages(10)])
    receiver.close()


def test_what_is_sent_again_keeps_the_pace_as_well(make_sender):
    receiver = Receiver()
    receiver.close()
    sender = make_sender(receiver.port, max_events_per_sec=400.0)
    took = []
    real = sender._pace.take
    sender._pace.take = lambda size: took.append(size) or real(size)
    back = []
    threading.Timer(0.5, lambda: back.append(Receiver(receiver.port))).start()
    deliver(sender, messages(100))
    eventually(lambda: bool(back) and set(back[0].received) == set(messages(100)))
    assert sender.resent > 0
    assert len(took) >= 100 + sender.resent - 1
    back[0].close()


def test_oversize_is_never_cut(make_sender):
    receiver = Receiver()
    sender = make_sender(receiver.port)
    (rejection,) = deliver(sender, [b"x" * 65508, b"y" * 65507]).rejected
    assert (rejection.index, rejection.reason) == (0, "oversize")
    eventually(lambda: receiver.received == [b"y" * 65507])
    receiver.close()


def test_the_users_limit_counts(make_sender):
    receiver = Receiver()
    sender = make_sender(receiver.port, max_message_bytes=1024)
    assert [rejection.index for rejection in deliver(sender, [b"y" * 1024, b"x" * 1025]).rejected] == [1]
    receiver.close()


def test_waits_end(make_sender):
    receiver = Receiver()
    receiver.close()
    with pytest.raises(DeliveryTimeout):
        deliver(make_sender(receiver.port, delivery_timeout_secs=0.2), messages(5))
    threading.Timer(0.1, STOP.request, args=(0.1,)).start()
    began = time.monotonic()
    with pytest.raises(Stopping):
        deliver(make_sender(receiver.port), messages(5))
    assert time.monotonic() - began < 1
