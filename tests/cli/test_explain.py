"""``explain`` and ``test``: what would be sent of an event, without sending anything."""

import json

import pytest

from pipelines import cli, exit_codes
from pipelines.tracing import log_of
from tests.events.conftest import golden_rows

CONFIG = """\
version: 2
accounts:
  - {name: main, api_host: api-1.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: "env:DUO_SKEY"}
  - {name: msp, msp: true, api_host: api-2.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: "env:DUO_SKEY"}
destinations:
  - {name: soc, kind: tcp, host: soc.example.com, port: 514, format: {name: json, envelope: false}, max_message_bytes: 480}
  - {name: lake, kind: tcp, host: lake.example.com, port: 514, format: cef}
routes:
  - {log_types: [auth], destinations: soc, accounts: main, where: "event.result == 'denied'", redact: {mask: [user.name]}}
  - {log_types: [auth], destinations: soc, accounts: main, where: "event.timestamp > 5", redact: {drop: [email]}}
  - {log_types: [activity], destinations: lake}
  - {log_types: [telephony], destinations: soc, function: "tests.events.own:nothing"}
"""
DENIED = '{"txid":"T","event_type":"authentication","result":"denied","user":{"name":"bob"}}'


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("DUO_SKEY", "s" * 40)
    path = tmp_path / "config.yml"
    path.write_text(CONFIG + f"storage: {{checkpoint_dir: {tmp_path}/checkpoints}}\n")
    return path


@pytest.fixture
def explained(config, tmp_path, capsys):
    def explain(row=None, *options):
        words = ["explain", str(config), *options]
        if row is not None:
            (tmp_path / "row.json").write_text(row)
            words += ["--row", str(tmp_path / "row.json")]
        assert cli.main(words) == exit_codes.OK, capsys.readouterr().err
        return capsys.readouterr().out

    return explain


def test_what_would_be_sent_is_shown_with_the_route_and_why_not_elsewhere(explained):
    assert explained(DENIED, "--account", "main") == (
        "auth of main, 82 bytes\n"
        f"    {DENIED}\n"
        "  → soc (tcp soc.example.com:514, json), 82 bytes, by routes.0\n"
        f"    {DENIED.replace('bob', '***')}\n"
        "  ✗ lake (tcp lake.example.com:514, cef): not sent\n"
        "    no route takes auth to it\n"
        "\n"
    )


def test_the_messages_alone_are_what_is_sent_byte_for_byte(config, capfdbinary, tmp_path):
    row = tmp_path / "row.json"
    row.write_bytes('{"txid":"T","result":"denied","event_type":"é\\ud800","x": 1.50}'.encode())
    assert cli.main(["explain", str(config), "--row", str(row), "--account", "main", "--bytes"]) == exit_codes.OK
    assert capfdbinary.readouterr().out == b'{"txid":"T","result":"denied","event_type":"\\u00e9\\ud800","x":1.5}\n'


@pytest.mark.parametrize(
    ("row", "options", "why"),
    [
        (DENIED.replace("denied", "x"), ("--account", "main"), "filter of routes.0 does not take it: event.result == 'denied'"),
        (DENIED.replace("denied", "x"), ("--account", "main"), "the filter of routes.1 does not take it: event.timestamp > 5"),
        (DENIED, ("--account", "msp/DA1"), "no route of auth to it is for msp/DA1"),
        (
            DENIED.replace("denied", "x").replace('"txid"', '"timestamp":"odd","txid"'), ("--account", "main"),
            "the filter of routes.1 cannot be applied to it: it is sent, with all redacted that any route redacts",
        ),
        (DENIED.replace("}}", '},"alias":"' + "x" * 500 + '"}'), (), "dead letter (oversize): The message has 5"),
        ('{"telephony_id":"T","phone":"x"}', (), "tests.events.own:nothing makes no row of it"),
        ('["bob"]', ("--log", "auth", "--account", "main"), "of auth to it"),
    ],
)  # fmt: skip
def test_why_an_event_is_not_sent_is_told(explained, row, options, why):
    if row.startswith("["):
        row, why = '"bob"', "becomes a dead letter (not_redactable)"
    assert why in explained(row, *options)


def test_without_a_row_one_is_invented_for_each_log_that_is_read(explained):
    out = explained()
    assert [line.partition(",")[0] for line in out.splitlines() if " of " in line and line[:1] != " "] == [
        "auth of main", "auth of msp/CHILD", "activity of main", "activity of msp/CHILD", "telephony of main",
        "telephony of msp/CHILD",
    ]  # fmt: skip
    assert "→ lake (tcp lake.example.com:514, cef)" in out


def test_several_rows_may_be_in_a_file(explained):
    assert explained(f"{DENIED}\n\n{DENIED}\n").count("auth of main") == 2
    assert explained(f"[{DENIED},\n{DENIED}]").count("auth of main") == 2
    assert explained(json.dumps(json.loads(DENIED), indent=2)).count("auth of main, 82 bytes") == 1


