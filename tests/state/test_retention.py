"""How long dead letters are kept: for ever, or as many days as somebody says, by a clock that can be trusted."""

import json
import logging
import os

import pytest

from transforms.notices import state
from transforms.settings import Storage
from transforms.state.dead_letters import retention
from transforms.state.dead_letters.files import only_one
from transforms.state.dead_letters.letter import DeadLetter, read_dead_letters
from transforms.state.dead_letters.local import DeadLetterFiles
from transforms.state.dead_letters.retention import Retention

DAY_SECS = 86_400.0
LETTER = DeadLetter(time_ms=1, account="main", log_type="auth", destination="siem", reason="oversize", detail="", raw=b"{}")


class Clock:
    """Both clocks move together, unless a test moves one."""

    def __init__(self, wall_secs):
        self.wall, self.monotonic = wall_secs, 0.0

    def wall_secs(self):
        return self.wall

    def monotonic_secs(self):
        return self.monotonic

    def sleep(self, secs):
        self.wall += secs
        self.monotonic += secs


@pytest.fixture
def dead(tmp_path):
    files = DeadLetterFiles(str(tmp_path / "dead"))
    files.write([LETTER, LETTER])
    files.close()
    return tmp_path / "dead"


def written_secs(folder):
    return max(path.stat().st_mtime for path in folder.glob("*.avro"))


def kept_in(folder):
    return [letter for path in folder.glob("*.avro*") for letter in read_dead_letters(path)]


def looked_after(folder, clock, *, keep_days, hours, is_right=lambda: True):
    """What looks after the letters, after so many hours of a run."""
    keeper = Retention(Storage("", str(folder), dead_letter_keep_days=keep_days), clock)
    for _ in range(hours * 6 + 1):
        clock.sleep(600)
        keeper.tend(is_right)
    return keeper


def test_without_a_word_they_are_kept_for_ever(dead):
    looked_after(dead, Clock(written_secs(dead) + 3650 * DAY_SECS), keep_days=None, hours=3)
    assert len(kept_in(dead)) == 2


def test_what_is_older_goes_and_is_counted_logged_and_written_down(dead, caplog):
    looked_after(dead, Clock(written_secs(dead) + 91 * DAY_SECS), keep_days=90, hours=3)

    assert kept_in(dead) == []
    assert f"2 dead letters older than 90 days removed from {dead}: 2 oversize." in caplog.text
    assert state.OLD_LETTERS_REMOVED.code in {getattr(record, "code", "") for record in caplog.records}
    (line,) = (dead / "dropped.jsonl").read_text().splitlines()
    assert json.loads(line)["letters"] == [
        {"account": "main", "log_type": "auth", "destination": "siem", "reason": "oversize", "count": 2}
    ]


def test_what_is_younger_stays(dead):
    looked_after(dead, Clock(written_secs(dead) + 89 * DAY_SECS), keep_days=90, hours=12)
    assert len(kept_in(dead)) == 2


def test_what_was_replayed_goes_after_as_many_days(dead):
    (path,) = dead.glob("*.avro")
    path.rename(f"{path}.replayed")
    clock = Clock((dead / f"{path.name}.replayed").stat().st_mtime + 91 * DAY_SECS)
    looked_after(dead, clock, keep_days=90, hours=3)
    assert list(dead.iterdir()) == []


def test_a_clock_that_is_ahead_for_a_while_removes_nothing(dead):
    clock = Clock(written_secs(dead))
    keeper = looked_after(dead, clock, keep_days=90, hours=2)
    clock.wall += 3650 * DAY_SECS
    clock.sleep(3600)
    keeper.tend(lambda: True)  # it jumped just now, and Duo has not been asked since
    for _ in range(30):
        clock.sleep(600)
        keeper.tend(lambda: False)  # Duo refuses calls that are signed with that time
    assert len(kept_in(dead)) == 2


def test_while_a_command_is_at_work_nothing_goes(dead):
    with only_one(str(dead)):
        looked_after(dead, Clock(written_secs(dead) + 91 * DAY_SECS), keep_days=90, hours=3)
    assert len(kept_in(dead)) == 2


def test_a_file_to_which_a_letter_came_just_before_it_was_taken_waits_on(dead, monkeypatch):
    clock = Clock(written_secs(dead) + 91 * DAY_SECS)
    keeper = looked_after(dead, clock, keep_days=90, hours=0)
    (path,) = dead.glob("*.avro")
    remove = keeper._remove

    def meanwhile(taken, before_secs):
        os.utime(path, (clock.wall, clock.wall))
        return remove(taken, before_secs)

    monkeypatch.setattr(keeper, "_remove", meanwhile)
    keeper.remove_old(90)
    assert len(kept_in(dead)) == 2


def test_a_file_that_cannot_be_read_is_not_removed_and_stops_nothing(dead, caplog):
    caplog.set_level(logging.INFO)
    broken = dead / "broken.avro"
    broken.write_bytes(b"no letters")
    clock = Clock(written_secs(dead) + 91 * DAY_SECS)
    looked_after(dead, clock, keep_days=90, hours=3)
    assert [path.name for path in dead.glob("broken*")]


def test_a_directory_that_grows_is_told_and_again_when_it_has_doubled(dead, caplog, monkeypatch):
    size_bytes = sum(path.stat().st_size for path in dead.iterdir())
    monkeypatch.setattr(retention, "_MANY_BYTES", size_bytes)
    keeper = looked_after(dead, clock := Clock(written_secs(dead)), keep_days=None, hours=3)
    assert caplog.text.count("The dead letters in") == 1
    assert "and are kept for ever" in caplog.text

    (dead / "more.avro").write_bytes(bytes(size_bytes))
    clock.sleep(3600)
    keeper.tend(lambda: True)
    assert caplog.text.count("The dead letters in") == 2


def test_a_directory_that_is_not_there_is_nothing_to_tell(tmp_path, caplog):
    looked_after(tmp_path / "nothing", Clock(0.0), keep_days=1, hours=3)
    assert caplog.text == ""


def test_a_file_whose_name_is_no_text_goes_like_others_and_stops_nothing(dead, caplog):
    (path,) = dead.glob("*.avro")
    path.rename(dead / os.fsdecode(b"\xff.avro"))
    looked_after(dead, Clock(written_secs(dead) + 91 * DAY_SECS), keep_days=90, hours=3)
    assert kept_in(dead) == []
    assert json.loads((dead / "dropped.jsonl").read_text())["letters"][0]["count"] == 2
