"""Dead letters are on disk before a bundle ends, and readable whatever happened."""

import logging
import os
import pickle
import resource
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import apache_beam as beam
import fastavro
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as BeamTestPipeline

from tests.destinations.peers import destination
from transforms.coders import DuoEvent, Stream
from transforms.destinations.pool import UnreadMessages
from transforms.errors import RetryLater
from transforms.state.dead_letters import avro_files
from transforms.state.dead_letters.counts import count_letters
from transforms.state.dead_letters.letter import SCHEMA, DeadLetter, DeadLetterCoder, dead_letter, read_dead_letters
from transforms.state.dead_letters.local import DeadLetterFiles
from transforms.state.dead_letters.write import WriteDeadLetters, files_in, keep_unread

STREAM = Stream("acme/child 1", "auth", "api-1.duosecurity.com", "DA1")


def letter(number: int = 0, **changes) -> DeadLetter:
    values = {
        "time_ms": 1_700_000_000_123 + number,
        "account": STREAM.account,
        "log_type": STREAM.log_type,
        "api_host": STREAM.api_host,
        "account_id": STREAM.account_id,
        "destination": "siem",
        "format": "cef",
        "reason": "oversize",
        "detail": "The message is too long.",
        "raw": b'{"n":%d}' % number,
    }
    return DeadLetter(**{**values, **changes})


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.avro"))


def read_all(folder: Path) -> list[DeadLetter]:
    return [found for path in files(folder) for found in read_dead_letters(path)]


def run(step: WriteDeadLetters, letters: list[DeadLetter]) -> None:
    step.start_bundle()
    for one in letters:
        step.process(one)
    step.finish_bundle()


def test_what_is_written_is_read(tmp_path):
    folder = tmp_path / "deep" / "dead"
    run(WriteDeadLetters(str(folder)), [letter(n) for n in range(5)])
    run(WriteDeadLetters(str(folder)), [letter(n, account_id=None) for n in range(5, 7)])
    assert read_all(folder) == [letter(n) for n in range(5)] + [letter(n, account_id=None) for n in range(5, 7)]


def test_only_the_owner_may_read(tmp_path):
    folder = tmp_path / "dead"
    run(WriteDeadLetters(str(folder)), [letter()])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in files(folder)] == [0o600]


def test_one_file_per_stream_named_after_it(tmp_path):
    run(WriteDeadLetters(str(tmp_path)), [letter(0), letter(1, log_type="activity"), letter(2)])
    names = [path.name for path in files(tmp_path)]
    assert [name.rsplit(".", 3)[0] for name in names] == ["acme_child_1.activity", "acme_child_1.auth"]


def test_an_event_that_failed_becomes_a_letter():
    detail = "The row is not an object."
    found = dead_letter(DuoEvent(STREAM, b"[]"), "siem-1", "json", "not_json", detail)
    assert (found.reason, found.detail, found.raw, found.destination) == ("not_json", detail, b"[]", "siem-1")
    assert abs(found.time_ms / 1000 - time.time()) < 5
    assert DeadLetterCoder().decode(DeadLetterCoder().encode(found)) == found


def test_the_frozen_schema_reads_old_files(tmp_path):
    """A file that an earlier release wrote, without the newest field, must stay readable."""
    old = {**SCHEMA, "fields": [field for field in SCHEMA["fields"] if field["name"] != "message"]}
    with (tmp_path / "old.avro").open("wb") as file:
        fastavro.writer(file, old, [{k: v for k, v in letter_dict().items() if k != "message"}])
    assert read_all(tmp_path) == [letter()]


def letter_dict() -> dict:
    import msgspec

    return msgspec.structs.asdict(letter())


def test_a_file_cut_at_any_byte_is_readable_up_to_its_last_whole_block(tmp_path, caplog):
    run(WriteDeadLetters(str(tmp_path / "a")), [letter(n) for n in range(3)])
    run(WriteDeadLetters(str(tmp_path / "a")), [letter(n) for n in range(3, 5)])
    (path,) = files(tmp_path / "a")
    data = path.read_bytes()
    cut = tmp_path / "cut.avro"
    seen = Counter()
    for length in range(len(data) + 1):
        cut.write_bytes(data[:length])
        found = list(read_dead_letters(cut))
        assert found == [letter(n) for n in range(len(found))]
        seen[len(found)] += 1
    assert set(seen) == {0, 1, 2, 3, 4, 5}


