"""All senders of this process: a pool per destination, kept across bundles, passes and readers.

Place in the flow: the sink takes a sender per bundle and stream from here; the supervisor looks after idle ones and closes them
at the end.

Contract: thread-safe. A sender serves one bundle at a time: ``begin`` … ``done`` mark that, and whoever checks leaves those
alone. So a destination has as many connections as bundles are sent to it at the same time, not as many as there are streams:
receivers limit connections (rsyslog 200, syslog-ng 10 unless told otherwise), and each costs memory on both sides. A stream
gets the sender that it had last where that is free, else the one that was used last of all, else a new one; it never waits.

A bundle that failed never says done. Its sender stays with its stream, which begins the next bundle on it; ``leave`` frees it
where there is no next one.

Local runs call ``check`` and ``close_all``. On other runners ``caretaker`` calls ``check_all`` every few seconds, and the end
of a worker process is a crash as far as connections are concerned, but on Prism, whose workers are the program itself.
"""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple

from transforms import destinations
from transforms.destinations import Sender
from transforms.destinations.stream_delivery import StreamSender
from transforms.events import Stream
from transforms.settings import Destination
from transforms.threads import each_in_threads

_LOG = logging.getLogger(__name__)


class Unreplayed(NamedTuple):
    """Messages that were confirmed, that the SIEM may never have read, and that could not be sent again before the end."""

    destination: Destination
    stream: Stream
    messages: list[bytes]


class _Entry:
    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.sender: Sender = destinations.TRANSPORTS[destination.transport](destination)
        self.lock = threading.Lock()  # held while check() works, and while a bundle begins
        self.busy = False
        self.last: Stream | None = None


_LOCK = threading.Lock()
_FREE: dict[Destination, list[_Entry]] = {}  # the one that was used last is at the end
_BEGUN: dict[tuple[Destination, Stream], _Entry] = {}


def begin(destination: Destination, stream: Stream) -> Sender:
    """A bundle of this stream starts: its sender, begun."""
    with _LOCK:
        entry = _BEGUN.get((destination, stream))
        if entry is None:
            entry = _BEGUN[destination, stream] = _taken(_FREE.setdefault(destination, []), stream) or _Entry(destination)
    with entry.lock:  # a check that is under way ends first
        entry.busy = True
    entry.last = stream
    if isinstance(entry.sender, StreamSender):
        entry.sender.owner = stream
    entry.sender.begin()
    return entry.sender


def done(destination: Destination, stream: Stream) -> None:
    """That bundle was confirmed."""
    with _LOCK:
        entry = _BEGUN.pop((destination, stream), None)
        if entry is not None:
            entry.busy = False
            _FREE.setdefault(destination, []).append(entry)


def leave(stream: Stream) -> None:
    """This stream sends nothing any more: what is left of a bundle that failed is forgotten by the next one on its sender."""
    with _LOCK:
        mine = [destination for destination, of in _BEGUN if of == stream]
    for destination in mine:
        done(destination, stream)
    with _LOCK:
        for entry in (entry for free in _FREE.values() for entry in free if entry.last == stream):
            entry.last = None


def waiting(destination: Destination, longer_than_secs: float) -> list[Stream]:
    """The streams whose bundle has waited for so long for this destination to take something."""
    with _LOCK:
        begun = [(key[1], entry) for key, entry in _BEGUN.items() if key[0] == destination]
    return [stream for stream, entry in begun if entry.sender.waited_secs > longer_than_secs]


def check(stream: Stream) -> None:
    """Looks after the idle senders that served this stream last, and after those whose stream is gone."""
    with _LOCK:
        entries = [entry for free in _FREE.values() for entry in free if entry.last in (stream, None)]
    _check(entries)


def check_all() -> None:
    """Looks after all idle senders. Call it every few seconds from one thread."""
    with _LOCK:
        entries = [entry for free in _FREE.values() for entry in free]
    _check(entries)


def close_all(grace_secs: float) -> list[Unreplayed]:
    """Ends all connections in good order, at the same time, and forgets the senders. What may be lost is returned."""
    with _LOCK:
        entries = [entry for free in _FREE.values() for entry in free] + list(_BEGUN.values())
        _FREE.clear()
        _BEGUN.clear()
    left = each_in_threads(lambda entry: _close(entry, grace_secs), entries, 32, "close-destination")
    return [unreplayed for of_entry in left for unreplayed in of_entry]


def _taken(free: list[_Entry], stream: Stream) -> _Entry | None:
    """Takes a sender out of the free ones; not one that is being looked after, because that may take its time."""
    of_stream = [entry for entry in free if entry.last == stream]
    entry = next((e for e in (*of_stream, *reversed(free)) if not e.lock.locked()), None)
    if entry is not None:
        free.remove(entry)
    return entry


def _check(entries: list[_Entry]) -> None:
    for entry in entries:
        if entry.busy or not entry.lock.acquire(blocking=False):
            continue
        try:
            if not entry.busy:
                entry.sender.check()
        finally:
            entry.lock.release()


def _close(entry: _Entry, grace_secs: float) -> list[Unreplayed]:
    try:
        entry.sender.close(grace_secs)
    except Exception:  # one destination's trouble must not keep the others from an orderly end
        _LOG.warning("A destination could not be closed in good order.", exc_info=True)
    if not isinstance(entry.sender, StreamSender):
        return []
    by_owner = entry.sender.unreplayed_by_owner()
    return [Unreplayed(entry.destination, owner, messages) for owner, messages in by_owner.items() if owner is not None]
