"""What flows through the pipeline: streams, pages, events, and the facts that formats are written from.

Place in the flow: ``transforms.duo`` makes pages; ``SplitPages`` makes one element per event; formats read events.

An event travels as the raw JSON bytes of its row, exactly as Duo sent them, together with its stream. Whoever needs a field
decodes it with a typed struct: decoding and encoding every row again would make the whole pipeline four times slower.
"""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import msgspec
from apache_beam import coders


class Stream(msgspec.Struct, frozen=True):
    """One log type of one account: the unit that has one cursor and is read in order by one reader.

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


class DuoEvent(msgspec.Struct, frozen=True, gc=False):
    """One log row: ``raw`` is one JSON value without a line break, as Duo sent it."""

    stream: Stream
    raw: bytes


class DuoPage(msgspec.Struct, frozen=True):
    """One answer of Duo's API, at most 1000 rows, in Duo's order."""

    stream: Stream
    rows: list[bytes]


class EventFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a row says, in words that every SIEM format has a place for. Made by the log type, written by the formats.

    All texts are as Duo sent them, unescaped and unbounded; None and "" both mean "not there". Formats must not invent.

    Attributes:
      event_class: stable id per kind of event, ``auth.authentication.denied``; only ``[A-Za-z0-9_.-]``.
      title: a constant human-readable name of that kind of event, without data in it.
      severity: 1 (lowest) to 10, after the table in the format documentation.
      time_ms: when it happened, milliseconds since the epoch; None where the row has no readable time.
      event_id: Duo's own id of the event; None where the log has none.
      action, outcome, reason: what was tried, ``success`` or ``failure`` (or Duo's own word in lower case), and why.
      actor_*: who did it. target_*: to whom it was done. service: the application it was done through.
      target_details: Duo's JSON text on what it was done to; long, so that only formats that promise it write it.
      src_ip: always a valid IPv4 or IPv6 address without port, never ``0.0.0.0`` or ``::``. src_host: the device's host name.
      texts: further labelled texts ``(label, value)``. A log type always gives the same labels in the same order, with None
        or "" for what a row does not have, so that a place among them means the same in every event.
      numbers: further labelled whole numbers, likewise.
      times_ms: further labelled times, likewise.
    """

    event_class: str
    title: str
    severity: int
    category: str
    time_ms: int | None = None
    event_id: str | None = None
    action: str | None = None
    outcome: str | None = None
    reason: str | None = None
    actor_name: str | None = None
    actor_id: str | None = None
    target_name: str | None = None
    target_id: str | None = None
    target_details: str | None = None
    src_ip: str | None = None
    src_host: str | None = None
    service: str | None = None
    user_agent: str | None = None
    message: str | None = None
    url: str | None = None
    tenant: str | None = None
    texts: tuple[tuple[str, str | None], ...] = ()
    numbers: tuple[tuple[str, int | None], ...] = ()
    times_ms: tuple[tuple[str, int | None], ...] = ()


class SplitPages(beam.DoFn):
    """DuoPage → its events, in order."""

    def process(self, page: DuoPage) -> Iterator[DuoEvent]:
        stream = page.stream
        for row in page.rows:
            yield DuoEvent(stream, row)


class _StructCoder(coders.Coder):
    """Encodes one struct type as MessagePack behind a version byte; deterministic, readable without the class.

    Read, format and send are fused, so these coders are rarely called; but where a runner does encode between two steps,
    bytes that a later release can read are part of the promise to savepoints.
    """

    _VERSION = b"\x01"
    _type: type[msgspec.Struct]

    def encode(self, value: msgspec.Struct) -> bytes:
        return self._VERSION + msgspec.msgpack.encode(value)

    def decode(self, encoded: bytes) -> msgspec.Struct:
        if encoded[:1] != self._VERSION:
            raise ValueError(f"{self._type.__name__} of an unknown version {encoded[:1]!r}: this release is too old for it.")
        return msgspec.msgpack.decode(encoded[1:], type=self._type)

    def is_deterministic(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class DuoEventCoder(_StructCoder):
    """DuoEvent as bytes."""

    _type = DuoEvent

    def to_type_hint(self) -> type:
        return DuoEvent


class DuoPageCoder(_StructCoder):
    """DuoPage as bytes."""

    _type = DuoPage

    def to_type_hint(self) -> type:
        return DuoPage


coders.registry.register_coder(DuoEvent, DuoEventCoder)
coders.registry.register_coder(DuoPage, DuoPageCoder)
