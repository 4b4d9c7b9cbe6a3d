"""What an audit tells apart: filtered, dead, never read, not asked, refused; of several destinations, of MSPs, in parts."""

import json

import pytest

from pipelines import cli, exit_codes
from pipelines.audit import side
from pipelines.demo.receiver import SiemReceiver
from tests.audit.conftest import BEGIN_MS, DAY, END_MS, NOON_MS, THE_DAY, outcome
from tests.audit.test_audit_files import ROUTES, ids_of, lines_of
from transforms.destinations import KINDS
from transforms.destinations.file.stored import FileReader
from transforms.process import lifetime

FILE = "{{name: {name}, kind: file, path: '{path}', format: json{more}}}"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "duo" / "auth.log"


def written_to(path, name="siem", more=""):
    return FILE.format(name=name, path=path, more=more)


def test_dead_letters_are_told_with_their_reason_and_not_sent_by_fix(world, file, audited):
    world.write(written_to(file, more=", max_message_bytes: 2000"), routes=ROUTES)
    world.happen("auth", 10)
    world.happen("auth", 4, row_bytes=4000)
    world.deliver(lambda: len(lines_of(file)) == 10)

    code, (certificate,) = audited("--fix", "--wait", 1)
    found = outcome(certificate)
    assert (code, found["verdict"], found["dead"], found["stored"]) == (exit_codes.OK, "stored", {"oversize": 4}, 10)
    assert (found["read"], found["read_dead"], found["missing"]) == (14, 4, 0)
    assert len(lines_of(file)) == 10


@pytest.mark.parametrize("what", ["dropped", "replayed", "read again by a backfill"])
def test_a_dead_letter_that_is_gone_is_delivered_only_where_it_was_sent(world, audited, what):
    with SiemReceiver() as receiver:
        siem = f"name: siem, kind: tcp, host: 127.0.0.1, port: {receiver.port}, format: json"
        world.write(f"{{{siem}, max_message_bytes: 2000}}", routes=ROUTES)
        world.happen("auth", 10)
        world.happen("auth", 4, row_bytes=4000)
        world.deliver(lambda: receiver.total() == 10)
        code, (certificate,) = audited()
        assert (code, outcome(certificate)["dead"], outcome(certificate)["dropped"]) == (exit_codes.OK, {"oversize": 4}, 0)

        world.write(f"{{{siem}}}", routes=ROUTES)
        if what != "replayed":
            assert cli.main(["dead-letters", str(world.config), "drop", "--yes"]) == exit_codes.OK
        if what != "dropped":
            words = ["replay", str(world.config)] if what == "replayed" else ["backfill", str(world.config), *THE_DAY]
            assert cli.main(words) == exit_codes.OK
        lifetime.reset()

        code, (certificate,) = audited()
        found = outcome(certificate)
        assert (found["verdict"], found["dropped"]) == (("missing", 4) if what == "dropped" else ("delivered", 0))
        assert code == (exit_codes.INCOMPLETE if what == "dropped" else exit_codes.OK)

        if what == "dropped":  # a file of a replay would not be there any more either
            world.config.write_text(world.config.read_text().replace("storage: {", "storage: {dead_letter_keep_days: 1, "))
            code, (certificate,) = audited()
            assert (code, outcome(certificate)["verdict"]) == (exit_codes.INCOMPLETE, "unknown")


def test_a_destination_that_cannot_be_asked_is_judged_by_what_was_counted(world, audited):
    with SiemReceiver() as receiver:
        world.write(f"{{name: siem, kind: tcp, host: 127.0.0.1, port: {receiver.port}, format: json}}", routes=ROUTES)
        world.happen("auth", 50)
        world.deliver(lambda: receiver.total() == 50)

        code, (certificate,) = audited()
        found = outcome(certificate)
        assert (code, found["verdict"], found["stored"], found["read"]) == (exit_codes.OK, "delivered", None, 50)
        assert outcome(certificate, "activity")["verdict"] == "nothing"

        world.duo.add("auth", 3, at_ms=NOON_MS)  # published long after that time was read
        code, (certificate,) = audited("--fix")
        found = outcome(certificate)
        assert (code, found["verdict"], found["never_read"], found["late"]) == (exit_codes.INCOMPLETE, "missing", 3, 3)
        assert "backfill" in found["why"]
        assert receiver.total() == 50, "what nobody can name, nobody sends"

        assert cli.main(["backfill", str(world.config), *THE_DAY]) == exit_codes.OK
        lifetime.reset()
        code, (certificate,) = audited()
        assert (code, outcome(certificate)["verdict"], outcome(certificate)["backfilled"]) == (exit_codes.OK, "delivered", 53)


