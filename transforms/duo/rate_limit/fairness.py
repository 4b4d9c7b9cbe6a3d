"""Taking turns with another copy that uses the same credentials, where a limit counts calls one by one.

Place: below ``rate``. Such a limit belongs to whoever calls most regularly: the call of the other one always comes a moment too
early, and a refused call costs its caller everything and the first one nothing. Copies cannot talk to each other, but both can
see it: the one that was refused many times and then answered knows, and by that answer it takes the next call from the other,
which then knows, too.

From then on each makes ``CALLS`` calls and rests for half to all of the time that these took. Whoever waits tries after waits
that grow by a third (``rate``), so one of its tries always falls into that rest. Who finds nobody in ten rests stops resting.
Everything is random and nothing remembers who was first: over some hours both get about the same.
"""

from __future__ import annotations

from collections.abc import Callable

CALLS = 20
_REFUSALS_WHILE_HOLDING = 4
_REFUSALS_ELSE = 12  # a search is refused ten times with nobody else there; bursts show that calls are not counted one by one
_GAP_INTERVALS = 4.0
_LONELY_RESTS = 10


class Fairness:
    """Whether turns are taken, and when this copy rests. Not thread-safe."""

    def __init__(self, uniform: Callable[[float, float], float]) -> None:
        self._uniform = uniform
        self._left = 0
        self._since = 0.0
        self._rested = False
        self._lonely = 0

    @property
    def taken(self) -> bool:
        return self._left > 0

    def crowded_out(self, refusals: int, gap_secs: float, interval_secs: float, *, one_by_one: bool) -> bool:
        """Whether an answer after so many refusals, so long after the last answer, tells of another copy."""
        enough = _REFUSALS_WHILE_HOLDING if one_by_one else _REFUSALS_ELSE
        return refusals >= enough and gap_secs > _GAP_INTERVALS * interval_secs

    def begin(self, now: float) -> None:
        """It is this copy's turn."""
        self._left, self._since, self._lonely = CALLS, now, 0

    def called(self, refusals: int, now: float, interval_secs: float) -> float:
        """A call was answered; the rest that follows it, mostly 0."""
        if self._rested:
            self._lonely = self._lonely + 1 if refusals == 0 else 0
            self._rested = False
            if self._lonely >= _LONELY_RESTS:
                self._left = 0
                return 0.0
        self._left -= 1
        if self._left > 0:
            return 0.0
        rest = self._uniform(0.5, 1.0) * min(now - self._since, 2 * CALLS * interval_secs)
        self._left, self._since, self._rested = CALLS, now + rest, True
        return rest
