"""The whole program with a real Kafka, a file and an archive at once, killed in mid-stream, with what it wrote replayed."""

import json
from collections import Counter

import pytest

from pipelines import exit_codes
from tests.destinations.archive.test_archive import kept
from tests.destinations.file.test_file_delivery import all_lines
from tests.destinations.kafka.broker import PASSWORD, USER
from tests.servers.harness import Duo, Program, dead_letters, wait_until, write_config

pytestmark = pytest.mark.servers

COUNTS = {"auth": 1_500, "activity": 1_100, "telephony": 300, "trustmonitor": 100}
TOTAL = sum(COUNTS.values())


def ids(rows: list[bytes]) -> Counter[str]:
    found = map(json.loads, rows)
    return Counter(row.get("telephony_id") or row.get("activity_id") or row.get("sekey") or row["txid"] for row in found)


def test_every_event_is_everywhere_after_kill_9_and_an_archive_can_be_replayed(tmp_path, broker, authority_of_broker):
    authority_of_broker.cert_pem.write_to_path(str(tmp_path / "kafka-ca.pem"))
    name = broker.make_topic()
    again = broker.make_topic()
    for log_type in COUNTS:
        broker.make_topic(f"{name}.{log_type}", partitions=2)
    kafka = {
        "kind": "kafka", "brokers": [f"127.0.0.1:{broker.tls_scram_port}"], "format": "json",
        "tls": {"ca_file": "kafka-ca.pem"}, "sasl": {"user": USER, "password": "env:KAFKA_PASSWORD"},
    }  # fmt: skip
    destinations = [
        {"name": "bus", "topic": f"{name}.{{log_type}}", **kafka},
        {"name": "files", "kind": "file", "path": "out/{log_type}.log", "format": "json", "rotate_bytes": 200_000},
        {"name": "lake", "kind": "avro", "directory": "lake", "format": "json"},
        {"name": "again", "topic": again, **kafka},
    ]
    routes = [{"log_types": list(COUNTS), "destinations": ["bus", "files", "lake"]}]
    env = {"KAFKA_PASSWORD": PASSWORD}

    def on_the_bus() -> Counter[str]:
        return sum((ids(broker.messages(f"{name}.{log_type}")) for log_type in COUNTS), Counter())

    def in_files() -> Counter[str]:
        return sum((ids(all_lines(tmp_path / "out" / f"{log_type}.log")) for log_type in COUNTS), Counter())

    def in_the_lake() -> Counter[str]:
        return ids(kept(tmp_path / "lake")) if (tmp_path / "lake").exists() else Counter()

    with Duo(tmp_path) as duo:
        duo.add_backlog(COUNTS)
        config = write_config(tmp_path, duo, destinations, routes=routes)
        assert Program(tmp_path, "check", config, env=env).run() == exit_codes.OK
        program = Program(tmp_path, "run", config, env=env)
        for part in (0, TOTAL // 4):
            with program:
                wait_until(lambda part=part: len(in_the_lake()) > part, "some events")
                program.kill()
        with program:
            wait_until(lambda: len(in_the_lake()) >= TOTAL, "all in the archive")
            wait_until(lambda: len(in_files()) >= TOTAL, "all in files")
            wait_until(lambda: len(on_the_bus()) >= TOTAL, "all on the bus")
            assert program.end() == exit_codes.OK
        produced = {each for those in duo.produced(COUNTS).values() for each in those}
        replay = ("replay", config, "--from-archive", "lake", "--to", "again", "--log-types", "auth,telephony")
        assert Program(tmp_path, *replay, env=env).run() == exit_codes.OK

    assert dead_letters(tmp_path) == []
    assert set(on_the_bus()) == set(in_files()) == set(in_the_lake()) == produced
    assert len(set(broker.messages(again))) == COUNTS["auth"] + COUNTS["telephony"]
    assert PASSWORD not in program.log()
