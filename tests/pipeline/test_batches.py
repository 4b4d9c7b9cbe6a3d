"""Events move in batches from the split of a page to the sink, and every other step still gets them one by one."""

import json
from collections.abc import Iterator

import apache_beam as beam
import pytest
from apache_beam.transforms.window import FixedWindows, GlobalWindow, TimestampedValue
from apache_beam.typehints.batch import BatchConverter
from apache_beam.utils.windowed_value import WindowedValue

from tests.destinations.peers import Peer, destination, eventually
from transforms.coders import DuoEvent, DuoPage, EventBatch, FormattedEvent, MessageBatch, SplitPages, Stream
from transforms.destinations import pool
from transforms.destinations.sink import SendToDestination
from transforms.formats.apply import FormatBatches
from transforms.state.dead_letters.letter import DEAD

AUTH, ACTIVITY = Stream("acme", "auth", "api-1.duosecurity.com"), Stream("acme", "activity", "api-1.duosecurity.com")
PAGES = [DuoPage(stream, [b'{"n":%d}' % n for n in range(begin, begin + 5)]) for stream, begin in ((AUTH, 0), (ACTIVITY, 5))]
ROWS = [row for page in PAGES for row in page.rows]
SEEN: list = []


@pytest.fixture(autouse=True)
def _new_process():
    SEEN.clear()
    pool.close_all(0.2)
    yield
    pool.close_all(0.2)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.stop_listening()


def run(peer: Peer, *between, pages=PAGES, **settings):
    """Pages → split → steps of a user → format → sink, in one bundle; what is left of the pipeline when it is done."""
    there = destination(peer.port, **settings)
    pipeline = beam.Pipeline()
    events = pipeline | "Pages" >> beam.Create(pages, reshuffle=False) | "Split" >> beam.ParDo(SplitPages())
    for number, step in enumerate(between):
        events |= f"Step {number}" >> step
    formatting = beam.ParDo(FormatBatches(there.format, there.name)).with_outputs(DEAD, main="formatted")
    formatted = events | "Format" >> formatting
    sent = formatted["formatted"] | "Send" >> beam.ParDo(SendToDestination(there)).with_outputs(DEAD)
    for name, letters in (("unformattable", formatted[DEAD]), ("refused", sent[DEAD])):
        _ = letters | f"See {name}" >> beam.ParDo(_SeeLetters(name))
    result = pipeline.run()
    result.wait_until_finish()
    return result


def counters(result, step: str) -> dict[str, int]:
    found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace("duologsync"))["counters"]
    return {c.key.metric.name: c.result for c in found if c.key.step.partition("/")[0] == step}


def arrived(peer: Peer) -> list[bytes]:
    eventually(lambda: len(peer.received) >= len(ROWS))
    return sorted(peer.received, key=lambda line: json.loads(line)["n"])


class _SeeLetters(beam.DoFn):
    def __init__(self, name):
        self._name = name

    def process(self, letter, timestamp=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam):
        SEEN.append((self._name, letter.reason, letter.raw, letter.stream, timestamp, window))


class _SeeBatches(beam.DoFn):
    """A step of a user who knows our batches."""

    def process_batch(self, batch: EventBatch) -> Iterator[EventBatch]:
        SEEN.append([page.rows for page in batch.pages])
        yield batch

    def infer_output_type(self, _input_type):
        return DuoEvent


def test_a_page_arrives_at_the_next_step_as_one_batch(peer):
    run(peer, beam.ParDo(_SeeBatches()))

    assert [[page.rows] for page in PAGES] == SEEN
    assert arrived(peer) == ROWS


def test_the_order_of_a_page_stays(peer):
    run(peer, pages=PAGES[:1] * 1)
    eventually(lambda: len(peer.received) == 5)

    assert peer.received == PAGES[0].rows


def _upper(event: DuoEvent) -> DuoEvent:
    SEEN.append(event)
    return DuoEvent(event.stream, event.raw)


def test_a_users_function_gets_single_events_and_everything_arrives(peer):
    run(peer, beam.Map(_upper).with_output_types(DuoEvent))

    assert [event.raw for event in SEEN] == ROWS
    assert {event.stream for event in SEEN} == {AUTH, ACTIVITY}
    assert arrived(peer) == ROWS


def test_a_users_function_without_types_composes_too(peer):
    run(peer, beam.Map(lambda event: event), beam.Filter(lambda event: True))

    assert arrived(peer) == ROWS


class _InListsOfHerOwn(beam.DoFn):
    def process_batch(self, batch: list[DuoEvent]) -> Iterator[list[DuoEvent]]:
        SEEN.append(len(batch))
        yield list(batch)

    def infer_output_type(self, _input_type):
        return DuoEvent


