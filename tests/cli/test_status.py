"""``duologsync status``: what it says of every stream, whether anything runs or not, and the exit codes for scripts."""

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest import mock

import pytest
from apache_beam.io.filesystems import FileSystems

from pipelines import cli, exit_codes
from pipelines.commands import status
from pipelines.config import extras
from pipelines.monitoring import report, words
from pipelines.monitoring.backfills import stamp
from pipelines.monitoring.place import write_place
from tests.cli.test_hostile_names import on_a_terminal
from tests.conftest import now_ms
from transforms.records import DuoEvent, Stream, Subscription
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.cursor import Cursor, Gap
from transforms.state.dead_letters.letter import dead_letter
from transforms.state.dead_letters.local import DeadLetterFiles

AUTH = Subscription(Stream("main", "auth"), "siem")
ROOT = Path(__file__).parents[2]


def run(*words_typed: object) -> int:
    try:
        return cli.main([str(word) for word in words_typed])
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture
def only_auth(config):
    """A configuration of one stream."""
    config.write_text(config.read_text() + "routes: [{log_types: auth, destinations: siem}]\n")
    return config


@pytest.fixture
def store(tmp_path):
    """The checkpoint directory, written to by somebody who takes no lock: a worker of another runner."""
    return CheckpointStore(tmp_path / "checkpoints")


def position(secs_ago: float, **more) -> Cursor:
    at_ms = now_ms() - int(1000 * secs_ago)
    return Cursor(at_ms, end_ms=at_ms, seq=1, **more)


def stopped_in_good_order(store: CheckpointStore) -> None:
    store.lock()
    store.unlock()


def rows(out: str) -> dict[str, str]:
    """The line of each stream, by its name."""
    lines = [line for line in out.splitlines() if not line.startswith(" ") and "/" in line]
    return {name: line for line in lines if (name := " ".join(line.split()[:3])).count(" to ") == 1}


