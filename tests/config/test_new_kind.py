"""A format and a kind of destination that are registered from outside are known everywhere, by that one line for each.

``toy/`` holds them. Each command runs as a process of its own that knows them, as a user's would.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipelines import exit_codes
from tests.conftest import IKEY, now_ms
from transforms.state.dead_letters.letter import DeadLetter
from transforms.state.dead_letters.write import files_in

ROOT = Path(__file__).parents[2]
TOYS = Path(__file__).parent / "toy"
KEY = "k3y" * 10


def run(*words: object, **changes: str) -> subprocess.CompletedProcess[str]:
    """A command of a process that has the toys."""
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False, env=environment(**changes)
    )


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{TOYS}{os.pathsep}{ROOT}", "SPOOL_KEY": KEY, **changes}


def code(text: str, *arguments: object) -> str:
    """What a piece of Python prints that has the toys."""
    done = run("-c", text, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def config(simulator, authority, skey, tmp_path):
    """A configuration that sends the simulator's events to a spool, as pairs."""
    key_file = tmp_path / "skey"
    key_file.touch(mode=0o600)
    key_file.write_text(skey)
    path = tmp_path / "config.yml"
    path.write_text(
        f"""version: 2
accounts:
  - {{api_host: localhost, port: {simulator.port}, ca_file: {authority.ca_file}, ikey: {IKEY}, skey: "file:{key_file}"}}
reading: {{start_days: 1, poll_interval_secs: 1, lag_secs: 0}}
destinations:
  - name: siem
    kind: spool
    path: spool
    signing_key: env:SPOOL_KEY
    format: {{name: pairs, separator: bar}}
routes: [{{log_types: auth, destinations: siem}}]
storage: {{checkpoint_dir: {tmp_path}/checkpoints, dead_letter_dir: {tmp_path}/dead}}
"""
    )
    return path


def spooled(config: Path) -> list[str]:
    """The messages in the spool, whose signatures are right."""
    from tests.config.toy.toy import signature

    spool = config.parent / "spool"
    lines = [line.split(" ", 1) for line in spool.read_text().splitlines()] if spool.exists() else []
    assert all(signed == signature(KEY.encode(), message.encode()).decode() for signed, message in lines)
    return [message for _, message in lines]


class TestTheConfiguration:
    """``validate``, the schema and the sample."""

    def test_a_good_file_is_valid_and_neither_beam_nor_a_sender_is_loaded_for_it(self, config):
        out = code(
            "import sys; from pipelines import cli; code = cli.main(['validate', sys.argv[1]])\n"
            "assert 'apache_beam' not in sys.modules; sys.exit(code)",
            config,
        )

        assert f"siem (spool {config.parent}/spool, pairs)" in out

    @pytest.mark.parametrize(
        ("right", "wrong", "key", "what", "fix"),
        [
            ("kind: spool", "kind: spol", "kind", "not one of the known words", "Did you mean spool?"),
            ("path: spool", "pth: spool", "pth", "not known", "Did you mean path?"),
            ("path: spool", "path: spool\n    host: siem.example.com", "host", "for kind tcp, tls or udp", "Remove it"),
            ("path: spool", "path: /dev/null", "path", "a device is no file", "Name a file on a disk."),
            ("path: spool", "path: spool\n    batch_lines: 0", "batch_lines", "0 is out of range", "from 1 to 1000"),
            ("env:SPOOL_KEY", "'env:'", "signing_key", "environment variable", "env:NAME"),
            ("env:SPOOL_KEY", "file:nothing", "signing_key", "cannot be read", "Check the path"),
            ("separator: bar", "separator: bra", "format.separator", "bra is not one", "Did you mean bar?"),
            ("name: pairs", "name: json", "format.separator", "for name pairs", "name: pairs"),
            ("name: pairs", "name: pears", "format.name", "pears is not one", "Did you mean pairs?"),
        ],
    )
    def test_a_bad_file_is_told_with_line_key_and_fix(self, config, right, wrong, key, what, fix):
        text = config.read_text()
        assert right in text
        config.write_text(text.replace(right, wrong))
        done = run("-m", "pipelines", "validate", config)

        assert done.returncode == exit_codes.CONFIG
        line = 1 + config.read_text().splitlines().index(
            next(line for line in config.read_text().splitlines() if wrong.splitlines()[-1].strip() in line)
        )
        told = next(line for line in done.stderr.splitlines() if f"destinations.0.{key}:" in line)
        assert told.startswith(f"{config}:{line}: destinations.0.{key}: ")
        assert what in told
        assert fix in told

    def test_a_secret_that_is_missing_is_told_as_of_any_kind(self, config):
        done = run("-m", "pipelines", "validate", config, SPOOL_KEY="")

        assert "destinations.0.signing_key: the environment variable SPOOL_KEY has no value here" in done.stdout

    def test_the_schema_has_its_keys_bounds_and_words(self):
        schema = json.loads(run("-m", "pipelines", "schema").stdout)
        spool = schema["$defs"]["SpoolDestinationSection"]

        assert {"$ref": "#/$defs/SpoolDestinationSection"} in schema["properties"]["destinations"]["items"]["oneOf"]
        assert spool["properties"]["batch_lines"] == {
            "default": 100, "description": "Lines that are written at once.", "maximum": 1000, "minimum": 1, "type": "integer",
        }  # fmt: skip
        assert set(spool["required"]) == {"name", "kind", "format", "path", "signing_key"}
        assert not spool["additionalProperties"]
        assert schema["$defs"]["PairsFormatSection"]["properties"]["separator"]["enum"] == ["space", "bar"]

    def test_the_sample_shows_how_to_use_them_and_is_valid_so(self, tmp_path):
        sample = run("-m", "pipelines", "schema", "--sample").stdout
        prose = " ".join(re.sub(r"\n *#+", " ", sample).split())
        assert "pairs (key=value, the event last)" in prose
        assert "separator: pairs only. What stands between two pairs. Default: space." in prose

        config = tmp_path / "config.yml"
        used = re.sub(r"(?m)^( *)# (?=(- )?\w+:)", r"\1", sample)
        parts = yaml.safe_load(used)
        parts["destinations"] = [each for each in parts["destinations"] if each["kind"] == "spool"]
        parts["accounts"], parts["routes"] = [{**parts["accounts"][0], "msp": True}], None
        parts["storage"] = {"checkpoint_dir": str(tmp_path / "checkpoints")}
        parts["accounts"][0].pop("ca_file")
        parts.pop("log_file")
        config.write_text(yaml.safe_dump({key: value for key, value in parts.items() if value is not None}))
        done = run("-m", "pipelines", "validate", config)
        assert done.returncode == exit_codes.OK, done.stderr
        assert "spool (spool /var/spool/duo/events, json)" in done.stdout


