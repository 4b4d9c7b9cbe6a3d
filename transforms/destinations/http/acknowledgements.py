"""Requests that were taken for now, and are delivered once the receiver says so.

Place in the flow: ``sender`` waits here at the end of a bundle, where the dialect has acknowledgements (a HEC with indexer
acknowledgement).

Contract: what is not acknowledged within ``ack_secs`` of its answer is given back, to be sent again: it may be lost, or indexed
late, and nobody can tell. So it is where the receiver no longer knows the ids, or gives one of them to another request. An id
is asked for until it was true once: a receiver forgets it then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from transforms.destinations.http.parts import Part
from transforms.destinations.http.tuning import Tuning
from transforms.destinations.waits import Waits

_SLICE_SECS = 0.2


class _Expected(NamedTuple):
    part: Part
    until: float  # monotonic


class Acknowledgements:
    """Those of one bundle."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._expected: dict[int, _Expected] = {}

    def __len__(self) -> int:
        return len(self._expected)

    def forget(self) -> None:
        """A bundle begins."""
        self._expected = {}

    def expect(self, ack_id: int, part: Part) -> list[Part]:
        """A request was taken for now. Returns what must be sent again: the request that had this id before."""
        # It counts anew, since it was restarted or is another one: nobody will ever say what became of the earlier request.
        lost = self._take([ack_id]) if ack_id in self._expected else []
        self._expected[ack_id] = _Expected(part, time.monotonic() + self._tuning.ack_secs)
        return lost

    def wait(self, ask: Callable[[Sequence[int]], frozenset[int] | None], waits: Waits) -> list[Part]:
        """Returns when all are acknowledged, or with what must be sent again.

        Args:
          ask: which of some ids are acknowledged; None where nothing is known of them any more.
        """
        pause_secs = self._tuning.ack_first_poll_secs
        while self._expected:
            known = ask(list(self._expected))
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

    def _overdue(self) -> list[Part]:
        now = time.monotonic()
        return self._take([ack_id for ack_id, expected in self._expected.items() if now >= expected.until])

    def _take(self, ack_ids: Sequence[int]) -> list[Part]:
        return [self._expected.pop(ack_id).part._replace(doubtful=True) for ack_id in ack_ids]


def _rest(secs: float, waits: Waits) -> None:
    end = time.monotonic() + secs
    while (left := end - time.monotonic()) > 0:
        waits.watch()
        waits.rest(min(left, _SLICE_SECS))
