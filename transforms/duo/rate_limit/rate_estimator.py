"""What the answers of one endpoint tell about its limit: the interval between calls, learnt from which were refused.

Place: below ``rate``, which knows the clock, waits and threads. This is arithmetic on gaps and counts.

The limit is unknown, and so is how it is counted: one by one (two calls too near to each other), as a bucket that fills up, or
in windows. Three states:

  * Free: no interval. Nothing was refused yet, or what was refused was long ago.
  * Searching, after the first refusal of calls that came one by one: the gap of a refused call is a lower bound of the
    interval, the gap of an answered one an upper bound. A documented interval is believed where it is the first that is
    answered; other bounds are halved until they are 3 % apart.
    Where a burst was answered before the refusal, gaps tell little. What is answered between that refusal and the next one is
    what flowed in meanwhile, and gives the interval at once.
  * Holding. In ``_PROBE_CALLS`` answered calls the interval shrinks by one small step, faster the longer nothing is refused
    (the shape of TCP CUBIC): one call in 250 is refused, the rate stays some 2 % around the limit, and a limit that was raised
    is found. A refusal lengthens the interval by 1/(calls answered since the last one): a bucket that was empty and is empty
    again after N calls was overdrawn by one call in N. The usual sawtooth (half the rate after a refusal, then more again)
    would refuse one call in ten and use three quarters of a limit.

Refusals that come again and again after few calls mean that somebody else calls, too. Then for some 80 refusals the interval
shrinks fast, and relatively faster for the slower caller, while refusals lengthen it by shares: as with TCP, callers meet.
"""

from __future__ import annotations

import math

# Documented: one call a minute (recommended), two a minute; with a little to spare, because calls do not travel equally long.
DOCUMENTED_SECS = (30.4, 60.8)
FREE_BELOW_SECS = 0.05  # a shorter interval limits nothing: a call takes longer than that
LONGEST_INTERVAL_SECS = 240.0
SLOWER_THAN_PACE = 1.5  # calls further apart than this were not held back by the interval, and teach nothing about it
_CLOSE_ENOUGH = 1.03
_HICCUP_SECS = 10.0  # a call refused so long after the last one, while nothing is limited, does not speak of a rate

_STEP = 0.02
_STEP_OF_BURSTS = 0.05  # a bucket forgives this much for long, and two callers of one bucket meet sooner
_LARGEST_STEP = 0.3
_STEP_IN_A_ROW = 0.1
_PROBE_CALLS = 250.0
_MOST_PROBE_CALLS = 5000.0
_CALLS_PER_COST = 70.0  # a refusal that costs n calls (long Retry-After) is risked once in 70 n calls: 1.4 % of them
_COME_BACK = 0.004
_FREE_MOVES = 6  # after a search so many refusals still move what is believed to be the limit
_EXACT_MOVES = 2  # after halving, so many refusals are about the last percent, however early they come
_BURST_CALLS = 3

_FEW_CALLS = 100  # answered between two refusals: with a caller alone it is 250
_SUSPICIONS = 2
_FIRST_GAIN = 0.04
_GAIN_DECAY = 0.95
_LEAST_GAIN = 0.0005
_MOST_OF_LIMIT = 3.0  # how far others may push the interval up; beyond it, the limit itself must have fallen
_IN_VAIN = 5


