"""Standard output: a line for each message, for a program that reads them from a pipe, or to look at.

Place in the flow: one of the kinds.

Delivered means: written to standard output, so that the system has it. Of a pipe that says nothing about who reads it, and
nothing that can be known does; use it where losing what lies in a pipe when its reader dies is no harm. Where nobody reads any
more the program stops (``BadDestination``): nobody else can take up such a pipe.

Contract: as in ``transforms.destinations.sender``.
"""

from __future__ import annotations

from transforms.destinations.health import health_of
from transforms.destinations.sender import Confirmation, KeepsNothing, Rejection, oversize
from transforms.destinations.stdout.output import OUTPUT
from transforms.destinations.stdout.settings import StdoutSettings
from transforms.destinations.waits import CONNECTING, Waits
from transforms.errors import BadDestination
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination
from transforms.state.receipts import READ_AT_ONCE


def make(destination: Destination[StdoutSettings]) -> StdoutSender:
    """A sender that takes standard output when the first messages are confirmed."""
    return StdoutSender(destination)


class StdoutSender(KeepsNothing):
    """A ``Sender`` to standard output. Messages are held until ``confirm``."""

    reconnects = 0

    def __init__(self, destination: Destination[StdoutSettings]) -> None:
        self._destination = destination
        self._health = health_of(destination)
        self._waits = Waits(destination, CONNECTING)
        self._taken = 0  # messages of this bundle
        self._rejected: list[Rejection] = []  # of them
        self._lines: list[bytes] = []  # of them: what is not written yet

    def begin(self, owner: Stream | None = None) -> None:  # noqa: ARG002 - nothing is kept that would need an owner
        self._taken = 0
        self._rejected, self._lines = [], []
        self._waits.begin()

    def send(self, page: FormattedPage) -> None:
        most_bytes = self._destination.max_message_bytes
        for index, message in enumerate(page.messages, self._taken):
            if most_bytes is not None and len(message) > most_bytes:
                self._rejected.append(oversize(index, len(message), self._destination.name, most_bytes))
            else:
                self._lines.append(message)
        self._taken += len(page.messages)

    def confirm(self) -> Confirmation:
        if self._lines:
            self._insist(b"\n".join([*self._lines, b""]))
            self._lines = []
        return Confirmation(READ_AT_ONCE, tuple(self._rejected))

    def check(self) -> None:
        """A pipe is looked at when it is written to."""

    def close(self, grace_secs: float) -> None:
        """It stays open: it is not ours to end."""

    def interrupt(self) -> None:
        self._waits.interrupt()

    @property
    def waited_secs(self) -> float:
        """How long this bundle has waited for a reader."""
        return self._waits.waited_secs

    def test_connection(self) -> None:
        """It is there, and nothing can be tried without writing."""

    def _insist(self, block: bytes) -> None:
        while True:
            try:
                OUTPUT.write(block, self._waits.watch)
            except BrokenPipeError:
                name = self._destination.name
                raise BadDestination(f"Destination {name}: nobody reads standard output any more.") from None
            except OSError as error:  # it may be a file, on a disk that is full
                self._health.away(str(error.strerror or error))
                self._waits.back_off()
            else:
                self._waits.succeeded()
                self._waits.moved()
                self._health.back(0)
                return
