"""An archive has every event, whole files only, and the same file for the same bundle; on this machine and elsewhere."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.destinations.archive import toy_store
from tests.destinations.file.test_file_delivery import at_most
from tests.destinations.peers import eventually
from transforms.destinations.archive import reader
from transforms.destinations.archive.reader import Window
from transforms.destinations.archive.sender import ArchiveSender, make
from transforms.destinations.archive.settings import AvroSettings
from transforms.errors import BadDestination, DeliveryTimeout, RetryLater
from transforms.formats.json_lines import JsonOptions
from transforms.process.retry import RetryPolicy
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination, Format

ROOT = Path(__file__).parents[3]
AUTH = Stream("acme", "auth", "api-1.duosecurity.com")
DAY_SECS = 86_400
FIRST_SECS = 1_795_046_400 - 1_795_046_400 % DAY_SECS


def rows(count: int, start: int = 0, every_secs: int = 60) -> list[bytes]:
    """Rows of the authentication log, from a midnight on."""
    return [
        b'{"txid":"t-%d","timestamp":%d,"access_device":{"ip":"192.0.2.%d"}}' % (n, FIRST_SECS + n * every_secs, n % 250)
        for n in range(start, start + count)
    ]


def sender_to(directory: object, **changes) -> ArchiveSender:
    there = Destination("archive", AvroSettings(str(directory)), Format(JsonOptions()), **changes)
    return make(there, RetryPolicy(0.02, 0.05))


def deliver(sender: ArchiveSender, those: list[bytes], stream: Stream = AUTH) -> None:
    sender.begin(stream)
    sender.send(FormattedPage(stream, those, [b"written by some format"] * len(those)))
    assert sender.confirm().rejected == ()


def kept(directory: object, window: Window = Window()) -> list[bytes]:  # noqa: B008 - frozen
    return [event.raw for file in reader.files_of(str(directory), window) for event in reader.events_of(file)]


@pytest.fixture(params=["here", "toy"])
def directory(request, tmp_path):
    """A directory of this machine, and one of a Beam file system that has directories and renames."""
    yield str(tmp_path / "archive") if request.param == "here" else f"toy:/{tmp_path}/archive"
    toy_store.FAULTS.clear()
    toy_store.PUTS.clear()


class TestWhatIsKept:
    def test_rows_as_duo_sent_them_and_not_as_a_format_wrote_them(self, directory):
        deliver(sender_to(directory), rows(100))
        assert kept(directory) == rows(100)

    def test_where_an_event_comes_from_and_when_it_happened(self, directory):
        child = Stream("msp/DA1", "auth", "api-2.duosecurity.com", "DA1")
        deliver(sender_to(directory), rows(1), child)
        (file,) = reader.files_of(directory, Window())
        (event,) = reader.events_of(file)
        assert (event.stream, event.time_ms, event.id) == (child, FIRST_SECS * 1000, "t-0")

    def test_a_file_per_account_log_and_day(self, directory):
        sender = sender_to(directory)
        deliver(sender, rows(48, every_secs=3600))
        deliver(sender, [b'{"ts":"2026-11-19T01:02:03Z","activity_id":"a"}'], Stream("acme", "activity"))
        places = sorted(file.below.rpartition("/")[0] for file in reader.files_of(directory, Window()))
        assert places == ["acme/activity/2026-11-19", "acme/auth/2026-11-19", "acme/auth/2026-11-20"]

    @pytest.mark.parametrize("odd", [b"[]", b"{}", b"no json", b'{"timestamp":"x"}', b"\xff\xfe", b"", b'{"timestamp":1e300}'])
    def test_an_odd_row_is_kept_too(self, directory, odd):
        deliver(sender_to(directory), [*rows(1), odd])
        assert Counter(kept(directory)) == Counter([*rows(1), odd])

    def test_of_an_event_that_is_gone_the_message_is_kept(self, directory):
        deliver(sender_to(directory), [b""])
        (file,) = reader.files_of(directory, Window())
        (event,) = reader.events_of(file)
        assert (event.raw, event.message) == (b"", b"written by some format")


class TestWindows:
    def test_from_included_until_excluded(self, directory):
        deliver(sender_to(directory), rows(100, every_secs=3600))
        from_ms, until_ms = (FIRST_SECS + 30 * 3600) * 1000, (FIRST_SECS + 75 * 3600) * 1000
        window = Window(from_ms, until_ms)
        found = [e.raw for f in reader.files_of(directory, window) for e in reader.events_of(f) if window.has(e.time_ms)]
        assert found == rows(45, start=30, every_secs=3600)

    def test_only_files_of_the_days_are_opened(self, directory):
        deliver(sender_to(directory), rows(10, every_secs=DAY_SECS))
        window = Window((FIRST_SECS + 3 * DAY_SECS) * 1000, (FIRST_SECS + 5 * DAY_SECS) * 1000)
        assert [file.day for file in reader.files_of(directory, window)][:2] == ["2026-11-22", "2026-11-23"]
        assert len(reader.files_of(directory, window)) <= 3

    def test_what_has_no_time_is_only_in_the_window_without_borders(self, directory):
        deliver(sender_to(directory), [b"{}"])
        assert kept(directory) == [b"{}"]
        assert reader.files_of(directory, Window(from_ms=0)) == []

    def test_a_directory_that_is_missing_is_not_one_that_is_empty(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            reader.files_of(str(tmp_path / "nothing"), Window())


class TestSentAgain:
    def test_the_same_bundle_writes_the_same_files_over(self, directory):
        for _ in range(2):
            deliver(sender_to(directory), rows(3000))
        assert kept(directory) == rows(3000)

    def test_a_bundle_with_other_borders_is_there_beside_it(self, directory):
        deliver(sender_to(directory), rows(100))
        deliver(sender_to(directory), rows(100, start=50))
        found = Counter(kept(directory))
        assert set(found) == set(rows(150))
        assert found.total() == 200, "50 are there twice"


class TestFailures:
    def test_nothing_is_under_its_name_before_it_is_whole(self, tmp_path):
        sender = sender_to(tmp_path / "archive")
        with at_most(100):
            done = threading.Thread(target=deliver, args=(sender, rows(500)))
            done.start()
            eventually(lambda: sender.resent > 2)
            assert list((tmp_path / "archive").rglob("*.avro")) == []
        done.join(20)
        assert kept(tmp_path / "archive") == rows(500)
        assert list((tmp_path / "archive").rglob(".*")) == [], "and nothing is left of the attempts"

    def test_a_delivery_timeout_ends_the_wait_and_nothing_is_lost(self, tmp_path):
        sender = sender_to(tmp_path / "archive", delivery_timeout_secs=0.2)
        with at_most(100), pytest.raises(DeliveryTimeout):
            deliver(sender, rows(500))
        deliver(sender, rows(500))
        assert kept(tmp_path / "archive") == rows(500)

    @pytest.mark.parametrize("place", ["toy", "s3-like"])
    def test_a_store_that_took_a_file_and_did_not_say_so_has_it_once(self, tmp_path, monkeypatch, place):
        self._like_an_object_store(monkeypatch, place)
        toy_store.FAULTS.append(TimeoutError("no answer"))
        sender = sender_to(f"toy:/{tmp_path}/archive")
        deliver(sender, rows(100))
        assert sender.resent == 1
        assert kept(f"toy:/{tmp_path}/archive") == rows(100)

    @pytest.mark.parametrize("place", ["toy", "s3-like"])
    def test_a_store_that_lies_is_not_believed(self, tmp_path, monkeypatch, place, caplog):
        self._like_an_object_store(monkeypatch, place)
        toy_store.FAULTS.append(lambda path: os.truncate(path, 10))
        sender = sender_to(f"toy:/{tmp_path}/archive")
        deliver(sender, rows(100))
        assert sender.resent == 1
        assert "has 10 bytes" in caplog.text
        assert kept(f"toy:/{tmp_path}/archive") == rows(100)

    @pytest.mark.parametrize("place", ["toy", "s3-like"])
    def test_a_store_that_is_away_is_waited_for(self, tmp_path, monkeypatch, place):
        self._like_an_object_store(monkeypatch, place)
        toy_store.FAULTS[:] = [ConnectionError("refused")] * 3
        sender = sender_to(f"toy:/{tmp_path}/archive")
        deliver(sender, rows(100))
        assert sender.resent == 3
        assert kept(f"toy:/{tmp_path}/archive") == rows(100)

    @staticmethod
    def _like_an_object_store(monkeypatch, place: str) -> None:
        from transforms.destinations.archive import store

        if place == "s3-like":
            monkeypatch.setattr(store, "_OBJECT_STORES", ("toy",))

    def test_a_bundle_of_several_days_that_fails_in_the_middle_has_each_event_once_in_the_end(self, tmp_path):
        sender = sender_to(f"toy:/{tmp_path}/archive", delivery_timeout_secs=0.1)
        toy_store.FAULTS[:] = [lambda _path: None, *[ConnectionError("refused")] * 50]
        with pytest.raises(DeliveryTimeout):
            deliver(sender, rows(100, every_secs=3600))
        toy_store.FAULTS.clear()
        deliver(sender, rows(100, every_secs=3600))
        assert kept(f"toy:/{tmp_path}/archive") == rows(100, every_secs=3600)

    def test_one_event_that_is_too_large_costs_itself_only(self, directory):
        sender = sender_to(directory, max_message_bytes=480)
        large = b'{"txid":"large","x":"%s"}' % (b"x" * 480)
        sender.begin()
        sender.send(FormattedPage(AUTH, [*rows(2), large, *rows(2, start=2)], [b""] * 5))
        (rejection,) = sender.confirm().rejected
        assert (rejection.index, rejection.reason) == (2, "oversize")
        assert kept(directory) == rows(4)

    def test_what_is_confirmed_survives_kill_9(self, tmp_path):
        program = (
            "import sys\n"
            "from tests.destinations.archive.test_archive import deliver, rows, sender_to\n"
            "sender = sender_to(sys.argv[1])\n"
            "for number in range(10**6):\n"
            "    deliver(sender, rows(100, number * 100))\n"
            "    print(number, flush=True)\n"
        )
        words = [sys.executable, "-c", program, str(tmp_path / "archive")]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        confirmed = 0
        with subprocess.Popen(words, env=env, cwd=ROOT, stdout=subprocess.PIPE) as process:
            for line in process.stdout:
                confirmed = int(line) + 1
                if confirmed == 15:
                    process.send_signal(signal.SIGKILL)
        found = kept(tmp_path / "archive")  # every file there is can be read
        assert set(rows(confirmed * 100)) <= set(found)


class TestOnThisMachine:
    def test_only_the_owner_may_read(self, tmp_path):
        deliver(sender_to(tmp_path / "archive"), rows(1))
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "archive").rglob("*")}
        assert modes == {0o700, 0o600}

    def test_a_directory_that_others_can_write_to_is_refused(self, tmp_path):
        (tmp_path / "archive").mkdir()
        (tmp_path / "archive").chmod(0o777)
        with pytest.raises(BadDestination, match="other users can write to it"):
            sender_to(tmp_path / "archive").test_connection()
        with pytest.raises(BadDestination, match="other users can write to it"):
            deliver(sender_to(tmp_path / "archive"), rows(1))

    def test_a_file_that_somebody_put_there_is_not_followed(self, tmp_path):
        deliver(sender_to(tmp_path / "archive"), rows(1))
        (path,) = (tmp_path / "archive").rglob("*.avro")
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="symbolic link"):
            kept(tmp_path / "archive")

    def test_trying_it_makes_nothing(self, tmp_path):
        sender_to(tmp_path / "archive").test_connection()
        assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_nobody_has_is_told():
    with pytest.raises(RetryLater, match="cannot be reached"):
        sender_to("ftp://example.com/archive").test_connection()
