"""An archive: events as Duo sent them, in Avro files under ``ACCOUNT/LOG/DAY/`` of any Beam file system.

Place in the flow: one of the kinds. It keeps the rows, and of an event that is gone (a dead letter of a message) the message.

Delivered means: the event is in a whole file, which is durable under its name. A file is written once and never changed.

Each bundle makes a file of its own for each log, and for each day that its events are of. A live log makes one per poll in
which there were events: up to 5,760 a day where ``poll_interval_secs`` is left out, of a few KB each. That is what it costs
that nothing waits for others before it is delivered, and that a file never changes, so that others may take each up once.
``replay --from-archive DIR --to OTHER_ARCHIVE`` makes few large ones of them.

At least once, as everywhere. The same bundle sent again writes the same files over. A bundle that is read again with other
borders, after a crash, makes other files, and what both have is there twice; each event has its id.

Contract: as in ``transforms.destinations.sender``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from transforms.days import day_of
from transforms.destinations.archive import store
from transforms.destinations.archive.records import Archived, directory_of, file_of
from transforms.destinations.archive.settings import AvroSettings
from transforms.destinations.health import health_of
from transforms.destinations.sender import Confirmation, KeepsNothing, Rejection, oversize
from transforms.destinations.waits import CONNECTING, Waits
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.log_types.base import RowKey
from transforms.errors import BadDestination, RetryLater
from transforms.process.files import ONLY_A_PERSON, why_not_writable
from transforms.process.retry import RetryPolicy
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination
from transforms.state.receipts import READ_AT_ONCE

_Place = tuple[Stream, str]  # stream and day: what makes a file


def make(destination: Destination[AvroSettings], retry: RetryPolicy = CONNECTING) -> ArchiveSender:
    """A sender that makes its directories when the first events are confirmed."""
    return ArchiveSender(destination, retry)


class ArchiveSender(KeepsNothing):
    """A ``Sender`` to an archive. Events are held until ``confirm``.

    Attributes:
      resent: files that were written more than once, because it had failed.
    """

    reconnects = 0

    def __init__(self, destination: Destination[AvroSettings], retry: RetryPolicy) -> None:
        self._destination = destination
        self._health = health_of(destination)
        self._waits = Waits(destination, retry)
        self._taken = 0  # events of this bundle
        self._rejected: list[Rejection] = []  # of them
        self._events: dict[_Place, list[Archived]] = {}  # of them: what is in no file yet
        self.resent = 0

    def begin(self, owner: Stream | None = None) -> None:  # noqa: ARG002 - nothing is kept that would need an owner
        self._taken = 0
        self._rejected, self._events = [], {}
        self._waits.begin()

    def send(self, page: FormattedPage) -> None:
        key_of = _key_reader(page.stream.log_type)
        most_bytes = self._destination.max_message_bytes
        for index, (row, message) in enumerate(zip(page.rows, page.messages, strict=True), self._taken):
            size = len(row or message)
            if most_bytes is not None and size > most_bytes:
                self._rejected.append(oversize(index, size, self._destination.name, most_bytes, "event"))
                continue
            key = key_of(row)
            event = Archived(page.stream, key.time_ms, key.event_id, row, b"" if row else message)
            self._events.setdefault((page.stream, day_of(key.time_ms)), []).append(event)
        self._taken += len(page.messages)

    def confirm(self) -> Confirmation:
        for place in list(self._events):
            stream, day = place
            name, content = file_of(self._events[place])
            self._insist(f"{directory_of(stream, day)}/{name}", content)
            del self._events[place]
        return Confirmation(READ_AT_ONCE, tuple(self._rejected))

    def check(self) -> None:
        """Nothing is open between bundles."""

    def close(self, grace_secs: float) -> None:
        """Nothing is open between bundles."""

    def interrupt(self) -> None:
        self._waits.interrupt()

    @property
    def waited_secs(self) -> float:
        """How long this bundle has waited for the file system to take something."""
        return self._waits.waited_secs

    def test_connection(self) -> None:
        """Looks whether the directory can be used, without making it. Raises BadDestination or RetryLater."""
        directory = self._destination.settings.directory
        if store.is_remote(directory):
            store.look_at(directory)
        elif (trouble := why_not_writable(Path(directory))) is not None:
            raise self._bad(trouble)

    def _insist(self, name: str, content: bytes) -> None:
        while not self._put(name, content):
            self._waits.back_off()
            self.resent += 1
        self._waits.succeeded()
        self._waits.moved()
        self._health.back(0)
        self._health.ever_delivered = True

    def _put(self, name: str, content: bytes) -> bool:
        """Whether it is there. What only a person can mend ends the program only before anything was ever written."""
        try:
            store.put(self._destination.settings.directory, name, content)
        except RetryLater as error:
            self._health.away(str(error).rstrip("."))
        except OSError as error:
            if error.errno in ONLY_A_PERSON and not self._health.ever_delivered:
                raise self._bad(error) from error
            self._health.away(str(error.strerror or error))
        else:
            return True
        return False

    def _bad(self, error: OSError) -> BadDestination:
        place = error.filename or self._destination.place
        return BadDestination(f"Destination {self._destination.name}: {place} cannot be written to: {error.strerror or error}.")


def _key_reader(log_type: str) -> Callable[[bytes], RowKey]:
    known = LOG_TYPES.get(log_type)
    return known.row_key if known is not None else lambda _row: RowKey(None, None)