def test_dead_letters_that_cannot_be_read_are_told_and_do_not_stop_an_audit(world, file, audited, capsys):
    world.write(written_to(file), routes=ROUTES)
    world.happen("auth", 5)
    world.deliver(lambda: len(lines_of(file)) == 5)
    (world.tmp_path / "dead").mkdir(exist_ok=True)
    (world.tmp_path / "dead" / "damaged.avro").write_bytes(b"Obj\x01" + b"\xff" * 200)

    capsys.readouterr()
    assert world.audit(*THE_DAY) == exit_codes.OK
    assert "damaged.avro" in capsys.readouterr().err


def test_an_audit_says_that_certificates_before_it_were_changed_and_goes_on(world, file, audited, capsys):
    world.write(written_to(file), routes=ROUTES)
    world.happen("auth", 5)
    world.deliver(lambda: len(lines_of(file)) == 5)
    audited()
    path = world.tmp_path / "checkpoints" / "audit" / f"{DAY}.json"
    path.write_bytes(path.read_bytes().replace(b'"missing":0', b'"missing":1', 1))

    capsys.readouterr()
    assert world.audit(*THE_DAY) == exit_codes.OK
    assert "audit --verify says which" in capsys.readouterr().err
    assert world.audit("--verify") == exit_codes.TAMPERED


def test_without_evidence_nothing_is_claimed(world, audited):
    with SiemReceiver() as receiver:
        world.write(f"{{name: siem, kind: tcp, host: 127.0.0.1, port: {receiver.port}, format: json}}", routes=ROUTES)
        world.happen("auth", 5)
        world.deliver(lambda: receiver.total() == 5)
        hours = ("--from", f"{DAY}T00:00", "--to", f"{DAY}T23:00")

        code, (certificate,) = audited(*hours)
        assert (code, outcome(certificate)["verdict"]) == (exit_codes.INCOMPLETE, "unknown")


def test_of_two_destinations_only_the_one_that_lacks_an_event_gets_it(world, file, audited):
    other = file.with_name("other.log")
    routes = "routes:\n  - {log_types: [auth], destinations: [siem, other]}\n"
    world.write(written_to(file), written_to(other, "other"), routes=routes)
    world.happen("auth", 30)
    world.deliver(lambda: len(lines_of(file)) == len(lines_of(other)) == 30)
    other.write_text("".join(lines_of(other)[5:]))

    code, (certificate,) = audited("--fix", "--wait", 2)
    assert code == exit_codes.OK
    assert (outcome(certificate)["fixed"], outcome(certificate, destination="other")["fixed"]) == (0, 5)
    assert (len(lines_of(file)), len(lines_of(other))) == (30, 30)


def test_a_long_day_is_compared_in_parts_and_all_of_it_is_found_once(world, file, audited, monkeypatch):
    monkeypatch.setattr(side, "PART_KEYS", 700)
    world.write(written_to(file), routes=ROUTES)
    world.happen("auth", 4300)
    world.deliver(lambda: len(lines_of(file)) == 4300)
    lines = lines_of(file)
    taken = lines[3:2000:90] + lines[-2:]
    file.write_text("".join(line for line in lines if line not in taken))

    _, (certificate,) = audited()
    found = outcome(certificate)
    assert (found["stored"], found["missing"], found["repeats"]) == (4300 - len(taken), len(taken), 0)
    assert {each["id"] for each in found["named"]} == ids_of(taken)
    code, (certificate,) = audited("--fix", "--wait", 2)
    assert (code, outcome(certificate)["fixed"]) == (exit_codes.OK, len(taken))


class ShowsLate(FileReader):
    """Shows nothing at the first questions, as an index does that is not refreshed."""

    asked = 0

    def keys(self, stream, stretch):
        ShowsLate.asked += 1
        return iter(()) if ShowsLate.asked <= 2 else super().keys(stream, stretch)


def test_a_destination_that_indexes_late_is_asked_again_before_anything_is_sent_twice(world, file, audited, monkeypatch):
    from dataclasses import replace

    world.write(written_to(file), routes=ROUTES)
    world.happen("auth", 8)
    world.deliver(lambda: len(lines_of(file)) == 8)
    monkeypatch.setitem(KINDS, "file", replace(KINDS["file"], stored=ShowsLate))
    ShowsLate.asked = 0

    code, (certificate,) = audited("--fix", "--wait", 20, "--log-types", "auth")
    assert (code, outcome(certificate)["fixed"], len(lines_of(file))) == (exit_codes.OK, 0, 8)
    assert ShowsLate.asked == 3


