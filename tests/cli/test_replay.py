"""``duologsync replay``: dead letters, and any window of an archive, to any destination in any format."""

import json
import os
import re
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pipelines import cli, exit_codes
from pipelines.config import extras
from pipelines.replays import sending
from pipelines.replays.progress import Progress
from tests.destinations import toy
from tests.destinations.archive import toy_store
from tests.destinations.archive.test_archive import DAY_SECS, FIRST_SECS, kept, rows, sender_to
from tests.destinations.archive.test_archive import deliver as archive
from transforms.destinations import KINDS
from transforms.destinations.archive import reader
from transforms.formats import FORMATS
from transforms.records import Stream
from transforms.state.dead_letters.letter import DeadLetter, read_dead_letters
from transforms.state.dead_letters.write import files_in

LETTER = DeadLetter(
    time_ms=1, account="main", log_type="auth", destination="siem", format="json", reason="oversize", detail="",
    raw=b'{"txid":"t-1","isotimestamp":"2026-11-01T00:00:00+00:00"}',
)  # fmt: skip


def run(*words: object) -> int:
    try:
        return cli.main(["replay", *map(str, words)])
    except SystemExit as end:
        return int(end.code or 0)


def keep(tmp_path, *letters):
    files = files_in(str(tmp_path / "dead"))
    files.write(list(letters))
    files.close()


def letters_in(folder: Path) -> list[DeadLetter]:
    return [letter for path in sorted(folder.glob("*.avro")) for letter in read_dead_letters(path)]


@pytest.fixture
def siem(monkeypatch):
    """In the place of every destination over TCP: takes everything until a test says otherwise."""
    siem = toy.Siem(lambda _message: False)
    monkeypatch.setitem(KINDS, "tcp", replace(KINDS["tcp"], make=siem.make))
    return siem


def with_destinations(config: Path, *lines: str) -> None:
    more = "".join(f"  - {line}\n" for line in lines)
    config.write_text(config.read_text().replace("storage:", f"{more}storage:"))


def of_log(log_type: str, row: bytes, **changes) -> DeadLetter:
    return msgspec.structs.replace(LETTER, log_type=log_type, raw=row, **changes)


