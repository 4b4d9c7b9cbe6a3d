"""A real Kafka broker on loopback: one node that is its own controller, with a listener for each way to connect.

Place: the tests beside it send to it and read from it; they stop and start it in mid-stream. Its jars come from
``get_kafka.sh``.

Contract: what it was sent is kept in its folder over a restart, under the same ports. Leaving a ``with`` ends it. Its heap is
bounded: the machine of the tests is small.
"""

from __future__ import annotations

import base64
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import trustme
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from typing_extensions import Self

from tests.ports import free_ports

HERE = Path(__file__).parent
USER, PASSWORD = "duologsync", "not-a-secret-1"
_START_SECS = 60.0


def jars() -> str:
    """The folder of the jars; fetched where the cache lacks it."""
    done = subprocess.run([HERE / "get_kafka.sh"], stdout=subprocess.PIPE, check=False, text=True)
    assert done.returncode == 0, "get_kafka.sh failed; its message is above"
    return done.stdout.strip()


class Broker:
    """See the module.

    Attributes:
      port: without encryption and without a password. scram_port: with a password. tls_port: TLS, no password.
      tls_scram_port: TLS, and a password. strict_port: TLS that asks for a client certificate.
      behind_proxy_port: as ``port``, but clients are told to come to ``proxy_port``.
    """

    def __init__(self, folder: Path, ca: trustme.CA) -> None:
        self._folder = folder
        self._classes = f"{jars()}/*"
        self.port, self.scram_port, self.tls_port, self.tls_scram_port, self.strict_port = free_ports(5)
        self.proxy_port, self.behind_proxy_port, self._controller = free_ports(3)
        self._key_file = folder / "broker.pem"
        self._key_file.write_bytes(_key_and_certificate(ca))
        self._ca_file = folder / "ca.pem"
        ca.cert_pem.write_to_path(self._ca_file)
        self._properties = folder / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        self._configure()

    def _configure(self) -> None:
        names = {
            "PLAIN": (self.port, "PLAINTEXT"),
            "SCRAM": (self.scram_port, "SASL_PLAINTEXT"),
            "TLS": (self.tls_port, "SSL"),
            "TLSSCRAM": (self.tls_scram_port, "SASL_SSL"),
            "STRICT": (self.strict_port, "SSL"),
            "PROXIED": (self.behind_proxy_port, "PLAINTEXT"),
        }
        at = ",".join(f"{name}://127.0.0.1:{port}" for name, (port, _) in names.items())
        told = at.replace(str(self.behind_proxy_port), str(self.proxy_port))
        kinds = ",".join(f"{name}:{kind}" for name, (_, kind) in names.items())
        lines = [
            "process.roles=broker,controller",
            "node.id=1",
            f"controller.quorum.voters=1@127.0.0.1:{self._controller}",
            "controller.listener.names=CONTROLLER",
            f"listeners={at},CONTROLLER://127.0.0.1:{self._controller}",
            f"advertised.listeners={told}",
            f"listener.security.protocol.map={kinds},CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name=PLAIN",
            f"log.dirs={self._folder}/data",
            "auto.create.topics.enable=false",
            "offsets.topic.replication.factor=1",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "group.initial.rebalance.delay.ms=0",
            "log.cleaner.enable=false",
            "num.network.threads=2",
            "num.io.threads=2",
            "sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found=true",
            "super.users=User:ANONYMOUS",
            f"ssl.keystore.location={self._key_file}",
            "ssl.keystore.type=PEM",
            f"ssl.truststore.location={self._ca_file}",
            "ssl.truststore.type=PEM",
            "listener.name.strict.ssl.client.auth=required",
        ]
        login = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        lines += [f"listener.name.{name}.plain.sasl.jaas.config={login}" for name in ("scram", "tlsscram")]
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        lines += [
            f"listener.name.{name}.{kind}.sasl.jaas.config={scram}"
            for name in ("scram", "tlsscram")
            for kind in ("scram-sha-256", "scram-sha-512")
        ]
        self._properties.write_text("\n".join(lines) + "\n")

    def format(self) -> None:
        """Prepares its folder, once, with a user of the password listeners."""
        self._run(
            "kafka.tools.StorageTool", "format", "--cluster-id", _cluster_id(), "--config", str(self._properties),
            "--add-scram", f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]",
            "--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]",
        )  # fmt: skip

    def start(self) -> Self:
        assert self._process is None, "it runs already"
        log = (self._folder / "broker.log").open("ab")
        words = ["kafka.Kafka", str(self._properties)]
        self._process = subprocess.Popen(self._java(*words), stdout=log, stderr=log, start_new_session=True)
        log.close()
        deadline = time.monotonic() + _START_SECS
        while not self._answers():
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"Kafka did not start.\n{self.said()}"
            time.sleep(0.1)
        return self

    def _answers(self) -> bool:
        try:
            self.admin().list_topics(timeout=1)
        except KafkaException:
            return False
        return True

    def stop(self) -> None:
        """In good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It answers nothing any more, and its connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(how)
            process.wait(60)

    @property
    def running(self) -> bool:
        return self._process is not None

    def __enter__(self) -> Self:
        self.format()
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def said(self) -> str:
        """The end of its log."""
        return (self._folder / "broker.log").read_text(errors="replace")[-3000:]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def make_topic(self, name: str | None = None, partitions: int = 1, **config: str) -> str:
        """A new topic; its name. ``config``: as Kafka has it, with ``_`` for each dot."""
        name = name or f"duo-{uuid.uuid4().hex[:8]}"
        settings = {key.replace("_", "."): value for key, value in config.items()}
        admin = self.admin()  # what it promised ends with it
        for made in admin.create_topics([NewTopic(name, partitions, 1, config=settings)]).values():
            made.result(20)
        return name

    def remove_topic(self, name: str) -> None:
        admin = self.admin()
        for gone in admin.delete_topics([name]).values():
            gone.result(20)

    def messages(self, topic: str) -> list[bytes]:
        """All that it holds of a topic, in the order of its partitions."""
        return [message.value() for message in self.records(topic)]

    def records(self, topic: str) -> list:
        return list(read_all(self.address, topic))

    def _run(self, *words: str) -> None:
        done = subprocess.run(self._java(*words), capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def _java(self, *words: str) -> list[str]:
        return [
            "java", "-Xmx512m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", self._classes,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", *words,
        ]  # fmt: skip


def _cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _key_and_certificate(ca: trustme.CA) -> bytes:
    """In one file, the key as PKCS #8: Kafka reads no other."""
    made = ca.issue_cert("127.0.0.1")
    key = load_pem_private_key(made.private_key_pem.bytes(), None)
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return plain + b"".join(part.bytes() for part in made.cert_chain_pems)


def read_all(address: str, topic: str) -> Iterator:
    """Every message of a topic, from its beginning to what is its end now."""
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": uuid.uuid4().hex, "enable.auto.commit": False, "log_level": 0}
    )
    try:
        metadata = consumer.list_topics(topic, timeout=20).topics[topic]
        for partition in metadata.partitions:
            there = TopicPartition(topic, partition, 0)
            low, high = consumer.get_watermark_offsets(there, timeout=20)
            there.offset = low
            consumer.assign([there])
            while consumer.position([there])[0].offset < high and low < high:
                message = consumer.poll(20)
                assert message is not None, f"{topic}: nothing more came, {high} were promised"
                assert message.error() is None, message.error()
                yield message
                if message.offset() + 1 >= high:
                    break
    finally:
        consumer.close()
