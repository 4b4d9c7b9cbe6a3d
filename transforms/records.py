"""What flows through the pipeline, as plain values: streams and who gets them, pages and events.

Place in the flow: ``transforms.duo`` makes pages, ``transforms.coders`` splits them and knows the coders, formats read events.
Nothing of Beam is here, so whoever needs the values only, such as the configuration, does not load it.

To Beam, the elements are single events, and what is handed on between our steps are batches of them: a page's rows in one list,
and their messages in another. No object per event is made where none is needed, and a step is called once for a page.

An event travels as the raw JSON bytes of its row, exactly as Duo sent them, together with its stream. Whoever needs a field
decodes it with a typed struct: decoding and encoding every row again would make the whole pipeline four times slower.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import msgspec

from transforms.notices.notice import About


class Stream(msgspec.Struct, frozen=True):
    """One log type of one account: the unit that is read in order.

    Attributes:
      account: the account's name in the configuration (for an MSP's child: ``PARENT/CHILD_ID``).
      log_type: a key of ``transforms.duo.log_types.LOG_TYPES``.
      api_host: the Duo host that it is read from.
      account_id: the child's account id under an MSP parent, else None.
    """

    account: str
    log_type: str
    api_host: str = ""
    account_id: str | None = None

    def __str__(self) -> str:
        return f"{self.account}/{self.log_type}"

    @property
    def identity(self) -> tuple[str, str, str]:
        """What tells it from others. A child of an MSP stays the same when Duo moves it to another API host."""
        return self.account, self.log_type, self.account_id or self.api_host


class Subscription(msgspec.Struct, frozen=True):
    """What of a stream goes to one destination: the unit that has a position, a reader and a thread of its own.

    As a subscription of Pub/Sub or a consumer group of Kafka: those of one stream do not wait for each other.

    Attributes:
      stream: what is read.
      destination: the name of where it goes; its address may change.
    """

    stream: Stream
    destination: str

    def __str__(self) -> str:
        return f"{self.stream} to {self.destination}"

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What tells it from others."""
        return *self.stream.identity, self.destination

    @property
    def about(self) -> About:
        """What a line of the log about it is about (``transforms.notices``)."""
        return {"stream": self.stream, "destination": self.destination}


class DuoEvent(msgspec.Struct, frozen=True, gc=False):
    """One log row: ``raw`` is one JSON value without a line break, as Duo sent it; of odd ones see ``duo.answers``."""

    stream: Stream
    raw: bytes


class DuoPage(msgspec.Struct, frozen=True):
    """One answer of Duo's API, at most 1000 rows, in Duo's order."""

    stream: Stream
    rows: list[bytes]


class DuoRow(NamedTuple):
    """An event with a schema, as Beam SQL and Beam YAML need it."""

    account: str
    log_type: str
    api_host: str
    account_id: str | None
    raw: bytes

    @classmethod
    def of(cls, event: DuoEvent) -> DuoRow:
        stream = event.stream
        return cls(stream.account, stream.log_type, stream.api_host, stream.account_id, event.raw)


class FormattedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event and the message that a SIEM gets of it: one line, without line break or framing."""

    event: DuoEvent
    message: bytes


class FormattedPage(msgspec.Struct, frozen=True):
    """Rows of one stream and the message of each, in the same order."""

    stream: Stream
    rows: list[bytes]
    messages: list[bytes]

    def event(self, index: int) -> DuoEvent:
        return DuoEvent(self.stream, self.rows[index])


class EventBatch(msgspec.Struct, frozen=True):
    """Events in their order: a page, or several where events of several streams were put together."""

    pages: tuple[DuoPage, ...]

    @classmethod
    def of(cls, events: Iterable[DuoEvent]) -> EventBatch:
        return cls(tuple(DuoPage(stream, [e.raw for e in run]) for stream, run in groupby(events, attrgetter("stream"))))

    def __len__(self) -> int:
        return sum(len(page.rows) for page in self.pages)

    @property
    def size_bytes(self) -> int:
        return sum(sum(map(len, page.rows)) for page in self.pages)

    def __iter__(self) -> Iterator[DuoEvent]:
        return (DuoEvent(page.stream, row) for page in self.pages for row in page.rows)


class MessageBatch(msgspec.Struct, frozen=True):
    """Formatted events in their order."""

    pages: tuple[FormattedPage, ...]

    @classmethod
    def of(cls, formatted: Iterable[FormattedEvent]) -> MessageBatch:
        runs = ((stream, list(run)) for stream, run in groupby(formatted, attrgetter("event.stream")))
        return cls(tuple(FormattedPage(stream, [f.event.raw for f in run], [f.message for f in run]) for stream, run in runs))

    def __len__(self) -> int:
        return sum(len(page.rows) for page in self.pages)

    @property
    def size_bytes(self) -> int:
        return sum(sum(map(len, page.rows)) + sum(map(len, page.messages)) for page in self.pages)

    def __iter__(self) -> Iterator[FormattedEvent]:
        for page in self.pages:
            for row, message in zip(page.rows, page.messages, strict=True):
                yield FormattedEvent(DuoEvent(page.stream, row), message)
