"""What flows through the pipeline, for Beam: how a page becomes batches of events, and the bytes of it all between two steps.

Place in the flow: ``transforms.duo`` makes pages; ``SplitPages`` makes a batch of events of each; formats make a batch of
messages of that, and the sink takes it. What they hold is said in ``transforms.records``, whose names are here, too.

Batches are Beam's own (``DoFn.process_batch``): the elements of the collections are events, a step that knows batches gets a
page at once, and any other step gets event by event. A step of ours has ``process``, too, and makes a batch of one of what it
gets so: Beam would else collect single elements for it, and lose those that the step before emits at the end of its bundle.

Time that a batch takes, and counters that are changed while it is processed, are booked by Beam on the step that reads. So our
steps count at the end of the bundle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import apache_beam as beam
import msgspec
from apache_beam import coders
from apache_beam.metrics.metric import Lineage
from apache_beam.typehints.batch import BatchConverter

from transforms.facts import EventFacts
from transforms.records import DuoEvent, DuoPage, EventBatch, FormattedEvent, MessageBatch, Stream

__all__ = [
    "DuoEvent",
    "DuoEventCoder",
    "DuoPage",
    "DuoPageCoder",
    "EventBatch",
    "EventFacts",
    "FormattedEvent",
    "FormattedEventCoder",
    "MessageBatch",
    "SplitPages",
    "Stream",
]

_STREAM_BYTES = 64


class SplitPages(beam.DoFn):
    """DuoPage → its events, in order, as one batch. Reports where they come from."""

    def __init__(self) -> None:
        super().__init__()
        self._streams: set[Stream] = set()

    def start_bundle(self) -> None:
        self._streams.clear()

    @beam.DoFn.yields_batches
    def process(self, page: DuoPage) -> Iterator[EventBatch]:
        self._streams.add(page.stream)
        yield EventBatch((page,))

    def finish_bundle(self) -> None:
        for stream in self._streams:
            Lineage.sources().add("duo", stream.api_host, stream.log_type)

    def get_output_batch_type(self, input_element_type: Any) -> type:  # noqa: ARG002 - Beam's signature
        return EventBatch

    def infer_output_type(self, input_type: Any) -> type:  # noqa: ARG002
        return DuoEvent


def events_of(collection: beam.PCollection) -> beam.PCollection:
    """The events of a collection whose type may say less, or which holds rows, such as ``DuoRow``."""
    if collection.element_type is DuoEvent:
        return collection
    return collection | "Events" >> beam.Map(_as_event).with_output_types(DuoEvent)


def messages_of(collection: beam.PCollection) -> beam.PCollection:
    """The formatted events of a collection whose type may say less."""
    if collection.element_type is FormattedEvent:
        return collection
    return collection | "Messages" >> beam.Map(_as_message).with_output_types(FormattedEvent)


def _as_event(element: Any) -> DuoEvent:
    if isinstance(element, DuoEvent):
        return element
    try:
        stream = Stream(element.account, element.log_type, element.api_host, element.account_id)
        return DuoEvent(stream, element.raw)
    except AttributeError:
        raise TypeError(
            f"An event of Duo is expected here, not {type(element).__name__}: hand on the DuoEvent that ReadFromDuo gives, or "
            "a row with account, log_type, api_host, account_id and raw."
        ) from None


def _as_message(element: Any) -> FormattedEvent:
    if isinstance(element, FormattedEvent):
        return element
    raise TypeError(
        f"A message to send is expected here, not {type(element).__name__}: put FormatEvents before, or make a "
        "FormattedEvent(event, message) of each event."
    )


class Batch(Protocol):
    """What all batches can say, whatever is in them."""

    @property
    def size_bytes(self) -> int: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...


class _Batches(BatchConverter):
    """Tells Beam how a batch of ours and its elements become each other.

    A step emits all its outputs by the converter of its main one, so that batches of dead letters pass here, too.
    """

    def produce_batch(self, elements: Iterable[Any]) -> Batch:
        return self._batch_type.of(elements)  # type: ignore[no-any-return]  # of one of _BATCHES

    def explode_batch(self, batch: Batch) -> Iterator[Any]:
        return iter(batch)

    def combine_batches(self, batches: Sequence[Batch]) -> Batch:
        return self.produce_batch(element for batch in batches for element in batch)

    def get_length(self, batch: Batch) -> int:
        return len(batch)

    def estimate_byte_size(self, batch: Batch) -> int:
        return batch.size_bytes


@BatchConverter.register(name="duologsync")
def _converter(element_type: Any, batch_type: Any) -> BatchConverter:
    if (element_type, batch_type) not in _BATCHES:
        raise TypeError("not a batch of Duo's events")
    return _Batches(batch_type, element_type)


_BATCHES = {(DuoEvent, EventBatch), (FormattedEvent, MessageBatch)}


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


class FormattedEventCoder(_StructCoder):
    """FormattedEvent as bytes."""

    _type = FormattedEvent

    def estimate_size(self, value: FormattedEvent) -> int:
        return len(value.event.raw) + len(value.message) + _STREAM_BYTES

    def to_type_hint(self) -> type:
        return FormattedEvent


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
coders.registry.register_coder(FormattedEvent, FormattedEventCoder)
