"""Requests that were taken for now, and are delivered once the receiver says so.

Place in the flow: ``sender`` waits here at the end of a bundle, where the dialect has acknowledgements (a HEC with indexer
acknowledgement).

Contract: what is not acknowledged within ``ack_secs`` of its answer is given back, to be sent again: it may be lost, or indexed
late, and nobody can tell. So it is where the receiver no longer knows the ids. An id is asked for until it was true once:
a receiver forgets it then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from transforms.destinations.http.connection import Answer, Request, Unanswered
from transforms.destinations.http.dialect import Dialect
from transforms.destinations.http.parts import Part
from transforms.destinations.http.tuning import Tuning
from transforms.destinations.waits import Waits

_SLICE_SECS = 0.2


class _Expected(NamedTuple):
    part: Part
    until: float  # monotonic


class Acknowledgements:
    """Those of one bundle."""

    def __init__(self, dialect: Dialect, tuning: Tuning) -> None:
        self._dialect = dialect
        self._tuning = tuning
        self._expected: dict[int, _Expected] = {}

    def __len__(self) -> int:
        return len(self._expected)

    def forget(self) -> None:
        """A bundle begins."""
        self._expected = {}

    def expect(self, ack_id: int, part: Part) -> None:
        """A request was taken for now."""
        self._expected[ack_id] = _Expected(part, time.monotonic() + self._tuning.ack_secs)

    def wait(self, ask: Callable[[Request], Answer], waits: Waits) -> list[Part]:
        """Returns when all are acknowledged, or with what must be sent again."""
        pause_secs = self._tuning.ack_first_poll_secs
        while self._expected:
            known = self._acknowledged(ask, waits)
            if known is None:
                return self._take(list(self._expected))
            for ack_id in known:
                self._expected.pop(ack_id, None)
            # Asked first: the request behind them may have been waited for so long.
            if overdue := self._overdue():
                return overdue
            if known:
                waits.moved()
                pause_secs = self._tuning.ack_first_poll_secs
            elif self._expected:
                _rest(pause_secs, waits)
                pause_secs = min(pause_secs * 2, self._tuning.ack_longest_poll_secs)
        return []

    def _acknowledged(self, ask: Callable[[Request], Answer], waits: Waits) -> frozenset[int] | None:
        ack_ids = list(self._expected)
        request = self._dialect.acks(ack_ids, waits.watch)
        if request is None:
            return None
        try:
            return self._dialect.acknowledged(ask(request), ack_ids)
        except Unanswered:
            return frozenset()  # the question is asked again

    def _overdue(self) -> list[Part]:
        now = time.monotonic()
        return self._take([ack_id for ack_id, expected in self._expected.items() if now >= expected.until])

    def _take(self, ack_ids: Sequence[int]) -> list[Part]:
        return [self._expected.pop(ack_id).part for ack_id in ack_ids]


def _rest(secs: float, waits: Waits) -> None:
    end = time.monotonic() + secs
    while (left := end - time.monotonic()) > 0:
        waits.watch()
        waits.rest(min(left, _SLICE_SECS))
