"""All senders of this process: one per destination and stream, kept across bundles, passes and readers.

Place in the flow: the sink takes senders from here; the supervisor looks after idle ones and closes them at the end.

Contract: thread-safe. A sender serves one bundle at a time: ``begin`` … ``done`` mark that, and ``check_all`` leaves those
alone. A bundle that failed never says done; its sender is looked after again when the next bundle of its stream is.

Only local runs call ``check_all`` and ``close_all``. On other runners a dead connection is noticed when the next bundle begins,
and the end of a worker process is a crash as far as connections are concerned.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from transforms import destinations
from transforms.destinations import Sender
from transforms.events import Stream
from transforms.settings import Destination

_LOG = logging.getLogger(__name__)


class Unreplayed(NamedTuple):
    """Messages that were confirmed, that the SIEM may never have read, and that could not be sent again before the end."""

    destination: Destination
    stream: Stream
    messages: list[bytes]


class _Entry:
    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.lock = threading.Lock()  # held while check() works
        self.busy = False


_Key = tuple[Destination, Stream]
_ENTRIES: dict[_Key, _Entry] = {}
_LOCK = threading.Lock()


def sender_for(destination: Destination, stream: Stream) -> Sender:
    """The one sender of this pair."""
    return _entry(destination, stream).sender


def begin(destination: Destination, stream: Stream) -> Sender:
    """A bundle of this stream starts: its sender, begun."""
    entry = _entry(destination, stream)
    with entry.lock:
        entry.busy = True
    entry.sender.begin()
    return entry.sender


def done(destination: Destination, stream: Stream) -> None:
    """That bundle was confirmed."""
    _entry(destination, stream).busy = False


def check(stream: Stream) -> None:
    """Looks after the idle senders of one stream."""
    _check([entry for (_, of), entry in _snapshot() if of == stream])


def check_all() -> None:
    """Looks after all idle senders. Call it every few seconds from one thread."""
    _check([entry for _, entry in _snapshot()])


def close_all(grace_secs: float) -> list[Unreplayed]:
    """Ends all connections in good order, at the same time, and forgets the senders. What may be lost is returned."""
    entries = _snapshot()
    with _LOCK:
        _ENTRIES.clear()
    if not entries:
        return []
    with ThreadPoolExecutor(min(32, len(entries)), "close-destination") as threads:
        left = list(threads.map(lambda item: _close(item[1], grace_secs), entries))
    return [Unreplayed(*key, messages) for (key, _), messages in zip(entries, left, strict=True) if messages]


def _entry(destination: Destination, stream: Stream) -> _Entry:
    key = (destination, stream)
    with _LOCK:
        entry = _ENTRIES.get(key)
        if entry is None:
            entry = _ENTRIES[key] = _Entry(destinations.TRANSPORTS[destination.transport](destination))
        return entry


def _snapshot() -> list[tuple[_Key, _Entry]]:
    with _LOCK:
        return list(_ENTRIES.items())


def _check(entries: list[_Entry]) -> None:
    for entry in entries:
        if entry.busy or not entry.lock.acquire(blocking=False):
            continue
        try:
            if not entry.busy:
                entry.sender.check()
        finally:
            entry.lock.release()


def _close(entry: _Entry, grace_secs: float) -> list[bytes]:
    try:
        entry.sender.close(grace_secs)
    except Exception:  # one destination's trouble must not keep the others from an orderly end
        _LOG.warning("A destination could not be closed in good order.", exc_info=True)
    messages: list[bytes] = getattr(entry.sender, "unreplayed", [])
    return messages