class RateEstimator:
    """The interval of one endpoint. Not thread-safe.

    Attributes:
      interval_secs: between two calls; 0 is as fast as they are answered.
      limit_secs: the shortest interval that is believed to be allowed.
      bounds: while searching, the longest refused and the shortest answered gap.
      bursts: the endpoint was seen to take several calls at once.
    """

    def __init__(self) -> None:
        self.interval_secs = 0.0
        self.limit_secs = 0.0
        self.bounds: tuple[float, float] | None = None
        self.bursts = False
        self.refusal_costs_calls = 1.0
        self._answered = 0  # at the pace, since the last refusal
        self._drained_at: float | None = None  # a burst was refused then
        self._refused_at = 0.0
        self._window_secs = 0.0
        self._free_moves = 0
        self._exact_moves = 0
        self._gain = 0.0
        self._suspicions = 0
        self._in_vain = 0

    @property
    def holding(self) -> bool:
        return self.interval_secs > 0 and self.bounds is None

    def answered(self, gap_secs: float) -> None:
        """A call was answered, so long after the last answered one."""
        if self.bounds is not None:
            self._search_faster(gap_secs)
        elif self.interval_secs == 0:
            self._answered += 1
        elif gap_secs <= self.interval_secs * SLOWER_THAN_PACE:
            self._answered += 1
            self._speed_up()

    def refused(self, gap_secs: float, refusals: int, now: float, *, taking_turns: bool) -> None:
        """A call was refused: the ``refusals``-th in a row, so long after the last answered one."""
        if self.bounds is not None:
            self._search_slower(gap_secs)
        elif self.holding:
            self._slow_down(gap_secs, refusals, taking_turns=taking_turns)
        elif refusals == 1 and gap_secs < _HICCUP_SECS:
            self._leave_free(gap_secs, now)
            self._answered = 0
        self._refused_at = now

    def take_window(self) -> float:
        """After a measurement, once: how long what flowed in took to do so. A window must pass before calls are answered."""
        secs, self._window_secs = self._window_secs, 0.0
        return secs

    def hold(self, interval_secs: float, limit_secs: float | None = None) -> None:
        """Keeps an interval. A limit says that both are known, not just found."""
        self.bounds = self._drained_at = None
        self.interval_secs = interval_secs
        self.limit_secs = min(limit_secs or interval_secs, interval_secs)
        self._answered = 0
        self._free_moves = 0 if limit_secs else _FREE_MOVES

    def forget(self) -> None:
        """Back to no interval."""
        self.bounds = self._drained_at = None
        self.interval_secs = self.limit_secs = 0.0
        self._answered = 0

    # --- free --------------------------------------------------------------------------------------------------------

    def _leave_free(self, gap: float, now: float) -> None:
        if self._drained_at is not None:
            self._measure(now, self._drained_at)
        elif self._answered > 1:
            self._drained_at = now
            self.bursts = self._answered >= _BURST_CALLS
        else:
            self._search(gap)

    def _measure(self, now: float, drained_at: float) -> None:
        """The second refusal after bursts: the calls between the two are what flowed in."""
        took, calls, still_refused = now - drained_at, max(self._answered, 1), self._refused_at - drained_at
        if calls == 1:
            self._search(still_refused)
            self._search_faster(took)
        elif calls <= 4:
            # Up to one more may have been there in part. A little too fast is found out soon, too slow is not.
            self.hold(took / (calls + 1))
        else:
            # That many at once: a window. It was over somewhere between the last refused try and the first answered one.
            self.hold(took / calls)
            self.limit_secs = min(self.interval_secs, still_refused / calls)
            self._window_secs = took

    # --- searching ---------------------------------------------------------------------------------------------------

    def _search(self, low: float) -> None:
        self._drained_at = None
        self.bounds = (max(low, FREE_BELOW_SECS / 2), math.inf)

    def _search_faster(self, gap: float) -> None:
        assert self.bounds is not None
        low, high = self.bounds[0], min(gap, self.bounds[1])
        documented = low > high / 2 and any(secs <= high <= secs * 1.02 for secs in DOCUMENTED_SECS)
        if high < FREE_BELOW_SECS:
            self.forget()
        elif documented or high <= low * _CLOSE_ENOUGH:
            self._found(high)
        else:
            self.bounds = (low, high)
            self.interval_secs = math.sqrt(low * high)

    def _search_slower(self, gap: float) -> None:
        assert self.bounds is not None
        low, high = self.bounds
        if gap >= high * 0.99:
            # An answered gap is refused now: the bucket had held more, or somebody else calls. Counting goes on from here.
            self.hold(gap * (1 + _STEP))
        elif max(low, gap) * _CLOSE_ENOUGH >= high:
            self._found(high)
        else:
            self.bounds = (max(low, gap), high)

    def _found(self, interval: float) -> None:
        self.hold(interval)
        self._exact_moves = _EXACT_MOVES

    # --- holding -----------------------------------------------------------------------------------------------------

    def _speed_up(self) -> None:
        if self.interval_secs > self.limit_secs and self._free_moves == _FREE_MOVES:
            self.interval_secs = max(self.limit_secs, self.interval_secs * (1 - _COME_BACK))
        elif self._gain:
            slower_gains_more = min(max(self.interval_secs / 6, 0.1), 5.0)
            self.interval_secs *= 1 - self._gain * slower_gains_more
        else:
            self._probe()
        if self.interval_secs < FREE_BELOW_SECS:
            self.forget()

    def _probe(self) -> None:
        calls = min(max(_PROBE_CALLS, self.refusal_costs_calls * _CALLS_PER_COST), _MOST_PROBE_CALLS)
        step = _STEP
        if self.bursts:
            step = _STEP_OF_BURSTS
            calls *= min(max(6 / self.interval_secs, 0.45), 2.0)  # the slower caller probes sooner
        self.interval_secs *= 1 - min(step / calls * (0.75 + (self._answered / calls) ** 3), _STEP)

    def _slow_down(self, gap: float, refusals: int, *, taking_turns: bool) -> None:
        if refusals > 1:
            self.interval_secs = min(self.interval_secs * (1 + _STEP_IN_A_ROW), self.limit_secs * _MOST_OF_LIMIT)
        elif gap > self.interval_secs * SLOWER_THAN_PACE:
            return
        elif taking_turns:
            self.interval_secs = min(self.interval_secs * (1 + _STEP), self.limit_secs * 1.2)
            self._answered = 0
        else:
            self._take_step()

    def _take_step(self) -> None:
        step = min(max(1 / (self._answered + 1), _STEP_OF_BURSTS if self.bursts else _STEP), _LARGEST_STEP)
        if self._exact_moves > 0:
            self._exact_moves -= 1
            step = _STEP
        if self._free_moves <= 0:
            self._suspect_others()
        slower = min(self.interval_secs * (1 + step), LONGEST_INTERVAL_SECS)
        if self._free_moves > 0:
            self.limit_secs = slower
        elif self.interval_secs < self.limit_secs:
            self.limit_secs = self.interval_secs * (1 + _STEP)
        self.interval_secs = min(slower, self.limit_secs * _MOST_OF_LIMIT)
        self._free_moves -= 1
        self._answered = 0

    def _suspect_others(self) -> None:
        self._in_vain = self._in_vain + 1 if self._answered == 0 else 0
        if self._in_vain >= _IN_VAIN:
            # Nobody takes every single call: the limit is lower than it was.
            self.limit_secs *= 1 + _LARGEST_STEP
            self._in_vain = 0
        self._suspicions = self._suspicions + 1 if self._answered < _FEW_CALLS else max(0, self._suspicions - 1)
        if self._gain:
            self._gain *= _GAIN_DECAY
            if self._gain < _LEAST_GAIN:
                self._gain, self._suspicions = 0.0, 0
        elif self._suspicions >= _SUSPICIONS:
            self._gain = _FIRST_GAIN
