"""What is sent to a real Kafka arrives, whatever happens on the way; what was repeated is counted."""

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.destinations.kafka.broker import Broker
from tests.destinations.kafka.proxy import Proxy
from tests.destinations.peers import eventually
from transforms.destinations.kafka.sender import KafkaSender, Tuning, make
from transforms.destinations.kafka.settings import KafkaSettings
from transforms.errors import DeliveryTimeout
from transforms.formats.json_lines import JsonOptions
from transforms.process.retry import RetryPolicy
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination, Format

pytestmark = pytest.mark.servers

STREAM = Stream("acme", "auth")
FAST = Tuning(unknown_topic_secs=3, believed_secs=1, connecting=RetryPolicy(0.05, 0.2))
COUNT, PAGE = 4000, 500


def messages(count: int = COUNT, size: int = 300) -> list[bytes]:
    return [b"%08d " % number + b"x" * (size - 9) for number in range(count)]


def page(those: list[bytes], stream: Stream = STREAM) -> FormattedPage:
    return FormattedPage(stream, those, those)


def sender_to(port: int, topic: str, tuning: Tuning = FAST, **changes) -> KafkaSender:
    settings = KafkaSettings((f"127.0.0.1:{port}",), topic, "plain", compression="none")
    return make(Destination("kafka", settings, Format(JsonOptions()), **changes), tuning)


def deliver(sender: KafkaSender, those: list[bytes], after_page: Callable[[int], None] = lambda _: None) -> list[int]:
    """Sends a bundle, page by page; the indexes of what was rejected."""
    sender.begin(STREAM)
    for number, start in enumerate(range(0, len(those), PAGE)):
        sender.send(page(those[start : start + PAGE]))
        after_page(number)
    return [rejection.index for rejection in sender.confirm().rejected]


def lost_and_repeated(broker: Broker, topic: str, sent: list[bytes]) -> tuple[int, int]:
    found = Counter(broker.messages(topic))
    return len(set(sent) - set(found)), found.total() - len(found)


def test_a_bundle_arrives_once_in_order_under_its_key(broker):
    topic = broker.make_topic(partitions=3)
    sender = sender_to(broker.port, topic)
    assert deliver(sender, messages()) == []
    sender.begin()
    sender.send(page([b"of another log"], Stream("acme", "activity")))
    sender.confirm()

    records = broker.records(topic)
    of_auth = [record for record in records if record.key() == b"acme/auth"]
    assert [record.value() for record in of_auth] == messages()
    assert len({record.partition() for record in of_auth}) == 1
    assert [record.key() for record in records if record.value() == b"of another log"] == [b"acme/activity"]
    sender.close(1)


def test_a_record_has_the_time_at_which_it_was_sent_so_that_retention_does_not_remove_the_past(broker):
    topic = broker.make_topic()
    sender = sender_to(broker.port, topic)
    deliver(sender, [b'{"timestamp":1000000000}'])
    (record,) = broker.records(topic)
    assert abs(record.timestamp()[1] / 1000 - time.time()) < 60


def test_a_topic_per_log_and_account_by_its_template(broker):
    name = broker.make_topic()
    broker.make_topic(f"{name}.acme_DA1.auth")
    broker.make_topic(f"{name}.acme_DA1.activity")
    sender = sender_to(broker.port, f"{name}.{{account}}.{{log_type}}")
    sender.begin()
    for log_type in ("auth", "activity"):
        sender.send(page([log_type.encode()], Stream("acme/DA1", log_type)))
    assert sender.confirm().rejected == ()
    assert broker.messages(f"{name}.acme_DA1.auth") == [b"auth"]
    assert broker.messages(f"{name}.acme_DA1.activity") == [b"activity"]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_in_mid_stream_loses_nothing(broker, how, record_property):
    topic = broker.make_topic()
    sender = sender_to(broker.port, topic)
    restarting = threading.Thread(target=lambda: (getattr(broker, how)(), time.sleep(0.5), broker.start()))

    def restart(number: int) -> None:
        if number == 3:
            restarting.start()
            eventually(lambda: not broker.running, 60)

    assert deliver(sender, messages(), restart) == []
    restarting.join()
    lost, repeated = lost_and_repeated(broker, topic, messages())
    record_property("repeated", repeated)
    assert lost == 0
    assert repeated == 0, "an idempotent producer's retries are no repeats"


def test_a_broker_that_refuses_connections_is_waited_for(broker):
    topic = broker.make_topic()
    sender = sender_to(broker.port, topic)
    broker.stop()
    starting = threading.Timer(1.0, broker.start)
    starting.start()
    assert deliver(sender, messages(PAGE)) == []
    starting.join()
    assert lost_and_repeated(broker, topic, messages(PAGE)) == (0, 0)


