"""State on another file system, here the local one through Beam's FileSystems; Cloud Storage's is in tests/dataflow."""

import logging
import time
from unittest import mock

import pytest
from apache_beam.io.filesystems import FileSystems

from transforms.errors import RetryLater
from transforms.records import Stream, Subscription
from transforms.state.checkpoints import remote
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.checkpoints.remote import RemoteCheckpointStore
from transforms.state.checkpoints.stores import store_at
from transforms.state.cursor import Cursor
from transforms.state.dead_letters.letter import DeadLetter, read_dead_letters
from transforms.state.dead_letters.remote import RemoteDeadLetterFiles
from transforms.state.dead_letters.write import files_in

AUTH = Subscription(Stream("main", "auth", "api-1.duosecurity.com"), "siem")
OTHER = Subscription(Stream("main", "activity", "api-1.duosecurity.com"), "siem")
LETTER = DeadLetter(time_ms=1, account="main", log_type="auth", reason="oversize", detail="too long", raw=b"{}")


@pytest.fixture
def place(tmp_path) -> str:
    return str(tmp_path / "state")


def test_a_directory_that_is_an_url_is_kept_through_beam():
    assert isinstance(store_at("gs://bucket/checkpoints"), RemoteCheckpointStore)
    assert isinstance(files_in("gs://bucket/letters"), RemoteDeadLetterFiles)
    assert type(store_at("/var/lib/checkpoints")) is CheckpointStore
    assert store_at("gs://bucket/checkpoints") is store_at("gs://bucket/checkpoints")


def test_what_was_committed_is_there_for_the_next_process(place):
    RemoteCheckpointStore(place).commit(AUTH, Cursor(5, seq=1), 10)
    fresh = RemoteCheckpointStore(place)
    assert fresh.load(AUTH) == Cursor(5, seq=1)
    assert fresh.load(OTHER) is None
    assert fresh.commit(AUTH, Cursor(6, seq=2), 10)
    assert [(r.subscription, r.delivered) for r in RemoteCheckpointStore(place).records()] == [(AUTH, 20)]


def test_a_late_commit_changes_nothing(place):
    store = RemoteCheckpointStore(place)
    store.commit(AUTH, Cursor(9, seq=9))
    assert not store.commit(AUTH, Cursor(5, seq=5))
    assert RemoteCheckpointStore(place).load(AUTH) == Cursor(9, seq=9)


def test_the_local_store_reads_the_same_record(place):
    RemoteCheckpointStore(place).commit(AUTH, Cursor(5, seq=1))
    assert CheckpointStore(place).load(AUTH) == Cursor(5, seq=1)


def test_a_damaged_record_is_told_and_kept_and_the_stream_begins_anew(place, caplog):
    RemoteCheckpointStore(place).commit(AUTH, Cursor(5, seq=1))
    (record,) = FileSystems.match([f"{place}/*.json"])[0].metadata_list
    with FileSystems.create(record.path) as file:
        file.write(b"{")
    with caplog.at_level(logging.ERROR):
        assert RemoteCheckpointStore(place).load(AUTH) is None
    assert "full look-back" in caplog.text
    (aside,) = FileSystems.match([f"{place}/*unreadable*"])[0].metadata_list
    assert aside.size_in_bytes == 1


def test_a_file_system_that_cannot_be_asked_is_not_taken_for_an_empty_one(place, monkeypatch):
    def away(*_):
        raise ConnectionError("no route")

    monkeypatch.setattr(remote, "exists", away)
    with pytest.raises(RetryLater, match="cannot be read now: ConnectionError"):
        RemoteCheckpointStore(place).load(AUTH)


def test_records_of_a_file_system_that_cannot_be_asked_are_no_empty_list(place, monkeypatch):
    monkeypatch.setattr(FileSystems, "match", mock.Mock(side_effect=ConnectionError("no route")))
    with pytest.raises(RetryLater, match="cannot be read now: ConnectionError"):
        list(RemoteCheckpointStore(place).records())


def test_a_commit_that_cannot_be_written_says_so(place, monkeypatch):
    def away(*_):
        raise ConnectionError("no route")

    store = RemoteCheckpointStore(place)
    monkeypatch.setattr(remote, "write", away)
    with pytest.raises(OSError, match="no route"):
        store.commit(AUTH, Cursor(5, seq=1))


def test_a_forgotten_stream_begins_anew_and_its_record_is_kept_aside(place):
    store = RemoteCheckpointStore(place)
    store.commit(AUTH, Cursor(5, seq=1))
    store.forget(AUTH)
    store.forget(OTHER)
    assert store.load(AUTH) is None
    assert len(FileSystems.match([f"{place}/*forgotten*"])[0].metadata_list) == 1


def test_of_a_record_that_every_launch_forgets_the_newest_few_are_kept(place, monkeypatch):
    store = RemoteCheckpointStore(place)
    for number in range(6):
        monkeypatch.setattr(time, "strftime", lambda *_, second=number: f"20261101T00000{second}")
        store.commit(AUTH, Cursor(number, seq=1))
        store.forget(AUTH)
    kept = [each.path for each in FileSystems.match([f"{place}/*forgotten*"])[0].metadata_list]
    assert sorted(path.rpartition("forgotten-")[2][:15] for path in kept) == [f"20261101T00000{n}" for n in (3, 4, 5)]


def test_that_there_is_no_lock_is_said(place, caplog):
    store = RemoteCheckpointStore(place)
    store.open()
    store.lock()
    store.unlock()
    assert "cannot be locked" in caplog.text


def test_each_flush_of_dead_letters_is_a_file_that_can_be_read(place):
    files = RemoteDeadLetterFiles(place)
    files.write([LETTER, LETTER])
    files.write([LETTER], sync=False)
    files.sync([(LETTER.account, LETTER.log_type)])
    files.close()
    found = [m.path for m in FileSystems.match([f"{place}/*.avro"])[0].metadata_list]
    assert sorted(len(list(read_dead_letters(path))) for path in found) == [1, 2]
    assert next(read_dead_letters(found[0])) == LETTER


def test_dead_letters_that_cannot_be_written_are_to_be_tried_again(place, monkeypatch):
    monkeypatch.setattr(FileSystems, "create", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("no route")))
    with pytest.raises(RetryLater, match="cannot be written to"):
        RemoteDeadLetterFiles(place).write([LETTER])
