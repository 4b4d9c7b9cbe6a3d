"""Lines in files: whole, on the disk before they are confirmed, and never lost to rotation, crashes or a disk that is full."""

import contextlib
import errno
import fcntl
import logging
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.destinations.peers import eventually
from transforms.destinations.file import log_file
from transforms.destinations.file.log_file import LogFile
from transforms.destinations.file.sender import FileSender, make
from transforms.destinations.file.settings import FileSettings
from transforms.errors import BadDestination, BundleReplaced, DeliveryTimeout
from transforms.formats.json_lines import JsonOptions
from transforms.process.retry import RetryPolicy
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination, Format

ROOT = Path(__file__).parents[3]
AUTH = Stream("acme", "auth")


def page(those: list[bytes], stream: Stream = AUTH) -> FormattedPage:
    return FormattedPage(stream, those, those)


def messages(count: int, start: int = 0, size: int = 100) -> list[bytes]:
    return [b"%08d " % number + b"x" * (size - 9) for number in range(start, start + count)]


def sender_to(path: Path, *, delivery_timeout_secs: float | None = None, **settings) -> FileSender:
    there = Destination(
        "file", FileSettings(str(path), **settings), Format(JsonOptions()), delivery_timeout_secs=delivery_timeout_secs
    )
    return make(there, RetryPolicy(0.02, 0.05))


def deliver(sender: FileSender, those: list[bytes], stream: Stream = AUTH) -> None:
    sender.begin(stream)
    sender.send(page(those, stream))
    assert sender.confirm().rejected == ()


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def all_lines(path: Path) -> list[bytes]:
    """Of the file and of those that were set aside, the oldest first."""
    aside = sorted(path.parent.glob(f"{path.name}.*"), key=lambda each: each.name)
    return [line for each in [*aside, *([path] if path.exists() else [])] for line in lines(each)]


