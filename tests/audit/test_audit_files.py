"""Audits of destinations that need no search: files and archives, from the whole program's run to the certificate."""

import json

import pytest

from pipelines import exit_codes
from tests.audit.conftest import BEGIN_MS, DAY, DAY_AFTER, DAY_BEFORE, END_MS, NOON_MS, outcome
from tests.conftest import now_ms
from transforms.days import DAY_MS, day_of

ROUTES = "routes:\n  - {log_types: [auth, activity], destinations: [siem]}\n"


@pytest.fixture
def file(world, tmp_path):
    """Where the events of the log auth are."""
    world.write(f"{{name: siem, kind: file, path: '{tmp_path}/duo/{{log_type}}.log', format: json}}", routes=ROUTES)
    return tmp_path / "duo" / "auth.log"


def lines_of(path):
    return path.read_text().splitlines(keepends=True) if path.exists() else []


def ids_of(lines):
    return {json.loads(line)["txid"] for line in lines}


def test_what_is_all_there_is_said_to_be_there(world, file, audited):
    world.happen("auth", 300)
    world.happen("activity", 20)
    world.deliver(lambda: len(lines_of(file)) == 300 and len(lines_of(file.with_name("activity.log"))) == 20)

    code, (certificate,) = audited()
    auth, activity = outcome(certificate), outcome(certificate, "activity")
    assert code == exit_codes.OK
    assert (certificate["day"], auth["verdict"]) == (DAY, "stored")
    assert (auth["duo"], auth["stored"], auth["read"]) == (300, 300, 300)
    assert (activity["verdict"], activity["duo"], activity["stored"]) == ("stored", 20, 20)
    assert (auth["missing"], auth["repeats"], auth["never_read"], auth["gone"]) == (0, 0, 0, 0)


def test_events_that_were_deleted_behind_our_back_are_named_sent_again_and_found_there(world, file, audited):
    world.happen("auth", 300)
    world.deliver(lambda: len(lines_of(file)) == 300)
    lines = lines_of(file)
    taken = lines[17:20] + lines[200:201]
    file.write_text("".join(line for line in lines if line not in taken))

    code, (certificate,) = audited()
    found = outcome(certificate)
    assert code == exit_codes.INCOMPLETE
    assert (found["verdict"], found["missing"], found["stored"], found["never_read"]) == ("missing", 4, 296, 0)
    assert {each["id"] for each in found["named"]} == ids_of(taken)

    code, (certificate,) = audited("--fix", "--wait", 5)
    found = outcome(certificate)
    assert code == exit_codes.OK
    assert (found["verdict"], found["fixed"], found["missing"], found["stored"]) == ("stored", 4, 0, 300)
    assert ids_of(lines_of(file)) == ids_of(lines)
    assert len(lines_of(file)) == 300, "nothing else was sent"

    code, (certificate,) = audited()
    assert (code, outcome(certificate)["stored"], certificate["revision"]) == (exit_codes.OK, 300, 3)
    assert world.audit("--verify") == exit_codes.OK


def test_what_is_there_twice_is_told_and_is_no_gap(world, file, audited):
    world.happen("auth", 10)
    world.deliver(lambda: len(lines_of(file)) == 10)
    file.write_text("".join(lines_of(file) + lines_of(file)[:3]))

    code, (certificate,) = audited()
    assert (code, outcome(certificate)["repeats"], outcome(certificate)["verdict"]) == (exit_codes.OK, 3, "stored")


def test_each_day_has_its_own_certificate_and_days_are_utc(world, file, audited):
    world.happen("auth", 30)
    world.happen("auth", 50, BEGIN_MS - DAY_MS)
    world.deliver(lambda: len(lines_of(file)) == 80)

    code, certificates = audited("--from", f"{DAY_BEFORE}T01:00+01:00", "--to", f"{DAY_AFTER}T01:00+01:00")
    assert code == exit_codes.OK
    assert [(each["day"], outcome(each)["duo"], outcome(each)["read"]) for each in certificates] == [
        (DAY_BEFORE, 50, 50),
        (DAY, 30, 30),
    ]