class TestDeadLetters:
    def test_dead_letters_are_sent_again_and_their_file_is_set_aside(self, config, receiver, tmp_path, capsys):
        keep(tmp_path, LETTER)

        assert run(config) == exit_codes.OK
        assert receiver.wait_for(1, 10)
        assert receiver.unique_ids("auth") == {"t-1"}
        assert not list((tmp_path / "dead").glob("*.avro"))
        assert list((tmp_path / "dead").glob("*.avro.replayed"))
        assert "1 delivered" in capsys.readouterr().out

    def test_what_is_undeliverable_again_is_kept_again(self, config, receiver, tmp_path):
        config.write_text(config.read_text().replace("format: json}", "format: json, max_message_bytes: 480}"))
        big = msgspec.structs.replace(LETTER, raw=b'{"a":"' + b"x" * 500 + b'"}')
        keep(tmp_path, LETTER, big)

        assert run(config) == exit_codes.DELIVERY
        assert receiver.wait_for(1, 10)
        (left,) = (tmp_path / "dead").glob("*.avro")
        assert [letter.raw for letter in read_dead_letters(left)] == [big.raw]

    def test_what_the_destination_rejects_again_stays_a_dead_letter_and_the_others_are_delivered(
        self, config, tmp_path, monkeypatch, capsys
    ):
        siem = toy.Siem(lambda message: b"t-2" in message)
        monkeypatch.setitem(KINDS, "tcp", replace(KINDS["tcp"], make=siem.make))
        letters = [msgspec.structs.replace(LETTER, raw=LETTER.raw.replace(b"t-1", b"t-%d" % n)) for n in range(1, 4)]
        keep(tmp_path, *letters)

        assert run(config) == exit_codes.DELIVERY
        assert siem.delivered == [letters[0].raw, letters[2].raw]
        assert "2 delivered, 1 undeliverable" in capsys.readouterr().out
        (left,) = (tmp_path / "dead").glob("*.avro")
        (again,) = read_dead_letters(left)
        assert (again.raw, again.reason, again.detail) == (letters[1].raw, "refused", "The toy does not like it.")
        files_in(str(tmp_path / "dead")).close()
        siem.refuses = lambda _message: False
        assert run(config) == exit_codes.OK
        assert siem.delivered[2:] == [letters[1].raw]
        assert "undeliverable" not in capsys.readouterr().out

    def test_a_file_whose_letters_a_receiver_was_not_seen_to_read_is_sent_again(self, config, receiver, tmp_path, monkeypatch):
        monkeypatch.setattr(sending, "_CLOSE_SECS", 0.3)
        keep(tmp_path, LETTER)
        receiver.stall()

        assert run(config) == exit_codes.DELIVERY
        assert not list((tmp_path / "dead").glob("*.replayed"))
        receiver.resume()
        assert run(config) == exit_codes.OK
        assert receiver.wait_for(1, 10)
        assert len(list((tmp_path / "dead").glob("*.replayed"))) == 1

    def test_letters_for_a_destination_that_is_gone_wait_until_one_is_named(self, config, receiver, tmp_path, capsys):
        keep(tmp_path, msgspec.structs.replace(LETTER, destination="old"))

        assert run(config) == exit_codes.DELIVERY
        assert receiver.total() == 0
        assert run(config, "--to", "siem") == exit_codes.OK
        assert receiver.wait_for(1, 10)

    def test_a_letter_that_a_running_copy_adds_meanwhile_is_sent_too(self, config, receiver, tmp_path, monkeypatch):
        files = files_in(str(tmp_path / "dead"))
        files.write([LETTER])
        added = msgspec.structs.replace(LETTER, raw=LETTER.raw.replace(b"t-1", b"t-2"))
        send = sending.Sending.send

        def send_while_another_writes(one, letters):
            monkeypatch.setattr(sending.Sending, "send", send)
            (taken,) = (tmp_path / "dead").glob("*.avro.replaying")
            (kept,) = files._kept.values()
            kept.file.append([msgspec.structs.asdict(added)])
            assert taken.exists()
            return send(one, letters)

        monkeypatch.setattr(sending.Sending, "send", send_while_another_writes)
        assert run(config) == exit_codes.OK
        files.close()

        assert receiver.wait_for(2, 10)
        assert receiver.unique_ids("auth") == {"t-1", "t-2"}

    def test_a_message_whose_event_is_gone_is_kept_as_it_is_with_the_new_reason(self, config, receiver, tmp_path):
        config.write_text(config.read_text().replace("format: json}", "format: json, max_message_bytes: 480}"))
        alone = msgspec.structs.replace(
            LETTER,
            raw=b"",
            message=b"m" * 500,
            reason="unconfirmed_at_exit",
            account_id="DA1",
            api_host="api.example",
        )
        keep(tmp_path, alone)

        for _ in range(2):
            assert run(config) == exit_codes.DELIVERY
            (left,) = (tmp_path / "dead").glob("*.avro")
            (again,) = read_dead_letters(left)
            assert again == msgspec.structs.replace(
                alone, time_ms=again.time_ms, reason="oversize", detail=again.detail, format="json"
            )
            assert again.time_ms > alone.time_ms
            files_in(str(tmp_path / "dead")).close()
        config.write_text(config.read_text().replace(", max_message_bytes: 480", ""))
        assert run(config) == exit_codes.OK
        assert receiver.wait_for(1, 10)

    def test_a_file_that_is_damaged_is_told_and_the_others_go_on(self, config, receiver, tmp_path, capsys):
        keep(tmp_path, LETTER)
        (good,) = (tmp_path / "dead").glob("*.avro")
        whole = good.read_bytes()
        (tmp_path / "dead" / "a.avro").write_bytes(b"no Avro at all")
        (tmp_path / "dead" / "b.avro.replaying").write_bytes(whole[::-1])
        (tmp_path / "dead" / "c.avro").mkdir()
        (tmp_path / "dead" / "d.avro").symlink_to(config)
        os.mkfifo(tmp_path / "dead" / "e.avro")
        for number, at in enumerate(range(4, len(whole), 97)):  # a byte of the header, or of the block, is another
            (tmp_path / "dead" / f"f{number}.avro").write_bytes(whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1 :])

        assert run(config) == exit_codes.DELIVERY
        assert receiver.wait_for(1, 10)
        out, err = capsys.readouterr()
        assert "files that cannot be read" in out
        assert "a.avro stays as it is" in err
        assert "Traceback" not in err
        assert {path.name for path in (tmp_path / "dead").glob("[a-e].avro*")} == {
            "a.avro", "b.avro.replaying", "c.avro", "d.avro", "e.avro"
        }  # fmt: skip

    def test_whatever_a_format_trips_over_is_a_letter_again(self, config, receiver, tmp_path, monkeypatch):
        other = msgspec.structs.replace(LETTER, raw=LETTER.raw.replace(b"t-1", b"t-2"))
        keep(tmp_path, LETTER, other)
        kind = FORMATS["json"]

        class Trips:
            def __init__(self, options):
                self._real = kind.make(options)

            def format(self, event):
                if b"t-1" in event.raw:
                    raise OverflowError("date value out of range")
                return self._real.format(event)

        monkeypatch.setitem(FORMATS, "json", replace(kind, make=Trips))
        assert run(config) == exit_codes.DELIVERY
        assert receiver.wait_for(1, 10)
        (left,) = (tmp_path / "dead").glob("*.avro")
        (again,) = read_dead_letters(left)
        assert (again.raw, again.reason) == (LETTER.raw, "format_failed")

    def test_letters_go_over_udp_as_well(self, config, tmp_path):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as siem:
            siem.bind(("127.0.0.1", 0))
            siem.settimeout(10)
            place = f"kind: udp, host: 127.0.0.1, port: {siem.getsockname()[1]}"
            config.write_text(re.sub(r"kind: tcp, host: 127.0.0.1, port: \d+", place, config.read_text()))
            keep(tmp_path, LETTER)
            assert run(config) == exit_codes.OK
            assert siem.recv(65_536) == LETTER.raw

    def test_letters_in_a_directory_that_others_can_write_to_are_not_believed(self, config, receiver, tmp_path, capsys):
        keep(tmp_path, LETTER)
        (tmp_path / "dead").chmod(0o777)
        assert run(config) == exit_codes.STATE
        assert "Run: chmod 700" in capsys.readouterr().out
        assert receiver.total() == 0

    def test_without_dead_letters_nothing_happens(self, config, capsys):
        assert run(config) == exit_codes.OK
        assert "no dead letters" in capsys.readouterr().out


