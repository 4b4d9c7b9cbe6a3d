"""Who we are, and whom we trust: each way to connect to a real Kafka, and each way to be refused."""

import pytest
import trustme
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from tests.destinations.kafka.broker import PASSWORD, USER
from tests.destinations.kafka.test_kafka_delivery import FAST, deliver
from transforms.destinations.kafka.sender import KafkaSender, make
from transforms.destinations.kafka.settings import KafkaSettings, Sasl
from transforms.errors import BadDestination, DeliveryTimeout, RetryLater
from transforms.formats.json_lines import JsonOptions
from transforms.secrets import SecretRef
from transforms.settings import Destination, Format, Tls

pytestmark = pytest.mark.servers


@pytest.fixture
def password(tmp_path) -> SecretRef:
    (tmp_path / "password").write_text(PASSWORD)
    return SecretRef("file", str(tmp_path / "password"))


@pytest.fixture
def wrong_password(tmp_path) -> SecretRef:
    (tmp_path / "wrong").write_text("another-" + PASSWORD)
    return SecretRef("file", str(tmp_path / "wrong"))


@pytest.fixture
def trusted(tmp_path, authority_of_broker: trustme.CA) -> Tls:
    authority_of_broker.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return Tls(ca_file=str(tmp_path / "ca.pem"))


def sender_to(port: int, topic: str, host: str = "127.0.0.1", **settings) -> KafkaSender:
    there = KafkaSettings((f"{host}:{port}",), topic, connect_timeout_secs=3, **settings)
    return make(Destination("kafka", there, Format(JsonOptions()), delivery_timeout_secs=20), FAST)


def arrives(sender: KafkaSender) -> None:
    sender.test_connection()
    assert deliver(sender, [b"hello"]) == []


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256"])
def test_with_a_password(broker, password, mechanism):
    arrives(sender_to(broker.scram_port, broker.make_topic(), transport="plain", sasl=Sasl(USER, password, mechanism)))


def test_over_tls(broker, trusted):
    arrives(sender_to(broker.tls_port, broker.make_topic(), tls=trusted))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_over_tls_with_a_password(broker, trusted, password, mechanism):
    arrives(sender_to(broker.tls_scram_port, broker.make_topic(), tls=trusted, sasl=Sasl(USER, password, mechanism)))


def test_with_a_certificate_of_ours(broker, trusted, authority_of_broker, tmp_path):
    ours = authority_of_broker.issue_cert("duologsync@example.com")
    ours.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    tls = Tls(ca_file=trusted.ca_file, client_cert_file=str(tmp_path / "client.pem"))
    arrives(sender_to(broker.strict_port, broker.make_topic(), tls=tls))


@pytest.mark.parametrize("attempt", ["test", "send"])
class TestRefused:
    def refused(self, sender: KafkaSender, attempt: str, words: str) -> str:
        with pytest.raises(BadDestination, match=words) as caught:
            sender.test_connection() if attempt == "test" else deliver(sender, [b"hello"])
        assert PASSWORD not in str(caught.value)
        return str(caught.value)

    def test_a_wrong_password(self, broker, wrong_password, attempt):
        sasl = Sasl(USER, wrong_password)
        sender = sender_to(broker.scram_port, broker.make_topic(), transport="plain", sasl=sasl)
        self.refused(sender, attempt, "refuse user or password. Correct sasl")

    def test_a_certificate_that_nobody_vouches_for(self, broker, tmp_path, attempt):
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        sender = sender_to(broker.tls_port, broker.make_topic(), tls=Tls(ca_file=str(tmp_path / "other.pem")))
        self.refused(sender, attempt, "no TLS connection can be made.*certificate verify failed")

    def test_without_a_ca_file_only_the_systems_authorities_are_trusted(self, broker, attempt):
        self.refused(sender_to(broker.tls_port, broker.make_topic()), attempt, "certificate verify failed")

    def test_a_certificate_of_another_name(self, broker, trusted, attempt):
        sender = sender_to(broker.tls_port, broker.make_topic(), host="localhost", tls=trusted)
        self.refused(sender, attempt, "certificate verify failed")

    def test_a_ca_file_that_is_not_there(self, broker, tmp_path, attempt):
        sender = sender_to(broker.tls_port, "duo", tls=Tls(ca_file=str(tmp_path / "nothing.pem")))
        self.refused(sender, attempt, "cannot be used.*Correct tls")


def test_plain_text_to_a_port_of_tls_is_told_as_such_and_may_pass(broker):
    with pytest.raises(RetryLater, match="another transport"):
        sender_to(broker.tls_port, "duo", transport="plain").test_connection()


def test_a_missing_topic_is_told_with_what_to_do(broker):
    sender = sender_to(broker.port, "duo-that-nobody-made", transport="plain")
    with pytest.raises(BadDestination, match="no such topic, or we may not see it"):
        deliver(sender, [b"hello"])


def test_a_topic_that_is_removed_while_we_send_is_waited_for(broker):
    topic = broker.make_topic()
    sender = make(
        Destination("kafka", KafkaSettings((broker.address,), topic, "plain"), Format(JsonOptions()), delivery_timeout_secs=10),
        FAST,
    )
    assert deliver(sender, [b"before"]) == []
    broker.remove_topic(topic)
    with pytest.raises(DeliveryTimeout):
        deliver(sender, [b"after"])
    broker.make_topic(topic)
    assert deliver(sender, [b"after"]) == []
    assert broker.messages(topic) == [b"after"]


def test_a_topic_that_we_may_not_write_to_is_told_with_what_to_do(broker, password):
    topic = broker.make_topic()
    rule = AclBinding(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, f"User:{USER}", "*", AclOperation.READ, AclPermissionType.ALLOW
    )
    admin = broker.admin()
    for made in admin.create_acls([rule]).values():
        made.result(20)
    sender = sender_to(broker.scram_port, topic, transport="plain", sasl=Sasl(USER, password))
    with pytest.raises(BadDestination, match="may not write to the topic"):
        deliver(sender, [b"hello"])
