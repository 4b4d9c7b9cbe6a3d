"""The children of an MSP parent: which there are, which of them are read, and how they come and go while the program runs.

Place: the supervisor follows each parent in a thread of its own and says here how a child's streams are started; ``launch``
and ``check`` list children once.

Contract:
  * Every child is read at its own API host with its account id. It is named ``PARENT/ACCOUNT_ID``: a name that people give can
    change, and is no part of streams and checkpoints.
  * The allow list and the block list hold account ids or names, compared as people mean them: without regard to case and to
    blanks around them. An empty allow list takes all; the block list comes last.
  * The list is read again every ``relist_secs``. Who is new is started. Who is gone is ended in good order: what is in hand is
    delivered and committed, and the checkpoints stay, so that a child which comes back goes on where it was. Who moved to
    another API host is ended there and started at the new one. Whoever starts streams lets each wait for its own earlier life
    and for no other: what a SIEM that is away keeps from ending holds up that SIEM's streams only. Each is told in the log,
    once.
  * A list that cannot be read changes nothing for the children that are running.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from transforms.duo.client.client import DuoClient
from transforms.duo.fetch.failure_classifier import REFUSAL_WAITS_SECS
from transforms.duo.fetch.feed import USER_AGENT
from transforms.errors import BadCredentials, DuoLogSyncError, FatalError
from transforms.notices import duo
from transforms.notices.notice import tell
from transforms.process.log_once import LogOnce
from transforms.process.shutdown import STOP
from transforms.settings import Account

_LOGGER = logging.getLogger("duologsync.local")
_RETRY_SECS = 30.0
_SETTLE_SECS = 0.5


@dataclass(frozen=True, slots=True)
class Child:
    """A child that is to be read, and its name as people gave it."""

    account: Account
    title: str


@dataclass(frozen=True, slots=True)
class Listing:
    """One answer of Duo, after the lists.

    Attributes:
      unmatched: entries of the allow list and of the block list that no child has as id or name.
    """

    children: tuple[Child, ...]
    unmatched: tuple[str, ...] = ()


class StreamOfChild(Protocol):
    """What is done here with a stream that runs."""

    def finish(self) -> None:
        """Asks it to deliver what is in hand and to end. Waits for nothing."""
        ...

    @property
    def alive(self) -> bool: ...


Start = Callable[[Account], Sequence[StreamOfChild]]
"""Starts the streams of one account, each as soon as no earlier one for the same log and destination is alive."""
Forget = Callable[[Sequence[StreamOfChild]], None]
"""Takes note that streams have ended."""


def list_children(parent: Account, timeout_secs: float) -> Listing:
    """The children of a parent that its lists let through. Raises what a call to Duo raises."""
    client = DuoClient(parent, user_agent=USER_AGENT, timeout_secs=timeout_secs)
    try:
        rows = client.fetch_children()
    finally:
        client.close()
    listed = {str(row["account_id"]): row for row in rows}
    known = {child_id: frozenset(map(_meant, (child_id, str(row.get("name") or "")))) for child_id, row in listed.items()}
    allowed, blocked = frozenset(map(_meant, parent.allow_list)), frozenset(map(_meant, parent.block_list))
    taken = (i for i, names in known.items() if (not allowed or names & allowed) and not names & blocked)
    everybody = frozenset().union(*known.values())
    return Listing(
        tuple(_child(parent, child_id, listed[child_id]) for child_id in taken),
        tuple(entry for entry in (*parent.allow_list, *parent.block_list) if _meant(entry) not in everybody),
    )


def _meant(text: str) -> str:
    return text.strip().casefold()


def _child(parent: Account, child_id: str, row: dict[str, object]) -> Child:
    account = replace(
        parent,
        name=f"{parent.name}/{child_id}",
        api_host=str(row.get("api_hostname") or parent.api_host).lower(),
        account_id=child_id,
        is_msp=False,
        allow_list=(),
        block_list=(),
    )
    return Child(account, str(row.get("name") or "without a name"))


class Children:
    """The children of one parent in a running program.

    Attributes:
      error: why the children could never be listed, where only a person can mend that; then following has ended.
      failure: why they could not be listed the last time; empty where they could.
    """

    def __init__(self, parent: Account, relist_secs: float, timeout_secs: float, start: Start, forget: Forget) -> None:
        self.error: FatalError | None = None
        self.failure = ""
        self._parent = parent
        self._relist_secs = relist_secs
        self._timeout_secs = timeout_secs
        self._start = start
        self._forget = forget
        self._wanted: dict[str, Child] = {}
        self._running: dict[str, tuple[Child, Sequence[StreamOfChild]]] = {}
        self._ending: list[tuple[str, Sequence[StreamOfChild]]] = []
        self._listed = False
        self._refusals = 0
        self._trouble = LogOnce()

    def follow(self) -> None:
        """The thread's work, until the program is asked to end, or nothing can ever be listed."""
        due = time.monotonic()
        while not STOP.requested:
            try:
                if time.monotonic() >= due:
                    wait_secs = self._list()
                    if self.error is not None:
                        return
                    due = time.monotonic() + wait_secs
                self.settle()
            except Exception:  # a thread that dies silently would leave new children unread for ever
                tell(
                    _LOGGER,
                    duo.UNEXPECTED,
                    "%s: an error that nobody expected; its children are listed again.",
                    self._parent.name,
                    exc_info=True,
                    account=self._parent.name,
                )
                due = time.monotonic() + _RETRY_SECS
            left_secs = max(0.0, due - time.monotonic())
            STOP.wait(min(left_secs, _SETTLE_SECS) if self._ending else left_secs)

    def _list(self) -> float:
        """Reads the list once; the seconds until the next time."""
        try:
            listing = list_children(self._parent, self._timeout_secs)
        except DuoLogSyncError as error:
            self._refusals += isinstance(error, BadCredentials)
            return self._not_listed(error)
        except Exception as error:  # a thread that dies silently would never see a child come or go again
            tell(
                _LOGGER,
                duo.UNEXPECTED,
                "%s: an error that nobody expected.",
                self._parent.name,
                exc_info=error,
                account=self._parent.name,
            )
            return _RETRY_SECS
        if self._trouble.over() is not None:
            _LOGGER.info("%s: its children can be listed again.", self._parent.name)
        if not self._listed:
            self._tell_of(listing)
        self._listed, self._refusals, self.failure = True, 0, ""
        self._wanted = {child.account.name: child for child in listing.children}
        return self._relist_secs

    def _not_listed(self, error: DuoLogSyncError) -> float:
        self.failure = str(error)
        if isinstance(error, BadCredentials) and self._refusals <= len(REFUSAL_WAITS_SECS):
            wait_secs = REFUSAL_WAITS_SECS[self._refusals - 1]
            if self._refusals == 1:
                tell(
                    _LOGGER, duo.KEYS_IN_DOUBT,
                    "%s: Duo refuses the keys. They are tried again before that is believed: in %.0f s.",
                    self._parent.name, wait_secs, account=self._parent.name,
                )  # fmt: skip
            return wait_secs
        if isinstance(error, FatalError) and not self._listed:
            tell(
                _LOGGER,
                duo.CHILDREN_UNKNOWN,
                "%s: its children cannot be listed: %s",
                self._parent.name,
                error,
                account=self._parent.name,
            )  # text for the user
            self.error = error
            return 0.0
        wait_secs = min(_RETRY_SECS, self._relist_secs)
        if self._trouble.due(str(error)) is not None:
            tell(
                _LOGGER, duo.CHILDREN_NOT_LISTED,
                "%s: its children cannot be listed: %s Those that are running go on. Trying again every %.0f s.",
                self._parent.name, error, wait_secs, account=self._parent.name,
            )  # fmt: skip
        return wait_secs

    def _tell_of(self, listing: Listing) -> None:
        for entry in listing.unmatched:
            tell(
                _LOGGER,
                duo.CHILD_NOT_FOUND,
                "%s: no child has the id or name '%s' that is on its lists.",
                self._parent.name,
                entry,
                account=self._parent.name,
            )
        if not listing.children:
            tell(
                _LOGGER,
                duo.NO_CHILDREN,
                "%s: it has no child that is to be read.",
                self._parent.name,
                account=self._parent.name,
            )

    @property
    def name(self) -> str:
        """The parent's name."""
        return self._parent.name

    def title_of(self, account: str) -> str:
        """What people call a child that is read; empty where it is none of these."""
        child, _ = self._running.get(account, (None, ()))
        return child.title if child is not None else ""

    # --- coming and going --------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Ends who is not wanted any more, and starts who is wanted and not running."""
        for name, (child, _) in list(self._running.items()):
            wanted = self._wanted.get(name)
            if wanted is None:
                self._end(name, f"{child.title} is not listed any more, or is on a list now")
            elif wanted.account != child.account:
                self._end(name, f"{child.title} has moved to {wanted.account.api_host}")
        for ending in list(self._ending):
            name, streams = ending
            if not any(stream.alive for stream in streams):
                self._ending.remove(ending)
                self._forget(streams)
                _LOGGER.info("%s: has ended.", name)
        for name, child in self._wanted.items():
            if name not in self._running and not STOP.requested:
                _LOGGER.info("%s: reading %s at %s.", name, child.title, child.account.api_host)
                self._running[name] = (child, self._start(child.account))

    def _end(self, name: str, why: str) -> None:
        _, streams = self._running.pop(name)
        _LOGGER.info("%s: %s. What was read is delivered, then it ends; its checkpoints stay.", name, why)
        for stream in streams:
            stream.finish()
        self._ending.append((name, streams))
