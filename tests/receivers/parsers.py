"""What independent readers make of each format: one table, made by ``python -m tests.receivers.parsers``.

A cell says how many messages a reader read as the specification does, of those that are made of golden rows, and of hostile
ones: every text of a golden row replaced by an attacker's, 2,000 of them. Takes a minute; fetches the readers if need be.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.formats import cef_reader, golden, strategies
from tests.receivers import readers
from transforms.errors import Undeliverable
from transforms.formats import FORMATS, make_formatter
from transforms.formats.cef import PROFILES, CefOptions
from transforms.records import DuoEvent
from transforms.settings import Format, SyslogHeader

HOSTILE = 2000
_RFC5424 = SyslogHeader("rfc5424", hostname="beam.example.com")


def hostile_events(count: int = HOSTILE) -> list[DuoEvent]:
    """Golden rows with one text replaced by an attacker's; the same ones each time."""
    chance = random.Random(10)
    every = [event for row in golden.rows() for event in _attacked(golden.event(row))]
    return chance.sample(every, min(count, len(every)))


def _attacked(event: DuoEvent) -> Iterator[DuoEvent]:
    row = json.loads(event.raw)
    for path in list(_texts(row)):
        for attack in strategies.ATTACKS:
            yield DuoEvent(event.stream, json.dumps(_replaced(row, path, attack)).encode())


def _texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str) and path:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index))


def _replaced(value: Any, path: tuple[Any, ...], text: str) -> Any:
    if not path:
        return text
    changed = value.copy()
    changed[path[0]] = _replaced(value[path[0]], path[1:], text)
    return changed


def written(settings: Format, events: list[DuoEvent]) -> list[bytes]:
    """The messages; what cannot be written is a dead letter and left out."""
    formatter = make_formatter(settings)
    out = []
    for event in events:
        try:
            out.append(formatter.format(event))
        except Undeliverable:
            continue
    return out


def as_cef(message: bytes) -> Any:
    """Header and extension as the specification has them."""
    read = cef_reader.read(message)
    return read.header, read.extension


def as_pycef(message: bytes) -> Any:
    """It calls a custom value by its label."""
    header, extension = as_cef(message)
    names = {key: extension[f"{key}Label"] for key in extension if f"{key}Label" in extension}
    return header, {names.get(key, key): value for key, value in extension.items() if not key.endswith("Label")}


def as_syslog(message: bytes) -> dict[str, str]:
    """An RFC 5424 message of ours, cut at its spaces."""
    _, _, host, app, _, message_id, _, text = message.decode().split(" ", 7)
    return {"hostname": host, "appname": app, "msgid": message_id, "message": text}


def equal(reader: Callable[[list[bytes]], list[Any]], meant: Callable[[bytes], Any], messages: list[bytes]) -> int:
    """How many messages a reader read as they were meant."""
    read = reader(messages)
    assert len(read) == len(messages)
    return sum(theirs == meant(message) for theirs, message in zip(read, messages, strict=True))


def _formats() -> Iterator[tuple[str, Format, dict[str, Callable[[list[bytes]], list[Any]]], Callable[[bytes], Any]]]:
    for profile in PROFILES:
        yield f"cef, {profile}", Format(CefOptions(profile=profile)), readers.CEF, as_cef
    for name, kind in FORMATS.items():
        if written(Format(kind.options()), [golden.event(golden.rows()[0])])[0].startswith(b"{"):
            yield f"{name}, bare", Format(kind.options()), readers.JSON, json.loads
        yield f"{name}, RFC 5424", Format(kind.options(), _RFC5424), readers.SYSLOG, as_syslog


def main() -> None:
    """Prints the table in Markdown."""
    real, hostile = [golden.event(row) for row in golden.rows()], hostile_events()
    print("| format | reader | golden rows equal | hostile rows equal |\n|---|---|---|---|")
    for name, settings, readers_of_it, meant in _formats():
        cases = [written(settings, real), written(settings, hostile)]
        for reader_name, reader in readers_of_it.items():
            its_own = as_pycef if reader_name == "pycef" else meant
            cells = [f"{equal(reader, its_own, messages)} of {len(messages)}" for messages in cases]
            print(f"| {name} | {reader_name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