@pytest.mark.filterwarnings("ignore:Input to operation")
def test_a_users_step_with_another_kind_of_batch_composes_too(peer):
    run(peer, beam.ParDo(_InListsOfHerOwn()))

    assert SEEN == [5, 5]
    assert arrived(peer) == ROWS


class _HoldBack(beam.DoFn):
    """A step that emits all it got at the end of its bundle."""

    def start_bundle(self):
        self._events = []

    def process(self, event):
        self._events.append(event)

    def finish_bundle(self):
        for event in self._events:
            yield WindowedValue(event, 0, (GlobalWindow(),))


def test_what_a_users_step_emits_at_the_end_of_its_bundle_is_not_lost(peer):
    run(peer, beam.ParDo(_HoldBack()).with_output_types(DuoEvent))

    assert arrived(peer) == ROWS


class _Mingle(beam.DoFn):
    """All events of a bundle as one batch, in which every stream comes again and again."""

    def start_bundle(self):
        self._events = []

    def process_batch(self, batch: EventBatch) -> Iterator[EventBatch]:
        self._events += batch
        if len(self._events) == len(ROWS):
            yield EventBatch.of(e for pair in zip(self._events[:5], self._events[5:], strict=True) for e in pair)

    def infer_output_type(self, _input_type):
        return DuoEvent


def test_a_batch_of_several_streams_is_delivered_and_confirmed_for_each(peer):
    run(peer, beam.ParDo(_Mingle()))

    assert arrived(peer) == ROWS
    assert len(peer.connections) == 2
    assert pool._POOL.begun == {}


def test_what_a_format_cannot_write_leaves_its_batch_and_the_others_go_on(peer):
    at = 1_700_000_000
    bad = DuoPage(AUTH, [b'{"n":0}', b"[]", b'{"n":1}', b"\xff", b'{"n":2}'])
    result = run(peer, pages=[TimestampedValue(bad, at)])
    eventually(lambda: len(peer.received) == 3)

    assert [(name, reason, raw) for name, reason, raw, *_ in SEEN] == [
        ("unformattable", "not_an_object", b"[]"),
        ("unformattable", "not_an_object", b"\xff"),
    ]
    assert {(stream, float(timestamp)) for *_, stream, timestamp, _window in SEEN} == {(AUTH, float(at))}
    assert counters(result, "Format") == {"events_rejected_not_an_object": 2}


def test_what_a_destination_refuses_is_a_dead_letter_with_the_time_of_its_event(peer):
    at = 1_700_000_000
    long = DuoPage(AUTH, [b'{"n":0}', b'{"n":"%s"}' % (b"x" * 100), b'{"n":1}'])
    result = run(peer, pages=[TimestampedValue(long, at)], max_message_bytes=50)
    eventually(lambda: len(peer.received) == 2)

    ((name, reason, raw, stream, timestamp, window),) = SEEN
    assert (name, reason, raw, stream) == ("refused", "oversize", long.rows[1], AUTH)
    assert (float(timestamp), window) == (float(at), GlobalWindow())
    assert counters(result, "Send") == {"events_delivered": 2, "sent_bytes": 14, "events_rejected_oversize": 1}


def _see_time(event, timestamp=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam):
    SEEN.append((event.raw, timestamp, window))


def test_timestamp_and_window_of_a_page_are_those_of_its_events(peer):
    at = 1_700_000_000
    page = [TimestampedValue(PAGES[0], at)]
    pipeline = beam.Pipeline()
    _ = (
        pipeline
        | beam.Create(page, reshuffle=False)
        | beam.WindowInto(FixedWindows(60))
        | beam.ParDo(SplitPages())
        | beam.Map(_see_time)
    )
    pipeline.run().wait_until_finish()

    (window,) = FixedWindows(60).assign(FixedWindows.AssignContext(at))
    assert [(row, at, window) for row in PAGES[0].rows] == SEEN


EVENTS = [DuoEvent(stream, b"%d" % n) for n, stream in enumerate((AUTH, AUTH, ACTIVITY, AUTH))]


@pytest.mark.parametrize(
    ("element_type", "batch_type", "elements"),
    [
        (DuoEvent, EventBatch, EVENTS),
        (FormattedEvent, MessageBatch, [FormattedEvent(event, b"<134>" + event.raw) for event in EVENTS]),
    ],
)
def test_elements_and_batches_become_each_other_without_a_loss(element_type, batch_type, elements):
    converter = BatchConverter.from_typehints(element_type=element_type, batch_type=batch_type)
    batch = converter.produce_batch(elements)

    assert list(converter.explode_batch(batch)) == elements
    assert converter.get_length(batch) == len(elements)
    assert converter.estimate_byte_size(batch) >= len(elements)
    assert list(converter.explode_batch(converter.combine_batches([batch, batch]))) == elements * 2
