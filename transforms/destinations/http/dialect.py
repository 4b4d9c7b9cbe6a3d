"""What one receiver over HTTP is like: how events become a request, and what its answers mean.

Place in the flow: ``hec`` and ``generic`` are the dialects; ``sender`` knows no receiver and asks one of them.

Contract: a dialect keeps no events. Its ``piece`` may raise Undeliverable; the event is rejected then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from transforms.destinations.http.connection import Answer, Request
from transforms.destinations.http.verdict import Verdict
from transforms.destinations.stream.connection import Watch
from transforms.duo.log_types import LOG_TYPES
from transforms.records import Stream


class Outgoing(NamedTuple):
    """One event on its way: Duo's row, empty where only the message is left, and what is sent of it."""

    stream: Stream
    row: bytes
    message: bytes

    @property
    def time_ms(self) -> int | None:
        """When it happened; None where the row does not say."""
        log_type = LOG_TYPES.get(self.stream.log_type)
        return log_type.row_key(self.row).time_ms if log_type is not None else None


class Dialect(Protocol):
    """See the module.

    Attributes:
      most_events, most_bytes: what one request may hold; bytes are those of its pieces, before they are compressed.
      most_event_bytes: what one event may have, as a piece; None for no limit but the request's.
    """

    most_events: int
    most_bytes: int
    most_event_bytes: int | None

    def piece(self, event: Outgoing) -> bytes:
        """What stands for one event in a request's body."""
        ...

    def request(self, stream: Stream, pieces: Sequence[bytes], watch: Watch) -> Request:
        """A request with such events. Raises FatalError where its secrets cannot be had, or RetryLater."""
        ...

    def judge(self, answer: Answer, count: int) -> Verdict:
        """What the answer to a request with so many events means."""
        ...

    def renew(self) -> bool:
        """The credentials were not taken: whether there may be others now."""
        ...

    def acks(self, ack_ids: Sequence[int], watch: Watch) -> Request | None:
        """Asks about requests that were taken for now; None where there is no such thing."""
        ...

    def acknowledged(self, answer: Answer, ack_ids: Sequence[int]) -> frozenset[int] | None:
        """Which of them are delivered, as the answer has it; None where it cannot say."""
        ...

    def probe(self, watch: Watch) -> Request | None:
        """A request that sends nothing and shows whether this is the right place; None where there is none."""
        ...

    def judge_probe(self, answer: Answer) -> Verdict:
        """What its answer means; DELIVERED is well."""
        ...

    def begin(self) -> None:
        """A bundle begins."""
        ...

    def close(self) -> None:
        """Nothing is sent for a while."""
        ...
