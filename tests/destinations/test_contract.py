"""What every kind of destination promises, whatever it is made of: each test runs over each kind of the registry."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import trustme
from confluent_kafka import Producer

from tests.destinations import test_tls, toy
from tests.destinations.http import making
from tests.destinations.http.standins.hec import TOKEN, Hec
from tests.destinations.http.standins.server import StandIn
from tests.destinations.http.standins.vendors import Plain
from tests.destinations.kafka.broker import read_all
from tests.destinations.peers import Peer, destination, eventually, messages, page
from tests.destinations.test_udp import Receiver
from transforms.destinations import KINDS, Sender, make_sender
from transforms.destinations.archive.records import read_file
from transforms.destinations.archive.settings import AvroSettings
from transforms.destinations.file.settings import FileSettings
from transforms.destinations.kafka.settings import KafkaSettings
from transforms.destinations.stdout.output import OUTPUT
from transforms.destinations.stdout.settings import StdoutSettings
from transforms.formats.json_lines import JsonOptions
from transforms.records import Stream
from transforms.secrets import SecretRef
from transforms.settings import Destination, Format, Tls

MOST_BYTES = 500
OVERSIZE = b"z" * (MOST_BYTES + 1)


@dataclass
class Kind:
    """A receiver of one kind, and the destination that means it."""

    destination: Destination
    received: Callable[[], list[bytes]]
    make: Callable[[Destination], Sender]
    close: Callable[[], None] = lambda: None
    senders: list[Sender] = field(default_factory=list)

    def sender(self) -> Sender:
        self.senders.append(self.make(replace(self.destination, max_message_bytes=MOST_BYTES)))
        return self.senders[-1]


def _tcp(_folder) -> Kind:
    peer = Peer()
    return Kind(destination(peer.port), lambda: peer.received, make_sender, peer.stop_listening)


def _tls(folder) -> Kind:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    peer = test_tls.server(authority.issue_cert("127.0.0.1"))
    there = destination(peer.port, "tls", tls=Tls(ca_file=str(folder / "ca.pem")))
    return Kind(there, lambda: peer.received, make_sender, peer.stop_listening)


def _udp(_folder) -> Kind:
    receiver = Receiver()
    return Kind(destination(receiver.port, "udp"), lambda: receiver.received, make_sender, receiver.close)


def _kafka(_folder) -> Kind:
    """The cluster that librdkafka has for tests; ``kafka/`` has the real one."""
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    address = f"{broker.host}:{broker.port}"

    def received(cluster=cluster) -> list[bytes]:
        return [record.value() for record in read_all(address, "duo")]

    return Kind(stored(KafkaSettings((address,), "duo", "plain")), received, make_sender)


def _file(folder) -> Kind:
    path = folder / "duo.log"
    received = lambda: path.read_bytes().splitlines() if path.exists() else []  # noqa: E731
    return Kind(stored(FileSettings(str(path))), received, make_sender)


def _stdout(folder) -> Kind:
    path, before = folder / "stdout", os.dup(1)
    path.touch()

    def make(there: Destination) -> Sender:
        with path.open("ab") as file:  # not before: pytest turns descriptor 1 to its own file when the test begins
            os.dup2(file.fileno(), 1)
        return make_sender(there)

    def close() -> None:
        OUTPUT.release()
        os.dup2(before, 1)

    return Kind(stored(StdoutSettings()), lambda: path.read_bytes().splitlines(), make, close)


def _avro(folder) -> Kind:
    def received() -> list[bytes]:
        files = sorted(folder.glob("archive/*/*/*/*.avro"), key=lambda path: path.stat().st_mtime_ns)
        return [event.raw for path in files for event in read_file(path.open("rb"), path.name)]

    return Kind(stored(AvroSettings(str(folder / "archive"))), received, make_sender)


def stored(settings) -> Destination:
    return Destination("store", settings, Format(JsonOptions()))


def _hec(folder) -> Kind:
    (folder / "token").write_text(TOKEN)
    collector = StandIn(Hec())
    there = making.http_destination("hec", collector.url, token=SecretRef("file", str(folder / "token")))
    return Kind(there, lambda: collector.received, make_sender, collector.stop)


def _http(_folder) -> Kind:
    receiver = StandIn(Plain())
    return Kind(making.http_destination("http", receiver.url), lambda: receiver.received, make_sender, receiver.stop)


RECEIVERS = {
    "tcp": _tcp,
    "tls": _tls,
    "udp": _udp,
    "hec": _hec,
    "http": _http,
    "kafka": _kafka,
    "file": _file,
    "stdout": _stdout,
    "avro": _avro,
}


@pytest.fixture(params=sorted(RECEIVERS))
def kind(request, tmp_path):
    made = RECEIVERS[request.param](tmp_path)
    yield made
    for sender in made.senders:
        sender.close(0.5)
    made.close()


def arrived(kind: Kind, expected: list[bytes]) -> None:
    eventually(lambda: len(kind.received()) >= len(expected))
    assert kind.received() == expected


def test_every_kind_of_the_registry_is_held_to_this_contract():
    assert set(RECEIVERS) == set(KINDS)


def test_a_batch_arrives_whole_and_in_order(kind):
    sender = kind.sender()
    sender.begin(Stream("acme", "auth"))
    sender.send(page(messages(100)))
    assert sender.confirm().rejected == ()
    arrived(kind, messages(100))


def test_batches_of_any_size_arrive_in_order(kind):
    sender, sent, start = kind.sender(), [], 0
    sender.begin()
    for size in (1, 0, 3, 40, 1):
        sender.send(page(messages(size, start=start)))
        sent += messages(size, start=start)
        start += size
    sender.confirm()
    arrived(kind, sent)


def test_an_oversize_message_is_rejected_by_its_index_and_the_others_arrive(kind):
    sender = kind.sender()
    sender.begin()
    sender.send(page([b"first", OVERSIZE, b"last"]))
    (rejection,) = sender.confirm().rejected
    assert (rejection.index, rejection.reason) == (1, "oversize")
    assert str(len(OVERSIZE)) in rejection.detail
    assert "zz" not in rejection.detail, "it says nothing of the content"
    arrived(kind, [b"first", b"last"])


def test_indexes_count_over_all_batches_of_a_bundle(kind):
    sender = kind.sender()
    sender.begin()
    sender.send(page([b"0", OVERSIZE, b"2"]))
    sender.send(page([OVERSIZE]))
    sender.send(page([b"4", b"5", OVERSIZE]))
    assert [rejection.index for rejection in sender.confirm().rejected] == [1, 3, 6]
    arrived(kind, [b"0", b"2", b"4", b"5"])


def test_a_bundle_of_which_nothing_can_be_delivered_is_confirmed(kind):
    sender = kind.sender()
    sender.begin()
    sender.send(page([OVERSIZE, OVERSIZE]))
    assert [rejection.index for rejection in sender.confirm().rejected] == [0, 1]
    sender.send(page([b"and on"]))
    sender.confirm()
    arrived(kind, [b"and on"])


def test_confirmed_twice_it_says_the_same_and_sends_nothing_again(kind):
    sender = kind.sender()
    sender.begin()
    sender.send(page([OVERSIZE, b"one"]))
    first, second = sender.confirm(), sender.confirm()
    assert first.rejected == second.rejected
    sender.send(page([b"two", OVERSIZE]))
    assert [rejection.index for rejection in sender.confirm().rejected] == [0, 3]
    arrived(kind, [b"one", b"two"])


def test_an_empty_bundle_is_confirmed_without_a_receiver(kind):
    kind.close()
    sender = kind.sender()
    sender.begin()
    sender.send(page([]))
    assert sender.confirm().rejected == ()


def test_begin_forgets_what_the_bundle_before_left(kind):
    sender = kind.sender()
    sender.begin()
    sender.send(page([OVERSIZE]))
    sender.begin()
    sender.send(page([b"anew", OVERSIZE]))
    assert [rejection.index for rejection in sender.confirm().rejected] == [1]
    arrived(kind, [b"anew"])


def test_what_was_read_is_seen_to_be_read_once_the_connection_has_ended(kind):
    sender = kind.sender()
    sender.begin(Stream("acme", "auth"))
    sender.send(page(messages(10)))
    receipt = sender.confirm().receipt
    sender.close(5)
    assert receipt.read
    assert sender.unread() == []
    assert sender.given_up() == []


def test_a_connection_can_be_tried_and_nothing_is_sent(kind):
    kind.sender().test_connection()
    assert kind.received() == []


def test_a_toy_of_the_tests_keeps_the_contract_too():
    siem = toy.Siem(lambda message: message == b"bad")
    sender: Sender = siem.make(None)
    sender.begin()
    sender.send(page([b"0", b"bad"]))
    sender.confirm()
    sender.send(page([b"bad", b"3"]))
    assert [rejection.index for rejection in sender.confirm().rejected] == [1, 2]
    assert siem.delivered == [b"0", b"3"]