def test_a_broker_that_hangs_is_waited_for_until_the_delivery_timeout(broker):
    topic = broker.make_topic()
    sender = sender_to(broker.port, topic, delivery_timeout_secs=1)
    assert deliver(sender, messages(PAGE)) == []
    broker.pause()
    with pytest.raises(DeliveryTimeout):
        deliver(sender, [b"later"])
    began = time.monotonic()
    sender.begin()  # gives the old producer up, which the broker still does not answer
    assert time.monotonic() - began < 5
    broker.resume()
    assert deliver(sender, [b"later"]) == []
    assert set(broker.messages(topic)) == {*messages(PAGE), b"later"}


class TestOnABadWay:
    """A proxy stands between the sender and the broker."""

    @pytest.fixture
    def proxy(self, broker):
        with Proxy(broker.proxy_port, broker.behind_proxy_port) as proxy:
            yield proxy

    def test_a_connection_that_is_cut_in_the_middle_of_a_batch_costs_nothing(self, broker, proxy):
        topic = broker.make_topic()
        sender = sender_to(broker.proxy_port, topic)

        def cut(number: int) -> None:
            if number == 2:
                proxy.cut_after_bytes = 100_000

        assert deliver(sender, messages(), cut) == []
        assert proxy.cut_after_bytes is None, "it was cut"
        assert lost_and_repeated(broker, topic, messages()) == (0, 0)

    def test_slow_answers_are_waited_for(self, broker, proxy):
        topic = broker.make_topic()
        proxy.slow_secs = 0.1
        sender = sender_to(broker.proxy_port, topic)
        assert deliver(sender, messages(PAGE)) == []
        assert lost_and_repeated(broker, topic, messages(PAGE)) == (0, 0)

    def test_what_was_accepted_without_an_answer_is_no_repeat_while_its_producer_lives(self, broker, proxy):
        topic = broker.make_topic()
        sender = sender_to(broker.proxy_port, topic)
        assert deliver(sender, [b"first"]) == []
        proxy.mute = True
        done = threading.Thread(target=deliver, args=(sender, messages(PAGE)))
        done.start()
        eventually(lambda: len(broker.messages(topic)) > 1, 20)  # of a slow sender, only the first few requests
        proxy.mute = False
        proxy.cut()  # nobody will ever answer on these
        done.join(30)
        assert not done.is_alive()
        assert lost_and_repeated(broker, topic, [b"first", *messages(PAGE)]) == (0, 0)

    def test_what_was_accepted_by_a_bundle_that_was_given_up_is_repeated_and_that_is_all(self, broker, proxy):
        topic = broker.make_topic()
        sender = sender_to(broker.proxy_port, topic, delivery_timeout_secs=2)
        assert deliver(sender, [b"first"]) == []
        proxy.mute = True
        with pytest.raises(DeliveryTimeout):
            deliver(sender, messages(PAGE))
        proxy.mute = False
        proxy.cut()
        assert deliver(sender, messages(PAGE)) == []
        assert lost_and_repeated(broker, topic, [b"first", *messages(PAGE)]) == (0, PAGE)

    def test_what_a_topic_refuses_for_another_reason_than_its_size_is_rejected_too(self, broker, proxy):
        topic = broker.make_topic(message_timestamp_before_max_ms="1")
        proxy.slow_secs = 0.02  # so that each record is older than this topic takes
        sender = sender_to(broker.proxy_port, topic)
        assert deliver(sender, messages(3)) == [0, 1, 2]
        assert {each.reason for each in sender.confirm().rejected} == {"rejected"}
        assert broker.messages(topic) == []


class TestWhatATopicRefuses:
    def test_a_message_that_is_too_large_costs_itself_only(self, broker):
        topic = broker.make_topic()
        sent = messages(1000)
        sent[500] = b"z" * 1_500_000  # a topic takes 1,048,588 bytes unless it was told otherwise
        sender = sender_to(broker.port, topic)
        assert deliver(sender, sent) == [500]
        (rejection,) = sender.confirm().rejected
        assert rejection.reason == "oversize"
        assert "1500000 bytes" in rejection.detail
        assert lost_and_repeated(broker, topic, [*sent[:500], *sent[501:]]) == (0, 0)

    def test_a_batch_that_is_too_large_is_halved_and_costs_no_message(self, broker, caplog):
        topic = broker.make_topic(max_message_bytes="50000")
        sender = sender_to(broker.port, topic)
        with caplog.at_level("INFO", "duologsync.destinations"):
            assert deliver(sender, messages()) == []
        assert lost_and_repeated(broker, topic, messages()) == (0, 0)
        assert "takes no batches of" in caplog.text

        again = sender.resent
        assert deliver(sender, messages()) == []
        assert sender.resent == again, "the next bundle's batches fit"

    def test_in_a_batch_that_is_too_large_only_what_is_too_large_by_itself_is_rejected(self, broker):
        topic = broker.make_topic(max_message_bytes="50000")
        sent = messages()
        for index in (7, 8, 3999):
            sent[index] = b"z" * 60_000
        assert deliver(sender_to(broker.port, topic), sent) == [7, 8, 3999]
        good = [message for message in sent if len(message) < 50_000]
        assert lost_and_repeated(broker, topic, good) == (0, 0)
