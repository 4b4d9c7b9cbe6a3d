"""The endless graph on Prism, Beam's portable local runner: what it delivers, and what a kill costs."""

import random
import time

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from tests.runners.flink.cluster import memory_mb
from tests.runners.programs import RunnerProgram, add_account, fetched_twice
from tests.servers.harness import (
    AT_ONCE,
    LOG_TYPES,
    Duo,
    assert_checkpoints_readable,
    checkpoints,
    dead_letters,
    repeated,
    tcp,
    wait_for_all,
    wait_until,
    write_config,
)
from tests.servers.scenarios import most_in_a_bundle

pytestmark = pytest.mark.servers


def test_the_endless_graph_delivers_all_four_logs_once_and_ends_in_good_order_when_asked(tmp_path, prism):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"auth": 12_000, "activity": 4_000, "telephony": 2_000, "trustmonitor": 300})
        config = write_config(tmp_path, duo, [tcp(siem.port)])
        with RunnerProgram(tmp_path, "run", config, "--", *prism) as program:
            wait_for_all(duo, siem, LOG_TYPES, program)
            duo.simulator.add("auth", 50)
            wait_for_all(duo, siem, LOG_TYPES, program)
            assert not fetched_twice(duo), "a page was fetched twice"
            duo.simulator.add("auth", 10_000)
            codes = [program.end()]
            program.start()
            wait_for_all(duo, siem, LOG_TYPES, program)
            codes.append(program.end())

        assert codes == [exit_codes.OK, exit_codes.OK]
        assert not any(repeated(siem).values())


def test_killed_it_loses_nothing_and_repeats_at_most_what_was_under_way(tmp_path, prism):
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    print(f"seed {seed}")
    counts = {"auth": 60_000, "activity": 20_000}
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog(counts)
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=counts, page_pause_secs=0.25)
        before = dict.fromkeys(counts, 0)
        with RunnerProgram(tmp_path, "run", config, "--", *prism) as program:
            for _ in range(5):
                at_start = siem.total()
                wait_until(lambda at_start=at_start: siem.total() > at_start, "the first events of this launch")
                time.sleep(rng.uniform(0, 1.0))
                program.kill()
                wait_until(lambda: not siem.connected(), "the killed program's connections to be read to their end")
                after = dict.fromkeys(counts, 0) | repeated(siem)
                assert all(after[t] - before[t] <= most_in_a_bundle(t) for t in counts), (before, after)
                before = after
                assert_checkpoints_readable(tmp_path)
                duo.simulator.add("auth", 20)
                program.start()
            wait_for_all(duo, siem, counts, program)
            assert program.end() == exit_codes.OK
        print(f"killed 5 times: 0 lost, {repeated(siem)} repeated")


def test_what_a_destination_rejects_is_kept_once_and_holds_nothing_up(tmp_path, prism):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"auth": 3_000})
        duo.simulator.add("auth", 2, row_bytes=4_000)
        config = write_config(tmp_path, duo, [tcp(siem.port, max_message_bytes=3_000)], log_types=["auth"])
        with RunnerProgram(tmp_path, "run", config, "--", *prism) as program:
            wait_until(lambda: len(dead_letters(tmp_path)) == 2, "the dead letters")
            duo.simulator.add("auth", 20)
            wait_until(lambda: len(siem.unique_ids("auth")) == 3_020, "all others")
            codes = [program.end()]
            program.start()
            duo.simulator.add("auth", 5)
            wait_until(lambda: len(siem.unique_ids("auth")) == 3_025, "what came later")
            codes.append(program.end())

        assert codes == [exit_codes.OK, exit_codes.OK]
        assert [letter.reason for letter in dead_letters(tmp_path)] == ["oversize", "oversize"], "none is made again"
        assert not any(repeated(siem).values())


