"""``duologsync replay CONFIG``: sends dead letters again, after what kept them from being delivered was mended.

Each file of the dead letter directory is formatted and sent as the configuration says now; a file whose letters were all
delivered and seen to be read, or found undeliverable again and kept in a new file, is renamed to ``….replayed`` and never
deleted. At least once: a replay that is broken off sends that file's letters again. What is kept again is the same letter with
the new reason: of one whose event is gone, the message. A file that is damaged is told and stays; the others go on.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from pipelines import exit_codes, logs
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.printable import say
from transforms.coders import DuoEvent, FormattedEvent, MessageBatch
from transforms.destinations import Sender, make_sender
from transforms.errors import DuoLogSyncError, Undeliverable
from transforms.events.reselect import Reselection
from transforms.formats import Formatter, format_failed, make_formatter
from transforms.settings import Destination, Job
from transforms.state.dead_letters.letter import DeadLetter, failed_again, read_dead_letters
from transforms.state.dead_letters.write import files_in, trouble_with_dead_letters

_LOGGER = logging.getLogger("duologsync.commands")
_CLOSE_SECS = 10.0
_BATCH_LETTERS = 500
_TAKEN = ".replaying"
_AGAIN = "undeliverable again"
_HOMELESS = "without a destination"
_UNREADABLE = "files that cannot be read"
_UNREAD = "not seen to be read"
_FAILURES = (_AGAIN, _HOMELESS, _UNREADABLE, _UNREAD)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)
    parser.add_argument("--to", metavar="DESTINATION", help="send all of them there, instead of to the destination each names")


def run(arguments: argparse.Namespace) -> int:
    """Sends every letter whose destination the configuration still has."""
    loaded = load_or_explain(arguments.config)
    if loaded is None:
        return exit_codes.CONFIG
    logs.set_up()
    if arguments.to and arguments.to not in {d.name for d in loaded.job.destinations}:
        say(f"The configuration has no destination '{arguments.to}'.")
        return exit_codes.CONFIG
    directory = loaded.job.storage.dead_letter_dir
    if "://" in directory:
        say(f"Copy the files from {directory} into a local directory, and name that as dead_letter_dir for the replay.")
        return exit_codes.CONFIG
    trouble = trouble_with_dead_letters(directory) if Path(directory).exists() else None
    if trouble is not None:
        say(f"The dead letters in {directory} cannot be replayed: {trouble.strerror}.")
        return exit_codes.STATE
    replay = _Replay(loaded.job, arguments.to)
    try:
        for path in sorted([*Path(directory).glob("*.avro"), *Path(directory).glob(f"*.avro{_TAKEN}")]):
            replay.send_file_or_tell(path)
    except DuoLogSyncError as error:
        _LOGGER.error("%s", error)
        return exit_codes.DELIVERY
    finally:
        replay.close()
    say(", ".join(f"{count} {what}" for what, count in replay.counts.items()) or "There are no dead letters.")
    return exit_codes.DELIVERY if any(replay.counts[what] for what in _FAILURES) else exit_codes.OK


class _Replay:
    """One run over the files, each over connections of its own: their end shows whether it was read."""

    def __init__(self, job: Job, to: str | None) -> None:
        self.counts: Counter[str] = Counter()
        self._directory = job.storage.dead_letter_dir
        self._destinations = {d.name: d for d in job.destinations}
        self._to = to
        self._senders: dict[str, Sender] = {}
        self._formatters: dict[str, Formatter] = {}
        self._reselection = Reselection(job)

    def send_file_or_tell(self, path: Path) -> None:
        """One file that is damaged, or that somebody took away meanwhile, must not keep the others back."""
        try:
            self.send_file(path)
        except (OSError, ValueError) as error:
            self.counts[_UNREADABLE] += 1
            cause = error.strerror if isinstance(error, OSError) else error
            _LOGGER.error("%s stays as it is, and the others go on: %s.", path, cause)

    def send_file(self, path: Path) -> None:
        """Sends a file's letters and sets it aside. Raises OSError and ValueError for a file that cannot be read or renamed."""
        letters = list(read_dead_letters(path))
        homeless = [letter for letter in letters if self._destination(letter) is None]
        if homeless:
            self.counts[_HOMELESS] += len(homeless)
            _LOGGER.warning("%s: %d letters name no destination of this configuration; use --to.", path.name, len(homeless))
            return
        # A running copy sees that its file is gone and begins another one; what it wrote meanwhile is in this one.
        taken = path if path.name.endswith(_TAKEN) else path.rename(path.with_name(path.name + _TAKEN))
        sent = 0
        while len(letters) > sent:
            again = self._send(letters[sent:])
            if again:
                files_in(self._directory).write(again)
            self.counts["delivered"] += len(letters) - sent - len(again)
            sent = len(letters)
            letters = list(read_dead_letters(taken))
        if not self._end_connections():
            # Acknowledged is not read: the file is sent again by the next replay.
            self.counts[_UNREAD] += len(letters)
            _LOGGER.error(
                "%s: a receiver was not seen to read what it acknowledged. The next replay sends it again.", taken.name
            )
            return
        taken.rename(taken.with_name(taken.name.removesuffix(_TAKEN) + ".replayed"))

    def close(self) -> None:
        self._end_connections()

    def _end_connections(self) -> bool:
        """Ends them in good order; whether the receivers were seen to read all that they acknowledged."""
        senders = list(self._senders.values())
        self._senders.clear()
        for sender in senders:
            sender.close(_CLOSE_SECS)
        return not any(sender.unread() for sender in senders)

    def _send(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """Sends and confirms; the letters that are undeliverable once more."""
        again: list[DeadLetter] = []
        by_destination: dict[Destination, list[DeadLetter]] = {}
        for letter in letters:
            destination = self._destination(letter)
            assert destination is not None
            by_destination.setdefault(destination, []).append(letter)
        for destination, those in by_destination.items():
            again += self._send_to(destination, those)
        if again:
            self.counts[_AGAIN] += len(again)
        return again

    def _send_to(self, destination: Destination, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        sender = self._begin(destination)
        sent: list[DeadLetter] = []
        again: list[DeadLetter] = []
        for batch in _batches(letters):
            messages = []
            for letter in batch:
                for changed in self._changed(letter, destination, again):
                    try:
                        message = changed.message or self._formatted(changed, destination)
                    except Undeliverable as error:
                        again.append(failed_again(changed, destination, error.reason, str(error)))
                        continue
                    messages.append(FormattedEvent(DuoEvent(changed.stream, changed.raw), message))
                    sent.append(changed)
            for page in MessageBatch.of(messages).pages:
                sender.send(page)
        rejected = sender.confirm().rejected
        return again + [failed_again(sent[each.index], destination, each.reason, each.detail) for each in rejected]

    def _changed(self, letter: DeadLetter, destination: Destination, again: list[DeadLetter]) -> list[DeadLetter]:
        """A letter as the routes to the destination leave it; where they cannot, it is added to those that failed again."""
        try:
            return self._reselection.letters_of(letter, destination.name)
        except Undeliverable as error:
            # It still names no format where it did not: the own function has yet to be applied.
            failed = failed_again(letter, destination, error.reason, str(error))
            again.append(msgspec.structs.replace(failed, format=letter.format))
            return []

    def _formatted(self, letter: DeadLetter, destination: Destination) -> bytes:
        """The event as a message. Raises Undeliverable, whatever the format trips over."""
        try:
            return self._formatters[destination.name].format(DuoEvent(letter.stream, letter.raw))
        except Undeliverable:
            raise
        except Exception as error:
            raise format_failed(error) from error

    def _begin(self, destination: Destination) -> Sender:
        if destination.name not in self._senders:
            self._senders[destination.name] = make_sender(destination)
            self._formatters[destination.name] = make_formatter(destination.format)
        sender = self._senders[destination.name]
        sender.begin()
        return sender

    def _destination(self, letter: DeadLetter) -> Destination | None:
        return self._destinations.get(self._to or letter.destination)


def _batches(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    left = iter(letters)
    while batch := list(islice(left, _BATCH_LETTERS)):
        yield batch