@contextlib.contextmanager
def at_most(size_bytes: int):
    """No file can grow beyond this size: a full disk, for as long as the block lasts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestWhereThingsAre:
    def test_a_file_per_log_and_account_by_its_template(self, tmp_path):
        sender = sender_to(tmp_path / "{account}" / "{log_type}.log")
        deliver(sender, [b"one"], Stream("acme/DA1", "auth"))
        deliver(sender, [b"two"], Stream("acme/DA1", "activity"))
        assert lines(tmp_path / "acme_DA1" / "auth.log") == [b"one"]
        assert lines(tmp_path / "acme_DA1" / "activity.log") == [b"two"]

    @pytest.mark.parametrize("account", ["", "..", "../..", "/etc", ".hidden", "a\nb"])
    def test_no_account_s_name_leads_out_of_the_directory(self, tmp_path, account):
        sender = sender_to(tmp_path / "logs" / "{account}" / "x.log")
        deliver(sender, [b"one"], Stream(account, "auth"))
        (found,) = tmp_path.rglob("x.log")
        assert found.parent.parent == tmp_path / "logs"
        assert not found.parent.name.startswith(".")

    @pytest.mark.parametrize(
        ("readers", "file_mode", "directory_mode"),
        [("owner", 0o600, 0o700), ("group", 0o640, 0o750), ("everyone", 0o644, 0o755)],
    )
    def test_who_may_read_them(self, tmp_path, readers, file_mode, directory_mode):
        deliver(sender_to(tmp_path / "made" / "duo.log", readable_by=readers), [b"one"])
        assert stat.S_IMODE((tmp_path / "made" / "duo.log").stat().st_mode) == file_mode
        assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == directory_mode

    def test_many_accounts_do_not_use_up_descriptors(self, tmp_path):
        sender = sender_to(tmp_path / "{account}.log")
        before = len(list(Path("/proc/self/fd").iterdir()))
        for number in range(60):
            deliver(sender, [b"one"], Stream(f"child-{number}", "auth"))
        assert len(list(Path("/proc/self/fd").iterdir())) - before <= 20


class TestWhatIsInTheWay:
    def test_a_link_is_not_followed(self, tmp_path):
        target = tmp_path / "target"
        target.write_text("untouched")
        (tmp_path / "duo.log").symlink_to(target)
        sender = sender_to(tmp_path / "duo.log")
        with pytest.raises(BadDestination, match="symbolic link"):
            sender.test_connection()
        with pytest.raises(BadDestination, match="symbolic link"):
            deliver(sender, [b"one"])
        assert target.read_text() == "untouched"

    def test_a_second_name_of_another_file_is_not_written_to(self, tmp_path):
        (tmp_path / "target").write_text("untouched")
        os.link(tmp_path / "target", tmp_path / "duo.log")
        with pytest.raises(BadDestination, match="another name"):
            deliver(sender_to(tmp_path / "duo.log"), [b"one"])

    def test_a_directory_that_others_can_write_to_is_refused(self, tmp_path):
        (tmp_path / "shared").mkdir()
        (tmp_path / "shared").chmod(0o777)
        with pytest.raises(BadDestination, match="other users can write to it"):
            sender_to(tmp_path / "shared" / "duo.log").test_connection()

    def test_trying_it_makes_nothing(self, tmp_path):
        sender_to(tmp_path / "not-there" / "{log_type}.log").test_connection()
        assert list(tmp_path.iterdir()) == []


class TestRotation:
    def test_by_size_no_line_is_lost_and_no_name_used_twice(self, tmp_path):
        path = tmp_path / "duo.log"
        sender = sender_to(path, rotate_bytes=10_000)
        for number in range(20):
            deliver(sender, messages(30, start=number * 30))
        assert all_lines(path) == messages(600)
        assert len(list(tmp_path.iterdir())) > 3
        assert all(each.stat().st_size < 10_000 + 3_100 for each in tmp_path.iterdir())

    def test_by_time(self, tmp_path):
        path = tmp_path / "duo.log"
        sender = sender_to(path, rotate_secs=3600)
        deliver(sender, [b"of the hour before"])
        before = time.time() - 3600
        os.utime(path, (before, before))
        deliver(sender, [b"of now"])
        assert lines(path) == [b"of now"]
        assert all_lines(path) == [b"of the hour before", b"of now"]

    def test_a_file_that_cannot_be_renamed_grows_on_and_that_is_told_once(self, tmp_path, caplog):
        path = tmp_path / ("x" * 240)  # with a time behind it, it is no name any more
        sender = sender_to(path, rotate_bytes=10_000, delivery_timeout_secs=2.0)
        for number in range(20):
            deliver(sender, messages(30, start=number * 30))
        assert all_lines(path) == lines(path) == messages(600)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "cannot be renamed" in caplog.text

    def test_nothing_is_written_to_a_file_that_somebody_removes_just_before_it_is_renamed(self, tmp_path, monkeypatch):
        path = tmp_path / "duo.log"
        sender = sender_to(path)
        deliver(sender, [b"one"])

        def due(_file, _found):
            path.unlink()
            monkeypatch.undo()
            return True

        monkeypatch.setattr(LogFile, "_due", due)
        deliver(sender, [b"two"])
        assert lines(path) == [b"two"]

    def test_a_file_that_somebody_else_moved_away_is_left_alone(self, tmp_path):
        path = tmp_path / "duo.log"
        sender = sender_to(path)
        deliver(sender, [b"one"])
        path.rename(tmp_path / "duo.log.1")
        deliver(sender, [b"two"])
        assert lines(path) == [b"two"]
        assert lines(tmp_path / "duo.log.1") == [b"one"]

    def test_a_file_that_somebody_else_cut_is_appended_to(self, tmp_path):
        path = tmp_path / "duo.log"
        sender = sender_to(path)
        deliver(sender, messages(100))
        os.truncate(path, 0)  # logrotate's copytruncate
        deliver(sender, [b"two"])
        assert path.read_bytes() == b"two\n"

    def test_many_senders_and_processes_share_a_file(self, tmp_path):
        """Each of three processes has a thread per log, and every file is full after a few bundles."""
        program = (
            "import sys, threading; from pathlib import Path\n"
            "from tests.destinations.file.test_file_delivery import deliver, messages, sender_to\n"
            "def run(sender, start):\n"
            "    for number in range(start, start + 500, 50):\n"
            "        deliver(sender, messages(50, number))\n"
            "path, first = Path(sys.argv[1]), int(sys.argv[2])\n"
            "senders = [sender_to(path, rotate_bytes=20_000) for _ in range(2)]\n"
            "threads = [threading.Thread(target=run, args=(s, first + n * 500)) for n, s in enumerate(senders)]\n"
            "[t.start() for t in threads]; [t.join() for t in threads]\n"
        )
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        path = tmp_path / "duo.log"
        running = [
            subprocess.Popen([sys.executable, "-c", program, str(path), str(first)], env=env, cwd=ROOT)
            for first in (0, 1000, 2000)
        ]
        assert [process.wait(120) for process in running] == [0, 0, 0]
        found = Counter(line for each in tmp_path.iterdir() for line in lines(each))
        assert found == Counter(messages(3000))


class TestAfterACrash:
    def test_a_half_line_is_ended_and_told_and_its_event_follows_whole(self, tmp_path, caplog):
        path = tmp_path / "duo.log"
        path.write_bytes(b"whole\nhal")
        path.chmod(0o600)
        deliver(sender_to(path), [b"half", b"next"])
        assert lines(path) == [b"whole", b"hal", b"half", b"next"]
        (record,) = caplog.records
        assert (record.levelno, str(path) in record.getMessage()) == (logging.WARNING, True)
        assert "at byte 9" in record.getMessage()

    def test_who_followed_the_file_reads_every_event_whole(self, tmp_path):
        """As a collector does: what it has read it never reads again, and it waits for the end of a line."""
        path = tmp_path / "duo.log"
        path.write_bytes(b"whole\nhal")
        path.chmod(0o600)
        with path.open("rb") as follower:
            read = follower.read()
            deliver(sender_to(path), [b"half", b"next"])
            read += follower.read()
        assert {b"whole", b"half", b"next"} <= set(read.split(b"\n"))

    def test_what_is_confirmed_survives_kill_9_and_no_line_is_half(self, tmp_path):
        program = (
            "import sys; from pathlib import Path\n"
            "from tests.destinations.file.test_file_delivery import deliver, messages, sender_to\n"
            "sender = sender_to(Path(sys.argv[1]), rotate_bytes=200_000)\n"
            "for number in range(10**6):\n"
            "    deliver(sender, messages(100, number * 100, size=1000))\n"
            "    print(number, flush=True)\n"
        )
        path, confirmed = tmp_path / "duo.log", 0
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-c", program, str(path)]
        with subprocess.Popen(words, env=env, cwd=ROOT, stdout=subprocess.PIPE) as process:
            for line in process.stdout:
                confirmed = int(line) + 1
                if confirmed == 20:
                    process.kill()
        deliver(sender_to(path), [b"after"])
        found = all_lines(path)
        assert set(messages(confirmed * 100, size=1000)) <= set(found)
        assert len([line for line in found if len(line) not in (1000, 5)]) <= 1, "the half line that was ended, if any"


class TestADiskThatIsFull:
    def test_what_it_took_is_gone_on_from_and_no_line_is_half(self, tmp_path, caplog):
        path = tmp_path / "duo.log"
        sender = sender_to(path)
        deliver(sender, messages(10))
        with at_most(1_550):
            done = threading.Thread(target=deliver, args=(sender, messages(100, start=10)))
            done.start()
            eventually(lambda: path.stat().st_size == 1_550)
            eventually(lambda: "is away: File too large" in caplog.text)
        done.join(20)
        assert lines(path) == messages(110)
        assert sender.waited_secs == 0

    def test_a_bundle_that_is_given_up_meanwhile_is_repeated_as_far_as_it_was_written(self, tmp_path):
        path = tmp_path / "duo.log"
        sender = sender_to(path, delivery_timeout_secs=0.3)
        deliver(sender, messages(10))
        with at_most(1_550), pytest.raises(DeliveryTimeout):
            deliver(sender, messages(100, start=10))
        deliver(sender, messages(100, start=10))
        found = Counter(lines(path))
        assert set(messages(110)) - set(found) == set()
        half = messages(1, start=15)[0][: 1_550 - 15 * 101]
        assert found - Counter(messages(110)) == Counter([*messages(5, start=10), half])

    def test_another_bundle_can_take_the_sender_over(self, tmp_path):
        path = tmp_path / "duo.log"
        sender = sender_to(path)
        deliver(sender, [b"first"])
        seen = []

        def wait() -> None:
            try:
                deliver(sender, messages(100))
            except BundleReplaced as error:
                seen.append(error)

        with at_most(300):
            waiting = threading.Thread(target=wait)
            waiting.start()
            eventually(lambda: sender.waited_secs > 0)
            sender.interrupt()
            waiting.join(10)
        assert len(seen) == 1
        deliver(sender, messages(100))
        assert set(messages(100)) <= set(lines(path))

    def test_where_it_fails_to_keep_what_it_took_a_new_file_holds_it(self, tmp_path, monkeypatch):
        """No disk fails on demand: the one call that tells of it is replaced."""
        path = tmp_path / "duo.log"
        sender = sender_to(path)
        deliver(sender, [b"first"])
        failures = [OSError(errno.EIO, os.strerror(errno.EIO))]
        fsync = os.fsync

        def failing(descriptor: int) -> None:
            if failures and stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise failures.pop()
            fsync(descriptor)

        monkeypatch.setattr(log_file.os, "fsync", failing)
        deliver(sender, [b"second"])
        assert lines(path) == [b"second"]
        (aside,) = tmp_path.glob("duo.log.*")
        assert lines(aside) == [b"first", b"second"], "written before it failed, and perhaps not kept"


def test_one_who_holds_the_file_is_waited_for(tmp_path):
    path = tmp_path / "duo.log"
    deliver(sender_to(path), [b"first"])
    descriptor = os.open(path, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    releasing = threading.Timer(0.3, os.close, [descriptor])
    releasing.start()
    began = time.monotonic()
    deliver(sender_to(path), [b"second"])
    assert time.monotonic() - began > 0.25
    assert lines(path) == [b"first", b"second"]


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "small"
    place.mkdir(mode=0o700)
    mounting = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(place)], check=False)
    if mounting.returncode:
        pytest.skip("not allowed here: to mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_real_disk_that_is_full_is_waited_for_until_somebody_makes_room(small_disk, caplog):
    path = small_disk / "duo.log"
    (small_disk / "in-the-way").write_bytes(bytes(40_000))
    sender = sender_to(path)
    done = threading.Thread(target=deliver, args=(sender, messages(400)))
    done.start()
    eventually(lambda: "is away: No space left on device" in caplog.text)
    (small_disk / "in-the-way").unlink()
    done.join(20)
    assert lines(path) == messages(400)
