"""The command line as a user types it: what each verb says and with which exit code it ends."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pyte
import pytest

from pipelines import __version__, cli, exit_codes
from tests.cli.test_hostile_names import on_a_terminal
from transforms.duo.position.windows import DAY_MS
from transforms.records import Stream, Subscription
from transforms.state.checkpoints.record import Begun
from transforms.state.checkpoints.stores import store_at
from transforms.state.cursor import Cursor


def run(*words: object) -> int:
    try:
        return cli.main([str(word) for word in words])
    except SystemExit as end:
        return int(end.code or 0)


def test_the_version_is_told(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"duologsync {__version__}\n"


def test_without_a_word_the_verbs_are_shown(capsys):
    assert run() == exit_codes.CONFIG
    out = capsys.readouterr().out
    for verb in ("run", "validate", "check", "status", "replay", "schema", "demo"):
        assert verb in out


def test_an_unknown_option_is_an_error():
    assert run("validate", "--nonsense", "x.yml") == exit_codes.CONFIG


@pytest.mark.parametrize("secs", ["nan", "inf", "-1", "soon"])
def test_a_grace_period_that_is_no_time_is_an_error(secs, capsys):
    assert run("run", "x.yml", f"--grace-secs={secs}") == exit_codes.CONFIG
    assert "--grace-secs" in capsys.readouterr().err


def test_a_file_that_is_not_there_ends_with_a_message_and_no_traceback(capsys, tmp_path):
    assert run(tmp_path / "missing.yml") == exit_codes.CONFIG
    err = capsys.readouterr().err
    assert "missing.yml" in err
    assert "Traceback" not in err


def test_a_mistyped_command_is_told_with_the_nearest_one_and_not_taken_for_a_missing_file(capsys):
    assert run("statsu") == exit_codes.CONFIG
    err = capsys.readouterr().err
    assert "neither a command nor a file 'statsu'" in err
    assert "Did you mean 'status'?" in err
    assert "does not exist" not in err


def test_what_a_mistyped_command_was_given_does_not_hide_what_is_wrong(config, capsys):
    assert run("backfil", config, "--from", "2d") == exit_codes.CONFIG
    assert "Did you mean 'backfill'?" in capsys.readouterr().err


def test_a_word_that_is_like_no_command_is_told_with_the_way_to_all_of_them(capsys):
    assert run("xyzzy") == exit_codes.CONFIG
    err = capsys.readouterr().err
    assert "neither a command nor a file 'xyzzy'" in err
    assert "duologsync --help" in err


def test_a_file_may_be_called_like_a_mistyped_command(config, capsys, monkeypatch, tmp_path):
    (tmp_path / "statsu").write_text("version: 3")
    monkeypatch.chdir(tmp_path)

    assert run("statsu") == exit_codes.CONFIG
    assert "statsu:1: version" in capsys.readouterr().err


def test_validate_shows_what_would_run_and_touches_nothing(config, capsys, simulator, tmp_path):
    before = sorted(tmp_path.rglob("*"))

    assert run("validate", config) == exit_codes.OK
    out = capsys.readouterr().out
    assert "auth" in out
    assert "siem (tcp 127.0.0.1:" in out
    assert sorted(tmp_path.rglob("*")) == before
    assert not simulator.calls


def test_validate_tells_where_a_destination_begins_that_has_no_checkpoint_yet(config, capsys, tmp_path):
    later = "  - {name: later, kind: udp, host: 127.0.0.1, port: 9, format: cef}\n"
    routes = [
        {"log_types": "auth", "destinations": "siem"},
        {"log_types": "auth", "destinations": "later", "from": "checkpoint of siem"},
    ]
    config.write_text(config.read_text().replace("storage:", f"{later}routes: {json.dumps(routes)}\nstorage:"))
    assert run("validate", config) == exit_codes.OK
    assert "no checkpoint yet: siem begins 1 day back, later begins at the checkpoint of siem\n" in capsys.readouterr().out

    store_at(str(tmp_path / "checkpoints")).commit(Subscription(Stream("main", "auth"), "siem"), Cursor(5, seq=1))
    assert run("validate", config) == exit_codes.OK
    assert "no checkpoint yet: later begins at the checkpoint of siem\n" in capsys.readouterr().out


def test_validate_tells_where_a_start_that_came_to_nothing_has_begun_and_how_to_begin_elsewhere(config, capsys, tmp_path):
    store = store_at(str(tmp_path / "checkpoints"))
    store.commit(Subscription(Stream("main", "auth"), "siem"), Cursor(5_000, seq=1))
    store.commit(Subscription(Stream("main", "activity"), "siem"), Cursor(5_000, seq=1), 7)

    assert run("validate", config) == exit_codes.OK
    (told,) = [line for line in capsys.readouterr().out.splitlines() if "nothing delivered yet" in line]
    assert "siem goes on at 1970-01-01 00:00:05 UTC" in told
    assert Path(told.rpartition("remove ")[2]).exists()


def test_validate_tells_what_days_that_were_changed_mean_after_a_start_that_came_to_nothing(config, capsys, tmp_path):
    began_ms = 1_795_000_000_000
    subscription = Subscription(Stream("main", "auth", "127.0.0.1"), "siem")
    store_at(str(tmp_path / "checkpoints")).begin(subscription, Cursor(began_ms - 30 * DAY_MS, seq=1), Begun(30, began_ms))

    assert run("validate", config) == exit_codes.OK
    out = capsys.readouterr().out
    assert "nothing delivered yet: siem begins at 2026-11-17 11:06:40 UTC, 1 day back from its first start at 2026-11-18" in out
    assert "remove" not in out


def test_validate_tells_which_logs_no_route_takes(config, capsys):
    assert run("validate", config) == exit_codes.OK
    assert "not read" not in capsys.readouterr().out

    config.write_text(config.read_text() + "routes: [{log_types: [auth, admin], destinations: siem}]\n")
    assert run("validate", config) == exit_codes.OK
    assert "activity, telephony, trustmonitor: no route takes it" in capsys.readouterr().out


def test_validate_needs_neither_beam_nor_the_network(config):
    code = (
        "import sys; from pipelines import cli; code = cli.main(['validate', sys.argv[1]])\n"
        "assert 'apache_beam' not in sys.modules, 'Beam was loaded'; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(config)], capture_output=True, text=True, check=False)

    assert done.returncode == exit_codes.OK, done.stderr


@pytest.mark.parametrize(
    "words", ["validate {}", "check {}", "status {}", "replay {}", "run {}", "backfill {} --from 2d", "schema"]
)
def test_no_command_shows_what_beam_warns_of_while_it_is_loaded(config, tmp_path, words):
    (tmp_path / "skey").write_text("")  # without a key everything ends by itself
    command = [sys.executable, "-m", "pipelines", *words.format(config).split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)

    assert "apitools" not in done.stderr
    assert "Traceback" not in done.stderr


def test_schema_prints_a_json_schema_and_a_sample_that_validates(capsys, tmp_path):
    assert run("schema") == exit_codes.OK
    assert json.loads(capsys.readouterr().out)["properties"]["accounts"]
    assert run("schema", "--sample") == exit_codes.OK
    assert "destinations:" in capsys.readouterr().out


def test_beams_own_flags_are_for_run_only(config):
    assert run("validate", config, "--", "--runner=PrismRunner") == exit_codes.CONFIG


def test_an_unknown_beam_flag_is_an_error_and_nothing_starts(config, simulator):
    assert run("run", config, "--", "--runner=PrismRunner", "--chekpointing_interval=5") == exit_codes.CONFIG
    assert not simulator.calls


def test_a_launch_that_cannot_ask_duo_for_its_children_says_that_duo_is_away(config, capfd):
    config.write_text(re.sub(r"port: \d+", "port: 1, msp: true", config.read_text(), count=1))

    assert run("run", config, "--", "--runner=PrismRunner") == exit_codes.UNREACHABLE
    assert "child accounts cannot be listed" in capfd.readouterr().err


def test_the_demo_delivers_what_it_produced_and_shows_the_program_s_own_report(capsys):
    assert run("demo", "--seconds", "12", "--backlog", "500") == exit_codes.OK
    out = capsys.readouterr().out
    assert "lost 0" in out
    assert re.search(r"^demo/auth to siem +\w+ ", out, re.MULTILINE)


def test_the_demo_fits_a_narrow_terminal():
    screen = pyte.Screen(60, 200)
    shown = on_a_terminal(["demo", "--seconds", "8", "--backlog", "500"], until="\0", columns=60)
    pyte.Stream(screen).feed(shown)
    lines = [line.rstrip() for line in screen.display]
    assert [line.split()[0] for line in lines if line.startswith(("log type", "auth", "activity ", "telephony", "trustm"))] == [
        "log", "auth", "activity", "telephony", "trustmonitor",
    ]  # fmt: skip
    assert any(line.startswith("produced ") and "lost 0" in line for line in lines)


def test_validate_fails_where_it_is_strict_and_a_secret_cannot_be_read_here(config, capsys, monkeypatch):
    config.write_text(re.sub(r'skey: "file:[^"]*"', "skey: env:DUO_SKEY_OF_TOMORROW", config.read_text()))
    assert run("validate", config) == exit_codes.OK
    assert "the environment variable DUO_SKEY_OF_TOMORROW has no value here. Set it where" in capsys.readouterr().out

    assert run("validate", config, "--strict") == exit_codes.CONFIG
    assert capsys.readouterr().err == f"{config}: 1 secret cannot be read here, and --strict asks for that.\n"
    monkeypatch.setenv("DUO_SKEY_OF_TOMORROW", "s" * 40)
    assert run("validate", config, "--strict") == exit_codes.OK


def test_validate_and_status_do_without_a_secret_that_only_the_unit_sees(config, capsys, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    in_unit = "file:/run/credentials/duologsync.service/skey"
    config.write_text(re.sub(r'skey: "file:[^"]*"', f"skey: {in_unit}", config.read_text()))

    assert run("validate", config) == exit_codes.OK
    assert "Note: " in capsys.readouterr().out
    run("status", config)
    assert "never read yet" in capsys.readouterr().out
    for verb in ("validate --strict", "check", "replay"):
        assert run(*verb.split(), config) == exit_codes.CONFIG
        told = capsys.readouterr().err
        assert "Run: sudo systemd-run " in told
        assert "-p LoadCredential=skey:/etc/duologsync/skey" in told


def test_validate_reads_standard_input_and_nothing_else_does(config, capsys):
    def piped(*words):
        command = [sys.executable, "-m", "pipelines", *words]
        return subprocess.run(command, input=config.read_bytes(), capture_output=True, check=False, timeout=60)

    done = piped("validate", "-")
    assert done.returncode == exit_codes.OK, done.stderr
    assert done.stdout.startswith(b"- is a valid configuration (version 2):\n")
    done = piped("check", "-")
    assert (done.returncode, done.stderr) == (
        exit_codes.CONFIG,
        b"Only validate reads a configuration from standard input. Name a file.\n",
    )


def test_nothing_is_said_to_have_been_started_by_who_starts_nothing(config, capsys):
    config.write_text(config.read_text().replace("kind: tcp", "kind: tpc"))
    assert run("validate", config) == exit_codes.CONFIG
    assert capsys.readouterr().err.endswith(f"{config}: 1 problem.\n")
    assert run("run", config) == exit_codes.CONFIG
    assert capsys.readouterr().err.endswith(f"{config}: 1 problem. Nothing was started.\n")


@pytest.mark.parametrize("words", [("explain",), ("explain", "--bytes"), ("validate",), ("status",), ("dead-letters",)])
def test_an_output_that_cannot_be_written_is_told_in_one_line(config, words):
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "pipelines", *words, str(config)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)

    assert done.returncode == exit_codes.INTERNAL
    assert done.stderr == b"The output cannot be written: No space left on device.\n"
