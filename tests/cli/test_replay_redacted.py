"""A replay sends nothing that a route to the destination redacts, whatever the letters hold."""

import pytest
from msgspec.structs import replace

from pipelines import cli, exit_codes
from pipelines.demo.receiver import SiemReceiver
from transforms.state.dead_letters.letter import DeadLetter, read_dead_letters
from transforms.state.dead_letters.write import files_in

ROW = b'{"txid":"T","user":{"name":"bob"},"email":"bob@example.com"}'
LETTER = DeadLetter(
    time_ms=1, account="main", log_type="auth", destination="siem", format="json", reason="oversize", detail="", raw=ROW
)
SELECTS = 'redact: {mask: [user.name], drop: [email]}, function: "tests.events.own:tagged", where: "event.result == \'x\'"'


@pytest.fixture
def receiver():
    with SiemReceiver(keep_messages=True) as receiver:
        yield receiver


@pytest.fixture
def replayed(tmp_path, receiver, monkeypatch):
    """Replays these letters into the receiver; the exit code."""
    monkeypatch.setenv("DUO_SKEY", "s" * 40)
    config = tmp_path / "config.yml"
    siem = f"kind: tcp, host: 127.0.0.1, port: {receiver.port}, format: json"
    config.write_text(
        f"""version: 2
accounts: [{{api_host: api-1.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: "env:DUO_SKEY"}}]
destinations: [{{name: siem, {siem}}}, {{name: other, {siem}}}]
routes:
  - {{log_types: [auth], destinations: siem, {SELECTS}}}
  - {{log_types: [auth], destinations: other}}
storage: {{checkpoint_dir: {tmp_path}/checkpoints, dead_letter_dir: {tmp_path}/dead}}
"""
    )

    def replay(*letters, to=()):
        files = files_in(str(tmp_path / "dead"))
        files.write(list(letters))
        files.close()
        return cli.main(["replay", str(config), *to])

    replay.kept = lambda: [letter for path in sorted((tmp_path / "dead").glob("*.avro")) for letter in read_dead_letters(path)]
    return replay


def test_a_letter_of_another_destination_is_redacted_and_changed_for_this_one(replayed, receiver):
    assert replayed(replace(LETTER, destination="other"), to=("--to", "siem")) == exit_codes.OK
    assert receiver.wait_for(1, 5)
    assert receiver.messages == [b'{"txid":"T","user":{"name":"***"}}']


def test_a_letter_that_failed_before_the_function_is_given_to_it_now(replayed, receiver):
    taken = ROW.replace(b'"txid"', b'"result":"x","txid"')
    assert replayed(replace(LETTER, format="", raw=taken), replace(LETTER, raw=taken)) == exit_codes.OK
    assert receiver.wait_for(2, 5)
    assert sorted(receiver.messages) == [
        b'{"result":"x","txid":"T","user":{"name":"***"},"tenant":"main/auth"}',
        b'{"result":"x","txid":"T","user":{"name":"***"}}',
    ]


def test_a_message_that_was_made_for_another_destination_is_not_sent_where_it_would_have_to_be_redacted(replayed, receiver):
    message = replace(LETTER, destination="other", raw=b"", message=ROW)
    assert replayed(message, to=("--to", "siem")) == exit_codes.DELIVERY
    [kept] = replayed.kept()
    assert (kept.reason, kept.message) == ("not_redactable", ROW)
    assert receiver.total() == 0


def test_what_cannot_be_redacted_is_not_sent_either(replayed, receiver):
    assert replayed(replace(LETTER, raw=b'"bob"')) == exit_codes.DELIVERY
    assert [kept.reason for kept in replayed.kept()] == ["not_redactable"]
    assert receiver.total() == 0
