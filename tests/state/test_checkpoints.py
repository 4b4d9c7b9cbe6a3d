"""The checkpoint store: what a crash, a late finalizer, a bad file or a second copy can do to it."""

import errno
import hashlib
import json
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from transforms.errors import RetryLater
from transforms.records import Stream, Subscription
from transforms.state.checkpoints.local import CheckpointStore, StoreInUse, StoreUnusable
from transforms.state.checkpoints.record import decode_record
from transforms.state.cursor import Cursor, CursorUnreadable

AUTH = Subscription(Stream("main", "auth", "api-0a1b2c3d.duosecurity.com"), "siem")
# Written by release 1.0.0; later releases must go on reading it.
FROZEN = (
    b'{"v":1,"stream":{"account":"main","log_type":"auth","api_host":"api-0a1b2c3d.duosecurity.com","account_id":null},'
    b'"destination":"siem","cursor":{"v":1,"seq":3,"min":1700000000000},"committed_ms":1700000000999,"delivered":12,"safe":null,'
    b'"sum":"6cf8cb83470c5d3a"}'
)


@pytest.fixture
def store(tmp_path):
    store = CheckpointStore(tmp_path / "state")
    store.open()
    return store


def path_of(store, suffix=""):
    return store.directory / f"main.auth.siem.json{suffix}"


def test_a_stream_without_a_record_has_no_cursor(store):
    assert store.load(AUTH) is None


def test_a_committed_cursor_is_there_for_the_next_process(store):
    store.commit(AUTH, Cursor(5, seq=1), delivered=10)
    store.commit(AUTH, Cursor(6, seq=2), delivered=5)

    fresh = CheckpointStore(store.directory)
    assert fresh.load(AUTH) == Cursor(6, seq=2)
    assert [record.delivered for record in fresh.records()] == [15]


def test_a_finalizer_that_comes_late_does_not_move_the_cursor_back(store):
    assert store.commit(AUTH, Cursor(6, seq=2))
    assert not store.commit(AUTH, Cursor(5, seq=1))
    assert not store.commit(AUTH, Cursor(6, seq=2))

    assert CheckpointStore(store.directory).load(AUTH) == Cursor(6, seq=2)


