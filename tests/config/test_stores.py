"""Kafka, files, standard output and archives in the configuration: what is taken, and what is told of mistakes."""

import pytest

from pipelines.config import load
from tests.config.conftest import OWN, replaced

TCP = "kind: tcp\n    host: siem.example.com\n    port: 6514"
KAFKA = "kind: kafka\n    brokers: [kafka-1.example.com:9093]\n    topic: duo.{log_type}"
SASL = "sasl: {user: duo, password: env:KAFKA_PASSWORD"


@pytest.fixture(autouse=True)
def _password(monkeypatch):
    monkeypatch.setenv("KAFKA_PASSWORD", "not-a-secret")


def own(destination: str) -> str:
    return replaced(OWN, TCP, destination)


@pytest.mark.parametrize(
    ("destination", "place"),
    [
        (KAFKA, "kafka-1.example.com:9093/duo.{log_type}"),
        (f"{KAFKA}\n    {SASL}}}", "kafka-1.example.com:9093/duo.{log_type}"),
        ("kind: kafka\n    brokers: ['[2001:db8::1]:9093', b:9093]\n    topic: duo", "[2001:db8::1]:9093,b:9093/duo"),
        ("kind: file\n    path: /var/log/duo/{account}/{log_type}.log", "/var/log/duo/{account}/{log_type}.log"),
        ("kind: stdout", "standard output"),
        ("kind: avro\n    directory: /srv/archive", "/srv/archive"),
    ],
)
def test_what_is_taken(write, destination, place):
    (there,) = load(write(own(destination))).job.destinations
    assert there.place == place


def test_a_relative_path_begins_at_the_file(write, tmp_path):
    path = write(own("kind: file\n    path: out/duo.log"))
    assert load(path).job.destinations[0].settings.path == str(path.parent / "out/duo.log")


@pytest.mark.parametrize(
    ("destination", "key", "what", "fix"),
    [
        (KAFKA.replace(":9093", ""), "brokers.0", "not HOST:PORT", "kafka-1.example.com:9093"),
        (KAFKA.replace("[kafka-1", "[https://kafka-1"), "brokers.0", "address of a page", "host name"),
        (KAFKA.replace("[kafka-1.example.com:9093]", "[]"), "brokers", "", ""),
        (KAFKA.replace("duo.{log_type}", "duo/{log_type}"), "topic", "not the name of a topic", "{log_type} and {account}"),
        (KAFKA.replace("duo.{log_type}", "duo.{host}"), "topic", "not the name of a topic", "{log_type} and {account}"),
        ("kind: file\n    path: /var/log/{logtype}.log", "path", "nothing stands for {logtype}", "{log_type} and {account}"),
        (f"{KAFKA}\n    transport: plain\n    {SASL}, mechanism: PLAIN}}", "sasl", "shows the password", "SCRAM-SHA-512"),
        (f"{KAFKA}\n    transport: plain\n    tls: {{}}", "tls", "the transport is plain", "Remove it"),
        (f"{KAFKA}\n    tls: {{server_name: a.example.com}}", "tls", "the one that it advertises", "Remove server_name"),
        ("kind: file\n    path: /x\n    rotate_bytes: 1", "rotate_bytes", "out of range", ""),
        ("kind: file\n    path: /x\n    host: siem", "host", "", "Remove it"),
    ],
)
def test_what_is_told(problems_of, destination, key, what, fix):
    (problem,) = problems_of(own(destination))
    assert problem.key == f"destinations.0.{key}"
    assert what in problem.what
    assert fix in problem.fix


def test_an_archive_in_another_format_than_duo_s_is_refused(problems_of):
    (problem,) = problems_of(replaced(own("kind: avro\n    directory: /srv/archive"), "format: json", "format: cef"))
    assert problem.key == "destinations.0.format"
    assert "an archive keeps events as Duo sent them" in problem.what


def test_the_password_is_a_secret_like_any_other(write):
    job = load(write(own(f"{KAFKA}\n    {SASL}}}"))).job
    assert ("destinations", 0, "sasl", "password") in [secret.key for secret in job.secrets()]
    assert "not-a-secret" not in repr(job)
