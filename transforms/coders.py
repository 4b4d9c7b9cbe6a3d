"""What flows through the pipeline, for Beam: how a page becomes its events, and the bytes of both between two steps.

Place in the flow: ``transforms.duo`` makes pages; ``SplitPages`` makes one element per event; formats read events. What they
hold is said in ``transforms.records``, whose names are here, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam import coders

from transforms.records import DuoEvent, DuoPage, EventFacts, Stream

__all__ = ["DuoEvent", "DuoEventCoder", "DuoPage", "DuoPageCoder", "EventFacts", "SplitPages", "Stream"]

_STREAM_BYTES = 64


class SplitPages(beam.DoFn):
    """DuoPage → its events, in order."""

    def process(self, page: DuoPage) -> Iterable[DuoEvent]:
        stream = page.stream
        return [DuoEvent(stream, row) for row in page.rows]


class _StructCoder(coders.Coder):
    """Encodes one struct type as MessagePack behind a version byte; deterministic, readable without the class.

    Read, format and send are fused, so these coders are rarely called; but where a runner does encode between two steps,
    bytes that a later release can read are part of the promise to savepoints.
    """

    _VERSION = b"\x01"
    _type: type[msgspec.Struct]
    _decoder: msgspec.msgpack.Decoder[Any]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Now and not with the first element: see transforms.state.cursor on msgspec and threads.
        cls._decoder = msgspec.msgpack.Decoder(cls._type)

    def encode(self, value: msgspec.Struct) -> bytes:
        return self._VERSION + msgspec.msgpack.encode(value)

    def decode(self, encoded: bytes) -> msgspec.Struct:
        if encoded[:1] != self._VERSION:
            raise ValueError(f"{self._type.__name__} of an unknown version {encoded[:1]!r}: this release is too old for it.")
        return self._decoder.decode(encoded[1:])  # type: ignore[no-any-return]  # of this class's type

    def is_deterministic(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class DuoEventCoder(_StructCoder):
    """DuoEvent as bytes."""

    _type = DuoEvent

    def estimate_size(self, value: DuoEvent) -> int:
        """What Beam counts by: near enough, without encoding the event for it."""
        return len(value.raw) + _STREAM_BYTES

    def to_type_hint(self) -> type:
        return DuoEvent


class DuoPageCoder(_StructCoder):
    """DuoPage as bytes."""

    _type = DuoPage

    def estimate_size(self, value: DuoPage) -> int:
        """What Beam counts by: near enough, without encoding a megabyte for it."""
        return sum(map(len, value.rows)) + _STREAM_BYTES

    def to_type_hint(self) -> type:
        return DuoPage


coders.registry.register_coder(DuoEvent, DuoEventCoder)
coders.registry.register_coder(DuoPage, DuoPageCoder)