def test_a_block_that_a_disk_has_damaged_costs_only_its_own_letters(tmp_path, caplog):
    run(WriteDeadLetters(str(tmp_path / "a")), [letter(n) for n in range(6)])
    (path,) = files(tmp_path / "a")
    data = path.read_bytes()
    marker = data[-16:]
    parts = data.split(marker)  # the header, the blocks, and nothing behind the last
    assert len(parts) == 8
    parts[3] = bytes(byte ^ 0x55 for byte in parts[3])
    damaged = tmp_path / "damaged.avro"
    damaged.write_bytes(marker.join(parts))
    assert list(read_dead_letters(damaged)) == [letter(n) for n in range(6) if n != 2]
    assert "is damaged" in caplog.text


def test_who_counts_again_and_again_says_nothing_of_damage(tmp_path, caplog):
    """A page that is left open would fill the log; and while a letter is written, its file looks as if it was cut short."""
    run(WriteDeadLetters(str(tmp_path / "a")), [letter(n) for n in range(3)])
    (path,) = files(tmp_path / "a")
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    (tmp_path / "a" / "other.avro").write_bytes(data[: data.index(data[-16:]) + 18] + b"\x55" * 30 + data[-16:])
    caplog.clear()
    assert count_letters(str(tmp_path / "a")).total() >= 2
    assert caplog.records == []


def test_a_damaged_header_is_not_taken_for_a_file_that_was_cut_short(tmp_path):
    run(WriteDeadLetters(str(tmp_path / "a")), [letter()])
    (path,) = files(tmp_path / "a")
    data = bytearray(path.read_bytes())
    data[30:60] = bytes(30)
    damaged = tmp_path / "damaged.avro"
    damaged.write_bytes(data)
    with pytest.raises(ValueError, match="a damaged one"):
        list(read_dead_letters(damaged))


def test_something_else_is_not_taken_for_letters(tmp_path):
    other = tmp_path / "x.avro"
    other.write_text("hello, this is no Avro")
    with pytest.raises(ValueError, match="not an Avro file"):
        list(read_dead_letters(other))


def test_rotation_by_size_and_day(tmp_path, monkeypatch):
    writer = DeadLetterFiles(str(tmp_path), rotate_bytes=2000)
    for n in range(20):
        writer.write([letter(n, raw=os.urandom(500))])
    assert 4 <= len(files(tmp_path)) <= 10
    before = len(files(tmp_path))
    monkeypatch.setattr("transforms.state.dead_letters.local.today", lambda: avro_files.today() + 1)
    writer.write([letter(99)])
    assert len(files(tmp_path)) == before + 1
    assert len(read_all(tmp_path)) == 21
    writer.close()


def test_a_file_that_was_taken_away_is_replaced(tmp_path):
    writer = DeadLetterFiles(str(tmp_path))
    writer.write([letter(1)])
    files(tmp_path)[0].unlink()
    writer.write([letter(2)])
    assert read_all(tmp_path) == [letter(2)]
    writer.close()