def test_events_without_duo_s_id_are_not_taken_for_missing_ones_and_nothing_is_sent(world, file, audited):
    world.write(written_to(file), routes=ROUTES)
    world.happen("auth", 8)
    world.deliver(lambda: len(lines_of(file)) == 8)
    file.write_text("".join(json.dumps({**json.loads(line), "txid": None}) + "\n" for line in lines_of(file)))

    code, (certificate,) = audited("--fix", "--wait", 1)
    found = outcome(certificate)
    assert (code, found["verdict"], found["missing"]) == (exit_codes.INCOMPLETE, "unknown", 0)
    assert "id_field" in found["why"]
    assert len(lines_of(file)) == 8


def test_a_log_that_duo_refuses_is_unknown_and_costs_the_others_nothing(world, file, audited):
    world.write(written_to(file), routes=ROUTES)
    world.happen("auth", 8)
    world.deliver(lambda: len(lines_of(file)) == 8)
    world.duo.faults.add("status", "activity", status=403, times=None)

    code, (certificate,) = audited()
    assert (code, outcome(certificate)["verdict"]) == (exit_codes.INCOMPLETE, "stored")
    refused = outcome(certificate, "activity")
    assert (refused["verdict"], refused["duo"]) == ("unknown", None)
    assert "Duo does not serve it now" in refused["why"]


def test_refusals_of_the_rate_are_waited_out(world, file, audited):
    world.write(written_to(file), routes=ROUTES)
    world.happen("auth", 8)
    world.deliver(lambda: len(lines_of(file)) == 8)
    world.duo.faults.add("status", "auth", status=429, times=2, retry_after=1)

    code, (certificate,) = audited("--log-types", "auth")
    assert (code, outcome(certificate)["stored"]) == (exit_codes.OK, 8)


def test_every_child_of_an_msp_is_audited_as_itself(world, file, audited):
    template = str(file.with_name("{account}.log"))
    world.write(written_to(template), routes="routes:\n  - {log_types: [auth], destinations: [siem]}\n",
                account=", msp: true", )  # fmt: skip
    for child, count in (("DAAAAAAAAAAAAAAAAAA1", 6), ("DAAAAAAAAAAAAAAAAAA2", 9)):
        world.duo.add_child(child, f"Customer {child[-1]} <script>", "localhost")
        world.duo.add_backlog("auth", count, BEGIN_MS, END_MS - 1, account_id=child)
    logs = [file.with_name(f"main_{child}.log") for child in ("DAAAAAAAAAAAAAAAAAA1", "DAAAAAAAAAAAAAAAAAA2")]
    world.deliver(lambda: [len(lines_of(path)) for path in logs] == [6, 9])
    logs[1].write_text("".join(lines_of(logs[1])[1:]))

    code, (certificate,) = audited("--fix", "--wait", 2)
    found = {each["account"]: (each["verdict"], each["stored"], each["fixed"]) for each in certificate["streams"]}
    assert code == exit_codes.OK
    assert found == {
        "main/DAAAAAAAAAAAAAAAAAA1": ("stored", 6, 0),
        "main/DAAAAAAAAAAAAAAAAAA2": ("stored", 9, 1),
    }


def test_ids_that_repeat_are_as_many_events_as_duo_has(world, file, audited):
    world.write(written_to(file), routes=ROUTES)
    at_ms = NOON_MS
    rows = [{"txid": "same", "timestamp": at_ms // 1000, "result": result} for result in ("success", "denied", "fraud")]
    world.duo.add("auth", rows, at_ms=at_ms)
    world.deliver(lambda: len(lines_of(file)) == 3)
    file.write_text("".join(lines_of(file)[:2]))

    code, (certificate,) = audited()
    found = outcome(certificate)
    assert (code, found["duo"], found["stored"], found["missing"]) == (exit_codes.INCOMPLETE, 3, 2, 1)


def test_people_are_shown_what_is_missing_and_the_head_to_keep(world, file, capsys):
    world.write(written_to(file), routes=ROUTES)
    world.happen("auth", 8)
    world.deliver(lambda: len(lines_of(file)) == 8)
    (taken,) = lines_of(file)[3:4]
    file.write_text("".join(line for line in lines_of(file) if line != taken))

    capsys.readouterr()
    assert world.audit(*THE_DAY) == exit_codes.INCOMPLETE
    told = capsys.readouterr().out
    assert f"missing: {json.loads(taken)['txid']}, of {DAY}T" in told
    assert "main/auth to siem" in told
    assert "With --fix they are read and sent again" in told
    assert "Head: " in told
    assert "isotimestamp" not in told, "no event's content"
