"""The whole program where dead letters cannot be written: what needs one waits, and nothing is sent twice for it."""

import contextlib
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from tests.conftest import now_ms
from tests.servers.harness import Duo, Program, dead_letters, repeated, tcp, wait_until, write_config

pytestmark = pytest.mark.servers
MOST_BYTES = 3_000
LOGS = ["auth", "activity"]


def add_events_with_a_long_one_in_the_middle(duo: Duo) -> None:
    """5,000 log-ins, of which the 2,501st is too long for the destination, and another log beside them."""
    end = now_ms() - 5_000
    duo.simulator.add_backlog("auth", 2_500, end - 40_000_000, end - 20_001_000)
    duo.simulator.add("auth", 1, at_ms=end - 20_000_000, row_bytes=MOST_BYTES + 1_000)
    duo.simulator.add_backlog("auth", 2_499, end - 19_999_000, end)
    duo.simulator.add_backlog("activity", 500, end - 40_000_000, end)


def test_an_unwritable_directory_costs_no_repeat_and_holds_only_its_own_stream(tmp_path):
    place = tmp_path / "dead-letters"
    place.write_text("a file, where the directory should be: this stops root as well")
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        add_events_with_a_long_one_in_the_middle(duo)
        config = write_config(tmp_path, duo, [tcp(siem.port, max_message_bytes=MOST_BYTES)], log_types=LOGS)
        with Program(tmp_path, "run", config) as program:
            wait_until(lambda: "Until they can, what needs one waits" in program.log(), "the trouble in the log")
            time.sleep(5)
            duo.simulator.add("activity", 3)
            wait_until(lambda: len(siem.unique_ids("activity")) == 503, "the other log, beside the one that waits")
            assert len(siem.unique_ids("auth")) < 4_999
            place.unlink()
            wait_until(lambda: len(siem.unique_ids("auth")) == 4_999, "the rest of the log-ins")
            wait_until(lambda: len(dead_letters(tmp_path)) == 1, "the dead letter")
            assert program.end() == exit_codes.OK

    assert repeated(siem) == {"auth": 0, "activity": 0}
    assert [letter.reason for letter in dead_letters(tmp_path)] == ["oversize"]
    assert any("holds what needs a dead letter" in line for line in program.lines("ERROR"))  # told at the start already
    assert "Traceback" not in program.log()


def test_a_directory_that_goes_away_in_mid_run_costs_no_repeat(tmp_path):
    place = tmp_path / "dead-letters"
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.simulator.add("auth", 1, row_bytes=MOST_BYTES + 1_000)
        config = write_config(tmp_path, duo, [tcp(siem.port, max_message_bytes=MOST_BYTES)], log_types=["auth"])
        with Program(tmp_path, "run", config) as program:
            # It is safe then; one that is not synced when the directory goes away is written again.
            wait_until(lambda: ": 1 event (" in program.log(), "the first dead letter")
            shutil.rmtree(place)
            place.write_text("in the way")
            duo.simulator.add("auth", 200)
            duo.simulator.add("auth", 1, row_bytes=MOST_BYTES + 1_000)
            duo.simulator.add("auth", 200)
            wait_until(lambda: "Until they can, what needs one waits" in program.log(), "the trouble in the log")
            time.sleep(3)
            place.unlink()
            wait_until(lambda: len(siem.unique_ids("auth")) == 400, "the rest")
            wait_until(lambda: len(dead_letters(tmp_path)) == 1, "the second dead letter")
            assert program.end() == exit_codes.OK

    assert repeated(siem) == {"auth": 0}
    assert "Traceback" not in program.log()


def test_asked_to_end_while_a_letter_waits_it_ends_and_goes_on_there_at_the_next_start(tmp_path):
    place = tmp_path / "dead-letters"
    place.write_text("in the way")
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        add_events_with_a_long_one_in_the_middle(duo)
        config = write_config(tmp_path, duo, [tcp(siem.port, max_message_bytes=MOST_BYTES)], log_types=LOGS)
        with Program(tmp_path, "run", "--grace-secs", "2", config) as program:
            wait_until(lambda: "Until they can, what needs one waits" in program.log(), "the trouble in the log")
            assert program.end() == exit_codes.DELIVERY
        place.unlink()
        with Program(tmp_path, "run", config) as program:
            wait_until(lambda: len(siem.unique_ids("auth")) == 4_999, "the rest of the log-ins")
            wait_until(lambda: len(dead_letters(tmp_path)) == 1, "the dead letter")
            assert program.end() == exit_codes.OK
    assert "Traceback" not in program.log()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own for dead letters, with room for little."""
    place = tmp_path / "dead-letters"
    place.mkdir(mode=0o700)
    mounting = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(place)], check=False)
    if mounting.returncode:
        pytest.skip("not allowed here: to mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_full_in_mid_run_costs_no_repeat_and_no_letter_twice(tmp_path, small_disk):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.simulator.add("auth", 1, row_bytes=MOST_BYTES + 1_000)
        config = write_config(tmp_path, duo, [tcp(siem.port, max_message_bytes=MOST_BYTES)], log_types=["auth"])
        with Program(tmp_path, "run", config) as program:
            wait_until(lambda: len(dead_letters(tmp_path)) == 1, "the first dead letter")
            fill(small_disk / "filler")
            duo.simulator.add("auth", 200)
            duo.simulator.add("auth", 3, row_bytes=MOST_BYTES + 1_000)
            duo.simulator.add("auth", 200)
            wait_until(lambda: "No space left on device" in program.log(), "the trouble in the log")
            time.sleep(4)
            (small_disk / "filler").unlink()
            wait_until(lambda: len(siem.unique_ids("auth")) == 400, "the rest")
            wait_until(lambda: len(dead_letters(tmp_path)) == 4, "the other dead letters")
            assert program.end() == exit_codes.OK
        assert len(dead_letters(tmp_path)) == 4
        assert len(list(small_disk.glob("*.avro"))) == 1

    assert repeated(siem) == {"auth": 0}
    assert "Traceback" not in program.log()


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024))


def test_a_disk_that_is_read_only_at_the_start_is_told_and_holds_what_needs_a_letter(tmp_path, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        add_events_with_a_long_one_in_the_middle(duo)
        config = write_config(tmp_path, duo, [tcp(siem.port, max_message_bytes=MOST_BYTES)], log_types=LOGS)
        with Program(tmp_path, "run", config) as program:
            wait_until(lambda: "Read-only file system" in program.log(), "the trouble in the log")
            assert any("holds what needs a dead letter" in line for line in program.lines("ERROR"))
            time.sleep(3)
            subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
            wait_until(lambda: len(siem.unique_ids("auth")) == 4_999, "the rest of the log-ins")
            wait_until(lambda: len(dead_letters(tmp_path)) == 1, "the dead letter")
            assert program.end() == exit_codes.OK
        assert len(dead_letters(tmp_path)) == 1

    assert repeated(siem) == {"auth": 0, "activity": 0}
