"""Where dead letters cannot be written, their bundle waits and nothing is lost, repeated or sent past them."""

import errno
import logging
import os
import shutil
import threading
import time
from contextlib import contextmanager

import pytest

from tests.state.test_dead_letters import STREAM, files, letter, read_all, run
from transforms.destinations.circuit_breaker import CIRCUIT_BREAKERS
from transforms.errors import DeliveryTimeout, RetryLater, Stopping
from transforms.metrics.catalog import BUNDLES_FAILED, DEAD_LETTER_WRITE_FAILURES
from transforms.metrics.registry import METRICS, of_stream
from transforms.notices import state
from transforms.process import until_done
from transforms.process.retry import RetryPolicy
from transforms.process.shutdown import FAILURES, STOP
from transforms.records import Subscription
from transforms.state.dead_letters import avro_files
from transforms.state.dead_letters.local import DeadLetterFiles
from transforms.state.dead_letters.write import WriteDeadLetters, files_in

TO_SIEM = Subscription(STREAM, "siem")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "file" / "dead"


@pytest.fixture
def in_the_way(tmp_path):
    """A file where the directory's parent should be: that stops root, too."""
    place = tmp_path / "file"
    place.write_text("in the way")
    return place


@contextmanager
def in_a_thread(work):
    errors = []

    def guarded():
        try:
            work()
        except Exception as error:  # shown by the test
            errors.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    yield thread
    thread.join(20)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_a_bundle_waits_at_its_first_letter_until_the_directory_can_be_written(folder, in_the_way, caplog):
    caplog.set_level(logging.INFO)
    step = WriteDeadLetters(str(folder))
    step.start_bundle()
    with in_a_thread(lambda: step.process(letter())) as waiting:
        time.sleep(0.7)
        assert waiting.is_alive()
        in_the_way.unlink()
    step.finish_bundle()
    assert read_all(folder) == [letter()]
    assert len(files(folder)) == 1
    told = [record for record in caplog.records if "cannot be written" in record.getMessage()]
    assert [record.levelname for record in told] == ["ERROR"]
    assert "Dead letters can be written to" in caplog.text


def test_what_is_held_is_told_again_each_minute(folder, in_the_way, caplog, monkeypatch):
    class Clock:
        now = 0.0

        def monotonic_secs(self):
            self.now += 15.0
            return self.now

    held = until_done.Insistence("Letters can be written", state.DEAD_LETTERS_NOT_WRITTEN, Clock())
    failures = iter([RetryLater("No room.", kind="dead_letters")] * 12)

    def attempt():
        for failure in failures:
            raise failure

    monkeypatch.setattr(until_done, "_RETRY", RetryPolicy(0.0, 0.0))
    held.until_done(attempt)
    assert held.failed == 12
    assert 4 <= sum(record.levelname == "ERROR" for record in caplog.records) <= 7


def test_the_end_of_the_grace_period_ends_the_wait(folder, in_the_way):
    threading.Timer(0.2, STOP.request, args=(0.2,)).start()
    with pytest.raises(Stopping):
        run(WriteDeadLetters(str(folder)), [letter()])
    assert isinstance(FAILURES.take(TO_SIEM), Stopping)


def test_on_a_streaming_runner_the_delivery_timeout_ends_it_and_the_stream_is_held_until_it_can_be_written(
    folder, in_the_way, eventually
):
    step = WriteDeadLetters(str(folder), timeout_secs=0.4)
    with pytest.raises(DeliveryTimeout):
        run(step, [letter()])
    assert isinstance(FAILURES.take(TO_SIEM), DeliveryTimeout)
    assert CIRCUIT_BREAKERS.held(TO_SIEM)
    assert METRICS.of(DEAD_LETTER_WRITE_FAILURES)[of_stream(TO_SIEM)] >= 1
    assert METRICS.of(BUNDLES_FAILED) == {of_stream(TO_SIEM): 1}
    in_the_way.unlink()
    eventually(lambda: not CIRCUIT_BREAKERS.held(TO_SIEM))
    run(step, [letter()])
    assert read_all(folder) == [letter()]
    assert TO_SIEM not in CIRCUIT_BREAKERS._holds


def test_a_sync_that_fails_is_not_believed_when_it_works_the_second_time(tmp_path, monkeypatch):
    """The system says once that it could not write, and forgets what it had: only a new file holds the letters surely."""
    writer = DeadLetterFiles(str(tmp_path))
    writer.write([letter(1), letter(2)], sync=False)
    (first,) = files(tmp_path)
    failing = iter([errno.EIO])
    real = os.fsync

    def fsync(descriptor):
        for number in failing:
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(avro_files.os, "fsync", fsync)
    with pytest.raises(RetryLater, match="Input/output error"):
        writer.sync([("acme/child 1", "auth")])
    first.unlink()
    writer.sync([("acme/child 1", "auth")])
    assert read_all(tmp_path) == [letter(1), letter(2)]
    writer.close()


def test_another_step_that_shares_the_file_learns_of_the_failure(tmp_path, monkeypatch):
    mine, other = WriteDeadLetters(str(tmp_path)), WriteDeadLetters(str(tmp_path))
    for number, step in enumerate((mine, other)):
        step.start_bundle()
        step.process(letter(number))
    real, failing = os.fsync, iter([errno.EIO])

    def fsync(descriptor):
        for number in failing:
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(avro_files.os, "fsync", fsync)
    (first,) = files(tmp_path)
    mine.finish_bundle()
    first.unlink()
    other.finish_bundle()
    assert read_all(tmp_path) == [letter(0), letter(1)]
    files_in(str(tmp_path)).close()


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_directory_that_goes_away_between_writing_and_syncing_loses_no_letter(how, tmp_path):
    folder = tmp_path / "dead"
    step = WriteDeadLetters(str(folder))
    step.start_bundle()
    step.process(letter(1))
    if how == "removed":
        shutil.rmtree(folder)
    else:
        folder.rename(tmp_path / "elsewhere")
    step.process(letter(2))
    step.finish_bundle()
    assert read_all(folder) == [letter(1), letter(2)]
    files_in(str(folder)).close()


def test_a_full_disk_leaves_one_file_and_one_letter_once_there_is_room(tmp_path, monkeypatch):
    """Every attempt on a full disk could leave an empty file, and every second attempt a letter twice."""
    full = True
    real = avro_files.AppendedAvro._pour

    def pour(self):
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self)

    monkeypatch.setattr(avro_files.AppendedAvro, "_pour", pour)
    step = WriteDeadLetters(str(tmp_path))
    step.start_bundle()
    with in_a_thread(lambda: step.process(letter())):
        time.sleep(1.0)
        assert files(tmp_path) == []
        full = False
    step.finish_bundle()
    assert read_all(tmp_path) == [letter()]
    assert len(files(tmp_path)) == 1
    files_in(str(tmp_path)).close()


def test_no_directory_that_others_can_write_to_is_taken(tmp_path):
    folder = tmp_path / "dead"
    folder.mkdir()
    folder.chmod(0o777)
    writer = DeadLetterFiles(str(folder))
    with pytest.raises(RetryLater, match="other users can write to it"):
        writer.write([letter()])
    folder.chmod(0o700)
    writer.write([letter()])
    assert read_all(folder) == [letter()]
    writer.close()
