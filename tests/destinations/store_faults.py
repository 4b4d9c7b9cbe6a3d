"""Kafka, files, standard output and archives with every trouble: what is lost, what is repeated, what becomes a dead letter.

``python -m tests.destinations.store_faults`` prints the table, with a real Kafka; ``test_store_faults`` compares it with
docs/destinations.md.

Each cell sends a bundle of 60 events, and the trouble comes in the middle of it. Where the trouble ends the bundle, it is sent
again, as the runner would. Troubles that a kind cannot have are left out: its disk is the brokers' matter for Kafka.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import trustme

from tests.destinations.archive import test_archive, toy_store
from tests.destinations.file import test_file_delivery
from tests.destinations.kafka import test_kafka_delivery
from tests.destinations.kafka.broker import Broker
from tests.destinations.kafka.proxy import Proxy
from transforms.destinations import Sender
from transforms.destinations.file import log_file
from transforms.destinations.stdout import output
from transforms.destinations.stdout import sender as stdout_sender
from transforms.destinations.stdout.settings import StdoutSettings
from transforms.errors import DuoLogSyncError
from transforms.formats.json_lines import JsonOptions
from transforms.process import lifetime
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination, Format

EVENTS, EACH = 60, 10
POISONED = 34
MOST_BYTES = 100_000
STREAM = Stream("acme", "auth")


def rows(poisoned: int | None = None) -> list[bytes]:
    """Of two days, so that an archive makes two files of them."""
    those = test_archive.rows(EVENTS, every_secs=2400)
    if poisoned is not None:
        those[poisoned] = b'{"txid":"poison","x":"%s"}' % (b"x" * MOST_BYTES)
    return those


@dataclass(frozen=True)
class Outcome:
    """``repeated``: how many events are there once more than needed. ``dead``: events that became dead letters."""

    lost: int
    repeated: int
    dead: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.lost} / {self.repeated}{f', {len(self.dead)} dead' if self.dead else ''}"


def deliver(make: Callable[[], Sender], those: list[bytes], trouble: Callable[[int], None] = lambda _: None) -> tuple[int, ...]:
    """Sends a bundle until it is confirmed, as a runner does; the indexes of what was rejected."""
    sender = make()
    try:
        while True:
            try:
                sender.begin(STREAM)
                for number, start in enumerate(range(0, len(those), EACH)):
                    trouble(number)
                    sender.send(FormattedPage(STREAM, those[start : start + EACH], those[start : start + EACH]))
                return tuple(each.index for each in sender.confirm().rejected)
            except DuoLogSyncError:
                trouble = _quiet
    finally:
        sender.close(1)


def _quiet(_number: int) -> None:
    """No trouble any more."""


def _outcome(sent: list[bytes], found: list[bytes], dead: tuple[int, ...]) -> Outcome:
    counts = Counter(found)
    good = [row for index, row in enumerate(sent) if index not in dead]
    return Outcome(len(set(good) - set(counts)), sum(counts[row] - 1 for row in set(good) if counts[row]), dead)


def once(number: int, what: Callable[[], object]) -> Callable[[int], None]:
    """Something that happens before the page of this number."""

    def trouble(at: int) -> None:
        if at == number:
            what()

    return trouble


# ---- Kafka ----


class Kafka:
    """With the real broker of a run."""

    name = "kafka"

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.troubles: dict[str, Callable[[], Outcome]] = {
            "none": self._run,
            "restart": lambda: self._run(once(3, self._restart)),
            "refusal": self._refusal,
            "timeout after acceptance": lambda: self._on_the_way(lambda proxy: setattr(proxy, "mute", True), timeout=1.5),
            "poisoned event": lambda: self._run(those=rows(POISONED)),
            "slow": lambda: self._on_the_way(lambda proxy: setattr(proxy, "slow_secs", 0.05)),
            "cut in mid-batch": lambda: self._on_the_way(lambda proxy: setattr(proxy, "cut_after_bytes", 2000)),
            "killed before it was confirmed": self._killed,
        }

    def _run(self, trouble: Callable[[int], None] = _quiet, those: list[bytes] | None = None) -> Outcome:
        those = those or rows()
        topic = self._broker.make_topic(max_message_bytes=str(MOST_BYTES))
        dead = deliver(lambda: test_kafka_delivery.sender_to(self._broker.port, topic), those, trouble)
        return _outcome(those, self._broker.messages(topic), dead)

    def _restart(self) -> None:
        self._broker.kill()
        threading.Timer(0.3, self._broker.start).start()

    def _refusal(self) -> Outcome:
        topic = self._broker.make_topic()
        self._broker.stop()
        starting = threading.Timer(0.5, self._broker.start)
        starting.start()
        deliver(lambda: test_kafka_delivery.sender_to(self._broker.port, topic), rows())
        starting.join()
        return _outcome(rows(), self._broker.messages(topic), ())

    def _on_the_way(self, begin: Callable[[Proxy], None], timeout: float | None = None) -> Outcome:
        topic, port = self._broker.make_topic(), self._broker.proxy_port
        with Proxy(port, self._broker.behind_proxy_port) as proxy:
            first = test_kafka_delivery.sender_to(port, topic, delivery_timeout_secs=timeout)
            first.begin(STREAM)
            first.send(FormattedPage(STREAM, [b"first"], [b"first"]))
            first.confirm()

            def trouble(number: int) -> None:
                if number == 3:
                    begin(proxy)
                    threading.Timer(1.0 if timeout is None else timeout + 0.2, self._mended, [proxy]).start()

            deliver(lambda: first, rows(), trouble)
        return _outcome(rows(), self._broker.messages(topic), ())

    @staticmethod
    def _mended(proxy: Proxy) -> None:
        if proxy.mute:
            proxy.mute = False
            proxy.cut()
        proxy.slow_secs = 0.0

    def _killed(self) -> Outcome:
        topic = self._broker.make_topic()
        for _ in range(2):
            deliver(lambda: test_kafka_delivery.sender_to(self._broker.port, topic), rows())
        return _outcome(rows(), self._broker.messages(topic), ())


# ---- files ----


class File:
    """A file of this machine."""

    name = "file"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self.troubles: dict[str, Callable[[], Outcome]] = {
            "none": self._run,
            "restart": lambda: self._run(lambda path: once(3, lambda: path.rename(path.with_name("duo.log.1")))),
            "refusal": self._refusal,
            "disk full": lambda: self._full(None),
            "disk full until given up": lambda: self._full(0.2),
            "timeout after acceptance": self._not_synced,
            "poisoned event": lambda: self._run(those=rows(POISONED)),
            "slow": self._held,
            "killed before it was confirmed": self._killed,
        }

    def _path(self) -> Path:
        self._number += 1
        (self._folder / f"file{self._number}").mkdir(mode=0o700)
        path = self._folder / f"file{self._number}" / "duo.log"
        deliver(lambda: self._sender(path), [b"first"])
        return path

    @staticmethod
    def _sender(path: Path, timeout: float | None = None) -> Sender:
        sender = test_file_delivery.sender_to(path, delivery_timeout_secs=timeout)
        sender._destination = _limited(sender._destination)
        return sender

    def _run(
        self, trouble: Callable[[Path], Callable[[int], None]] = lambda _: _quiet, those: list[bytes] | None = None
    ) -> Outcome:
        path, those = self._path(), those or rows()
        dead = deliver(lambda: self._sender(path), those, trouble(path))
        return self._found(path, those, dead)

    @staticmethod
    def _found(path: Path, those: list[bytes], dead: tuple[int, ...] = ()) -> Outcome:
        found = [line for each in path.parent.iterdir() for line in test_file_delivery.lines(each)]
        return _outcome(those, found, dead)

    def _refusal(self) -> Outcome:
        path = self._path()
        path.rename(path.with_name("kept"))
        path.symlink_to(path.with_name("kept"))
        threading.Timer(0.3, path.unlink).start()
        deliver(lambda: self._sender(path), rows())
        return self._found(path, rows())

    def _full(self, timeout: float | None) -> Outcome:
        path = self._path()
        with test_file_delivery.at_most(2_000):
            done = threading.Thread(target=deliver, args=(lambda: self._sender(path, timeout), rows()))
            done.start()
            time.sleep(0.4)
        done.join(20)
        return self._found(path, rows())

    def _not_synced(self) -> Outcome:
        path, fsync, failures = self._path(), os.fsync, [OSError(errno.EIO, "no answer")]

        def failing(descriptor: int) -> None:
            if failures and stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise failures.pop()
            fsync(descriptor)

        with mock.patch.object(log_file.os, "fsync", failing):
            deliver(lambda: self._sender(path), rows())
        return self._found(path, rows())

    def _held(self) -> Outcome:
        path = self._path()
        descriptor = os.open(path, os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        threading.Timer(0.3, os.close, [descriptor]).start()
        deliver(lambda: self._sender(path), rows())
        return self._found(path, rows())

    def _killed(self) -> Outcome:
        path = self._path()
        for _ in range(2):
            deliver(lambda: self._sender(path), rows())
        return self._found(path, rows())


# ---- standard output ----


class Stdout:
    """A pipe in its place."""

    name = "stdout"

    def __init__(self, _folder: Path) -> None:
        self.troubles: dict[str, Callable[[], Outcome]] = {
            "none": self._run,
            "poisoned event": lambda: self._run(those=rows(POISONED)),
            "slow": lambda: self._run(slow_secs=0.02),
            "cut in mid-batch": lambda: self._run(asleep_secs=0.5, timeout=0.2, wide=3000),
            "killed before it was confirmed": lambda: self._run(times=2),
        }

    def _run(
        self,
        those: list[bytes] | None = None,
        *,
        slow_secs: float = 0.0,
        asleep_secs: float = 0.0,
        timeout: float | None = None,
        wide: int = 0,
        times: int = 1,
    ) -> Outcome:
        those = those or [row[:-1] + b',"w":"%s"}' % (b"w" * wide) for row in rows()]
        out, into = os.pipe()
        found: list[bytes] = []

        def read() -> None:
            time.sleep(asleep_secs)
            data = b""
            while piece := os.read(out, 512):
                data += piece
                time.sleep(slow_secs)
            found.extend(data.splitlines())

        reader = threading.Thread(target=read)
        reader.start()
        there = _limited(Destination("out", StdoutSettings(), Format(JsonOptions()), delivery_timeout_secs=timeout))
        with mock.patch.object(output.OUTPUT, "_descriptor", into):
            for _ in range(times):
                dead = deliver(lambda: stdout_sender.make(there), those)
        os.close(into)
        reader.join(20)
        os.close(out)
        return _outcome(those, found, dead)


# ---- archives ----


class Archive:
    """On this machine, and on an object store that fails as it is told."""

    def __init__(self, folder: Path, *, remote: bool) -> None:
        self.name = "avro, object store" if remote else "avro"
        self._folder = folder
        self._remote = remote
        self._number = 0
        here: dict[str, Callable[[], Outcome]] = {
            "none": self._run,
            "disk full": self._full,
            "poisoned event": lambda: self._run(those=rows(POISONED)),
            "killed before it was confirmed": lambda: self._run(times=2),
        }
        away: dict[str, Callable[[], Outcome]] = {
            "none": self._run,
            "restart": lambda: self._run(_quiet_put, ConnectionError("reset"), ConnectionError("refused")),
            "refusal": lambda: self._run(*[ConnectionError("refused")] * 3),
            "timeout after acceptance": lambda: self._run(TimeoutError("no answer")),
            "poisoned event": lambda: self._run(those=rows(POISONED)),
            "slow": lambda: self._run(lambda _path: time.sleep(0.3)),
            "cut in mid-batch": lambda: self._run(_quiet_put, *[ConnectionError("cut")] * 40, timeout=0.2),
            "a store that lies": lambda: self._run(lambda path: os.truncate(path, 10)),
            "killed before it was confirmed": lambda: self._run(times=2),
        }
        self.troubles = away if remote else here

    def _run(self, *faults: Any, those: list[bytes] | None = None, timeout: float | None = None, times: int = 1) -> Outcome:
        those = those or rows()
        self._number += 1
        directory = f"{'toy:/' if self._remote else ''}{self._folder}/archive{self._remote}{self._number}"
        toy_store.FAULTS[:] = faults
        for _ in range(times):
            dead = deliver(lambda: self._sender(directory, timeout), those)
            toy_store.FAULTS.clear()
        return _outcome(those, test_archive.kept(directory), dead)

    @staticmethod
    def _sender(directory: str, timeout: float | None) -> Sender:
        sender = test_archive.sender_to(directory, delivery_timeout_secs=timeout)
        sender._destination = _limited(sender._destination)
        return sender

    def _full(self) -> Outcome:
        with _for_a_while(test_file_delivery.at_most(100), 0.3):
            return self._run()


def _quiet_put(_path: str) -> None:
    """This file is written without trouble."""


@contextlib.contextmanager
def _for_a_while(trouble: contextlib.AbstractContextManager[None], secs: float) -> Iterator[None]:
    """The trouble ends by itself, while the block goes on."""
    trouble.__enter__()
    timer = threading.Timer(secs, trouble.__exit__, (None, None, None))
    timer.start()
    yield
    timer.join()


def _limited(destination: Destination) -> Destination:
    return replace(destination, max_message_bytes=MOST_BYTES)


def kinds(folder: Path, broker: Broker | None) -> list[Any]:
    """All of them; without a broker, all but Kafka."""
    others = [File(folder), Stdout(folder), Archive(folder, remote=False), Archive(folder, remote=True)]
    return [*([Kafka(broker)] if broker else []), *others]


def table(those: list[Any]) -> str:
    """Lost / repeated, and how many became dead letters, as Markdown."""
    troubles = dict.fromkeys(trouble for kind in those for trouble in kind.troubles)
    lines = ["| trouble | " + " | ".join(kind.name for kind in those) + " |", "|---|" + "---|" * len(those)]
    for trouble in troubles:
        cells = []
        for kind in those:
            cells.append(str(kind.troubles[trouble]()) if trouble in kind.troubles else "")
            lifetime.reset()
        lines.append(f"| {trouble} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "kafka").mkdir()
        with Broker(Path(name) / "kafka", trustme.CA()) as there:
            print(table(kinds(Path(name), there)))
