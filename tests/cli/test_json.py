"""``--json`` of the commands that a script may want to ask: one value on stdout, in ASCII, that says what the text says."""

import json
import re

import pytest

from pipelines import exit_codes
from tests.cli.test_status import run
from transforms.records import DuoEvent, Stream
from transforms.state.dead_letters.letter import dead_letter
from transforms.state.dead_letters.local import DeadLetterFiles


@pytest.fixture
def told(capsys):
    """What a command prints as JSON, and its exit code."""

    def of(*words: object):
        code = run(*words)
        out = capsys.readouterr().out
        assert out.isascii()
        values = [json.loads(line) for line in out.splitlines()]
        return code, values

    return of


def test_validate_tells_what_would_run(config, told):
    code, (found,) = told("validate", config, "--json")
    assert code == exit_codes.OK
    assert found["valid"] is True
    assert found["problems"] == []
    assert found["streams"][0] == {"account": "main", "children": False, "log_type": "auth", "destinations": ["siem"]}


def test_validate_tells_each_problem_with_its_place_and_its_fix(config, told):
    config.write_text(config.read_text().replace("kind: tcp", "kind: tcpx"))
    code, (found,) = told("validate", config, "--json")
    assert code == exit_codes.CONFIG
    assert found["valid"] is False
    (problem,) = found["problems"]
    assert problem["key"] == "destinations.0.kind"
    assert problem["line"] == 6
    assert problem["fix"]


def test_validate_of_a_secret_that_is_not_here_is_strict_where_it_is_asked_to_be(config, told, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    config.write_text(re.sub('"file:[^"]*"', '"env:NO_SUCH_KEY"', config.read_text()))
    code, (found,) = told("validate", config, "--json")
    assert (code, found["valid"]) == (exit_codes.OK, True)
    assert found["notices"]
    code, (found,) = told("validate", config, "--json", "--strict")
    assert code == exit_codes.CONFIG
    assert found["valid"] is False


def test_explain_tells_what_each_destination_gets(config, told):
    code, found = told("explain", config, "--log", "auth", "--json")
    assert code == exit_codes.OK
    (outcome,) = found
    assert (outcome["account"], outcome["log_type"], outcome["destination"]) == ("main", "auth", "siem")
    assert outcome["sent"] is True
    assert json.loads(outcome["messages"][0])["txid"]


def test_test_tells_what_is_met_and_what_is_not(config, told, tmp_path):
    tests = tmp_path / "tests.yml"
    tests.write_text(
        "tests:\n"
        '  - {name: goes there, log: auth, event: \'{"txid":"1"}\', expect: [{destination: siem, sent: true}]}\n'
        '  - {name: does not, log: auth, event: \'{"txid":"1"}\', expect: [{destination: siem, sent: false}]}\n'
    )
    code, (found,) = told("test", config, tests, "--json")
    assert code == exit_codes.UNMET
    assert (found["passed"], found["failed"]) == (1, 1)
    assert [each["met"] for each in found["tests"]] == [True, False]
    assert found["tests"][1]["differences"]


def test_replay_tells_what_became_of_the_letters(config, told, receiver, tmp_path):
    letters = DeadLetterFiles(str(tmp_path / "dead"))
    event = DuoEvent(Stream("main", "auth", "localhost"), b'{"txid":"T1"}')
    letters.write([dead_letter(event, "siem", "json", "too_long", "x")] * 3)
    letters.close()

    code, (found,) = told("replay", config, "--dry-run", "--json")
    assert (code, found["dry_run"]) == (exit_codes.OK, True)
    assert found["chosen"] == [{"log_type": "auth", "destination": "siem", "events": 3}]
    assert receiver.total() == 0

    code, (found,) = told("replay", config, "--json")
    assert code == exit_codes.OK
    assert found["counts"] == {"delivered": 3}
    assert receiver.wait_for(3, 10)


def test_dead_letters_are_told_in_ascii_whatever_their_names_are(config, told, tmp_path):
    letters = DeadLetterFiles(str(tmp_path / "dead"))
    event = DuoEvent(Stream("n\x9b\u202e", "auth", "localhost"), b'{"txid":"T1"}')
    letters.write([dead_letter(event, "siem", "json", "too_long", "x")])
    letters.close()
    code, found = told("dead-letters", config, "list", "--json")
    assert code == exit_codes.OK
    assert "n\x9b\u202e" in json.dumps(found, ensure_ascii=False)
