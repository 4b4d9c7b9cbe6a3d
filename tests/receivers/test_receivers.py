"""What real receivers make of our messages when they are set up as ``docs/receivers/`` says: what arrives is what was sent."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Authority
from tests.destinations.peers import destination, page
from tests.formats import golden, strategies
from tests.receivers import parsers
from tests.receivers.configured import KINDS, RSYSLOG_CEF, Configured
from tests.servers.harness import wait_until
from transforms.destinations import KINDS as DESTINATIONS
from transforms.destinations import Confirmation
from transforms.errors import Undeliverable
from transforms.formats import FORMATS, make_formatter
from transforms.formats.cef import CefOptions
from transforms.records import DuoEvent, Stream
from transforms.settings import Format, SyslogHeader, Tls

pytestmark = pytest.mark.servers

LONGEST = 65_507
"""Bytes of the longest message that every transport of every receiver here takes, as set up."""
_HEADER = SyslogHeader("rfc5424", hostname="beam.example.com")
_FIELDS = ("user", "application", "reason", "factor")


def hostile_rows() -> list[DuoEvent]:
    """Rows of users who chose their names with care, as Duo would send them: escaped and as UTF-8."""
    rows = []
    for attack in strategies.ATTACKS:
        row = {name: {"name": attack} if name in _FIELDS[:2] else attack for name in _FIELDS}
        row["isotimestamp"] = "2026-03-02T08:09:10.045678+00:00"
        rows += [json.dumps(row, ensure_ascii=escaped).encode("utf-8", "surrogatepass") for escaped in (True, False)]
    return [DuoEvent(Stream("acme", "auth"), row) for row in rows]


def messages() -> list[bytes]:
    """Every golden row and every hostile one in every format; what no receiver takes is a dead letter and not sent."""
    written = []
    for kind in FORMATS.values():
        formatter = make_formatter(Format(kind.options(), _HEADER))
        for event in [*map(golden.event, golden.rows()), *hostile_rows()]:
            try:
                written.append(formatter.format(event))
            except Undeliverable:
                continue
    return [message for message in written if len(message) <= LONGEST]


def as_event(message: bytes) -> tuple[str, ...]:
    """Time, host, program, message id and message of an RFC 5424 message of ours."""
    _, time, host, app, _, message_id, _, text = message.decode().split(" ", 7)
    return time, host, app, message_id, text


def send(receiver: Configured, transport: str, authority: Authority, those: list[bytes]) -> Confirmation:
    """All in one bundle, delivered as far as the transport can say so."""
    choices = {
        "tls": {"framing": "octet", "tls": Tls(ca_file=authority.ca_file)},
        "tcp": {"framing": "lf"},
        "udp": {},
    }[transport]
    there = destination(receiver.ports[transport], transport, max_message_bytes=LONGEST, **choices)
    sender = DESTINATIONS[transport].make(there)
    try:
        sender.begin()
        sender.send(page(those))
        return sender.confirm()
    finally:
        sender.close(5)


@pytest.mark.parametrize("transport", ["tls", "tcp", "udp"])
@pytest.mark.parametrize("name", KINDS)
def test_what_arrives_is_what_was_sent_hostile_rows_too(
    name: str, transport: str, tmp_path: Path, authority: Authority
) -> None:
    sent = messages()
    with Configured(KINDS[name], tmp_path, authority) as receiver:
        assert send(receiver, transport, authority, sent).rejected == ()
        wait_until(lambda: len(receiver.events()) >= len(sent), "every event", 30)
    assert Counter(receiver.events()) == Counter(map(as_event, sent))


@pytest.mark.parametrize("name", KINDS)
def test_the_longest_message_arrives_whole_and_a_longer_one_is_rejected(
    name: str, tmp_path: Path, authority: Authority
) -> None:
    head = b"<134>1 2026-03-02T08:09:10.045Z beam duologsync - auth - "
    longest = head + b"x" * (LONGEST - len(head))
    with Configured(KINDS[name], tmp_path, authority) as receiver:
        for transport in ("tls", "tcp", "udp"):
            confirmation = send(receiver, transport, authority, [longest + b"x", longest])
            assert [(each.index, each.reason) for each in confirmation.rejected] == [(0, "oversize")]
        wait_until(lambda: len(receiver.events()) == 3, "one of each transport", 30)
    assert receiver.events() == [as_event(longest)] * 3


def test_rsyslog_reads_the_fields_of_cef_and_loses_nothing_but_the_first_letter_of_cnt(
    tmp_path: Path, authority: Authority
) -> None:
    events = [*map(golden.event, golden.rows()), *hostile_rows()]
    sent = parsers.written(Format(CefOptions(), _HEADER), events)
    with Configured(RSYSLOG_CEF, tmp_path, authority) as receiver:
        assert send(receiver, "tcp", authority, sent).rejected == ()
        wait_until(lambda: len(receiver.events()) == len(sent), "every event", 30)
        read = [json.loads(line)["Extensions"] for (line,) in receiver.events()]
    meant = [parsers.as_cef(as_event(message)[4].encode())[1] for message in sent]
    assert read == [{"nt" if key == "cnt" else key: value for key, value in extension.items()} for extension in meant]
