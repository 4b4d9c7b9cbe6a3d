"""``duologsync check``: what it tries, and how it says what came of it."""

import json
import re
import socket
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from unittest import mock

import pytest

from pipelines import exit_codes
from pipelines.checks.findings import Finding, one_cause_once
from pipelines.checks.marked_events import ID_PREFIX, USER, row_of
from tests.cli.test_status import run
from tests.conftest import now_ms
from tests.ports import free_port
from transforms.destinations import KINDS
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import BadDestination


class TestCheck:
    def test_a_configuration_that_works_is_found_good(self, config, simulator, capsys):
        simulator.add("auth", 3, at_ms=now_ms() - 60_000)

        assert run("check", config) == exit_codes.OK
        out = capsys.readouterr().out
        assert "3 events in the last hour" in out
        assert "siem (tcp" in out
        assert "2027-01-31" in out
        assert "FAILED" not in out

    def test_a_redaction_whose_key_cannot_be_read_is_found(self, config, capsys, monkeypatch):
        monkeypatch.delenv("NO_SUCH_KEY", raising=False)
        redact = "{hash: [user.name], key: 'env:NO_SUCH_KEY'}"
        config.write_text(config.read_text() + f"routes: [{{log_types: auth, destinations: siem, redact: {redact}}}]\n")

        assert run("check", config) == exit_codes.CREDENTIALS
        (found,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAILED")]
        assert "routes.0.redact.key" in found
        assert "NO_SUCH_KEY is not set" in found

    def test_wrong_keys_are_found(self, config, tmp_path, capsys):
        (tmp_path / "skey").write_text("b" * 40)

        assert run("check", config) == exit_codes.CREDENTIALS
        assert "ikey, skey and api_host" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("host", "word"), [("localhost, port: 1", "Connection refused"), ("api-1.invalid", "cannot be resolved")]
    )
    def test_a_duo_that_cannot_be_reached_says_nothing_of_the_keys_and_where_to_look(self, config, capsys, host, word):
        config.write_text(re.sub(r"localhost, port: \d+", host, config.read_text()))

        assert run("check", config) == exit_codes.UNREACHABLE
        out = capsys.readouterr().out
        assert word in out
        assert "DNS, firewall and proxy" in out
        assert "The keys could not be tried" in out
        assert "ikey" not in out

    def test_a_duo_that_does_not_answer_in_time_is_not_reached(self, config, simulator, capsys):
        config.write_text(config.read_text().replace("lag_secs: 0", "lag_secs: 0, request_timeout_secs: 1"))
        simulator.faults.add("hang", times=None)

        assert run("check", config) == exit_codes.UNREACHABLE
        assert "did not answer within 1 s" in capsys.readouterr().out

    def test_children_that_cannot_be_listed_for_want_of_a_connection_say_nothing_of_the_keys(self, config, capsys):
        text = re.sub(r"port: \d+", "port: 1, msp: true", config.read_text(), count=1)
        config.write_text(text)

        assert run("check", config) == exit_codes.UNREACHABLE
        assert "The keys could not be tried" in capsys.readouterr().out

    def test_a_call_that_duo_refuses_for_its_form_says_nothing_of_the_keys(self, config, simulator):
        simulator.faults.add("status", "auth", status=400)

        assert run("check", config) == exit_codes.UNREACHABLE

    def test_trouble_of_duo_s_own_says_nothing_of_the_keys(self, config, simulator, capsys):
        simulator.faults.add("status", "auth", status=503)

        assert run("check", config) == exit_codes.UNREACHABLE
        assert "Check again in a few minutes" in capsys.readouterr().out

    def test_a_destination_that_is_not_there_is_found(self, config, receiver, capsys):
        receiver.stop()

        assert run("check", config) == exit_codes.DELIVERY
        assert "cannot be reached" in capsys.readouterr().out

    def test_a_destination_that_nothing_can_send_to_is_a_finding_like_others(self, config, capsys, monkeypatch):
        refuses = mock.Mock(side_effect=BadDestination("siem: its key cannot be used."))
        monkeypatch.setitem(KINDS, "tcp", replace(KINDS["tcp"], make=refuses))

        assert run("check", config) == exit_codes.DELIVERY
        assert "siem: its key cannot be used." in capsys.readouterr().out

    def test_a_log_that_the_edition_lacks_is_told_and_does_not_fail(self, config, simulator, capsys):
        simulator.faults.add("status", "trustmonitor", status=403)

        assert run("check", config) == exit_codes.OK
        assert "main/trustmonitor" in capsys.readouterr().out