class TestAChoiceOfDeadLetters:
    """What is not chosen stays what it was."""

    EARLY = of_log("auth", b'{"txid":"early","timestamp":1795046400}')
    LATE = of_log("auth", b'{"txid":"late","timestamp":1795132800}')
    OTHER = of_log("activity", b'{"activity_id":"other","ts":"2026-11-20T12:00:00Z"}')
    CHILD = of_log("auth", b'{"txid":"child","timestamp":1795132801}', account="msp/DA1", account_id="DA1")

    @pytest.mark.parametrize(
        ("words", "sent"),
        [
            ((), {"early", "late", "other", "child"}),
            (("--log-types", "activity"), {"other"}),
            (("--log-types", "activity,auth"), {"early", "late", "other", "child"}),
            (("--accounts", "msp"), {"child"}),
            (("--accounts", "msp/DA1,main"), {"early", "late", "other", "child"}),
            (("--from", "2026-11-20"), {"late", "other", "child"}),
            (("--to-time", "2026-11-20"), {"early"}),
            (("--from", "2026-11-20", "--to-time", "2026-11-20T00:00:01"), {"late"}),
            (("--where", "event.txid == 'late'"), {"late"}),
            (("--where", "log == 'activity' || account == 'msp/DA1'"), {"other", "child"}),
            (("--log-types", "auth", "--where", "event.txid != 'late'", "--from", "2026-11-20"), {"child"}),
        ],
    )
    def test_what_is_sent_and_what_waits(self, config, siem, tmp_path, words, sent):
        of = {"early": self.EARLY, "late": self.LATE, "other": self.OTHER, "child": self.CHILD}
        keep(tmp_path, *of.values())

        assert run(config, *words) == exit_codes.OK
        assert sorted(siem.delivered) == sorted(of[name].raw for name in sent)
        left = letters_in(tmp_path / "dead")
        assert sorted(left, key=lambda letter: letter.raw) == sorted(
            (letter for name, letter in of.items() if name not in sent), key=lambda letter: letter.raw
        )

    def test_a_file_of_which_nothing_is_chosen_is_left_alone(self, config, siem, tmp_path):
        keep(tmp_path, self.EARLY)
        before = sorted(path.name for path in (tmp_path / "dead").iterdir())

        assert run(config, "--log-types", "telephony") == exit_codes.OK
        assert sorted(path.name for path in (tmp_path / "dead").iterdir()) == before
        assert siem.delivered == []

    def test_an_event_of_which_a_filter_cannot_tell_is_sent(self, config, siem, tmp_path):
        keep(tmp_path, of_log("auth", b'{"txid":7}'), of_log("auth", b"no json at all"))

        run(config, "--where", "event.txid.startsWith('x')")
        assert b'{"txid":7}' in siem.delivered

    def test_of_a_letter_that_says_no_time_the_one_at_which_it_was_given_up_counts(self, config, siem, tmp_path):
        keep(tmp_path, of_log("auth", b'{"txid":"t"}', time_ms=(FIRST_SECS + 60) * 1000))

        assert run(config, "--from", "2026-11-20") == exit_codes.OK
        assert siem.delivered == []
        assert run(config, "--from", "2026-11-19") == exit_codes.OK
        assert siem.delivered == [b'{"txid":"t"}']

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (("--where", "event.txd == 'x'"), "--where: character "),
            (("--where", "event.txid =="), "--where: character "),
            (("--log-types", "auht"), "There is no log 'auht'. There are auth,"),
            (("--from", "2026-11-20", "--to-time", "2026-11-19"), "--from must be before --to-time."),
            (("--to", "nobody"), "no destination 'nobody'"),
            (("--from-archive", "/srv/x"), "name a destination with --to"),
            (("--format", "cfe"), "invalid choice: 'cfe'"),
            (("--from", "yesterday"), "is not a time"),
        ],
    )
    def test_a_mistake_is_told_and_nothing_is_sent(self, config, siem, tmp_path, capsys, words, told):
        keep(tmp_path, LETTER)

        assert run(config, *words) == exit_codes.CONFIG
        assert told in capsys.readouterr().err
        assert siem.delivered == []


