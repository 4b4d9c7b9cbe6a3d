"""All senders of this process: a pool per destination, kept across bundles, passes and readers.

Place in the flow: the sink takes a sender per bundle and stream from here; the supervisor looks after idle ones and closes them
at the end.

Contract: thread-safe. A sender serves one bundle at a time: ``begin`` gives a ``Lease`` on it, ``done`` ends that, and whoever
checks leaves leased ones alone. So a destination has as many connections as bundles are sent to it at the same time, not as
many as there are streams: receivers limit connections (rsyslog 200, syslog-ng 10 unless told otherwise), and each costs memory
on both sides. A stream gets the sender that it had last where that is free, else the one that was used last of all, else a new
one; it never waits.

A bundle that failed never says done. Its sender stays with its stream, which begins the next bundle on it; ``leave`` frees it
where there is no next one. A runner may also give a bundle up that is still at work in another thread: its lease ends with the
next ``begin``, which waits until it has left the sender; whatever it asks for afterwards raises ``BundleReplaced``.

Local runs call ``check`` and ``close_all``. On other runners ``idle_checker`` calls ``check_all`` every few seconds, and
the end of a worker process is a crash as far as connections are concerned, but on Prism, whose workers are the program
itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from transforms.destinations.kinds import make_sender
from transforms.destinations.sender import Confirmation, Sender
from transforms.errors import BundleReplaced, RetryLater
from transforms.notices import destinations, state
from transforms.notices.notice import tell
from transforms.process.lifetime import Stage, per_process
from transforms.process.log_once import LogOnce
from transforms.process.threads import each_in_threads
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination

_LOGGER = logging.getLogger("duologsync.destinations")
_NEGLECTED_SECS = 10.0
_RESET_SECS = 0.2
_LEAVE_SECS = 2.0  # a thread that was asked to leave a sender looks for that a few times a second


class UnreadMessages(NamedTuple):
    """Messages of one stream that were confirmed and that the SIEM may never have read."""

    destination: Destination
    stream: Stream
    messages: list[bytes]


Keep = Callable[[list[UnreadMessages]], None]
"""Keeps messages elsewhere, durably. Raises RetryLater where that is not possible now."""


class _Entry:
    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.sender: Sender = make_sender(destination)
        self.lock = threading.Lock()  # held while the sender is at work
        self.lease: Lease | None = None
        self.last: Stream | None = None
        self.looked_at = 0.0  # monotonic; when it was last used or looked after
        self.trouble = LogOnce()  # why what it has given up could not be kept
        self.ailing = LogOnce()  # a check of it has failed


class Lease:
    """One bundle's use of a sender."""

    def __init__(self, entry: _Entry, stream: Stream) -> None:
        self._entry = entry
        self._lock = entry.lock
        self.stream = stream
        self.ended = False

    @property
    def sender(self) -> Sender:
        return self._entry.sender

    def send(self, page: FormattedPage) -> None:
        """As the sender's. Raises BundleReplaced, too, where another bundle has it by now."""
        with self._lock:
            if self.ended:
                raise self._replaced()
            self._entry.sender.send(page)

    def confirm(self) -> Confirmation:
        """As the sender's."""
        with self._lock:
            if self.ended:
                raise self._replaced()
            return self._entry.sender.confirm()

    def end(self) -> None:
        """From now on nothing is sent by it; returns when it has left the sender."""
        self.ended = True
        self._entry.sender.interrupt()
        with self._lock:
            pass

    def _replaced(self) -> BundleReplaced:
        return BundleReplaced(f"{self._entry.destination.name}: another bundle of {self.stream} has begun.")


class _Pool:
    """The senders of this process. ``free``: the one that was used last is at the end."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.free: dict[Destination, list[_Entry]] = {}
        self.begun: dict[tuple[Destination, Stream], _Entry] = {}


_POOL = per_process("senders", _Pool, close=lambda _: close_all(_RESET_SECS), stage=Stage.CONNECTIONS)


def begin(destination: Destination, stream: Stream) -> Lease:
    """A bundle of this stream starts: its sender, begun."""
    leased = _leased(destination, stream, None)
    if leased is None:
        # Without the lock: a kind may load a library or ask for a secret meanwhile, and other destinations must not wait.
        leased = _leased(destination, stream, _Entry(destination))
        assert leased is not None
    entry, before, lease = leased
    if before is not None:
        before.end()
    with entry.lock:  # a check that is under way ends first
        if lease.ended:
            raise BundleReplaced(f"{destination.name}: another bundle of {stream} has begun.")
        entry.last = stream
        entry.sender.begin(stream)
    return lease


def _leased(destination: Destination, stream: Stream, fresh: _Entry | None) -> tuple[_Entry, Lease | None, Lease] | None:
    """The stream's sender, whose lease that was before and whose it is now; None where there is none and no fresh one."""
    with _POOL.lock:
        free = _POOL.free.setdefault(destination, [])
        entry = _POOL.begun.get((destination, stream)) or _taken(free, stream) or fresh
        if entry is None:
            return None
        if fresh is not None and entry is not fresh:
            free.insert(0, fresh)  # another bundle was faster, or a sender has become free meanwhile
        _POOL.begun[destination, stream] = entry
        before, lease = entry.lease, Lease(entry, stream)
        entry.lease = lease
        return entry, before, lease


def done(destination: Destination, lease: Lease) -> None:
    """That bundle was confirmed."""
    with _POOL.lock:
        entry = _POOL.begun.get((destination, lease.stream))
        if entry is not None and entry.lease is lease:
            _free(destination, lease.stream)


def _free(destination: Destination, stream: Stream) -> None:
    """The sender of this stream's bundle can be had by others. The caller holds the lock."""
    entry = _POOL.begun.pop((destination, stream))
    entry.lease = None
    entry.looked_at = time.monotonic()
    _POOL.free.setdefault(destination, []).append(entry)


