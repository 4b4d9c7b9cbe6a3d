"""What was delivered and may not have been read: the one thing that the sending side tells the reading side.

Place in the flow: the sink hands over a ``Receipt`` for each stream of a bundle that its destination confirmed; finalizing the
bundle adds the cursor behind it; from the two follows the subscription's *safe* position, which goes into the checkpoint store
beside the delivered one. Both sides are in one process, because they are fused into one stage.

Why: a SIEM's kernel acknowledges what the SIEM has not read. Where the SIEM dies, the sender sends that again; where this
process dies with it (one rack, one power cut), only Duo still has it. So a start after an end without order goes on from the
safe position, and repeats what lies between the two.

Contract: thread-safe. A cursor is safe once every receipt is read that was handed over before the cursor was: more than its
own, never less. A process has one ``RECEIPTS``.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from transforms.errors import DuoLogSyncError
from transforms.process.lifetime import per_process
from transforms.records import Stream, Subscription
from transforms.state.cursor import Cursor

# More cursors than these are thinned out: the safe position then moves in larger steps.
_MOST_WAITING = 256


class Receipt(Protocol):
    """What a sender gives for a bundle that it confirmed."""

    @property
    def read(self) -> bool:
        """Everything up to the end of that bundle was read by the receiver, or is kept elsewhere. Once true, always true."""
        ...

    def covers(self, earlier: Receipt) -> bool:
        """Whether the earlier one, of the same destination, is read wherever this one is."""
        ...


class ReadAtOnce:
    """The receipt of destinations that keep nothing for a second time."""

    read = True

    def covers(self, earlier: Receipt) -> bool:
        return earlier.read


READ_AT_ONCE = ReadAtOnce()


@dataclass
class _Account:
    """Of one subscription: the safe position, receipts since the last cursor, and cursors that wait, each with its receipts."""

    stream: Stream
    safe: Cursor
    kept: Cursor | None = None  # the last one that ``keep`` has taken
    fresh: tuple[Receipt, ...] = ()
    waiting: deque[tuple[Cursor, tuple[Receipt, ...]]] = field(default_factory=deque)
    keep: Callable[[Cursor], None] | None = None


class Receipts:
    """The receipts of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[tuple[str, ...], _Account] = {}  # by identity

    def begin(self, subscription: Subscription, cursor: Cursor) -> None:
        """The subscription is read from here on: everything before it is safe, unless this process delivered it."""
        with self._lock:
            if subscription.identity not in self._accounts:
                self._accounts[subscription.identity] = _Account(subscription.stream, cursor, kept=cursor)

    def confirmed(self, subscription: Subscription, receipt: Receipt) -> None:
        """The destination confirmed a bundle of the stream."""
        with self._lock:
            for account in self._concerned(subscription):
                # A later receipt of the same sender is enough, and they must not pile up while bundles fail or nothing is
                # finalized; but senders change, and then the earlier one counts, too.
                account.fresh = (*(r for r in account.fresh if not (r.read or receipt.covers(r))), receipt)

    def _concerned(self, subscription: Subscription) -> list[_Account]:
        """Its own account. In a pipeline of somebody's own, reader and sink may call the destination by two names: then the
        receipt counts for all that is read of the stream. A step in between may also give events another stream: then it counts
        for all that is read at all. That may repeat more, and loses nothing.
        """
        own = self._accounts.get(subscription.identity)
        if own is not None:
            return [own]
        return [a for a in self._accounts.values() if a.stream == subscription.stream] or list(self._accounts.values())

    def delivered(self, subscription: Subscription, cursor: Cursor, keep: Callable[[Cursor], None]) -> Cursor:
        """Everything before the cursor was delivered; the position that is safe now, which may be another one.

        Args:
          keep: writes a safe position into the checkpoint, later, when nobody else does.
        """
        with self._lock:
            account = self._accounts.setdefault(subscription.identity, _Account(subscription.stream, cursor))
            account.keep = keep
            receipts, account.fresh = account.fresh, ()
            if not account.waiting or cursor.seq > account.waiting[-1][0].seq:
                account.waiting.append((cursor, receipts))
            else:
                # A finalizer that came late: its receipts count for the cursor that overtook it.
                last, others = account.waiting.pop()
                account.waiting.append((last, others + receipts))
            if len(account.waiting) > _MOST_WAITING:
                _thin_out(account)
            _settle(account)
            return account.safe

    def keep_safe(self) -> None:
        """Writes what has become safe into the checkpoints, for what nobody else looks after.

        Raises the last of their errors where some could not be written; they are written the next time.
        """
        trouble: Exception | None = None
        with self._lock:
            accounts = list(self._accounts.values())
        for account in accounts:
            with self._lock:
                _settle(account)
                safe, keep = account.safe, account.keep
            if keep is not None and safe is not account.kept:
                try:
                    keep(safe)
                    account.kept = safe
                except (OSError, DuoLogSyncError) as error:
                    trouble = error
        if trouble is not None:
            raise trouble


def _settle(account: _Account) -> None:
    """Moves the safe position behind the cursors whose receipts are all read."""
    while account.waiting and all(receipt.read for receipt in account.waiting[0][1]):
        account.safe = account.waiting.popleft()[0]


def _thin_out(account: _Account) -> None:
    """Every second cursor goes, and leaves its receipts to the one behind it."""
    kept: deque[tuple[Cursor, tuple[Receipt, ...]]] = deque()
    entries = list(account.waiting)
    for index in range(0, len(entries) - 1, 2):
        (_, receipts), (cursor, more) = entries[index], entries[index + 1]
        kept.append((cursor, tuple(r for r in receipts + more if not r.read)))
    if len(entries) % 2:
        kept.append(entries[-1])
    account.waiting = kept


RECEIPTS = per_process("receipts", Receipts)