@contextlib.contextmanager
def answering(body: bytes, asked: list | None = None):
    """A server on loopback that says the same to everybody; its port. ``asked``: gets what it was shown."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if asked is not None:
                asked.append(str(self.headers))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


class TestWhatItSays:
    def test_every_stream_of_the_configuration_is_there_before_anything_ever_ran(self, config, capsys):
        assert run("status", config) == exit_codes.STOPPED
        out = capsys.readouterr().out
        assert out.startswith("stopped, and nothing was ever read\n")
        assert len(rows(out)) == 4
        assert all("never read yet" in line for line in rows(out).values())

    def test_who_keeps_up_who_is_behind_and_who_is_not_read_any_more(self, config, store, capsys):
        store.commit(AUTH, position(0), 7)
        store.commit(Subscription(Stream("main", "activity"), "siem"), position(7_200))
        store.commit(Subscription(Stream("main", "auth"), "gone"), position(0))
        run("status", config)
        lines = rows(capsys.readouterr().out)
        assert re.search(r" caught_up .* 7 .* caught up$", lines["main/auth to siem"])
        assert lines["main/activity to siem"].endswith("behind 2 h")
        assert " not_read " in lines["main/auth to gone"]
        assert "never read yet" in lines["main/telephony to siem"]

    def test_nothing_runs_once_a_run_has_ended(self, only_auth, store, capsys):
        store.commit(AUTH, position(7_200), 7)
        stopped_in_good_order(store)
        assert run("status", only_auth) == exit_codes.STOPPED
        out = capsys.readouterr().out
        assert out.startswith("stopped: nothing reads 1 stream, 2 h behind\n")
        assert "Start duologsync" in out

    def test_another_runner_may_write_where_a_local_run_ended_before(self, only_auth, store, capsys):
        stopped_in_good_order(store)
        lock = store.directory / ".lock"
        before = time.time() - 60
        os.utime(lock, (before, before))
        store.commit(AUTH, position(0))
        assert run("status", only_auth) == exit_codes.OK
        assert capsys.readouterr().out.startswith("caught up\n")

    def test_a_damaged_checkpoint_is_not_hidden_and_it_says_where_the_next_start_goes_on(self, only_auth, store, capsys):
        store.commit(AUTH, Cursor(1_700_000_000_000, end_ms=1_700_000_000_000, seq=1), 5)
        store.commit(AUTH, Cursor(1_700_000_500_000, end_ms=1_700_000_500_000, seq=2), 5)
        path = store.path_of(AUTH)
        path.write_bytes(path.read_bytes().replace(b"1700000500000", b"1700000600000"))

        assert run("status", only_auth) == exit_codes.SUSPENDED
        out = capsys.readouterr().out
        (line,) = rows(out).values()
        assert " damaged " in line
        assert "its checksum is missing or wrong" in line
        assert "goes on at 2023-11-14 22:13:20 UTC" in out
        assert path.exists(), "status touches nothing"

    def test_a_damaged_checkpoint_with_none_before_it_begins_at_the_look_back(self, only_auth, store, capsys):
        store.open()
        store.path_of(AUTH).write_bytes(b"\x00" * 100)
        store.path_of(AUTH).chmod(0o600)

        assert run("status", only_auth) == exit_codes.SUSPENDED
        out = capsys.readouterr().out
        assert "main.auth.siem.json" in out
        assert "full look-back" in out

    def test_where_events_are_missing_and_when_they_are_looked_for_again(self, only_auth, store, capsys):
        gaps = (
            Gap(1_700_000_000_000, 1_700_000_060_000, 3_000, due_ms=now_ms() + 8_000_000),
            Gap(1_700_000_100_000, 1_700_000_160_000, 7, tries=5),
        )
        store.commit(AUTH, position(0, gaps=gaps))

        assert run("status", only_auth) == exit_codes.OK
        out = capsys.readouterr().out
        assert out.startswith("caught up, but Duo counted 3,007 events that it does not give\n")
        lines = [line.strip() for line in out.splitlines()]
        stretch = "from 2023-11-14 22:13:20 UTC to 2023-11-14 22:14:20 UTC"
        assert f"main/auth to siem: 3,000 events {stretch}, read again in 2.2 h" in lines
        assert any(line.endswith("given up after 5 more readings") for line in lines)

    def test_dead_letters_are_told_by_reason_and_are_not_among_what_is_delivered(self, only_auth, store, tmp_path, capsys):
        store.commit(AUTH, position(0), 59)
        event = DuoEvent(AUTH.stream, b'{"txid":"1"}')
        letters = DeadLetterFiles(str(tmp_path / "dead"))
        letters.write([dead_letter(event, "siem", "json", "too_long", "x")] * 38)
        letters.write([dead_letter(event, "siem", "json", "not_json", "x")] * 2)
        letters.close()

        assert run("status", only_auth) == exit_codes.OK
        out = capsys.readouterr().out
        (line,) = rows(out).values()
        assert line.split()[6:8] == ["19", "40"]
        assert "  38  too_long  main/auth to siem" in out
        assert "40 dead letters, kept for ever; 'duologsync replay" in out

    def test_a_dead_letter_file_that_is_none_is_told_and_hides_no_others(self, only_auth, tmp_path, capsys):
        letters = DeadLetterFiles(str(tmp_path / "dead"))
        letters.write([dead_letter(DuoEvent(AUTH.stream, b"{}"), "siem", "json", "too_long", "x")])
        letters.close()
        (tmp_path / "dead" / "a.avro").write_bytes(b"this is no Avro file at all, however long it may be")
        run("status", only_auth)
        out = capsys.readouterr().out
        assert "1  file_not_readable" in out
        assert "1  too_long" in out

    def test_of_an_msp_the_children_that_were_ever_read_are_shown(self, only_auth, store, capsys):
        only_auth.write_text(re.sub(r"port: \d+", lambda match: match.group() + ", msp: true", only_auth.read_text(), count=1))
        run("status", only_auth)
        assert "main/(children)/auth to siem" in capsys.readouterr().out
        child = Stream("main/DA1", "auth", "api-1.example.com", "DA1")
        store.commit(Subscription(child, "siem"), position(0))

        assert run("status", only_auth) == exit_codes.OK
        out = capsys.readouterr().out
        assert "main/DA1/auth to siem" in out
        assert "(children)" not in out

    def test_a_backfill_that_is_not_finished_is_told_with_how_far_it_is(self, only_auth, store, capsys):
        begin_ms, end_ms = 1_700_000_000_000, 1_700_001_000_000
        directory = store.directory / "backfill" / f"{stamp(begin_ms)}-{stamp(end_ms)}"
        backfill = CheckpointStore(directory)
        backfill.commit(AUTH, Cursor(begin_ms + 367_000, seq=1), 5_000)
        (store.directory / "backfill" / "no-backfill").mkdir()
        run("status", only_auth)
        out = capsys.readouterr().out
        stretch = "2023-11-14 22:13:20 UTC to 2023-11-14 22:30:00 UTC"
        assert f"  {stretch}: 36.7%, 5,000 events, stopped; the same command goes on from there" in out

        backfill.commit(AUTH, Cursor(end_ms, end_ms=end_ms, seq=2))
        run("status", only_auth, "--json")
        assert json.loads(capsys.readouterr().out)["backfills"][0]["share"] == 1.0
        run("status", only_auth)
        assert stretch not in capsys.readouterr().out


class TestOfARunningProgram:
    def test_it_is_asked_and_afterwards_seen_to_be_stopped(self, config, simulator, receiver, capsys, eventually):
        simulator.add("auth", 5, at_ms=now_ms() - 5_000)
        process = subprocess.Popen([sys.executable, "-m", "pipelines", "run", str(config)], stderr=subprocess.PIPE)
        try:
            assert receiver.wait_for(5, 60)

            def all_caught_up() -> bool:
                code = run("status", config)
                return code == exit_codes.OK and capsys.readouterr().out.startswith("all caught up\n")

            eventually(all_caught_up, "it is caught up", 60)
            assert run("status", config, "--json") == exit_codes.OK
            told = json.loads(capsys.readouterr().out)
            assert told["process"]["pid"] == process.pid
            assert {each["delivered"] for each in told["streams"]} == {0, 5}
        finally:
            process.terminate()
            process.communicate(timeout=60)

        assert process.returncode == exit_codes.OK
        assert run("status", config) == exit_codes.STOPPED
        out = capsys.readouterr().out
        assert re.search(r"main/auth to siem .* 5 ", out)
        kept = Path(config.parent / "checkpoints" / "main.auth.siem.json")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    def test_without_an_endpoint_it_is_seen_to_run_by_its_lock(self, only_auth, store, capsys):
        store.lock()
        try:
            store.commit(AUTH, position(0))
            assert run("status", only_auth) == exit_codes.OK
        finally:
            store.unlock()
        assert capsys.readouterr().out.startswith("caught up\n")

    def test_who_answers_in_place_of_the_program_is_not_believed(self, only_auth, store, capsys):
        """Another program has the port of one whose note is still there."""
        answer = b'{"v":1,"time_ms":1,"state":"caught_up","words":"forged","process":{"pid":1,"version":"","started_ms":0,'
        answer += b'"memory_bytes":0,"threads":0,"cpu_secs":0}}'
        with answering(answer) as port:
            store.lock()
            try:
                write_place(str(store.directory), f"http://127.0.0.1:{port}/")
                run("status", only_auth)
            finally:
                store.unlock()
        assert "forged" not in capsys.readouterr().out

    @pytest.mark.parametrize("command", ["status", "tap"])
    def test_what_a_killed_program_noted_leads_nobody_to_who_listens_there_now(
        self, only_auth, store, tmp_path, capsys, command
    ):
        """It could be another user's server, and know the number of the process that was: it must not get token and key."""
        only_auth.write_text(only_auth.read_text() + f"monitoring: {{token: 'file:{tmp_path / 'skey'}'}}\n")
        stopped_in_good_order(store)
        asked: list[str] = []
        with answering(b'{"v":1,"time_ms":1,"state":"caught_up","words":"forged"}', asked) as port:
            write_place(str(store.directory), f"http://127.0.0.1:{port}/", "key")
            assert run(command, only_auth) == exit_codes.STOPPED
        assert asked == []