def test_killed_it_sends_all_that_its_routes_take_redacted_and_nothing_else(tmp_path, prism):
    with Duo(tmp_path) as duo, SiemReceiver(keep_messages=True) as siem:
        duo.add_backlog({"auth": 20_000})
        route = {
            "log_types": ["auth"],
            "destinations": ["siem"],
            "where": "event.result == 'denied'",
            "redact": {"drop": ["email"]},
        }
        config = write_config(tmp_path, duo, [tcp(siem.port)], routes=[route], page_pause_secs=0.1)
        taken = sum(b'"denied"' in row for row in duo.simulator.produced_rows("auth"))
        with RunnerProgram(tmp_path, "run", config, "--", *prism) as program:
            wait_until(lambda: siem.total() > 0, "the first events")
            program.kill()
            wait_until(lambda: not siem.connected(), "the killed program's connections to be read to their end")
            program.start()
            wait_until(lambda: len(siem.unique_ids("auth")) == taken, "all that was denied")
            assert program.end() == exit_codes.OK

        assert all(b'"denied"' in message and b'"email"' not in message for message in siem.messages)
        assert repeated(siem).get("auth", 0) <= most_in_a_bundle("auth")


def test_a_destination_that_takes_nothing_leaves_all_else_running(tmp_path, prism):
    with Duo(tmp_path) as duo, SiemReceiver() as siem, SiemReceiver() as stuck:
        stuck.stall()
        duo.add_backlog({"auth": 30_000, "activity": 6_000})
        both = ["auth", "activity"]
        routes = [{"log_types": ["auth"], "destinations": ["stuck"]}, {"log_types": both, "destinations": ["siem"]}]
        config = write_config(tmp_path, duo, [tcp(siem.port), tcp(stuck.port, "stuck")], routes=routes)
        with RunnerProgram(tmp_path, "run", config, "--", *prism) as program:
            wait_for_all(duo, siem, both, program)
            duo.simulator.add("activity", 100)
            duo.simulator.add("auth", 100)
            wait_for_all(duo, siem, both, program)
            stuck.resume()
            wait_for_all(duo, stuck, ["auth"], program)
            assert program.end() == exit_codes.OK

        assert not any(repeated(siem).values())
        assert not any(repeated(stuck).values())


def test_what_an_idle_siem_acknowledged_and_never_read_is_sent_again_without_waiting_for_new_events(tmp_path, prism):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.simulator.add("auth", 10)
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
        with RunnerProgram(tmp_path, "run", config, "--", *prism) as program:
            wait_for_all(duo, siem, ["auth"], program)
            siem.stall()
            duo.simulator.add("auth", 50)
            wait_until(lambda: [record.delivered for record in checkpoints(tmp_path)] == [60], "the events to be committed")
            siem.reset_connections()
            siem.resume()
            wait_for_all(duo, siem, ["auth"], program)
            assert program.end() == exit_codes.OK


def test_memory_stays_flat_under_a_steady_load(tmp_path, prism):
    # One page that stayed behind with each bundle would be 70 MB a minute. ``benchmarks.runners soak`` does it for ten minutes,
    # with all that the overlap remembers; that is bounded, and small here.
    rates = {"auth": 700, "activity": 300}
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=rates, overlap_max_rows=1_000)
        with RunnerProgram(tmp_path, "run", config, "--", *prism) as program:
            began = time.monotonic()
            memory = []
            for second in range(1, 91):
                for log_type, count in rates.items():
                    duo.simulator.add(log_type, count)
                if second in {30, 90}:
                    wait_for_all(duo, siem, rates, program)
                    memory.append(memory_mb(program.pid))
                time.sleep(max(0.0, began + second - time.monotonic()))
            assert program.end() == exit_codes.OK

        print(f"after half a minute, and a minute later: {memory} MB")
        assert memory[1] - memory[0] < 30
        assert not any(repeated(siem).values())


def test_a_wrong_secret_key_leaves_one_account_without_pages_and_the_others_running(tmp_path, prism):
    wrong = tmp_path / "wrong"
    wrong.write_text("0" * 40)
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"auth": 2_000})
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
        add_account(config, duo.account(name="wrong", skey=f"file:{wrong}"))
        program = RunnerProgram(tmp_path, "run", config, "--", *prism)
        program.started_by = AT_ONCE
        with program:
            wait_for_all(duo, siem, ["auth"], program)
            wait_until(
                lambda: any(line.startswith("wrong/auth to siem:") for line in program.lines("ERROR")),
                "a word about the wrong key",
            )
            assert program.end() == exit_codes.OK
