"""What the sink takes from steps that are not ours."""

from dataclasses import replace

import pytest
from apache_beam.utils.timestamp import Timestamp

from tests.destinations import toy
from tests.destinations.peers import destination
from transforms.coders import DuoEvent, FormattedEvent, MessageBatch, Stream
from transforms.destinations.kinds import KINDS, Kind
from transforms.destinations.sink import SendToDestination
from transforms.destinations.udp.settings import UdpSettings

STREAM = Stream("acme", "auth")
MESSAGES = [b"one", b"two\nCEF:0|forged", b"three", b"\n", b"refused"]
LETTERS = {b'{"n":1}': "line_break", b'{"n":3}': "line_break", b'{"n":4}': "refused"}


@pytest.fixture
def siem(monkeypatch):
    siem = toy.Siem(lambda message: message == b"refused")
    monkeypatch.setitem(KINDS, "udp", Kind(UdpSettings, siem.make))
    return siem


@pytest.mark.parametrize("in_batches", [True, False])
def test_a_message_of_two_lines_is_a_dead_letter_and_no_second_event_of_somebodys_choice(siem, in_batches):
    sink = SendToDestination(replace(destination(1), settings=UdpSettings("127.0.0.1", 1)))
    events = [FormattedEvent(DuoEvent(STREAM, b'{"n":%d}' % n), message) for n, message in enumerate(MESSAGES)]
    sink.start_bundle()
    if in_batches:
        sink.process_batch(MessageBatch.of(events), Timestamp(5))
    else:
        for event in events:
            sink.process(event, Timestamp(5))
    letters = [output.value for output in sink.finish_bundle()]

    assert siem.delivered == [b"one", b"three"]
    assert {letter.value.raw: letter.value.reason for letter in letters} == LETTERS
    assert {letter.timestamp for letter in letters} == {Timestamp(5)}
    sink.start_bundle()
    assert list(sink.finish_bundle()) == []