class TestOneCause:
    def test_is_told_once_for_all_logs_of_an_account(self, config, simulator, capsys):
        simulator.faults.add("status", status=503, times=None)
        assert run("check", config) == exit_codes.UNREACHABLE
        (failed,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAILED")]
        assert "main/auth, activity, telephony, trustmonitor" in failed

    def test_what_differs_is_told_by_itself(self):
        findings = [
            Finding(True, "a", "x"),
            Finding(False, "m/b", "y", 6),
            Finding(False, "m/c", "z", 6),
            Finding(False, "m/d", "y", 6),
        ]
        assert list(one_cause_once(findings)) == [
            Finding(True, "a", "x"),
            Finding(False, "m/b, d", "y", 6),
            Finding(False, "m/c", "z", 6),
        ]

    def test_many_are_counted(self):
        (told,) = one_cause_once(Finding(False, f"msp/{n}/auth", "y") for n in range(1000))
        assert told.what == "msp/0/auth, msp/1/auth, msp/2/auth, msp/3/auth and 996 others"


@pytest.mark.parametrize("words", [(), ("--send-test-event",)])
def test_columns_are_aligned(config, capsys, words):
    run("check", config, *words)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 + 4 * len(words)
    first_of_text = re.compile(
        r"(?:ok    |FAILED)  (?:main/\w+|siem \([^)]*\)|checkpoints|dead letters|test event to siem/\w+) +"
    )
    begins = {found.end() if (found := first_of_text.match(line)) else line for line in lines}
    assert len(begins) == 1, lines


def test_children_are_named_as_people_call_them(config, simulator, capsys):
    simulator.add_child("DA000000000000000001", "Example Dairy", "localhost")
    config.write_text(re.sub(r"port: \d+", lambda match: match.group() + ", msp: true", config.read_text(), count=1))
    assert run("check", config) == exit_codes.OK
    out = capsys.readouterr().out
    assert re.search(r"main/DA000000000000000001/auth +Example Dairy: 0 events in the last hour", out)


def test_json_holds_every_finding(config, receiver, capsys):
    receiver.stop()
    assert run("check", config, "--json") == exit_codes.DELIVERY
    told = json.loads(capsys.readouterr().out)
    assert (told["good"], told["code"]) == (False, exit_codes.DELIVERY)
    assert {finding["what"] for finding in told["findings"]} >= {"main/auth", "checkpoints", "dead letters"}
    (failed,) = [finding for finding in told["findings"] if not finding["good"]]
    assert failed["code"] == exit_codes.DELIVERY


class TestUdp:
    @pytest.fixture
    def over_udp(self, config):
        def written(port: int):
            config.write_text(
                re.sub(
                    r"kind: tcp, host: 127.0.0.1, port: \d+", f"kind: udp, host: 127.0.0.1, port: {port}", config.read_text()
                )
            )
            return config

        return written

    def test_a_port_where_nobody_listens_is_found(self, over_udp, capsys):
        assert run("check", over_udp(free_port())) == exit_codes.DELIVERY
        assert "Connection refused. Look whether its receiver listens there" in capsys.readouterr().out

    def test_a_port_that_takes_is_not_said_to_be_more_than_that_and_gets_no_message(self, over_udp, capsys):
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as listener:
            listener.bind(("127.0.0.1", 0))
            listener.settimeout(5)
            assert run("check", over_udp(listener.getsockname()[1])) == exit_codes.OK
            assert listener.recv(100) == b""
        assert "nobody refuses the port; UDP tells no more" in capsys.readouterr().out


class TestDirectories:
    def test_those_that_a_run_needs_are_told_and_none_is_made(self, config, tmp_path, capsys):
        config.write_text(config.read_text() + f"log_file: {tmp_path}/logs/duologsync.log\n")
        before = sorted(tmp_path.rglob("*"))
        assert run("check", config) == exit_codes.OK
        out = capsys.readouterr().out
        for what in ("checkpoints", "dead letters", "log file"):
            assert re.search(f"ok +{what} ", out)
        assert sorted(tmp_path.rglob("*")) == before

    def test_a_log_file_that_a_run_would_not_open_is_found(self, config, tmp_path, capsys):
        (tmp_path / "duologsync.log").symlink_to(tmp_path / "elsewhere")
        config.write_text(config.read_text() + f"log_file: {tmp_path}/duologsync.log\n")
        assert run("check", config) == exit_codes.STATE
        assert re.search(
            r"FAILED +log file +.*duologsync.log cannot be written: it is a symbolic link", capsys.readouterr().out
        )


class TestTestEvents:
    def test_one_of_each_log_arrives_and_what_was_accepted_is_told(self, config, receiver, capsys, tmp_path):
        assert run("check", config, "--send-test-event") == exit_codes.OK
        out = capsys.readouterr().out
        assert receiver.wait_for(4, 10)
        for log_type in ("auth", "activity", "telephony", "trustmonitor"):
            assert re.search(f"test event to siem/{log_type} +accepted: {ID_PREFIX}[0-9a-f-]{{36}}", out)
            (arrived,) = receiver.unique_ids(log_type)
            assert arrived.startswith(ID_PREFIX)
            assert arrived in out
        assert not (tmp_path / "checkpoints").exists()
        assert not (tmp_path / "dead").exists()

    def test_without_being_asked_none_is_sent(self, config, receiver):
        assert run("check", config) == exit_codes.OK
        assert receiver.total() == 0

    def test_a_destination_that_cannot_take_them_is_told_once(self, config, receiver, capsys, monkeypatch):
        monkeypatch.setattr("pipelines.checks.marked_events._PATIENCE_SECS", 0.5)
        receiver.stop()
        assert run("check", config, "--send-test-event") == exit_codes.DELIVERY
        failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAILED  test event")]
        assert len(failed) == 1, failed

    @pytest.mark.parametrize("log_type", sorted(LOG_TYPES))
    def test_a_row_says_when_it_was_and_that_it_is_a_test(self, log_type):
        at = datetime(2026, 11, 28, 13, 2, 10, tzinfo=timezone.utc)
        row = row_of(log_type, f"{ID_PREFIX}1", at)
        key = LOG_TYPES[log_type].row_key(row)
        assert key.time_ms == int(at.timestamp() * 1000)
        assert f"{ID_PREFIX}1".encode() in row
        if log_type in ("auth", "activity", "admin"):
            assert USER.encode() in row
