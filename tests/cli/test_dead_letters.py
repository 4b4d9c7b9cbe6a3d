"""``duologsync dead-letters``: what waits and why, shown without what is personal, and dropped only when somebody says so."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pipelines import cli, exit_codes
from pipelines.replays import dropping
from pipelines.replays.letter_choice import LetterChoice
from transforms.events.masking import masked
from transforms.state.dead_letters.files import only_one
from transforms.state.dead_letters.letter import DeadLetter, read_dead_letters
from transforms.state.dead_letters.local import DeadLetterFiles
from transforms.state.dead_letters.write import files_in

DAY_MS = 86_400_000
FIRST_MS = 1_795_000_000_000  # 2026-11-18T11:06:40Z
ROW = b'{"txid":"t-1","user":{"name":"ada"},"email":"ada@example.com","result":"denied","timestamp":1795000000}'
BIG = DeadLetter(
    time_ms=FIRST_MS, account="main", log_type="auth", destination="siem", format="json", reason="oversize",
    detail="The message has 70,000 bytes, and siem takes 65,536.", raw=ROW,
)  # fmt: skip
REFUSED = msgspec.structs.replace(BIG, log_type="activity", reason="refused", detail="400", time_ms=FIRST_MS + DAY_MS)


def run(*words: object) -> int:
    try:
        return cli.main(["dead-letters", *map(str, words)])
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture
def dead(tmp_path):
    """Three letters in two files of a program that has ended."""
    files = DeadLetterFiles(str(tmp_path / "dead"))
    files.write([BIG, REFUSED, msgspec.structs.replace(BIG, raw=ROW.replace(b"t-1", b"t-2"))])
    files.close()
    return tmp_path / "dead"


def kept_in(folder: Path) -> list[DeadLetter]:
    return [letter for path in sorted(folder.glob("*.avro*")) for letter in read_dead_letters(path)]


class TestList:
    def test_letters_are_counted_by_destination_log_day_and_reason(self, config, dead, capsys):
        assert run(config) == exit_codes.OK
        head, *rows, total = capsys.readouterr().out.splitlines()
        assert head.split() == ["destination", "log", "account", "day", "(UTC)", "reason", "letters"]
        assert [row.split() for row in rows] == [
            ["siem", "activity", "main", "2026-11-19", "refused", "1"],
            ["siem", "auth", "main", "2026-11-18", "oversize", "2"],
        ]
        assert total.startswith(f"3 dead letters in {dead} (2 files, 0.0 MB).")

    def test_as_json_it_says_the_same(self, config, dead, capsys):
        assert run(config, "list", "--json", "--reasons", "refused") == exit_codes.OK
        told = json.loads(capsys.readouterr().out)
        assert (told["directory"], told["total"], told["files"], told["unreadable"]) == (str(dead), 1, 2, {})
        assert told["letters"] == [
            {
                "destination": "siem",
                "log_type": "activity",
                "account": "main",
                "day": "2026-11-19",
                "reason": "refused",
                "count": 1,
            }
        ]

    @pytest.mark.parametrize(
        ("words", "count"),
        [
            (["--since", "2026-11-19"], 1), (["--before", "2026-11-19"], 2), (["--log-types", "auth"], 2),
            (["--accounts", "main"], 3), (["--accounts", "other"], 0), (["--destinations", "siem"], 3),
        ],
    )  # fmt: skip
    def test_some_can_be_chosen(self, config, dead, capsys, words, count):
        run(config, "list", "--json", *words)
        assert json.loads(capsys.readouterr().out)["total"] == count

    def test_where_there_are_none_it_says_so(self, config, tmp_path, capsys):
        assert run(config) == exit_codes.OK
        assert capsys.readouterr().out == f"There are no dead letters in {tmp_path / 'dead'}.\n"

    def test_a_file_that_cannot_be_read_is_named_and_the_others_are_counted(self, config, dead, capsys):
        (dead / "broken.avro").write_bytes(b"no letters")
        assert run(config) == exit_codes.STATE
        out = capsys.readouterr().out
        assert "3 dead letters" in out
        assert f"{dead / 'broken.avro'} cannot be read" in out

    def test_a_secret_is_not_needed(self, config, dead, tmp_path):
        (tmp_path / "skey").unlink()
        assert run(config) == exit_codes.OK

    def test_it_loads_no_beam(self, config, dead):
        script = "import sys; from pipelines import cli; cli.main(sys.argv[1:]); print('apache_beam' in sys.modules)"
        command = [sys.executable, "-c", script, "dead-letters", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.splitlines()[-1] == "False"


class TestShow:
    def test_what_is_personal_is_masked(self, config, dead, capsys):
        assert run(config, "show", "--log-types", "auth", "--limit", "1") == exit_codes.OK
        out = capsys.readouterr().out
        assert "ada" not in out
        assert out.splitlines() == [
            "2026-11-18 11:06:40 UTC  main/auth to siem: oversize",
            "    The message has 70,000 bytes, and siem takes 65,536.",
            '    {"txid":"t-1","user":{"name":"***"},"email":"***","result":"denied","timestamp":1795000000}',
            "1 dead letter shown, 1 more. What is personal is masked; --raw shows it.",
        ]

    def test_raw_shows_the_event_as_it_is_and_json_one_object_a_line(self, config, dead, capsys):
        assert run(config, "show", "--raw", "--json", "--reasons", "refused") == exit_codes.OK
        (line,) = capsys.readouterr().out.splitlines()
        assert json.loads(line)["event"] == ROW.decode()

    @pytest.mark.parametrize(
        ("raw", "shown"),
        [
            (b'{"new_field":"ada","by":{"ada@example.com":{"n":1}}}', '{"new_field":"***","by":{"***":{"n":1}}}'),
            (b'{"result":"ok","list":["a",1,null,true]}', '{"result":"ok","list":["***",1,null,true]}'),
            (b'{"state":"new","location":{"state":"Ohio"}}', '{"state":"new","location":{"state":"***"}}'),
            (b"<14>1 - ada logged in", "(21 bytes that are no JSON)"),
            (b"\xff\xfe", "(2 bytes that are no JSON)"),
            (b"[1]", "(3 bytes that are no JSON object)"),
            (b"[" * 5000, "(5000 bytes that are no JSON)"),
        ],
    )
    def test_whatever_it_is_nothing_that_is_not_known_to_be_harmless_is_shown(self, raw, shown):
        assert masked(raw) == shown


class TestDrop:
    def test_without_a_word_about_which_nothing_is_dropped(self, config, dead, capsys):
        assert run(config, "drop") == exit_codes.CONFIG
        assert "Nothing was dropped: say which, or --yes for all of them." in capsys.readouterr().out
        assert len(kept_in(dead)) == 3

    def test_only_what_is_chosen_goes_and_it_is_said_and_written_down(self, config, dead, capsys):
        assert run(config, "drop", "--reasons", "oversize") == exit_codes.OK
        assert capsys.readouterr().out.splitlines() == [
            "dropped 2 of main/auth to siem: oversize",
            "2 dead letters dropped for good.",
        ]
        assert kept_in(dead) == [REFUSED]
        record = json.loads((dead / "dropped.jsonl").read_text())
        assert record["letters"] == [
            {"account": "main", "log_type": "auth", "destination": "siem", "reason": "oversize", "count": 2}
        ]
        assert (dead / "dropped.jsonl").stat().st_mode & 0o077 == 0

    def test_what_of_a_file_is_not_chosen_is_kept(self, config, dead):
        mixed = [BIG, msgspec.structs.replace(BIG, reason="refused")]
        files_in(str(dead)).write(mixed)
        files_in(str(dead)).close()
        assert run(config, "drop", "--reasons", "oversize") == exit_codes.OK
        assert kept_in(dead) == [mixed[1], REFUSED] or kept_in(dead) == [REFUSED, mixed[1]]

    def test_all_go_with_a_yes(self, config, dead, capsys):
        assert run(config, "drop", "--yes") == exit_codes.OK
        assert kept_in(dead) == []
        assert "3 dead letters dropped for good." in capsys.readouterr().out

    def test_a_running_program_that_writes_meanwhile_loses_nothing(self, dead, monkeypatch):
        # It has the file open, and appends after the command has read it to its end.
        program = DeadLetterFiles(str(dead))
        program.write([BIG])
        late = msgspec.structs.replace(BIG, raw=b'{"txid":"late"}', time_ms=FIRST_MS + 900 * DAY_MS)
        write_down = dropping.Dropping._write_down

        def meanwhile(self, file, dropped):
            program.write([late], sync=False)
            write_down(self, file, dropped)

        monkeypatch.setattr(dropping.Dropping, "_write_down", meanwhile)
        dropping.Dropping(str(dead), LetterChoice(reasons=("oversize",))).run()
        program.sync([("main", "auth")])
        program.close()
        assert {letter.raw for letter in kept_in(dead)} == {REFUSED.raw, late.raw}

    def test_a_letter_that_came_after_the_command_began_was_never_shown_and_stays(self, dead):
        future = msgspec.structs.replace(BIG, time_ms=FIRST_MS + 900 * DAY_MS)
        files_in(str(dead)).write([future])
        files_in(str(dead)).close()
        dropping.Dropping(str(dead), LetterChoice()).run()
        assert kept_in(dead) == [future]

    def test_a_crash_before_it_was_written_down_drops_nothing(self, config, dead, monkeypatch, capsys):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(dropping.Dropping, "_write_down", full)
        assert run(config, "drop", "--yes") == exit_codes.STATE
        assert "No space left on device" in capsys.readouterr().err
        assert len(kept_in(dead)) == 3
        monkeypatch.undo()
        assert run(config, "list", "--json") == exit_codes.OK
        assert json.loads(capsys.readouterr().out)["total"] == 3

    def test_a_file_in_which_a_disk_has_damaged_a_block_stays_with_all_that_is_in_it(self, config, dead, capsys):
        """Whose the letters are that cannot be read, and whether they are chosen, nobody knows."""
        path = next(each for each in dead.glob("*.avro") if ".auth." in each.name)
        data = path.read_bytes()
        head, block, end = data.split(data[-16:])
        path.write_bytes(data[-16:].join([head, b"\x55" * len(block), block, end]))
        before = path.read_bytes()
        assert run(config, "drop", "--reasons", "oversize") == exit_codes.STATE
        assert path.read_bytes() == before
        assert not (dead / "dropped.jsonl").exists()
        assert "is damaged" in capsys.readouterr().err

    @pytest.mark.parametrize("verb", ["drop", "replay"])
    def test_while_another_command_is_at_work_nothing_is_taken(self, config, dead, capsys, verb):
        words = ["dead-letters", str(config), "drop", "--yes"] if verb == "drop" else ["replay", str(config)]
        with only_one(str(dead)):
            assert cli.main(words) == exit_codes.STATE
        assert "Another command is at work on the dead letters" in capsys.readouterr().err
        assert len(kept_in(dead)) == 3

    def test_letters_that_a_replay_left_when_it_died_can_be_dropped_too(self, config, dead):
        for path in dead.glob("*.avro"):
            path.rename(f"{path}.replaying")
        assert run(config, "drop", "--yes") == exit_codes.OK
        assert kept_in(dead) == []


def test_a_replay_that_fails_again_says_why(config, dead, capsys):
    config.write_text(config.read_text().replace("format: json}", "format: json, max_message_bytes: 480}"))
    files_in(str(dead)).write([msgspec.structs.replace(BIG, raw=b'{"a":"' + b"x" * 500 + b'"}')])
    files_in(str(dead)).close()
    assert cli.main(["replay", str(config)]) == exit_codes.DELIVERY
    assert "    1 to siem: oversize, such as: " in capsys.readouterr().out
