"""Duo fails in every way it can during a drain: the program goes on by itself; where Duo refuses a log, after a restart."""

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from tests.servers.harness import Duo, Program, repeated, tcp, wait_for_all, wait_until, write_config

pytestmark = pytest.mark.servers

# Rate limits come last: they make the program slower for a while, as they should.
FAULTS = [
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 502},
    {"kind": "status", "status": 503, "retry_after": 1},
    {"kind": "html"},
    {"kind": "malformed_json"},
    {"kind": "reset"},
    {"kind": "reset_mid_body"},
    {"kind": "cut_body"},
    {"kind": "hang"},
    {"kind": "slow", "secs": 0.5},
    {"kind": "clock_skew", "secs": 3_600},
    {"kind": "status", "status": 429, "retry_after": 1},
]


def test_every_way_in_which_duo_fails_costs_time_and_no_event(tmp_path):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"auth": 30_000, "activity": 5_000})
        # Two good answers between two faults.
        faults = [duo.simulator.faults.add(target="auth", skip=2 * n + 1, **fault) for n, fault in enumerate(FAULTS)]
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth", "activity"], request_timeout_secs=2)
        with Program(tmp_path, "run", config) as program:
            wait_for_all(duo, siem, ["auth", "activity"], program)
            code = program.end()

    assert [fault.hits for fault in faults] == [1] * len(FAULTS)
    assert code == exit_codes.OK
    assert repeated(siem) == {"auth": 0, "activity": 0}
    assert "Traceback" not in program.log()


def test_a_page_cursor_that_duo_refuses_costs_no_event(tmp_path):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"activity": 5_000})
        refusal = duo.simulator.faults.add("status", "activity", status=400, skip=3)
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["activity"])
        with Program(tmp_path, "run", config) as program:
            wait_for_all(duo, siem, ["activity"], program)
            code = program.end()

    assert refusal.hits == 1
    assert code == exit_codes.OK
    assert any("nothing is skipped" in line for line in program.lines("WARNING"))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_log_that_duo_refuses_for_now_holds_up_no_other_and_is_read_at_the_next_launch(tmp_path, status):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"auth": 3_000, "telephony": 3_000})
        duo.simulator.faults.add("status", "telephony", status=status, skip=1)
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth", "telephony"])
        with Program(tmp_path, "run", config) as program:
            wait_for_all(duo, siem, ["auth"], program)
            level = "ERROR" if status == 401 else "WARNING"  # keys do not become right by waiting
            wait_until(lambda: any(f"answered {status}" in line for line in program.lines(level)), "the refusal in the log")
            assert siem.wait_for(1_000, 60, log_type="telephony")
            codes = [program.end()]
            assert len(siem.unique_ids("telephony")) == 1_000
            program.start()
            wait_for_all(duo, siem, ["auth", "telephony"], program)
            codes.append(program.end())

    assert codes == [exit_codes.OK] * 2
    assert repeated(siem) == {"auth": 0, "telephony": 0}