def test_commits_of_many_threads_keep_the_latest(store):
    threads = [threading.Thread(target=store.commit, args=(AUTH, Cursor(n, seq=n))) for n in range(1, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert CheckpointStore(store.directory).load(AUTH) == Cursor(39, seq=39)


def test_only_the_owner_may_read_records_and_directory(store):
    store.commit(AUTH, Cursor(5, seq=1))

    assert stat.S_IMODE(path_of(store).stat().st_mode) == 0o600
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700


def test_the_bytes_of_version_1_are_read(store):
    path_of(store).write_bytes(FROZEN)

    assert store.load(AUTH) == Cursor(1_700_000_000_000, seq=3)


def test_the_record_keeps_its_shape(store):
    store.commit(AUTH, Cursor(1_700_000_000_000, seq=3), delivered=12)

    written = json.loads(path_of(store).read_bytes())
    frozen = json.loads(FROZEN)
    assert {**written, "committed_ms": 0, "sum": ""} == {**frozen, "committed_ms": 0, "sum": ""}


@pytest.mark.parametrize(
    "content",
    [b"", b"   \n", FROZEN[:60], b"null", b"\x00" * 200, b'["1700000000000","tx"]', FROZEN.replace(b'"main"', b'"other"')],
    ids=["empty", "blank", "cut", "null", "zeros", "the incumbent's", "of another stream"],
)
class TestARecordThatCannotBeUsed:
    def test_is_told_and_kept_aside_and_the_record_before_it_is_used(self, store, caplog, content):
        store.commit(AUTH, Cursor(5, seq=1))
        store.commit(AUTH, Cursor(6, seq=2))
        path_of(store).write_bytes(content)

        assert CheckpointStore(store.directory).load(AUTH) == Cursor(5, seq=1)
        assert "kept as" in caplog.text
        (aside,) = store.directory.glob("main.auth.siem.json.unreadable-*")
        assert aside.read_bytes() == content

    def test_gives_no_cursor_where_there_is_none_before_it(self, store, caplog, content):
        path_of(store).write_bytes(content)

        assert store.load(AUTH) is None
        assert "full look-back" in caplog.text


def test_a_record_that_cannot_be_read_for_want_of_a_descriptor_is_read_later(store):
    store.commit(AUTH, Cursor(5, seq=1))
    fresh = CheckpointStore(store.directory)
    taken = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        with pytest.raises(RetryLater, match="LimitNOFILE"):
            fresh.load(AUTH)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert fresh.load(AUTH) == Cursor(5, seq=1)


def test_no_bit_of_a_record_can_flip_unnoticed(store):
    for bit in range(8 * len(FROZEN)):
        flipped = bytearray(FROZEN)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CursorUnreadable):
            decode_record(bytes(flipped))


def test_a_record_without_a_checksum_is_not_believed(store):
    body, _, _ = FROZEN.rpartition(b',"sum"')

    with pytest.raises(CursorUnreadable, match="checksum"):
        decode_record(body + b"}")


class TestTheSafePosition:
    """What is delivered and may not have been read is delivered again by another process, and by this one not."""

    def test_is_where_another_process_goes_on(self, store, caplog):
        store.commit(AUTH, Cursor(5, seq=1))
        store.commit(AUTH, Cursor(7, seq=3), safe=Cursor(6, seq=2))

        assert store.load(AUTH) == Cursor(7, seq=3)
        assert CheckpointStore(store.directory).load(AUTH) == Cursor(6, seq=2)
        assert "may not have been read" in caplog.text

    def test_is_the_delivered_one_where_nothing_else_is_said(self, store):
        store.commit(AUTH, Cursor(7, seq=3))

        assert json.loads(path_of(store).read_bytes())["safe"] is None

    def test_follows_alone(self, store):
        store.commit(AUTH, Cursor(7, seq=3), safe=Cursor(5, seq=1))
        store.make_safe(AUTH, Cursor(6, seq=2))

        assert CheckpointStore(store.directory).load(AUTH) == Cursor(6, seq=2)

    def test_never_goes_back(self, store):
        store.commit(AUTH, Cursor(6, seq=2))
        store.commit(AUTH, Cursor(7, seq=3), safe=Cursor(5, seq=1))
        store.make_safe(AUTH, Cursor(5, seq=1))

        assert CheckpointStore(store.directory).load(AUTH) == Cursor(6, seq=2)

    def test_is_never_ahead_of_the_delivered_one(self, store):
        store.commit(AUTH, Cursor(6, seq=2), safe=Cursor(9, seq=9))
        store.make_safe(AUTH, Cursor(9, seq=9))

        assert CheckpointStore(store.directory).load(AUTH) == Cursor(6, seq=2)

    def test_counts_for_the_process_that_went_on_from_it(self, store):
        store.commit(AUTH, Cursor(9, seq=9), safe=Cursor(5, seq=1))
        after = CheckpointStore(store.directory)
        after.load(AUTH)

        assert after.commit(AUTH, Cursor(6, seq=2))
        assert CheckpointStore(store.directory).load(AUTH) == Cursor(6, seq=2)

    def test_moves_where_the_delivered_one_stands(self, store):
        store.commit(AUTH, Cursor(7, seq=3), safe=Cursor(5, seq=1))

        assert store.commit(AUTH, Cursor(7, seq=3), safe=Cursor(6, seq=2))
        assert CheckpointStore(store.directory).load(AUTH) == Cursor(6, seq=2)


def test_a_crash_between_writing_and_renaming_leaves_the_old_record(store, monkeypatch):
    store.commit(AUTH, Cursor(5, seq=1))

    def crash(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", crash)
    with pytest.raises(KeyboardInterrupt):
        store.commit(AUTH, Cursor(6, seq=2))
    monkeypatch.undo()

    assert CheckpointStore(store.directory).load(AUTH) == Cursor(5, seq=1)


def test_a_second_copy_on_the_same_directory_is_refused_and_told_who_holds_it(store):
    store.lock()
    code = (
        "import sys; from transforms.state.checkpoints.local import *; s = CheckpointStore(sys.argv[1])\n"
        "try: s.lock()\nexcept StoreInUse as error: print(error); sys.exit(5)"
    )
    other = subprocess.run([sys.executable, "-c", code, str(store.directory)], capture_output=True, text=True, check=False)

    assert other.returncode == 5
    assert str(os.getpid()) in other.stdout


def test_the_lock_is_free_again_once_its_holder_is_killed(store):
    code = (
        "import sys, time; from transforms.state.checkpoints.local import *; s = CheckpointStore(sys.argv[1]); s.lock()\n"
        "print('locked', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(store.directory)], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"locked\n"
    with pytest.raises(StoreInUse):
        store.lock()
    holder.kill()
    holder.wait()

    store.lock()


def test_account_names_that_differ_never_share_a_file(store):
    odd = [Subscription(Stream(name, "auth"), "siem") for name in ("a/b", "a.b", "a b", "a%2Fb", "é")]
    assert_each_has_its_own_record(store, odd)


def test_each_destination_of_a_stream_has_its_own_record(store):
    assert_each_has_its_own_record(store, [Subscription(AUTH.stream, name) for name in ("siem", "siem.json", "other")])


def test_names_that_are_too_long_for_a_file_system_never_share_a_file(store):
    # As long as a configuration lets them be, each of their characters spelt out: a child's id comes from Duo.
    long = [Subscription(Stream("." * 64 + f"/{'D' * 20}", "offline_enrollment"), "." * 63 + end) for end in "ab"]
    assert_each_has_its_own_record(store, long)
    store.forget(long[0])
    assert store.load(long[0]) is None


def assert_each_has_its_own_record(store, subscriptions):
    for number, subscription in enumerate(subscriptions):
        store.commit(subscription, Cursor(number, seq=1))

    assert [store.load(each) for each in subscriptions] == [Cursor(number, seq=1) for number in range(len(subscriptions))]
    assert len(list(store.directory.glob("*.json"))) == len(subscriptions)


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnusable, match="cannot be made"):
        CheckpointStore(tmp_path / "file" / "state").lock()


def test_of_a_record_that_every_launch_forgets_the_newest_few_are_kept_and_those_of_other_streams_stay(store, monkeypatch):
    other = Subscription(Stream("main", "activity"), "siem")
    store.commit(other, Cursor(1, seq=1))
    store.forget(other)
    for number in range(6):
        monkeypatch.setattr(time, "strftime", lambda *_, second=number: f"20261101T00000{second}")
        store.commit(AUTH, Cursor(number, seq=1))
        store.commit(AUTH, Cursor(number, seq=2))
        store.forget(AUTH)

    kept = sorted(store.directory.glob("main.auth.siem.json.forgotten-*"))
    assert [bytes(decode_record(path.read_bytes()).cursor) for path in kept] == [Cursor(n, seq=2).to_json() for n in (3, 4, 5)]
    assert len(list(store.directory.glob("main.auth.siem.json.previous.forgotten-*"))) == 3
    assert len(list(store.directory.glob("main.activity.siem.json.forgotten-*"))) == 1


def test_a_cursor_of_a_later_release_hides_its_own_record_and_no_other(store):
    other = Subscription(Stream("main", "activity"), "siem")
    store.commit(AUTH, Cursor(5, seq=1))
    store.commit(other, Cursor(6, seq=1))
    path = store.directory / store.file_name(AUTH)
    path.write_bytes(path.read_bytes().replace(b'"cursor":{"v":1', b'"cursor":{"v":2'))

    assert [record.subscription for record in CheckpointStore(store.directory).records()] == [other]


class TestDowngrade:
    """A release reads what an earlier one wrote. What a later one wrote is not changed, and nothing is skipped or repeated."""

    LATER = (
        # A record of another shape, as only its own release knows it.
        b'{"v":2,"positions":[{"of":"siem"}]',
        # The same record around a cursor of a later version.
        FROZEN.rpartition(b',"sum":"')[0].replace(
            b'"cursor":{"v":1,"seq":3,"min":1700000000000}', b'"cursor":{"v":2,"seq":{"a":3}}'
        ),
    )

    def write(self, store, body):
        path = store.directory / store.file_name(AUTH)
        path.write_bytes(b'%b,"sum":"%b"}' % (body, hashlib.blake2b(body, digest_size=8).hexdigest().encode()))
        return path

    @pytest.mark.parametrize("body", LATER, ids=["record", "cursor"])
    def test_what_a_later_release_wrote_stops_the_stream_with_the_way_back_and_is_not_changed(self, store, body):
        path = self.write(store, body)
        before = path.read_bytes()
        with pytest.raises(StoreUnusable) as told:
            store.load(AUTH)

        assert "has version 2, which a later release wrote; this release reads version 1." in str(told.value)
        assert f"The checkpoint {path} cannot be used" in str(told.value)
        assert "Install that release again, which goes on where it was; or move the file aside" in str(told.value)
        assert path.read_bytes() == before
        assert [each.name for each in store.directory.glob("*.json*")] == [path.name]

    def test_the_present_record_of_a_later_release_is_not_passed_over_for_the_one_before_it(self, store):
        store.commit(AUTH, Cursor(5, seq=1))
        store.commit(AUTH, Cursor(6, seq=2))
        self.write(store, self.LATER[0])
        with pytest.raises(StoreUnusable):
            CheckpointStore(store.directory).load(AUTH)

    def test_a_bit_that_is_wrong_in_the_version_is_a_damaged_record_and_no_later_release(self, store):
        store.commit(AUTH, Cursor(5, seq=1))
        store.commit(AUTH, Cursor(6, seq=2))
        path = store.directory / store.file_name(AUTH)
        path.write_bytes(path.read_bytes().replace(b'{"v":1', b'{"v":3', 1))

        assert CheckpointStore(store.directory).load(AUTH) == Cursor(5, seq=1)

    def test_keys_that_a_later_release_has_added_change_nothing(self, store):
        self.write(store, FROZEN.rpartition(b',"sum":"')[0] + b',"of_tomorrow":{"a":1}')
        (record,) = store.records()
        assert record.delivered == 12


def test_a_stream_that_is_forgotten_begins_anew_and_its_record_is_kept_aside(store):
    store.commit(AUTH, Cursor(5, seq=1))
    store.commit(AUTH, Cursor(6, seq=2))
    store.forget(AUTH)

    assert store.load(AUTH) is None
    assert list(store.directory.glob("main.auth.siem.json.forgotten-*"))
    assert not path_of(store).exists()


def test_a_full_disk_does_not_keep_the_lock_from_being_taken(store, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.write", full)
    store.lock()
    with pytest.raises(StoreInUse):
        CheckpointStore(store.directory).lock()


def test_what_a_full_disk_kept_from_being_written_is_written_with_the_safe_position_at_the_end(store, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store.commit(AUTH, Cursor(1, seq=1))
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            store.commit(AUTH, Cursor(5, seq=5))
    store.make_safe(AUTH, Cursor(5, seq=5))
    assert CheckpointStore(store.directory).load(AUTH) == Cursor(5, seq=5)