@pytest.mark.parametrize(
    ("row", "options", "told"),
    [
        ("", (), "holds no row"),
        ('{"x":1}', (), "the fields of row 1 do not tell its log: add --log"),
        (f"{DENIED}\n{{", (), "the fields of row 2 do not tell its log"),
        (DENIED, ("--account", "nobody"), "no account 'nobody'"),
    ],
)
def test_what_cannot_be_explained_is_told(config, tmp_path, capsys, row, options, told):
    (tmp_path / "row.json").write_text(row)
    assert cli.main(["explain", str(config), "--row", str(tmp_path / "row.json"), *options]) == exit_codes.CONFIG
    assert told in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(config, capsys):
    assert cli.main(["explain", str(config), "--row", "missing.json"]) == exit_codes.CONFIG
    assert "missing.json cannot be read: No such file or directory." in capsys.readouterr().err


def test_a_key_that_is_not_there_is_told(config, capsys, tmp_path):
    config.write_text(config.read_text().replace("mask: [user.name]", "hash: [user.name], key: 'env:NOT_THERE'"))
    (tmp_path / "row.json").write_text(DENIED)
    assert cli.main(["explain", str(config), "--row", str(tmp_path / "row.json")]) == exit_codes.CREDENTIALS
    assert "NOT_THERE is not set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("log_type", "name", "raw"), [each for each in golden_rows() if each[1] not in ("empty", "unexpected_types")]
)
def test_the_fields_of_a_row_tell_its_log(log_type, name, raw):
    old_logs = ("admin", "offline_enrollment")  # have the same fields
    assert log_of(raw) == (None if log_type in old_logs else log_type)


EXPECTATIONS = """\
tests:
  - name: refused log-ins are there, masked
    event: |
      {"txid":"T","event_type":"authentication","result":"denied",
       "user":{"name":"bob"}}
    expect:
      - {destination: soc, messages: ['{"txid":"T","event_type":"authentication","result":"denied","user":{"name":"***"}}']}
      - {destination: lake, sent: false}
  - name: calls are not
    log: telephony
    file: call.json
    expect:
      - {destination: soc, messages: []}
"""


@pytest.fixture
def tested(config, tmp_path, capsys):
    (tmp_path / "call.json").write_text('{"telephony_id":"T"}\n')

    def run(text):
        (tmp_path / "tests.yml").write_text(text)
        code = cli.main(["test", str(config), str(tmp_path / "tests.yml")])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def test_expectations_that_are_met(tested):
    assert tested(EXPECTATIONS) == (
        exit_codes.OK,
        "ok      refused log-ins are there, masked\nok      calls are not\n2 passed, 0 failed\n",
    )


# what is replaced, by what, and what is said
UNMET = {
    "another value": ("***", "bob", '-   "name": "bob"\n        ?            ^^^\n        +   "name": "***"'),
    "another message": ('[\'{"txid"', '[\'<1>{"txid"', "- <1>"),
    "fewer": ("messages: []", "messages: ['x']", "soc: no message sent, one message expected"),
    "nothing expected": ("lake, sent: false", "soc, sent: false", "soc: something is sent, but nothing is expected"),
    "nothing sent": ("lake, sent: false", "lake, sent: true", "lake: nothing is sent\n        no route takes auth to it"),
    "not in it": ("lake, sent: false", "soc, contains: [jane]", "soc: no message contains jane"),
    "in it": ("lake, sent: false", "soc, lacks: [txid]", "soc: a message contains txid"),
    "only space": ('[\'{"txid"', '[\'{ "txid"', "the same as JSON; only the space"),
}


@pytest.mark.parametrize("name", UNMET)
def test_an_expectation_that_is_not_met_is_shown_with_the_difference(tested, name):
    old, new, said = UNMET[name]
    assert EXPECTATIONS.count(old) == 1
    code, out = tested(EXPECTATIONS.replace(old, new))
    assert code == exit_codes.UNMET
    assert said in out
    assert out.endswith("1 passed, 1 failed\n")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tests:", "test:", "test: this key is not known here. Did you mean tests?"),
        ("lake, sent: false", "lake", "tests.0.expect.1.destination: nothing is expected of it"),
        ("file: call.json", "file: call.json\n    event: x", "tests.1.event: give either event or file"),
        ("lake, sent: false", "lkae, sent: false", "no destination 'lkae'"),
        ("file: call.json", "file: no.json", "no.json cannot be read"),
        ("log: telephony", "account: nobody", "no account 'nobody'"),
        ('"result":"denied",\n', '"result":"denied"}\n', "The event is 2 rows"),
    ],
)
def test_expectations_that_cannot_be_checked_are_told(tested, old, new, said):
    assert EXPECTATIONS.count(old) == 1
    code, out = tested(EXPECTATIONS.replace(old, new))
    assert code == exit_codes.CONFIG
    assert said in out