class TestWhereAndHow:
    def test_in_another_format(self, config, siem, tmp_path):
        keep(tmp_path, LETTER)

        assert run(config, "--format", "cef") == exit_codes.OK
        (message,) = siem.delivered
        assert b"CEF:0|Cisco|Duo|" in message
        assert b"externalId=t-1" in message

    def test_a_dry_run_says_how_many_would_go_where_and_sends_and_changes_nothing(self, config, siem, tmp_path, capsys):
        with_destinations(config, "{name: lake, kind: file, path: lake.log, format: json}")
        keep(tmp_path, *[LETTER] * 3, of_log("activity", b"{}", destination="lake"))
        before = {path: path.read_bytes() for path in (tmp_path / "dead").iterdir()}

        assert run(config, "--dry-run") == exit_codes.OK
        out = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert out == [
            ["activity", "lake", "1"], ["auth", "siem", "3"],
            ["4", "events", "would", "be", "sent.", "Nothing", "was", "sent."],
        ]  # fmt: skip
        assert siem.delivered == []
        assert {path: path.read_bytes() for path in (tmp_path / "dead").iterdir()} == before
        assert not (tmp_path / "lake.log").exists()

    def test_what_a_route_redacts_is_redacted_and_what_it_filters_is_sent(self, config, siem, tmp_path):
        route = "{log_types: auth, destinations: siem, where: 'false', redact: {drop: [email]}}"
        config.write_text(config.read_text().replace("storage:", f"routes: [{route}]\nstorage:"))
        keep(tmp_path, of_log("auth", b'{"txid":"t","email":"ada@example.com"}'))

        assert run(config) == exit_codes.OK
        assert [json.loads(message) for message in siem.delivered] == [{"txid": "t"}]

    def test_what_fails_again_and_again_is_one_letter_with_the_last_reason(self, config, siem, tmp_path):
        siem.refuses = lambda _message: True
        keep(tmp_path, LETTER)
        for _ in range(3):
            assert run(config) == exit_codes.DELIVERY
            files_in(str(tmp_path / "dead")).close()
        (letter,) = letters_in(tmp_path / "dead")
        assert letter == msgspec.structs.replace(LETTER, time_ms=letter.time_ms, reason="refused", detail=letter.detail)

    def test_many_letters_are_sent_in_bundles_so_that_few_are_in_memory(self, config, siem, tmp_path, monkeypatch):
        monkeypatch.setattr(sending, "BUNDLE_LETTERS", 50)
        keep(tmp_path, *[of_log("auth", b'{"txid":"%d"}' % n) for n in range(1234)])
        sizes = []
        send = sending.Sending.send
        monkeypatch.setattr(sending.Sending, "send", lambda one, letters: sizes.append(len(letters)) or send(one, letters))

        assert run(config) == exit_codes.OK
        assert Counter(siem.delivered) == Counter(b'{"txid":"%d"}' % n for n in range(1234))
        assert max(sizes) == 50


