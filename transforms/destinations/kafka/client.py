"""A producer of librdkafka: what it is told, and what its errors mean.

Place in the flow: ``transforms.destinations.kafka.sender`` makes its producers here.

Contract: secrets are read here, on the worker. Texts of errors name brokers, topics and files, never a password. The library is
loaded with this module: it is an extra of the installation.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from transforms.destinations import certificates
from transforms.destinations.kafka.settings import KafkaSettings
from transforms.errors import BadDestination
from transforms.settings import Destination

MOST_MESSAGE_BYTES = 64 * 1024 * 1024
"""What no broker takes unless somebody told it to, and what is not tried: the first limit of its own is 1 MB."""
_QUEUE_KBYTES = 2 * MOST_MESSAGE_BYTES // 1024
_QUEUE_MESSAGES = 20_000
_ENVELOPE_BYTES = 2048  # what is around a message, its key included


class Meaning(Enum):
    """What an error of a message, or of the client, asks for."""

    SIZE = "its batch is larger than the topic takes"
    REFUSED = "the broker refuses its batch"
    PERSON = "only a person can mend it"
    AGAIN = "it may pass"

    @property
    def of_the_batch(self) -> bool:
        """It says nothing of the single messages in it."""
        return self in (Meaning.SIZE, Meaning.REFUSED)


_SIZE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_REFUSED = frozenset({KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP, KafkaError.POLICY_VIOLATION})
# The library calls its own errors, which no broker has sent, by names that begin with an underscore.
_ALL_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
_OWN_TOPIC, _OWN_LOGIN, _OWN_TLS = KafkaError._UNKNOWN_TOPIC, KafkaError._AUTHENTICATION, KafkaError._SSL  # noqa: SLF001
_NO_TOPIC = "there is no such topic, or we may not see it. Create it, or give us the right to write to it"
_NO_LOGIN = "the brokers refuse user or password. Correct sasl, or make the user"
_PERSON = {
    _OWN_TOPIC: _NO_TOPIC,
    KafkaError.UNKNOWN_TOPIC_OR_PART: _NO_TOPIC,
    KafkaError.TOPIC_EXCEPTION: "the brokers take no topic of that name. Correct topic",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "we may not write to the topic. Give us the right to (Write on the topic)",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "we may not write so. Give us the right to (IdempotentWrite on the cluster)",
    _OWN_LOGIN: _NO_LOGIN,
    KafkaError.SASL_AUTHENTICATION_FAILED: _NO_LOGIN,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "the brokers have another way to show a password. Correct sasl.mechanism",
    _OWN_TLS: "no TLS connection can be made. Look at transport, tls.ca_file and the names in the brokers' certificates",
}


def meaning_of(error: KafkaError) -> Meaning:
    """What an error asks for."""
    code = error.code()
    if code in _SIZE:
        return Meaning.SIZE
    if code in _REFUSED:
        return Meaning.REFUSED
    return Meaning.PERSON if code in _PERSON else Meaning.AGAIN


def is_vague(error: KafkaError) -> bool:
    """Whether it says nothing but that there is no connection."""
    return bool(error.code() == _ALL_DOWN)


def why(error: KafkaError) -> str:
    """What is in the way, in words."""
    if is_vague(error):
        return "no broker keeps a connection; if that stays so, they may want another transport, or a password"
    return str(error.str())


def bad_destination(destination: Destination[KafkaSettings], error: KafkaError) -> BadDestination:
    """What only a person can mend, with the fix."""
    return BadDestination(f"Destination {destination.name} ({destination.place}): {_PERSON[error.code()]}. ({why(error)})")


def producer(
    destination: Destination[KafkaSettings], on_error: Callable[[KafkaError], None], batch_bytes: int, unknown_topic_secs: float
) -> Producer:
    """A producer; it connects by itself. Raises BadDestination, SecretUnavailable, and RetryLater for a secret.

    Args:
      on_error: told why it cannot connect; called while the producer is polled.
      batch_bytes: so much is put into one batch, of one partition, before it is compressed.
      unknown_topic_secs: a topic that the brokers have not known for so long is not there.
    """
    config = {
        "enable.idempotence": True,  # and with it acks=all: a retry of the library's is no repeat, and the order stays
        "message.timeout.ms": 0,  # how long to try is said by our own waits
        "message.max.bytes": MOST_MESSAGE_BYTES + _ENVELOPE_BYTES,
        "batch.size": batch_bytes,
        "queue.buffering.max.messages": _QUEUE_MESSAGES,
        "queue.buffering.max.kbytes": _QUEUE_KBYTES,
        "topic.metadata.propagation.max.ms": int(unknown_topic_secs * 1000),
        "compression.type": destination.settings.compression,
        **connection(destination.settings),
    }
    if destination.settings.transport == "tls":
        certificates.note(destination.name, destination.settings.tls, destination.place)
    return _made(destination, {**config, "error_cb": on_error})


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """How to connect. Raises SecretUnavailable."""
    tls = settings.transport == "tls"
    config: dict[str, Any] = {
        "bootstrap.servers": ",".join(settings.brokers),
        "client.id": "duologsync",
        "socket.connection.setup.timeout.ms": max(1000, int(settings.connect_timeout_secs * 1000)),
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 5000,
        "log_level": 0,  # what it says of connections comes to on_error
        "security.protocol": ("SASL_" if settings.sasl else "") + ("SSL" if tls else "PLAINTEXT"),
    }
    if tls:
        config |= _certificates(settings)
    if settings.sasl is not None:
        sasl = settings.sasl
        config |= {"sasl.mechanism": sasl.mechanism, "sasl.username": sasl.user, "sasl.password": sasl.password.resolve()}
    return config


def _certificates(settings: KafkaSettings) -> dict[str, Any]:
    tls = settings.tls
    config: dict[str, Any] = {"enable.ssl.certificate.verification": True, "ssl.endpoint.identification.algorithm": "https"}
    if tls.ca_file:
        config["ssl.ca.location"] = tls.ca_file
    if tls.client_cert_file:
        config["ssl.certificate.location"] = tls.client_cert_file
        config["ssl.key.location"] = tls.client_key_file or tls.client_cert_file
        if tls.client_key_password is not None:
            config["ssl.key.password"] = tls.client_key_password.resolve()
    return config


def _made(destination: Destination[KafkaSettings], config: dict[str, Any]) -> Producer:
    try:
        return Producer(config)
    except KafkaException as error:
        # What it says names the file and OpenSSL's reason.
        raise BadDestination(
            f"Destination {destination.name}: these settings cannot be used: {error.args[0].str()}. Correct tls."
        ) from None