def test_check_tries_it(config):
    assert "ok      siem (spool" in run("-m", "pipelines", "check", config).stdout

    config.write_text(config.read_text().replace("path: spool", "path: nowhere/spool"))
    done = run("-m", "pipelines", "check", config)
    assert done.returncode == exit_codes.DELIVERY
    assert f"there is no directory {config.parent}/nowhere. Make it." in done.stdout


def test_a_local_run_delivers_every_event_to_it(config, simulator):
    simulator.add_backlog("auth", 50, now_ms() - 3_600_000, now_ms() - 1_000)
    process = subprocess.Popen([sys.executable, "-m", "pipelines", "run", str(config)], env=environment())
    try:
        deadline = time.monotonic() + 60
        while len(spooled(config)) < 50 and time.monotonic() < deadline:
            time.sleep(0.2)
    finally:
        process.terminate()
        assert process.wait(60) == exit_codes.OK

    found = {json.loads(message.removeprefix("log=auth|event="))["txid"] for message in spooled(config)}
    assert found == {each.decode() if isinstance(each, bytes) else each for each in simulator.produced_ids("auth")}


def test_what_it_rejects_is_a_dead_letter_and_can_be_replayed_to_it(config, tmp_path):
    letter = DeadLetter(
        time_ms=1, account="main", log_type="auth", destination="siem", format="pairs", reason="refused", detail="",
        raw=b'{"txid":"t-1"}',
    )  # fmt: skip
    files_in(str(tmp_path / "dead")).write([letter])

    assert run("-m", "pipelines", "replay", config).returncode == exit_codes.OK
    assert spooled(config) == ['log=auth|event={"txid":"t-1"}']


def test_the_demo_writes_the_format():
    words = [sys.executable, "-m", "pipelines", "demo", "--format", "pairs", "--backlog", "200", "--rate", "5"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment(PYTHONUNBUFFERED="1"))
    shown = []
    for line in process.stdout:
        shown.append(line)
        if "log=auth event={" in line:
            process.send_signal(signal.SIGINT)

    assert process.wait(60) == exit_codes.OK
    assert "lost 0" in shown[-2]


def test_the_flex_template_s_check_takes_their_keys_and_their_secret_by_reference():
    parameters = {
        "api_host": "api-1a2b3c4d.duosecurity.com", "ikey": "DIXXXXXXXXXXXXXXXXXX",
        "skey_secret": "projects/p/secrets/skey/versions/1", "state_dir": "gs://b/state",
        "siem_kind": "spool", "siem_path": "/spool", "siem_signing_key_secret": "projects/p/secrets/spool/versions/1",
        "siem_batch_lines": "7", "siem_format": "pairs", "siem_separator": "bar",
    }  # fmt: skip
    ask = "import json, sys; from pipelines.launch_files.dataflow.flex_main import job_of, split\n"
    given = [f"--{name}={value}" for name, value in parameters.items()]
    out = code(
        f"{ask}job, problems = job_of(split(sys.argv[1:])[0]); assert not problems, problems\n"
        "to = job.destinations[0]; print(to.settings, to.format.options)\n"
        "print([(s.key, str(s.reference)) for s in job.secrets()])",
        *given,
    )
    assert "path='/spool'" in out
    assert "batch_lines=7" in out
    assert "separator='bar'" in out
    assert "(('destinations', 0, 'signing_key'), 'gcp:projects/p/secrets/spool/versions/1')" in out

    bad = [*given, "--siem_batch_lines=0", "--siem_separator=dash", f"--siem_signing_key_secret={KEY}"]
    out = code(f"{ask}print(*job_of(split(sys.argv[1:])[0])[1], sep='\\n')", *bad)
    assert sorted(line.partition(":")[0] for line in out.splitlines()) == [
        "siem_batch_lines", "siem_separator", "siem_signing_key_secret",
    ]  # fmt: skip
    assert KEY not in out