class TestAnArchive:
    @pytest.fixture(params=["here", "toy"])
    def directory(self, request, tmp_path):
        yield str(tmp_path / "archive") if request.param == "here" else f"toy:/{tmp_path}/archive"
        toy_store.FAULTS.clear()

    def test_all_of_it_in_the_order_of_its_days(self, config, siem, directory):
        archive(sender_to(directory), rows(100, every_secs=3600))

        assert run(config, "--from-archive", directory, "--to", "siem") == exit_codes.OK
        assert siem.delivered == rows(100, every_secs=3600)
        assert kept(directory) == rows(100, every_secs=3600), "and it is as it was"

    def test_a_window_of_one_log_in_another_format(self, config, siem, directory):
        archive(sender_to(directory), rows(100, every_secs=3600))
        archive(sender_to(directory), [b'{"activity_id":"a","ts":"2026-11-20T12:00:00Z"}'], Stream("acme", "activity"))
        window = ("--from", "2026-11-20", "--to-time", "2026-11-20T06:00", "--log-types", "auth")

        assert run(config, "--from-archive", directory, "--to", "siem", *window, "--format", "cef") == exit_codes.OK
        ids = [re.search(rb"externalId=(\S+)", message).group(1) for message in siem.delivered]
        assert ids == [b"t-%d" % n for n in range(24, 30)]

    def test_by_the_name_of_its_destination_and_a_filter(self, config, siem, tmp_path):
        with_destinations(config, "{name: lake, kind: avro, directory: lake, format: json}")
        archive(sender_to(tmp_path / "lake"), rows(10))
        words = ("--from-archive", "lake", "--to", "siem", "--where", "event.txid.endsWith('7')")

        assert run(config, *words) == exit_codes.OK
        assert siem.delivered == rows(1, start=7)

    def test_what_is_refused_becomes_a_dead_letter_and_that_can_be_replayed(self, config, siem, tmp_path, capsys):
        archive(sender_to(tmp_path / "archive"), rows(3))
        siem.refuses = lambda message: b'"t-1"' in message

        assert run(config, "--from-archive", tmp_path / "archive", "--to", "siem") == exit_codes.DELIVERY
        assert "2 delivered, 1 undeliverable" in capsys.readouterr().out
        files_in(str(tmp_path / "dead")).close()
        (letter,) = letters_in(tmp_path / "dead")
        assert (letter.raw, letter.reason, letter.destination) == (rows(1, start=1)[0], "refused", "siem")
        siem.refuses = lambda _message: False
        assert run(config) == exit_codes.OK
        assert Counter(siem.delivered) == Counter(rows(3))

    def test_into_another_archive_it_makes_few_files_of_many(self, config, tmp_path):
        with_destinations(config, "{name: merged, kind: avro, directory: merged, format: json}")
        for number in range(50):
            archive(sender_to(tmp_path / "archive"), rows(4, start=4 * number, every_secs=600))

        assert run(config, "--from-archive", tmp_path / "archive", "--to", "merged") == exit_codes.OK
        assert kept(tmp_path / "merged") == rows(200, every_secs=600)
        assert len(reader.files_of(str(tmp_path / "archive"), reader.Window())) >= 50
        assert len(reader.files_of(str(tmp_path / "merged"), reader.Window())) == 2

    def test_into_itself_is_refused(self, config, tmp_path, capsys):
        with_destinations(config, "{name: lake, kind: avro, directory: lake, format: json}")
        assert run(config, "--from-archive", tmp_path / "lake", "--to", "lake") == exit_codes.CONFIG
        assert "into itself" in capsys.readouterr().err

    def test_one_that_is_not_there_is_told(self, config, tmp_path, capsys):
        assert run(config, "--from-archive", tmp_path / "nothing", "--to", "siem") == exit_codes.CONFIG
        assert "There is no archive in" in capsys.readouterr().err

    def test_a_damaged_file_is_told_and_the_others_go_on(self, config, siem, tmp_path, capsys):
        archive(sender_to(tmp_path / "archive"), rows(3, every_secs=DAY_SECS))
        first = min((tmp_path / "archive").rglob("*.avro"))
        first.write_bytes(first.read_bytes()[:-20])

        assert run(config, "--from-archive", tmp_path / "archive", "--to", "siem") == exit_codes.DELIVERY
        assert siem.delivered == rows(2, start=1, every_secs=DAY_SECS)
        out, err = capsys.readouterr()
        assert "1 files that cannot be read" in out
        assert str(first) in err

    def test_broken_off_it_says_from_which_day_on_it_goes_on(self, config, siem, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(sending, "BUNDLE_LETTERS", 10)
        with_destinations(config, "{name: away, kind: file, path: config.yml/x.log, format: json}")
        archive(sender_to(tmp_path / "archive"), rows(60, every_secs=3600))

        assert run(config, "--from-archive", tmp_path / "archive", "--to", "away") == exit_codes.DELIVERY
        assert "go on with --from 2026-11-19" in capsys.readouterr().err

    def test_what_says_no_time_goes_first_so_that_going_on_from_a_day_leaves_none_of_it_out(self, config, siem, tmp_path):
        archive(sender_to(tmp_path / "archive"), rows(3))
        archive(sender_to(tmp_path / "archive"), [b'{"txid":"undated"}'])

        assert run(config, "--from-archive", tmp_path / "archive", "--to", "siem") == exit_codes.OK
        assert siem.delivered == [b'{"txid":"undated"}', *rows(3)]

    def test_broken_off_among_those_it_names_no_day(self, config, siem, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(sending, "BUNDLE_LETTERS", 1)
        with_destinations(config, "{name: away, kind: file, path: config.yml/x.log, format: json}")
        archive(sender_to(tmp_path / "archive"), [b'{"txid":"a"}', b'{"txid":"b"}'])

        assert run(config, "--from-archive", tmp_path / "archive", "--to", "away") == exit_codes.DELIVERY
        assert "go on with" not in capsys.readouterr().err

    def test_a_dry_run_counts_what_is_chosen(self, config, siem, directory, capsys):
        archive(sender_to(directory), rows(30, every_secs=3600))

        assert run(config, "--from-archive", directory, "--to", "siem", "--to-time", "2026-11-20", "--dry-run") == exit_codes.OK
        assert capsys.readouterr().out.splitlines()[-1] == "24 events would be sent. Nothing was sent."
        assert siem.delivered == []

    def test_what_a_route_to_the_destination_redacts_is_redacted(self, config, siem, tmp_path):
        """An archive has events as Duo sent them; the SIEM is not to see all of that."""
        route = "{log_types: auth, destinations: siem, redact: {drop: [access_device.ip]}}"
        config.write_text(config.read_text().replace("storage:", f"routes: [{route}]\nstorage:"))
        archive(sender_to(tmp_path / "archive"), rows(2), Stream("main", "auth"))

        assert run(config, "--from-archive", tmp_path / "archive", "--to", "siem") == exit_codes.OK
        assert len(siem.delivered) == 2
        assert not any(b"192.0.2." in message for message in siem.delivered)


def test_letters_in_a_directory_of_another_file_system_are_replayed_there(config, siem, tmp_path, monkeypatch):
    monkeypatch.setitem(extras._FILE_SYSTEMS, "toy", ("json", ""))
    place = f"toy:/{tmp_path}/elsewhere"
    config.write_text(config.read_text().replace(f"dead_letter_dir: {tmp_path}/dead", f"dead_letter_dir: '{place}'"))
    files_in(place).write([LETTER, of_log("auth", b'{"txid":"t-2"}')])
    siem.refuses = lambda message: b"t-2" in message

    assert run(config) == exit_codes.DELIVERY
    assert siem.delivered == [LETTER.raw]
    assert [path.suffix for path in sorted((tmp_path / "elsewhere").iterdir())].count(".replayed") == 1
    siem.refuses = lambda _message: False
    assert run(config) == exit_codes.OK
    assert Counter(siem.delivered) == Counter([LETTER.raw, b'{"txid":"t-2"}'])
    assert list((tmp_path / "elsewhere").glob("*.avro")) == []


class TestProgress:
    def test_how_far_how_fast_and_how_long_it_will_take(self):
        progress = Progress(10_000)
        progress.add(2_500)
        assert progress.line(10) == "2,500 of 10,000 events (25%), 250 a second, about 30 s left"

    @pytest.mark.parametrize(("secs", "left"), [(100, "5 min 0 s"), (3000, "2 h 30 min")])
    def test_in_minutes_and_hours(self, secs, left):
        progress = Progress(10_000)
        progress.add(2_500)
        assert progress.line(secs).endswith(f"about {left} left")

    def test_at_its_end_and_of_nothing(self):
        progress = Progress(10)
        progress.add(10)
        assert progress.line(1) == "10 of 10 events (100%), 10 a second"
        assert Progress(0).line(0) == "0 of 0 events (100%), 0 a second"


@pytest.mark.servers
def test_many_letters_need_no_more_memory_than_a_few(config, tmp_path):
    """50 MB of events in one file, of which Python would make more than 100 if it held them all."""
    with_destinations(config, "{name: out, kind: file, path: out.log, format: json}")
    big = [
        of_log("auth", b'{"txid":"%d","x":"%s"}' % (n, os.urandom(500).hex().encode()), destination="out") for n in range(1000)
    ]
    files = files_in(str(tmp_path / "dead"))
    for _ in range(50):
        files.write(big)
    files.close()
    measured = (
        "import resource, sys; from pipelines import cli\n"
        "code = cli.main(sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024); sys.exit(code)"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def peak_mb(*words: object) -> int:
        done = subprocess.run(
            [sys.executable, "-c", measured, *map(str, words)], capture_output=True, text=True, env=env, check=False
        )
        assert done.returncode == exit_codes.OK, done.stderr
        return int(done.stdout.splitlines()[-1])

    idle = peak_mb("replay", config, "--log-types", "telephony")
    assert peak_mb("replay", config) - idle < 60
    with (tmp_path / "out.log").open("rb") as out:
        assert sum(1 for _ in out) == 50_000
