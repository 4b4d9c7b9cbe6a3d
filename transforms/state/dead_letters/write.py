"""Events that can never be delivered as they are: how they come into the files in which they wait.

Place in the flow: whoever finds an event undeliverable (formats, destinations) emits a ``DeadLetter``; ``WriteDeadLetters``
writes it to an Avro file in ``dead_letter_dir``; ``read_dead_letters`` reads it for the replay. What a letter is, is said in
``letter``; how its file is written, in ``local`` and ``remote``.

Contract: a bundle with dead letters finishes only when they are on disk (written, flushed, synced): an event is delivered or
kept, never lost. The letters of what a format cannot write are written before anything else of their batch is sent; where they
cannot be, their bundle waits there, as it does for a destination that is away, and nothing is sent twice. Those of what a
destination rejected are written when all else is delivered. The bundle fails only at the end of a shutdown's grace period or,
on streaming runners, after the destination's delivery timeout, and what was delivered of it is sent again; its stream is then
held until the directory can be written.

The log and the metrics count by reason and show no event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import apache_beam as beam

from transforms.destinations.circuit_breaker import CIRCUIT_BREAKERS
from transforms.errors import DuoLogSyncError, RetryLater, Stopping
from transforms.metrics.beam import tell_beam
from transforms.metrics.catalog import BUNDLES_FAILED, DEAD_LETTER_WRITE_FAILURES, DEAD_LETTERS
from transforms.metrics.registry import METRICS, of_stream
from transforms.process.files import why_not_writable
from transforms.process.lifetime import OnePerKey, Stage, per_process
from transforms.process.shutdown import FAILURES
from transforms.records import Stream, Subscription
from transforms.settings import Destination
from transforms.state.dead_letters.counts import MAYBE_UNREAD
from transforms.state.dead_letters.letter import DeadLetter, about
from transforms.state.dead_letters.local import DeadLetterFiles, StreamName
from transforms.state.dead_letters.remote import RemoteDeadLetterFiles

_Reason = tuple[Subscription, str]

_HELD_LETTERS = 1000  # more are not held until the end of their bundle


_FILES: OnePerKey[str, DeadLetterFiles] = per_process(
    "dead letter files", OnePerKey, close=lambda _: _close_files(), stage=Stage.FILES
)


def _close_files() -> None:
    for files in _FILES.all():
        files.close()
    tell_of_the_rest()


def tell_of_the_rest() -> None:
    """At the end: the log has told of all letters."""
    for files in _FILES.all():
        files.telling.tell_rest()


def files_in(directory: str) -> DeadLetterFiles:
    """The one ``DeadLetterFiles`` of a directory in this process; for an URL, one of ``dead_letters.remote``."""
    return _FILES.of(directory, lambda: _made(directory))


def _made(directory: str) -> DeadLetterFiles:
    return RemoteDeadLetterFiles(directory) if "://" in directory else DeadLetterFiles(directory)


def trouble_with_dead_letters(directory: str) -> OSError | None:
    """What would keep letters from being written, as far as can be seen without writing one; nothing is known of an URL."""
    return None if "://" in directory else why_not_writable(Path(directory))


class Unread(Protocol):
    """Messages of one stream that a destination may never have read, as ``registry`` hands them over."""

    @property
    def destination(self) -> Destination: ...

    @property
    def stream(self) -> Stream: ...

    @property
    def messages(self) -> list[bytes]: ...


def keep_unread(directory: str, unread: Iterable[Unread]) -> None:
    """Keeps messages of which it will never be known whether they were read. Raises RetryLater where that cannot be."""
    letters = [
        DeadLetter(
            **about(some.stream, some.destination.name, some.destination.format.name),
            reason=MAYBE_UNREAD,
            detail="Acknowledged by the receiver's system, but its connection was lost and it may not have been read.",
            message=message,
        )
        for some in unread
        for message in some.messages
    ]
    if letters:
        files_in(directory).write(letters)
        report(reasons_of(letters), directory)


class WriteDeadLetters(beam.DoFn):
    """DeadLetter → Avro files in a directory. No output.

    Args:
      timeout_secs: for how long a bundle may wait until the directory can be written; None for as long as it takes.
    """

    def __init__(self, directory: str, timeout_secs: float | None = None) -> None:
        super().__init__()
        self._directory = directory
        self._timeout_secs = timeout_secs
        self._clear()

    def _clear(self) -> None:
        self._held: list[DeadLetter] = []
        self._subscriptions: dict[StreamName, Subscription] = {}
        self._reasons: Counter[_Reason] = Counter()

    def start_bundle(self) -> None:
        self._clear()

    def process(self, letter: DeadLetter) -> None:
        self._held.append(letter)
        subscription = Subscription(letter.stream, letter.destination)
        self._subscriptions.setdefault((letter.account, letter.log_type), subscription)
        self._reasons[subscription, letter.reason] += 1
        files = files_in(self._directory)
        if files.at_once or len(self._held) >= _HELD_LETTERS:
            self._insist(lambda: files.write(self._held, sync=False))
            self._held = []

    def finish_bundle(self) -> None:
        if not self._subscriptions:
            return
        files = files_in(self._directory)
        if self._held:
            self._insist(lambda: files.write(self._held, sync=False))
            self._held = []
        self._insist(lambda: files.sync(self._subscriptions))
        for subscription in self._subscriptions.values():
            CIRCUIT_BREAKERS.delivered(subscription, self._title)
        report(self._reasons, self._directory)
        tell_beam("send", {subscription for subscription, _ in self._reasons})
        self._clear()

    @property
    def _title(self) -> str:
        return f"dead letters in {self._directory}"

    def _insist(self, attempt: Callable[[], None]) -> None:
        files = files_in(self._directory)

        def counted() -> None:
            try:
                attempt()
            except RetryLater:
                # At once: while it is tried again and again, this is by what somebody hears of it.
                for subscription in self._subscriptions.values():
                    METRICS.add(DEAD_LETTER_WRITE_FAILURES, of_stream(subscription))
                raise

        try:
            files.insistence.until_done(counted, self._timeout_secs)
        except DuoLogSyncError as error:
            for subscription in self._subscriptions.values():
                FAILURES.record(subscription, error)
                if not isinstance(error, Stopping):
                    METRICS.add(BUNDLES_FAILED, of_stream(subscription))
                    CIRCUIT_BREAKERS.hold(subscription, self._title, files.try_out)
            raise


def reasons_of(letters: Iterable[DeadLetter]) -> Counter[_Reason]:
    """How many letters there are of each stream, destination and reason."""
    return Counter((Subscription(letter.stream, letter.destination), letter.reason) for letter in letters)


def report(reasons: Counter[_Reason], directory: str) -> None:
    """What is said of letters that are on disk, and the metrics."""
    of_all: Counter[str] = Counter()
    for (subscription, reason), count in reasons.items():
        of_all[reason] += count
        METRICS.add(DEAD_LETTERS, (*of_stream(subscription), reason), count)
    files_in(directory).telling.kept(of_all)
