"""A destination in memory that refuses some messages after it was sent them, as SIEMs with an HTTP interface do."""

from collections.abc import Callable

from transforms.destinations import Confirmation, Rejection
from transforms.records import FormattedPage, Stream
from transforms.state.receipts import READ_AT_ONCE


class Siem:
    """What all its senders have in common.

    Attributes:
      delivered: messages that were confirmed. refused: those that were not, and never will be.
    """

    def __init__(self, refuses: Callable[[bytes], bool]) -> None:
        self.refuses = refuses
        self.delivered: list[bytes] = []
        self.refused: list[bytes] = []

    def make(self, _destination: object) -> "ToySender":
        return ToySender(self)


class ToySender:
    """A ``Sender``."""

    waited_secs = 0.0
    reconnects = 0
    connected = True
    held_bytes = 0

    def __init__(self, siem: Siem) -> None:
        self._siem = siem
        self._messages: list[bytes] = []
        self._confirmed = 0
        self._rejected: list[Rejection] = []

    def begin(self, owner: Stream | None = None) -> None:
        self._messages, self._confirmed, self._rejected = [], 0, []

    def send(self, page: FormattedPage) -> None:
        self._messages += page.messages

    def confirm(self) -> Confirmation:
        for index in range(self._confirmed, len(self._messages)):
            message = self._messages[index]
            if self._siem.refuses(message):
                self._siem.refused.append(message)
                self._rejected.append(Rejection(index, "refused", "The toy does not like it."))
            else:
                self._siem.delivered.append(message)
        self._confirmed = len(self._messages)
        return Confirmation(READ_AT_ONCE, tuple(self._rejected))

    def check(self) -> None:
        pass

    def close(self, grace_secs: float) -> None:
        pass

    def interrupt(self) -> None:
        pass

    def unread(self) -> list[tuple[Stream | None, list[bytes]]]:
        return []

    def given_up(self) -> list[tuple[Stream | None, list[bytes]]]:
        return []

    def given_up_is_kept(self) -> None:
        pass

    def test_connection(self) -> None:
        pass
