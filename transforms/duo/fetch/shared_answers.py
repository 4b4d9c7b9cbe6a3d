"""What the feeds of one stream share: Duo's answers, so that a page is fetched once for all destinations that keep up.

Place in the flow: the feed registry makes one per stream and hands it to the feed of each destination. A feed looks here before
it makes a call, and puts here what the call brought. Which windows the feeds open, so that their calls are the same ones, is
``windows``' word; this says what it needs to know of the other positions.

Contract:
  * Single flight. A feed that wants a call that another one is making waits for the answer, for a few seconds at most; then,
    or where the call failed, it makes the call itself. A failure is handed on to those that want the same call: they leave
    Duo alone for as long as the one that met it.
  * An answer is kept for each feed of the stream that has neither taken it nor passed it, so long as it is among the newest
    ones of the stream (``_MOST_PAGES``, ``_MOST_BYTES``) and within the room that the process has for it (``read_ahead``). A
    feed takes an answer once. Rows are shared, not copied.
  * A feed takes no page that was fetched before the first page of its window was. What Duo publishes late between the two would
    be counted by that one and missing in this one.
  * A feed that has fallen behind further than that calls for itself, behind everything that is current (``is_behind``).
  * No feed waits for another one's reader. A feed that leaves (it is closed, or nobody asks it for anything) is forgotten.
  * Thread-safe. ``lock`` is held from the look to the decision, so that two feeds do not make the same call; it may be taken
    by a feed that holds its own lock, and nothing waits with it. Feeds are woken up without it.
  * With one feed nothing is kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from transforms.duo.fetch.duo_clock import DuoClock
from transforms.duo.fetch.read_ahead import READ_AHEAD
from transforms.duo.position.paging import Answer
from transforms.duo.position.windows import ALONE, Call, OtherPositions
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.state.cursor import Cursor

_MOST_PAGES = 16
_MOST_BYTES = 8_000_000
# How long another feed's call is waited for. A page takes a second or two; a call that hangs is its caller's trouble.
_LONGEST_WAIT_SECS = 10.0

# What is asked for: (mintime_ms, maxtime_ms, next_offset, how often it was asked for before without success).
_Key = tuple[int, int, str | None, int]
# Where a call belongs, also when it is made again: that of a window that is not open yet has another end then.
_Place = tuple[int | None, _Key | None]


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Another feed is making the call: so long it is worth while to wait for it."""

    secs: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Another feed made the call and failed: it leaves Duo alone for so long. ``error`` is told once to each."""

    error: Exception | None
    secs: float


@dataclass(slots=True)
class _Kept:
    answer: Answer
    call: Call
    number: int
    size_bytes: int
    wanted_by: set[Participant]


@dataclass(slots=True)
class _Trouble:
    error: Exception
    place: _Place
    until_secs: float
    told: set[Participant] = field(default_factory=set)


class Participant:
    """One feed's part. What stands above ``enter`` is called with ``SharedAnswers.lock`` held, the rest without.

    Attributes:
      cursor: where the feed fetches next. call: the one that it is making.
    """

    def __init__(self, shared: SharedAnswers, wake: Callable[[], None]) -> None:
        self._shared = shared
        self.wake = wake
        self.cursor: Cursor | None = None
        self.call: Call | None = None
        self.opened_with = 0  # the number of the answer with which its window began; 0 where that was another process's
        self.waits_for: _Key | None = None
        self.waits_since_secs = 0.0

    def others(self, cursor: Cursor) -> OtherPositions:
        """Where the other feeds are; this one is at the cursor."""
        return self._shared.others(self, cursor)

    def find(self, call: Call) -> Answer | UnderWay | Failure | None:
        """What there is of a call already; None where this feed has to make it."""
        return self._shared.find(self, call)

    def is_behind(self, call: Call) -> bool:
        """Whether another feed has read already what the call asks for."""
        return any(_has_passed(other, call) for other in self._shared.participants if other is not self)

    def begins(self, call: Call) -> None:
        """This feed makes the call; ``ended`` says when it is over."""
        self.call = call

    def takes(self, call: Call) -> None:
        """This feed has the answer that was found."""
        self._shared.take(self, call)

    def failed(self, call: Call, error: Exception, wait_secs: float) -> None:
        """The call failed, and this feed leaves Duo alone for so long."""
        self._shared.note_failure(self, call, error, wait_secs)

    def enter(self, cursor: Cursor) -> None:
        """The feed is read from this cursor on: what others fetch is kept for it."""
        with self._shared.lock:
            self._shared.enter(self, cursor)

    def answered(self, call: Call, answer: Answer) -> None:
        """The call was answered: the answer is kept for those that want it."""
        with self._shared.lock:
            self._shared.keep(self, call, answer)
        self.ended()

    def ended(self) -> None:
        """The call is over, with or without an answer."""
        if self.call is not None:
            for waiting in self._shared.end_call(self):
                waiting.wake()

    def leave(self) -> None:
        """Nobody reads this feed any more, or not for long. It is back when it looks where the others are."""
        with self._shared.lock:
            self._shared.leave(self)


class SharedAnswers:
    """What the feeds of one stream share. See the module; feeds use it by their ``Participant``."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self.duo_clock = DuoClock(clock)
        self.lock = threading.Lock()
        self.participants: list[Participant] = []
        self._clock = clock
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()  # the oldest first
        self._kept_bytes = 0
        self._answers = 0
        self._trouble: _Trouble | None = None

    def join(self, wake: Callable[[], None]) -> Participant:
        """A feed's part. ``wake`` is called when what it waits for may be there."""
        return Participant(self, wake)

    # --- what a feed sees of the others ------------------------------------------------------------------------------

    def enter(self, own: Participant, cursor: Cursor) -> None:
        """See ``Participant``."""
        own.cursor = cursor
        if own not in self.participants:
            self.participants.append(own)

    def others(self, own: Participant, cursor: Cursor) -> OtherPositions:
        """See ``Participant``."""
        self.enter(own, cursor)
        if len(self.participants) == 1:
            return ALONE
        self._drop_passed(own)
        others = [other for other in self.participants if other is not own]
        calls = [kept.call for kept in self._kept.values() if own in kept.wanted_by]
        calls += [other.call for other in others if other.call is not None]
        ends_ms = [end_ms for other in others if (end_ms := _goal_ms(other)) is not None]
        return OtherPositions(
            tuple(call for call in calls if call.opens_window),
            max(ends_ms, default=None),
            tuple(begins.mintime_ms for other in others if (begins := other.cursor) is not None and begins.end_ms is None),
        )

    def find(self, own: Participant, call: Call) -> Answer | UnderWay | Failure | None:
        """See ``Participant``."""
        key = _key_of(call)
        if key is None or len(self.participants) == 1:
            return None
        kept = self._kept.get(key)
        if kept is not None and own in kept.wanted_by and (call.opens_window or kept.number >= own.opened_with):
            return kept.answer
        if any(other.call is not None and _key_of(other.call) == key for other in self.participants if other is not own):
            return self._wait(own, key)
        return self._failure(own, call)

    def _wait(self, own: Participant, key: _Key) -> UnderWay | None:
        now = self._clock.monotonic_secs()
        if own.waits_for != key:
            own.waits_for, own.waits_since_secs = key, now
        left_secs = own.waits_since_secs + _LONGEST_WAIT_SECS - now
        return UnderWay(left_secs) if left_secs > 0 else None

    def _failure(self, own: Participant, call: Call) -> Failure | None:
        trouble = self._trouble
        if trouble is None or trouble.place != _place_of(call):
            return None
        left_secs = trouble.until_secs - self._clock.monotonic_secs()
        if left_secs <= 0:
            return None
        error = None if own in trouble.told else trouble.error
        trouble.told.add(own)
        return Failure(error, left_secs)

    # --- what calls bring --------------------------------------------------------------------------------------------

    def keep(self, own: Participant, call: Call, answer: Answer) -> None:
        """An answer is kept for those that may want it."""
        if self._trouble is not None and self._trouble.place == _place_of(call):
            self._trouble = None
        self._answers += 1
        if call.opens_window:
            own.opened_with = self._answers
        key = _key_of(call)
        wanted_by = {other for other in self.participants if other is not own and not _has_passed(other, call)}
        if key is None or not wanted_by:
            return
        self._drop(key)
        size_bytes = sum(map(len, answer.rows))
        if not READ_AHEAD.keep(size_bytes):
            wanted_by = {other for other in wanted_by if other.waits_for == key}  # they are about to take it
            if not wanted_by:
                return
            READ_AHEAD.keep(size_bytes, at_once=True)
        self._kept[key] = _Kept(answer, call, self._answers, size_bytes, wanted_by)
        self._kept_bytes += size_bytes
        while len(self._kept) > 1 and (len(self._kept) > _MOST_PAGES or self._kept_bytes > _MOST_BYTES):
            self._drop(next(iter(self._kept)))

    def take(self, own: Participant, call: Call) -> None:
        """See ``Participant``. What was kept of the same window before it is passed with it."""
        taken = _key_of(call)
        if call.opens_window and taken is not None:
            own.opened_with = self._kept[taken].number
        for key, kept in list(self._kept.items()):
            if kept.call.maxtime_ms == call.maxtime_ms:
                self._not_for(own, key)
            if key == taken:
                break

    def note_failure(self, own: Participant, call: Call, error: Exception, wait_secs: float) -> None:
        """See ``Participant``."""
        if call.gap is None and len(self.participants) > 1:
            self._trouble = _Trouble(error, _place_of(call), self._clock.monotonic_secs() + wait_secs, {own})

    def end_call(self, own: Participant) -> list[Participant]:
        """A feed's call is over; who waited for it."""
        with self.lock:
            key = None if own.call is None else _key_of(own.call)
            own.call = None
            waiting = [other for other in self.participants if other is not own and other.waits_for == key is not None]
            for other in waiting:
                other.waits_for = None
            return waiting

    def leave(self, own: Participant) -> None:
        """See ``Participant``."""
        if own in self.participants:
            self.participants.remove(own)
        own.waits_for = None
        for key in list(self._kept):
            self._not_for(own, key)

    def _drop_passed(self, own: Participant) -> None:
        for key, kept in list(self._kept.items()):
            if _has_passed(own, kept.call):
                self._not_for(own, key)

    def _not_for(self, own: Participant, key: _Key) -> None:
        kept = self._kept[key]
        kept.wanted_by.discard(own)
        if not kept.wanted_by:
            self._drop(key)

    def _drop(self, key: _Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._kept_bytes -= kept.size_bytes
            READ_AHEAD.keep(-kept.size_bytes)


def _key_of(call: Call) -> _Key | None:
    """What a call asks for; None where it is a gap's, which is its position's alone.

    A page cursor that names a time says alone where its page begins. Duo's look-back moves on while a long window is paged, and
    with it the beginning that is sent.
    """
    if call.gap is not None:
        return None
    offset = call.next_offset
    names_time = offset is not None and offset.partition(",")[0].isdecimal() and "," in offset
    return (0 if names_time else call.cursor.mintime_ms), call.maxtime_ms, offset, call.cursor.doubts


def _place_of(call: Call) -> _Place:
    return (call.cursor.end_ms, None) if call.opens_window else (None, _key_of(call))


def _goal_ms(participant: Participant) -> int | None:
    """The end of the window that a feed has read last, or that it is in."""
    call, cursor = participant.call, participant.cursor
    if call is not None and call.opens_window:
        return call.maxtime_ms
    if cursor is None:
        return None
    return cursor.end_ms if cursor.maxtime_ms is None else cursor.maxtime_ms


def _has_passed(participant: Participant, call: Call) -> bool:
    """Whether a feed is further than a call: behind its window, or further on in it."""
    cursor = participant.cursor
    if cursor is None:
        return False
    if cursor.end_ms is not None and cursor.end_ms >= call.maxtime_ms:
        return True
    return cursor.maxtime_ms == call.maxtime_ms and cursor.position_ms > call.cursor.position_ms