def leave(destination: Destination, stream: Stream) -> None:
    """This stream sends nothing more there: what is left of a bundle that failed is forgotten by the next one on its sender."""
    with _POOL.lock:
        if (destination, stream) in _POOL.begun:
            _free(destination, stream)
        for entry in _POOL.free.get(destination, ()):
            if entry.last == stream:
                entry.last = None


def waiting(destination: Destination, longer_than_secs: float) -> list[Stream]:
    """The streams whose bundle has waited for so long for this destination to take something."""
    with _POOL.lock:
        begun = [(key[1], entry) for key, entry in _POOL.begun.items() if key[0] == destination]
    return [stream for stream, entry in begun if entry.sender.waited_secs > longer_than_secs]


class Held(NamedTuple):
    """What a destination has of this process now: connections, and bytes that are kept until they must have been read."""

    connections: int
    held_bytes: int


def held_by(destination: Destination) -> Held:
    """Looks at the senders of a destination without taking one."""
    with _POOL.lock:
        entries = [*_POOL.free.get(destination, ()), *(e for key, e in _POOL.begun.items() if key[0] == destination)]
    senders = [entry.sender for entry in entries]
    return Held(sum(sender.connected for sender in senders), sum(sender.held_bytes for sender in senders))


def check(destination: Destination, stream: Stream) -> None:
    """Looks after the idle senders there that served this stream last, and after those that nobody else looks after: their
    stream is gone, or waits elsewhere.
    """
    long_ago = time.monotonic() - _NEGLECTED_SECS
    with _POOL.lock:
        free = [entry for entries in _POOL.free.values() for entry in entries]
    own = [entry for entry in free if entry.last is None or (entry.last == stream and entry.destination == destination)]
    _check([*own, *(entry for entry in free if entry not in own and entry.looked_at < long_ago)])


def check_all() -> None:
    """Looks after all idle senders. Call it every few seconds from one thread."""
    with _POOL.lock:
        entries = [entry for free in _POOL.free.values() for entry in free]
    _check(entries)


def keep_given_up(keep: Keep) -> None:
    """Hands over what idle senders have given up; where it cannot be kept now, that is told, and it is the next time."""
    with _POOL.lock:
        entries = [entry for free in _POOL.free.values() for entry in free]
    for entry in entries:
        if entry.lock.acquire(blocking=False):
            try:
                given_up = _messages(entry, entry.sender.given_up())
                if given_up:
                    keep(given_up)
                    entry.sender.given_up_is_kept()
                entry.trouble.over()
            except RetryLater as error:
                if entry.trouble.due(str(error)) is not None:
                    tell(_LOGGER, state.DEAD_LETTERS_NOT_WRITTEN, "%s", error, destination=entry.destination.name)
            finally:
                entry.lock.release()


def close_all(grace_secs: float) -> list[UnreadMessages]:
    """Ends all connections in good order, at the same time, and forgets the senders. What may be unread is returned."""
    with _POOL.lock:
        entries = [entry for free in _POOL.free.values() for entry in free] + list(_POOL.begun.values())
        _POOL.free.clear()
        _POOL.begun.clear()
    left = each_in_threads(lambda entry: _close(entry, grace_secs), entries, 32, "close-destination")
    return [unread for of_entry in left for unread in of_entry]


def _taken(free: list[_Entry], stream: Stream) -> _Entry | None:
    """Takes a sender out of the free ones; not one that is being looked after, because that may take its time."""
    of_stream = [entry for entry in free if entry.last == stream]
    entry = next((e for e in (*of_stream, *reversed(free)) if not e.lock.locked()), None)
    if entry is not None:
        free.remove(entry)
    return entry


def _check(entries: list[_Entry]) -> None:
    for entry in entries:
        if entry.lease is not None or not entry.lock.acquire(blocking=False):
            continue
        try:
            if entry.lease is None:
                entry.looked_at = time.monotonic()
                entry.sender.check()
                entry.ailing.over()
        except Exception as error:  # whoever looks after it may be a stream of another destination, and others come behind it
            if entry.ailing.due(type(error).__name__) is not None:
                tell(
                    _LOGGER,
                    destinations.IDLE_CHECK_FAILED,
                    "An idle connection to %s could not be looked after.",
                    entry.destination.name,
                    exc_info=True,
                    destination=entry.destination.name,
                )
        finally:
            entry.lock.release()


def _close(entry: _Entry, grace_secs: float) -> list[UnreadMessages]:
    if entry.lease is not None:
        entry.lease.ended = True
    entry.sender.interrupt()
    # A check that is under way ends first: a sender is no place for two threads. But one that hangs, in a file system that is
    # gone, say, must not keep the program from its end; nothing that it has in hand is committed.
    if not entry.lock.acquire(timeout=max(grace_secs, _LEAVE_SECS)):
        tell(
            _LOGGER,
            destinations.NOT_WAITED_FOR,
            "Destination %s does not answer, and is not waited for any more.",
            entry.destination.name,
            destination=entry.destination.name,
        )
        return []
    try:
        entry.sender.close(grace_secs)
    except Exception:  # one destination's trouble must not keep the others from an orderly end
        tell(
            _LOGGER,
            destinations.NOT_CLOSED,
            "A destination could not be closed in good order.",
            exc_info=True,
            destination=entry.destination.name,
        )
    finally:
        entry.lock.release()
    return _messages(entry, entry.sender.unread())


def _messages(entry: _Entry, by_owner: list[tuple[Stream | None, list[bytes]]]) -> list[UnreadMessages]:
    return [UnreadMessages(entry.destination, owner, messages) for owner, messages in by_owner if owner is not None]
