"""The program as its users run it, with destinations over HTTP: killed, asked to end, refused, and tried beforehand."""

from __future__ import annotations

import json
import random
import time
from collections import Counter

import pytest

from pipelines import exit_codes
from tests.destinations.http.standins.hec import TOKEN, Hec, said
from tests.destinations.http.standins.server import StandIn, status
from tests.destinations.http.standins.vendors import Plain
from tests.destinations.http.victorialogs import VictoriaLogs
from tests.servers.harness import Duo, Program, dead_letters, wait_until, write_config
from tests.servers.scenarios import most_in_a_bundle

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]
ENV = {"HEC_TOKEN": TOKEN}


def hec(url: str, **changes) -> dict:
    return {"name": "siem", "kind": "hec", "url": url, "token": "env:HEC_TOKEN", "format": "json", **changes}


@pytest.fixture
def duo(tmp_path):
    with Duo(tmp_path) as duo:
        yield duo


@pytest.fixture
def collector():
    standin = StandIn(Hec())
    yield standin
    standin.stop()


def arrived(standin: StandIn) -> Counter[str]:
    return Counter(json.loads(text)["txid"] for text in list(standin.received))


def test_kill_9_loses_nothing_and_repeats_at_most_a_bundle_each_also_where_acknowledgements_are_waited_for(
    tmp_path, duo, collector
):
    collector.receiver.acknowledges = True
    collector.receiver.indexes_late = 2
    duo.add_backlog({"auth": 20_000})
    config = write_config(tmp_path, duo, [hec(collector.url, acknowledge=True)], log_types=["auth"], page_pause_secs=0.1)
    rng, kills = random.Random(), 4
    with Program(tmp_path, "run", config, env=ENV) as program:
        for _ in range(kills):
            before = len(collector.received)
            wait_until(lambda before=before: len(collector.received) > before, "something arrives")
            time.sleep(rng.uniform(0, 0.7))
            program.kill()
            program.start()
        wanted = duo.produced(["auth"])["auth"]
        wait_until(lambda: wanted <= set(arrived(collector)), "all of it")
        assert program.end() == exit_codes.OK

    assert arrived(collector).total() - len(wanted) <= kills * most_in_a_bundle("auth")
    assert "Traceback" not in program.log()


def test_asked_to_end_and_started_again_it_gives_a_real_server_everything_once(tmp_path, duo):
    server = VictoriaLogs(tmp_path)
    try:
        duo.add_backlog({"auth": 12_000, "telephony": 3_000})
        logs = ["auth", "telephony"]
        config = write_config(tmp_path, duo, [hec(f"{server.url}/insert/splunk")], log_types=logs, page_pause_secs=0.2)
        with Program(tmp_path, "run", config, env=ENV) as program:
            for _ in range(3):
                time.sleep(1.5)  # it counts what came a second ago
                before = server.count()
                wait_until(lambda before=before: server.count() > before, "the first events of this launch")
                assert program.end() == exit_codes.OK
                program.start()
            wait_until(lambda: server.count() >= 15_000, "all of it")
            assert program.end() == exit_codes.OK
        server.wait_for(15_000)
        found = Counter()
        for event in server.query():
            row = json.loads(event["_msg"])
            found[event["sourcetype"], row.get("txid") if "telephony_id" not in row else row["telephony_id"]] += 1
        produced = {("cisco:duo:authentication_v2", each) for each in duo.produced(["auth"])["auth"]}
        produced |= {("cisco:duo:telephony_v2", each) for each in duo.produced(["telephony"])["telephony"]}
        assert set(found) == produced, "lost"
        assert found.total() == len(produced), "repeated"
    finally:
        server.stop()


def test_a_receiver_that_refuses_some_events_and_is_busy_and_away_costs_those_events(tmp_path, duo, collector):
    duo.add_backlog({"auth": 5_000})
    wanted = sorted(duo.produced(["auth"])["auth"])
    bad = random.Random(7).sample(wanted, 5)
    plain = collector.receiver

    def refuses(line: bytes) -> int:
        return 6 if json.loads(line)["event"]["txid"] in bad else 0

    plain._fault = refuses
    plain.names_culprit = False
    collector.troubles = [status(503, said(503, 9).body), status(429, said(429, 26).body, Retry_After="1")]
    config = write_config(tmp_path, duo, [hec(collector.url)], log_types=["auth"])
    with Program(tmp_path, "run", config, env=ENV) as program:
        wait_until(lambda: len(arrived(collector)) >= 1_000, "some of it")
        collector.stop()
        time.sleep(0.5)
        collector.start()
        wait_until(lambda: set(wanted) - set(bad) <= set(arrived(collector)), "the good ones")
        wait_until(lambda: len(dead_letters(tmp_path)) >= len(bad), "the dead letters")
        assert program.end() == exit_codes.OK

    letters = dead_letters(tmp_path)
    assert sorted(json.loads(letter.raw)["txid"] for letter in letters) == sorted(bad)
    assert {letter.reason for letter in letters} == {"rejected"}
    assert set(arrived(collector)) == set(wanted) - set(bad)
    assert TOKEN not in program.log()


def test_a_token_that_is_not_taken_ends_the_program_with_the_cause_and_the_fix(tmp_path, duo, collector):
    duo.add_backlog({"auth": 10})
    config = write_config(tmp_path, duo, [hec(collector.url)], log_types=["auth"])
    program = Program(tmp_path, "run", config, env={"HEC_TOKEN": "wr0ng"})

    assert program.run() == exit_codes.DELIVERY
    assert "the token is not valid" in program.log()
    assert "Check the token" in program.log()
    assert "wr0ng" not in program.log()
    assert dead_letters(tmp_path) == []


def test_a_destination_is_tried_beforehand_and_nothing_is_sent(tmp_path, duo, collector):
    plain = StandIn(Plain())
    try:
        to = [hec(collector.url), {"name": "hook", "kind": "http", "url": plain.url, "format": "json"}]
        config = write_config(tmp_path, duo, to, log_types=["auth"])
        assert Program(tmp_path, "check", config, env=ENV).run() == exit_codes.OK
        assert Program(tmp_path, "check", config, env={"HEC_TOKEN": "wr0ng"}).run() == exit_codes.DELIVERY
        assert collector.received == plain.received == []
    finally:
        plain.stop()
