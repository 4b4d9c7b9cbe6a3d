"""What can be chosen of a destination that is a topic of Apache Kafka.

Place in the flow: one of ``transforms.destinations.KINDS``; the sender and the configuration read it. It loads no sender.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from transforms.config_keys import Broken, Check, Declared, Doc, Ge, Le, MinLen, Text, Wrong, wrong_host
from transforms.secrets import SecretRef
from transforms.settings import KindSettings, Library, Tls

LONGEST_TOPIC = 249
_NOT_IN_TOPICS = re.compile(r"[^A-Za-z0-9._-]")
_PLACES = {"{log_type}": "auth", "{account}": "main"}


def topic_of(template: str, account: str, log_type: str) -> str:
    """The topic of a stream. What no topic's name may hold, as in ``PARENT/CHILD_ID``, is an underscore there."""
    return template.replace("{log_type}", log_type).replace("{account}", _NOT_IN_TOPICS.sub("_", account))[:LONGEST_TOPIC]


def wrong_topic(value: str) -> Wrong | None:
    """What keeps a text from being the name of a topic, or a template for one."""
    example = value
    for place, name in _PLACES.items():
        example = example.replace(place, name)
    if _NOT_IN_TOPICS.search(example) or len(example) > LONGEST_TOPIC or example in ("", ".", ".."):
        return Wrong(
            "this is not the name of a topic",
            f"Use up to {LONGEST_TOPIC} letters, digits, dots, dashes and underscores, and {{log_type}} and {{account}}.",
        )
    return None


def wrong_broker(value: str) -> Wrong | None:
    """What keeps a text from being HOST:PORT."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        return Wrong("this is not HOST:PORT", "Write it as kafka-1.example.com:9093.")
    return wrong_host(host[1:-1] if host.startswith("[") and host.endswith("]") else host)


Broker = Annotated[str, MinLen(1), Check(wrong_broker)]
Topic = Annotated[str, MinLen(1), Check(wrong_topic)]


@dataclass(frozen=True, slots=True)
class Sasl(Declared):
    """How we say to the brokers who we are."""

    user: Annotated[Text, Doc("User name.", example="duologsync")]
    password: Annotated[SecretRef, Doc("Its password: env:NAME or file:PATH.", example="env:KAFKA_PASSWORD")]
    mechanism: Annotated[
        Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"], Doc("How the password is shown. PLAIN only with transport tls.")
    ] = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class KafkaSettings(KindSettings):
    """A topic of Apache Kafka."""

    kind: ClassVar[str] = "kafka"
    library: ClassVar[Library | None] = Library("confluent_kafka", "kafka")
    brokers: Annotated[
        tuple[Broker, ...],
        MinLen(1),
        Doc("HOST:PORT of some brokers; they tell the others.", example=["kafka-1.example.com:9093"]),
    ]
    topic: Annotated[
        Topic,
        Doc(
            "Topic; {log_type} and {account} in it make one per log or account. A topic is not made here, but by brokers that "
            "make any that is named.",
            example="duo.{log_type}",
        ),
    ]
    transport: Annotated[Literal["tls", "plain"], Doc("tls, or plain for a network that nobody else is in.")] = "tls"
    tls: Annotated[
        Tls,
        Doc(
            "Certificates of the brokers, and ours where they ask for one.",
            elsewhere="certificates are for TLS, and the kind is not",
        ),
    ] = field(default_factory=Tls)
    sasl: Annotated[Sasl | None, Doc("User and password, where the brokers ask for them.")] = None
    compression: Annotated[
        Literal["zstd", "lz4", "snappy", "gzip", "none"], Doc("How batches are compressed.", harmless=True)
    ] = "zstd"
    connect_timeout_secs: Annotated[
        float, Ge(0.1), Le(600), Doc("Longest time to connect once, with the TLS handshake.", harmless=True)
    ] = 10.0

    @property
    def place(self) -> str:
        return f"{','.join(self.brokers)}/{self.topic}"

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[Broken]:
        plain = given.get("transport") == "plain"
        tls, sasl = given.get("tls"), given.get("sasl")
        if plain and "tls" in given:
            yield Broken("tls", "certificates are for TLS, and the transport is plain", "Remove it, or use transport: tls.")
        if isinstance(tls, Mapping) and "server_name" in tls:
            yield Broken(
                "tls", "the name in a broker's certificate has to be the one that it advertises", "Remove server_name from it."
            )
        if plain and isinstance(sasl, Mapping) and sasl.get("mechanism") == "PLAIN":
            yield Broken(
                "sasl", "PLAIN shows the password to everybody on the way", "Use transport: tls, or mechanism: SCRAM-SHA-512."
            )
