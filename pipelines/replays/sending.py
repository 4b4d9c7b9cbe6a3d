"""Sends what is replayed: each event as the configuration says now, in bundles, and says what could not be delivered.

Place in the flow: ``letters`` and ``archives`` read, this one sends; one for a whole run.

Contract: when ``send`` has returned, everything that it was given is delivered in the destination's sense, or among what it
returns: the same letter with the new reason, never a letter of a letter. A filter of the routes keeps nothing back, since
somebody asks for it; what they redact of an event is redacted, and their functions are applied where they were not before.
Raises as senders do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

import msgspec

from transforms.coders import DuoEvent, FormattedEvent, MessageBatch
from transforms.destinations import Sender, make_sender
from transforms.destinations.pool import UnreadMessages
from transforms.errors import Undeliverable
from transforms.events.reselect import CannotChange, Reselection
from transforms.formats import FORMATS, Formatter, format_failed, make_formatter
from transforms.records import Stream
from transforms.settings import Destination, Format, Job, SyslogHeader
from transforms.state.dead_letters.letter import DeadLetter, failed_again
from transforms.state.dead_letters.write import files_in, keep_unread, reasons_of, report

BUNDLE_LETTERS, BUNDLE_BYTES = 8000, 8 * 1024 * 1024
"""So many are sent before their delivery is waited for; more are never held in memory."""

UNDELIVERABLE = "undeliverable"
_PAGE_MESSAGES = 500
_CLOSE_SECS = 10.0


def bundles(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """The letters in bundles."""
    bundle: list[DeadLetter] = []
    size_bytes = 0
    for letter in letters:
        bundle.append(letter)
        size_bytes += len(letter.raw) + len(letter.message)
        if len(bundle) >= BUNDLE_LETTERS or size_bytes >= BUNDLE_BYTES:
            yield bundle
            bundle, size_bytes = [], 0
    if bundle:
        yield bundle


def as_letter(stream: Stream, raw: bytes, time_ms: int | None, message: bytes = b"") -> DeadLetter:
    """An event on its way: what it becomes where it is undeliverable."""
    return DeadLetter(
        time_ms=time_ms or 0,
        account=stream.account,
        log_type=stream.log_type,
        api_host=stream.api_host,
        account_id=stream.account_id,
        reason="",
        detail="",
        raw=raw,
        message=message,
    )


def keep_failed(failed: list[DeadLetter], directory: str) -> None:
    """Keeps what could not be delivered, and tells of it. Raises OSError."""
    if failed:
        files_in(directory).write(failed)
        report(reasons_of(failed), directory)


def in_format(destination: Destination, name: str, *, of_msp: bool) -> Destination:
    """The destination, written to in another format, as if the configuration said no more than its name."""
    if name == destination.format.name:
        return destination
    options = FORMATS[name].options().completed(of_msp=of_msp)
    header = SyslogHeader(options.default_header) if options.default_header else None
    return replace(destination, format=Format(options, header))


class Sending:
    """See the module. Each destination gets a connection of its own, whose end shows whether it was read.

    Args:
      to: where all go; else each goes to the destination that its letter names.
      format_name: the format of all; else that of the destination.

    Attributes:
      counts: events by what became of them.
      why: of those that are undeliverable, by destination and reason. examples: what was said of the first of each.
    """

    def __init__(self, job: Job, to: str | None, format_name: str | None) -> None:
        self.counts: Counter[str] = Counter()
        self.why: Counter[tuple[str, str]] = Counter()
        self.examples: dict[tuple[str, str], str] = {}
        self._job = job
        of_msp = any(account.is_msp for account in job.accounts)
        self._destinations = {
            each.name: in_format(each, format_name, of_msp=of_msp) if format_name else each for each in job.destinations
        }
        self._to = to
        self._senders: dict[str, Sender] = {}
        self._formatters: dict[str, Formatter] = {}
        self._reselection = Reselection(job)

    def destination_of(self, letter: DeadLetter) -> Destination | None:
        """Where a letter goes; None where the configuration has no such destination."""
        return self._destinations.get(self._to or letter.destination)

    def send(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """Sends a bundle; the letters that are undeliverable, once more or now."""
        by_destination: dict[str, list[DeadLetter]] = {}
        for letter in letters:
            destination = self.destination_of(letter)
            assert destination is not None
            by_destination.setdefault(destination.name, []).append(letter)
        failed = [each for name, those in by_destination.items() for each in self._send_to(self._destinations[name], those)]
        self.counts[UNDELIVERABLE] += len(failed)
        for each in failed:
            self.why[each.destination, each.reason] += 1
            self.examples.setdefault((each.destination, each.reason), each.detail)
        return failed

    def end_connections(self) -> bool:
        """Ends them in good order; whether the receivers were seen to read all that they acknowledged."""
        senders = list(self._senders.values())
        self._senders.clear()
        for sender in senders:
            sender.close(_CLOSE_SECS)
        return not any(sender.unread() for sender in senders)

    def _send_to(self, destination: Destination, letters: list[DeadLetter]) -> list[DeadLetter]:
        sender = self._begun(destination, letters[0].stream)
        sent: list[DeadLetter] = []
        failed: list[DeadLetter] = []
        waiting = iter(letters)
        while batch := list(islice(waiting, _PAGE_MESSAGES)):
            messages = list(self._messages(destination, batch, failed))
            sent += [letter for letter, _ in messages]
            for page in MessageBatch.of([message for _, message in messages]).pages:
                sender.send(page)
        rejected = sender.confirm().rejected
        self.counts["delivered"] += len(sent) - len(rejected)
        self._keep_given_up(destination, sender)
        return failed + [failed_again(sent[each.index], destination, each.reason, each.detail) for each in rejected]

    def _messages(
        self, destination: Destination, letters: Iterable[DeadLetter], failed: list[DeadLetter]
    ) -> Iterator[tuple[DeadLetter, FormattedEvent]]:
        """What is sent of letters: each message, and the letter that it becomes where it is rejected."""
        for letter in letters:
            for changed in self._changed(destination, letter, failed):
                try:
                    message = changed.message or self._formatted(destination, changed)
                except Undeliverable as error:
                    failed.append(failed_again(changed, destination, error.reason, str(error)))
                else:
                    yield changed, FormattedEvent(DuoEvent(changed.stream, changed.raw), message)

    def _changed(self, destination: Destination, letter: DeadLetter, failed: list[DeadLetter]) -> list[DeadLetter]:
        """A letter as the routes to the destination leave it; where they cannot, it is added to those that failed."""
        try:
            changed = self._reselection.letters_of(letter, destination.name)
        except Undeliverable as error:
            # Of what was no dead letter before, no more is kept than the destination might see.
            was_kept = bool(letter.reason)
            raw = letter.raw if was_kept else error.row if isinstance(error, CannotChange) else b""
            again = failed_again(msgspec.structs.replace(letter, raw=raw), destination, error.reason, str(error))
            # It still names no format where it did not: the own function has yet to be applied.
            failed.append(msgspec.structs.replace(again, format=letter.format))
            return []
        self.counts["left out by a function"] += not changed
        return changed

    def _formatted(self, destination: Destination, letter: DeadLetter) -> bytes:
        """The event as a message. Raises Undeliverable, whatever the format trips over."""
        try:
            return self._formatters[destination.name].format(DuoEvent(letter.stream, letter.raw))
        except Undeliverable:
            raise
        except Exception as error:
            raise format_failed(error) from error

    def _begun(self, destination: Destination, owner: Stream) -> Sender:
        if destination.name not in self._senders:
            self._senders[destination.name] = make_sender(destination)
            self._formatters[destination.name] = make_formatter(destination.format)
        sender = self._senders[destination.name]
        sender.begin(owner)
        return sender

    def _keep_given_up(self, destination: Destination, sender: Sender) -> None:
        given_up = [UnreadMessages(destination, owner, those) for owner, those in sender.given_up() if owner is not None]
        if given_up:
            keep_unread(self._job.storage.dead_letter_dir, given_up)
            sender.given_up_is_kept()