def test_a_full_disk_is_told_and_leaves_whole_blocks(tmp_path):
    writer = DeadLetterFiles(str(tmp_path))
    writer.write([letter(1)])
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (files(tmp_path)[0].stat().st_size + 700, hard))
        with pytest.raises(RetryLater):
            writer.write([letter(2, raw=os.urandom(2000))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert read_all(tmp_path) == [letter(1)]
    writer.write([letter(3)])
    assert read_all(tmp_path) == [letter(1), letter(3)]
    writer.close()


def test_what_is_synced_survives_kill_9_and_the_next_run_is_not_disturbed(tmp_path):
    program = (
        "import os, sys, signal\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from transforms.state.dead_letters.letter import DeadLetter\n"
        "from transforms.state.dead_letters.write import WriteDeadLetters\n"
        "step = WriteDeadLetters(sys.argv[1])\n"
        "for n in range(3):\n"
        "    step.start_bundle()\n"
        "    step.process(DeadLetter(time_ms=n, account='a', log_type='auth', reason='oversize', detail='', raw=b'{}'))\n"
        "    step.finish_bundle()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for runs in (1, 2):
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parents[2])], check=False, capture_output=True
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert len(files(tmp_path)) == runs
        assert [found.time_ms for found in read_all(tmp_path)] == [0, 1, 2] * runs


def test_the_log_counts_and_shows_no_event(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    secret = b'{"user":"alice"}'
    run(WriteDeadLetters(str(tmp_path)), [letter(raw=secret), letter(raw=secret, reason="not_json"), letter(raw=secret)])
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().endswith(": 3 events (1 not_json, 2 oversize). [DLS-E001]")
    assert "alice" not in record.getMessage()


def test_a_large_bundle_is_not_held_in_memory(tmp_path):
    step = WriteDeadLetters(str(tmp_path))
    step.start_bundle()
    for n in range(2500):
        step.process(letter(n))
    (kept,) = files_in(str(tmp_path))._kept.values()
    assert len(kept.unsynced) == 500
    assert step._held == []
    step.finish_bundle()
    assert len(read_all(tmp_path)) == 2500


def test_a_letter_is_in_its_file_before_the_next_event_is_sent(tmp_path):
    step = WriteDeadLetters(str(tmp_path))
    step.start_bundle()
    step.process(letter(1))
    assert read_all(tmp_path) == [letter(1)]


def test_whatever_the_names_and_causes_hold_can_be_written_and_read(tmp_path):
    odd = letter(
        account="msp/DA\ud800",
        log_type="auth",
        api_host="h\udfff",
        account_id="\x00\u2028",
        destination="ü",
        detail="bob \ud800" * 10_000,
    )
    run(WriteDeadLetters(str(tmp_path)), [odd, letter(account="x" * 5_000, time_ms=2**62), letter(time_ms=-1)])
    found = {(each.account[:6], each.api_host): each for each in read_all(tmp_path)}
    assert found["msp/DA", "h\\udfff"].account == "msp/DA\\ud800"
    assert found["msp/DA", "h\\udfff"].detail.startswith("bob \\ud800bob")
    assert len(found["msp/DA", "h\\udfff"].detail) == 2_000
    assert len(found) == 3
    assert DeadLetterCoder().decode(DeadLetterCoder().encode(odd)) == odd


def test_messages_that_may_be_unread_are_kept(tmp_path, caplog):
    keep_unread(str(tmp_path / "none"), [])
    assert not (tmp_path / "none").exists()
    keep_unread(str(tmp_path), [UnreadMessages(destination(7), STREAM, [b"one", b"two"])])
    found = read_all(tmp_path)
    assert [(f.reason, f.message, f.raw, f.account_id) for f in found] == [
        ("maybe_unread", b"one", b"", "DA1"),
        ("maybe_unread", b"two", b"", "DA1"),
    ]
    assert "2 maybe_unread" in caplog.text


def test_the_step_in_a_pipeline_counts_by_reason(tmp_path):
    with BeamTestPipeline() as pipeline:
        _ = pipeline | beam.Create([letter(n) for n in range(4)]) | beam.ParDo(WriteDeadLetters(str(tmp_path)))
    counters = {c.key.metric.name: c.committed for c in pipeline.result.metrics().query()["counters"]}
    assert counters == {"dead_letters_oversize": 4}
    assert len(read_all(tmp_path)) == 4


def test_the_step_pickles_before_and_after_use(tmp_path):
    step = WriteDeadLetters(str(tmp_path))
    run(step, [letter()])
    run(pickle.loads(pickle.dumps(step)), [letter(1)])
    assert len(read_all(tmp_path)) == 2


@pytest.fixture(autouse=True)
def _close_files(tmp_path):
    yield
    for folder in (tmp_path, tmp_path / "a", tmp_path / "deep" / "dead", tmp_path / "dead", tmp_path / "file" / "dead"):
        files_in(str(folder)).close()