class TestForScripts:
    @pytest.mark.parametrize(
        ("state", "without_a_limit", "with_one"),
        [
            (report.State.CAUGHT_UP, exit_codes.OK, exit_codes.OK),
            (report.State.READING, exit_codes.OK, exit_codes.BEHIND),
            (report.State.BEHIND, exit_codes.BEHIND, exit_codes.BEHIND),
            (report.State.WAITING, exit_codes.BEHIND, exit_codes.BEHIND),
            (report.State.STOPPED, exit_codes.STOPPED, exit_codes.STOPPED),
            (report.State.REFUSED, exit_codes.SUSPENDED, exit_codes.SUSPENDED),
            (report.State.SUSPENDED, exit_codes.SUSPENDED, exit_codes.SUSPENDED),
            (report.State.DAMAGED, exit_codes.SUSPENDED, exit_codes.SUSPENDED),
        ],
    )
    def test_the_exit_code_says_what_to_look_at(self, state, without_a_limit, with_one):
        lag_secs = 0.0 if state is report.State.CAUGHT_UP else 3600.0
        streams = (report.StreamReport("main", "auth", "siem", state, "x", lag_secs=lag_secs),)
        whole = report.Report(report.VERSION, 0, *words.of_run(streams), streams=streams)
        assert status.exit_code(whole, None) == without_a_limit
        assert status.exit_code(whole, 900.0) == with_one
        assert status.exit_code(whole, 7200.0) in (exit_codes.OK, exit_codes.STOPPED, exit_codes.SUSPENDED)

    def test_a_stream_that_reads_is_well_only_within_the_lag_that_is_allowed(self, only_auth, store, capsys):
        store.commit(AUTH, position(7_200))
        assert run("status", only_auth) == exit_codes.OK
        assert run("status", only_auth, "--max-lag", "15m") == exit_codes.BEHIND
        assert run("status", only_auth, "--max-lag", "3h") == exit_codes.OK

    def test_a_stream_that_was_never_read_is_further_behind_than_any_lag(self, config, store):
        store.commit(AUTH, position(0))
        assert run("status", config, "--max-lag", "9000d") == exit_codes.BEHIND

    @pytest.mark.parametrize("text", ["", "soon", "-5", "0", "1w", "nan"])
    def test_a_lag_that_is_no_span_is_an_error_of_the_command_line(self, config, text):
        assert run("status", config, f"--max-lag={text}") == exit_codes.CONFIG

    def test_json_is_one_line_of_ascii_that_says_the_same(self, only_auth, store, capsys):
        store.commit(AUTH, position(0), 7)
        store.commit(Subscription(Stream("n\x9b\u202e", "auth"), "siem"), position(0))
        assert run("status", only_auth, "--json") == exit_codes.OK
        out = capsys.readouterr().out
        assert out.isascii()
        assert out.count("\n") == 1
        told = json.loads(out)
        assert (told["v"], told["state"], told["words"], told["process"]) == (1, "caught_up", "caught up", None)
        by_account = {each["account"]: each for each in told["streams"]}
        assert by_account["main"]["delivered"] == 7
        assert by_account["n\x9b\u202e"]["state"] == "not_read"

    def test_every_field_of_the_report_is_described(self):
        described = (ROOT / "docs" / "status.md").read_text(encoding="utf-8")
        classes = [
            value for value in vars(report).values() if isinstance(value, type) and hasattr(value, "__dataclass_fields__")
        ]
        assert len(classes) >= 8
        for each in classes:
            for field in fields(each):
                assert f"`{field.name}`" in described, f"{each.__name__}.{field.name}"
        for state in report.State:
            assert f"`{state.value}`" in described

    def test_a_reader_who_has_gone_is_no_trouble_of_the_state(self, only_auth):
        command = [sys.executable, "-m", "pipelines", "status", str(only_auth)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == exit_codes.OK

    def test_it_needs_no_secret_and_no_beam(self, only_auth, tmp_path):
        (tmp_path / "skey").unlink()
        code = (
            "import sys; from pipelines import cli; code = cli.main(['status', sys.argv[1]])\n"
            "loaded = {'apache_beam', 'rich', 'grpc'} & set(sys.modules); assert not loaded, loaded; sys.exit(code)"
        )
        done = subprocess.run([sys.executable, "-c", code, str(only_auth)], capture_output=True, text=True, check=False)
        assert done.returncode == exit_codes.STOPPED, done.stderr

    def test_a_directory_that_cannot_be_listed_does_not_look_like_an_empty_one(self, config, tmp_path, capsys):
        (tmp_path / "checkpoints").write_text("a file")
        assert run("status", config) == exit_codes.STATE
        err = capsys.readouterr().err
        assert "checkpoints: Not a directory" in err
        assert "as the user that duologsync runs as" in err

    def test_a_directory_on_another_file_system_that_cannot_be_asked_says_so(self, config, capsys, monkeypatch):
        monkeypatch.setattr(FileSystems, "match", mock.Mock(side_effect=ConnectionError("no route")))
        monkeypatch.setattr(extras, "find_spec", lambda _: True)
        config.write_text(re.sub("checkpoint_dir: [^,]*,", "checkpoint_dir: 'gs://bucket/checkpoints',", config.read_text()))
        assert run("status", config) == exit_codes.STATE
        assert "The checkpoints in gs://bucket/checkpoints cannot be read now: ConnectionError" in capsys.readouterr().err


class TestOnATerminal:
    def test_it_is_a_table(self, only_auth, store):
        store.commit(AUTH, position(0), 7)
        shown = on_a_terminal(["status", str(only_auth)], until="\0")
        assert "main/auth to siem" in shown
        assert "\x1b[32mcaught up" in shown

    def test_watching_ends_quietly_with_ctrl_c(self, only_auth, store):
        store.commit(AUTH, position(0), 7)
        shown = on_a_terminal(["status", str(only_auth), "--watch", "1"], until="caught up", number=signal.SIGINT)
        assert "main/auth to siem" in shown
        assert "Traceback" not in shown
        assert "KeyboardInterrupt" not in shown
