"""A sender of the proof whose SIEM refuses some messages, one by one, after they were sent.

Place: over ``StreamSender``, which delivers the others. TCP has no way to refuse a message; what has
one (HTTP, Kafka) says so in ``confirm()``, as this does.

Contract: as in ``transforms.destinations.sender``. What is refused never arrives at the host.
"""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import Any

from tests.proof.siem import Host
from transforms.destinations import Confirmation, Rejection
from transforms.destinations.stream.delivery import StreamSender
from transforms.records import FormattedPage, Stream


class RejectingSender(StreamSender):
    """See the module."""

    def __init__(self, host: Host, *args: Any) -> None:
        super().__init__(*args)
        self._host = host
        self._offered = 0
        self._refused: list[Rejection] = []
        self._places: list[int] = []  # among all that were offered, of those that were not refused

    def begin(self, owner: Stream | None = None) -> None:
        self._offered, self._refused, self._places = 0, [], []
        super().begin(owner)

    def send(self, page: FormattedPage) -> None:
        accepted = FormattedPage(page.stream, [], [])
        for row, message in zip(page.rows, page.messages, strict=True):
            if self._host.refuses(message):
                self._refused.append(Rejection(self._offered, "refused", "The SIEM refused it."))
            else:
                self._places.append(self._offered)
                accepted.rows.append(row)
                accepted.messages.append(message)
            self._offered += 1
        super().send(accepted)

    def confirm(self) -> Confirmation:
        receipt, rejected = super().confirm()
        moved = [replace(each, index=self._places[each.index]) for each in rejected]
        return Confirmation(receipt, tuple(sorted([*self._refused, *moved], key=attrgetter("index"))))
