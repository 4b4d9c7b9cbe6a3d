"""The examples run as they stand, but for where Duo and the SIEM are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.demo.receiver import SiemReceiver
from tests.conftest import IKEY, now_ms

ROOT = Path(__file__).parents[2]


@pytest.fixture
def receiver():
    with SiemReceiver(keep_messages=True) as receiver:
        yield receiver


@pytest.fixture
def duo(simulator, authority, skey, monkeypatch):
    """What is given to ReadFromDuo; lag 0, because the simulator publishes at once."""
    monkeypatch.setenv("DUO_SKEY", skey)
    simulator.add_backlog("auth", 1_200, now_ms() - 3_600_000, now_ms() - 1_000)
    where = {"source": "localhost", "port": simulator.port, "ca_file": authority.ca_file}
    return {**where, "ikey": IKEY, "skey": "env:DUO_SKEY", "lag_secs": 0, "start_days": 1}


def run(program: str) -> str:
    """In a process of its own, to its end."""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_ten_lines_send_every_event_once_and_the_next_run_goes_on(duo, simulator, receiver, tmp_path):
    siem = {"destination": "tcp", "host": "127.0.0.1", "port": receiver.port}
    program = f"from examples import duo_to_siem; duo_to_siem.main({duo!r}, {siem!r}, {str(tmp_path)!r})"
    run(program)
    assert receiver.wait_for(1_200, 1)
    simulator.add("auth", 3)
    run(program)
    assert receiver.wait_for(1_203, 1)

    lines = [json.loads(message) for message in receiver.messages]
    assert sorted(line["id"] for line in lines) == sorted(simulator.produced_ids("auth"))
    assert set(lines[0]) == {"id", "who", "result"}


def run_yaml(name, duo, receiver, state):
    """One of the pipelines in Beam YAML, to its end."""
    ours = f"port: {duo['port']}\n        ca_file: {duo['ca_file']}\n        lag_secs: 0\n        start_days: 1\n        ikey:"
    pipeline = state.with_suffix(".yaml")
    pipeline.write_text((ROOT / "examples" / name).read_text().replace("ikey:", ours, 1))
    variables = {"duo": "localhost", "ikey": IKEY, "siem": "127.0.0.1", "port": receiver.port, "state": str(state)}
    yaml_main = [sys.executable, "-m", "apache_beam.yaml.main", f"--yaml_pipeline_file={pipeline}", "--runner=FnApiRunner"]
    done = subprocess.run(
        [*yaml_main, f"--jinja_variables={json.dumps(variables)}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_pipeline_in_beam_yaml_sends_what_its_filter_keeps(duo, simulator, receiver, tmp_path):
    run_yaml("duo_to_syslog.yaml", duo, receiver, tmp_path / "state")

    refused = sum(b'"denied"' in row for row in simulator.produced_rows("auth"))
    assert 0 < refused < 1_200
    assert receiver.wait_for(refused, 1)
    assert receiver.total() == refused
    assert all(b" - auth - CEF:0|Cisco|Duo|" in message for message in receiver.messages)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="not on Python 3.10: there is no library for filters")
def test_the_pipeline_that_redacts_sends_what_its_filter_takes_without_names(duo, simulator, receiver, tmp_path, monkeypatch):
    monkeypatch.setenv("REDACTION_KEY", "k" * 32)
    run_yaml("refused_log_ins.yaml", duo, receiver, tmp_path / "state")

    refused = {row["txid"] for row in map(json.loads, simulator.produced_rows("auth")) if row["result"] == "denied"}
    assert receiver.wait_for(len(refused), 1)
    sent = [json.loads(message) for message in receiver.messages]
    assert {row["txid"] for row in sent} == refused
    assert not any("email" in row for row in sent)
    assert {row["user"]["name"][:5] for row in sent} <= {"hmac:", ""}