def test_part_of_a_day_can_be_audited(world, file, audited):
    world.happen("auth", 24)
    world.deliver(lambda: len(lines_of(file)) == 24)

    code, (certificate,) = audited("--from", f"{DAY}T06:00", "--to", f"{DAY}T18:00")
    assert (code, certificate["until_ms"] - certificate["from_ms"]) == (exit_codes.OK, DAY_MS // 2)
    assert 11 <= outcome(certificate)["stored"] == outcome(certificate)["duo"] <= 13


def test_events_that_the_program_has_not_come_to_are_no_loss_and_not_well_either(world, file, audited):
    world.happen("auth", 12)

    code, (certificate,) = audited("--fix")
    found = outcome(certificate)
    assert (code, found["verdict"], found["not_read"], found["missing"]) == (exit_codes.INCOMPLETE, "not_read", 12, 0)
    assert not file.exists()


def test_what_was_before_the_destination_s_beginning_is_no_gap(world, file, audited):
    world.write(
        f"{{name: siem, kind: file, path: '{file}', format: json}}",
        routes="routes:\n  - {log_types: [auth], destinations: [siem], from: now}\n",
    )
    world.happen("auth", 12)
    with_now = world.duo.add
    world.deliver(lambda: bool(lines_of(file)) or not with_now("auth", 1))

    code, (certificate,) = audited()
    found = outcome(certificate)
    assert (code, found["verdict"], found["before"], found["missing"]) == (exit_codes.OK, "nothing", 12, 0)


def test_an_event_that_duo_publishes_after_an_audit_is_late_in_the_next(world, file, audited):
    world.happen("auth", 12)
    world.deliver(lambda: len(lines_of(file)) == 12)
    audited()
    world.duo.add("auth", 2, at_ms=NOON_MS)

    code, (certificate,) = audited()
    found = outcome(certificate)
    assert (code, found["late"], found["never_read"], found["missing"]) == (exit_codes.INCOMPLETE, 2, 2, 2)
    code, (certificate,) = audited("--fix", "--wait", 5)
    assert (code, outcome(certificate)["fixed"], len(lines_of(file))) == (exit_codes.OK, 2, 14)


def test_a_file_that_was_renamed_meanwhile_counts(world, file, audited):
    world.happen("auth", 20)
    world.deliver(lambda: len(lines_of(file)) == 20)
    lines = lines_of(file)
    file.with_name("auth.log.20261101T000000Z-12.001").write_text("".join(lines[:10]))
    file.write_text("".join(lines[10:]) + '{"txid":"half a line')

    code, (certificate,) = audited()
    assert (code, outcome(certificate)["stored"]) == (exit_codes.OK, 20)


def test_an_archive_is_audited_by_its_rows(world, audited, tmp_path):
    world.write(f"{{name: siem, kind: avro, directory: '{tmp_path}/archive', format: json}}", routes=ROUTES)
    world.happen("auth", 40)
    world.happen("activity", 10)
    count = world.tmp_path / "archive"
    world.deliver(lambda: sum(int(path.name.split("-")[2]) for path in count.glob("*/*/*/*.avro")) == 50)

    code, (certificate,) = audited()
    assert (code, outcome(certificate)["stored"], outcome(certificate, "activity")["stored"]) == (exit_codes.OK, 40, 10)

    for path in count.glob("*/auth/*/*.avro"):
        path.unlink()
    code, (certificate,) = audited("--fix", "--wait", 2)
    assert (code, outcome(certificate)["fixed"]) == (exit_codes.OK, 40)


@pytest.mark.parametrize("written", ["cef", "leef", "ecs", "ocsf", "{name: json, envelope: true, header: rfc5424}"])
def test_every_format_can_be_audited_and_one_that_was_changed_since(world, file, audited, written):
    world.write(f"{{name: siem, kind: file, path: '{file}', format: {written}}}", routes=ROUTES)
    world.happen("auth", 15)
    world.deliver(lambda: len(lines_of(file)) == 15)
    assert audited()[0] == exit_codes.OK

    world.write(f"{{name: siem, kind: file, path: '{file}', format: json}}", routes=ROUTES)
    assert audited()[0] == exit_codes.OK


def test_a_certificate_that_was_changed_afterwards_has_an_exit_code_of_its_own(world, file, audited, capsys):
    world.happen("auth", 5)
    world.deliver(lambda: len(lines_of(file)) == 5)
    _, (certificate,) = audited()
    path = world.tmp_path / "checkpoints" / "audit" / f"{DAY}.json"
    path.write_bytes(path.read_bytes().replace(b'"stored":5', b'"stored":4'))

    capsys.readouterr()
    assert world.audit("--verify") == exit_codes.TAMPERED
    assert "was changed" in capsys.readouterr().out
    path.write_bytes(path.read_bytes().replace(b'"stored":4', b'"stored":5'))
    assert world.audit("--verify", "--head", certificate["sha256"]) == exit_codes.OK
    assert world.audit("--verify", "--head", "0" * 64) == exit_codes.TAMPERED


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--from", "2026-11-02", "--to", "2026-11-01"), "--from must be before --to"),
        (("--from", "2024-01-01", "--to", "2024-02-01"), "180 days"),
        (("--log-types", "telephony"), "no log 'telephony'"),
        (("--destinations", "other"), "no destination 'other'"),
        (("--accounts", "other"), "no account 'other'"),
        (("--head", "0" * 64), "--head is what --verify compares"),
    ],
)
def test_bad_words_end_with_a_message(world, file, words, what, capsys):
    assert world.audit(*words) == exit_codes.CONFIG
    assert what in capsys.readouterr().err


@pytest.mark.parametrize("secs", ["nan", "-1", "soon", "1e9"])
def test_a_time_to_wait_is_a_number_of_seconds(world, file, secs, capsys):
    with pytest.raises(SystemExit) as end:
        world.audit("--wait", secs)
    assert end.value.code == exit_codes.CONFIG
    assert "is no number of seconds" in capsys.readouterr().err


def test_yesterday_is_audited_where_nothing_is_said(world, file, capsys):
    world.happen("auth", 5)
    world.happen("auth", 5, END_MS)
    world.deliver(lambda: len(lines_of(file)) == 10)
    before = day_of(now_ms() - DAY_MS)
    assert world.audit() == exit_codes.OK
    (certificate,) = (world.tmp_path / "checkpoints" / "audit").glob("20*.json")
    assert certificate.stem in (before, day_of(now_ms() - DAY_MS)), "a midnight may have passed meanwhile"
