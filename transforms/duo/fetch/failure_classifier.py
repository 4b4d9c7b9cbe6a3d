"""FailureClassifier with reading one stream: which kind it is, how long to leave the stream alone, and what the log says of it.

Place in the flow: the feed hands every error here, and what a position or an answer shows that should not be. How long a 429 is
waited out is the rate budget's word.

Contract: each is counted; each kind is told once, not every time, again when it has lasted, and at its end. Nothing is raised
and nothing waits here: waits are returned. What only a person can mend is told at ERROR, but not before the first answer: until
then the feed raises it, and whoever catches it says so. Not thread-safe: the feed holds its lock around each call but
``unexpected``.
"""

from __future__ import annotations

import logging

from transforms.duo.client.client import PageRefused
from transforms.duo.position.paging import Step
from transforms.duo.position.windows import days_out_of_reach
from transforms.duo.rate_limit.budget import RateBudget
from transforms.errors import BadCredentials, FatalError, RetryLater, StreamUnavailable
from transforms.metrics.reading import ReadingNotes
from transforms.notices import duo, program
from transforms.notices.notice import Notice, tell
from transforms.process.clock import SYSTEM_CLOCK, Clock, utc
from transforms.process.log_once import REMIND_SECS, LogOnce, LogOncePerKey
from transforms.process.plural import counted
from transforms.process.retry import Backoff, RetryPolicy
from transforms.process.threads import NO_THREAD
from transforms.records import Stream
from transforms.settings import Reading
from transforms.state.cursor import Cursor, Gap

# The feed's own: the name of a logger is part of each line of JSON, and users select by it.
_LOGGER = logging.getLogger("duologsync.duo")
_RETRY = RetryPolicy(first_secs=1.0, longest_secs=60.0)
_UNAVAILABLE_RETRY_SECS = 900.0
# Duo's refusal of the keys is believed when it stays. A gateway's mishap or a key that is being changed passes within that.
REFUSAL_WAITS_SECS = (15.0, 45.0)
_CLOCK_LEEWAY_MS = 600_000
_EDGE_DAYS = 0.01
_SELDOM_SECS = 3600.0


class FailureClassifier:
    """What goes wrong with one stream. ``notes`` are the feed's."""

    def __init__(self, stream: Stream, budget: RateBudget, notes: ReadingNotes, clock: Clock = SYSTEM_CLOCK) -> None:
        self._stream = stream
        self._budget = budget
        self._notes = notes
        self._clock = clock
        self._told_kind = ""  # of the trouble that lasts
        self._passing: LogOncePerKey[str] = LogOncePerKey(remind_secs=REMIND_SECS, clock=clock)
        self._backoff = Backoff(_RETRY)
        self._refusals = 0  # of the keys, since a call was answered
        self._ahead = LogOnce(clock=clock)  # the position lies in the future
        self._threadless = LogOnce(clock=clock)
        self._short = LogOnce(clock=clock)  # the last window held less than Duo counted
        self._circled = LogOnce(_SELDOM_SECS, clock)  # Duo's page cursor led back
        self._bug = LogOnce(REMIND_SECS, clock)
        self._shortened = LogOnce(clock=clock)  # the last window was followed by less overlap than it should be
        self.answered = False  # some call was, since the feed began
        self.refused: StreamUnavailable | PageRefused | None = None  # what the last call met, where Duo will not serve it
        self.error: Exception | None = None  # what the last call met
        self.since_ms: int | None = None  # since when calls fail, by the wall clock

    # --- errors ------------------------------------------------------------------------------------------------------

    def failed(self, error: Exception, *, told: bool = False) -> float:
        """A call failed: how long to leave the stream alone. ``told``: another feed of the stream made it, and said so."""
        own_wait_secs = self._backoff.failed(error.wait_secs if isinstance(error, RetryLater) else None)
        self._refusals += isinstance(error, BadCredentials)
        self.refused = error if isinstance(error, (StreamUnavailable, PageRefused)) else None
        if self.error is None:
            self.since_ms = int(self._clock.wall_secs() * 1000)
        self.error = error
        kind, wait_secs = self._sort(error, own_wait_secs)
        self._notes.add(kind)
        self._tell(kind, error, wait_secs, told=told)
        return wait_secs

    def final(self, error: Exception) -> bool:
        """Whether an error that ``failed`` was told of is one that only a person can mend, and has stayed long enough."""
        return isinstance(error, FatalError) and not (isinstance(error, BadCredentials) and self._keys_in_doubt)

    @property
    def _keys_in_doubt(self) -> bool:
        return self._refusals <= len(REFUSAL_WAITS_SECS)

    def page_cursor_refused(self, error: PageRefused) -> float:
        """Duo does not take a page cursor any more, and reading goes on without it: after so long."""
        wait_secs = self._backoff.failed()
        self._notes.add("page_refused")
        self._say(duo.PAGE_REFUSED, "%s: %s. The rest of the window is read by time instead; nothing is skipped.", error)
        return wait_secs

    def unexpected(self, error: Exception) -> float:
        """An error that is a bug here: told with its traceback. How long to wait before going on."""
        if self._bug.due(type(error).__name__) is not None:
            text = "%s: an error that nobody expected; the stream goes on.%s"
            tell(_LOGGER, duo.UNEXPECTED, text, self._stream, self._bug.more(), exc_info=error, stream=self._stream)
        return _RETRY.first_secs

    def over(self, *, told: bool = False) -> None:
        """A call was answered. ``told``: another feed of the stream made it, and said so."""
        told_kind, self._told_kind = self._told_kind, ""
        if told_kind and not told:
            _LOGGER.info("%s is readable again after %s.", self._stream, counted(self._backoff.failures, "failed call"))
        self.answered = True
        self.refused = self.error = self.since_ms = None
        self._backoff.succeeded()
        self._refusals = 0

    def thread(self, *, there: bool) -> None:
        """Whether the thread that reads is there; it cannot always be had."""
        if there:
            if self._threadless.over() is not None:
                _LOGGER.info("%s is read again: its thread could be started.", self._stream)
            return
        self._notes.add("threads_refused")
        if self._threadless.due() is not None:
            self._say(program.NO_THREAD, "%s is not read: %s. It is tried again whenever a page is asked for.", NO_THREAD)

    def _sort(self, error: Exception, own_wait_secs: float) -> tuple[str, float]:
        """What kind of trouble it is, and how long to leave the stream alone: by the retry policy, or for what is as good."""
        if isinstance(error, RetryLater):
            if error.kind == "rate_limited":
                return error.kind, self._budget.limited(error.wait_secs)
            return error.kind, own_wait_secs
        if isinstance(error, StreamUnavailable):
            return error.kind, _UNAVAILABLE_RETRY_SECS
        if isinstance(error, PageRefused):
            return "refused", _UNAVAILABLE_RETRY_SECS
        if isinstance(error, BadCredentials):
            waits = (*REFUSAL_WAITS_SECS, _UNAVAILABLE_RETRY_SECS)
            return "bad_credentials", waits[min(self._refusals, len(waits)) - 1]
        if isinstance(error, FatalError):
            return "fatal", _UNAVAILABLE_RETRY_SECS
        self.unexpected(error)
        return "unexpected", own_wait_secs

    def _tell(self, kind: str, error: Exception, wait_secs: float, *, told: bool) -> None:
        """Once per kind of trouble, and again when it has lasted."""
        new = self._is_new(kind, error)
        if told or kind == "unexpected":  # that one has been told with its traceback
            return
        failures = self._backoff.failures
        worth_a_line = new or failures % 20 == 0
        if isinstance(error, BadCredentials) and new and not self.answered:
            text = "%s: Duo refuses the keys. They are tried again before that is believed: in %.0f s."
            self._say(duo.KEYS_IN_DOUBT, text, wait_secs)
        text = "%s: %s Trying again in %.0f s (failure %d in a row)."
        if not worth_a_line or (isinstance(error, FatalError) and not self.answered):
            _LOGGER.debug(text, self._stream, error, wait_secs, failures)
        elif kind == "rate_limited" and failures < 20:  # how fast Duo may be called is learnt from these
            _LOGGER.info(text, self._stream, error, wait_secs, failures)
        else:
            self._say(duo.BY_KIND.get(kind, duo.UNREACHABLE), text, error, wait_secs, failures)

    def _is_new(self, kind: str, error: Exception) -> bool:
        """Each kind is told once while it lasts; of what passes by itself no more than once a minute, if it comes and goes."""
        if kind == self._told_kind or (isinstance(error, RetryLater) and self._passing.due(kind) is None):
            return False
        self._told_kind = kind
        return True

    def _say(self, notice: Notice, text: str, *args: object) -> None:
        """A line about the stream, whose name goes first."""
        tell(_LOGGER, notice, text, self._stream, *args, stream=self._stream)

    # --- what a position or an answer shows --------------------------------------------------------------------------

    def begins_at(self, cursor: Cursor, now_ms: int, reading: Reading) -> None:
        """Reading begins at a position: whether it lies in the future, or before what Duo still serves."""
        self.waits_at(cursor, now_ms)
        days = days_out_of_reach(cursor, now_ms, reading)
        # A full look-back begins at the edge of what Duo serves, and that moves on while the first call is prepared.
        if days > _EDGE_DAYS:
            self._notes.add("days_out_of_reach", round(days))
            what = "was to begin, and has read nothing yet," if cursor.is_beginning else "was last read"
            text = "%s %s %s before the oldest event that Duo still serves. What happened in that time is out of reach."
            self._say(duo.OUT_OF_REACH, text, what, _span(days))

    def waits_at(self, cursor: Cursor, now_ms: int) -> None:
        """There is nothing to ask for yet behind a position: whether that is for want of a right clock. Told once."""
        ahead = cursor.position_ms > now_ms + _CLOCK_LEEWAY_MS
        if ahead and self._ahead.due() is not None:
            self._notes.add("ahead_of_clock")
            self._say(
                duo.AHEAD_OF_CLOCK,
                "%s: its checkpoint is %s ahead of this machine's clock, so nothing is read until then. Correct the clock, "
                "and it goes on within half a minute; or, if it was wrong when the checkpoint was written, move the "
                "checkpoint aside.",
                _span((cursor.position_ms - now_ms) / 86_400_000),
            )
        if not ahead and self._ahead.over() is not None:
            _LOGGER.info("%s: this machine's clock is not behind its checkpoint any more, and reading goes on.", self._stream)

    def begins_earlier(self, cursor: Cursor) -> None:
        """The clock was set back before anything was read, and the look-back begins earlier by that."""
        text = "%s: the clock was set back before anything was read; its look-back begins at %s."
        self._say(duo.CLOCK_SET_BACK, text, utc(cursor.position_ms))

    def shown_by(self, step: Step) -> None:
        """What an answer showed beside its rows: whether a window was complete, and what Duo cannot be made to give."""
        if step.circled:
            self._notes.add("circled")
            if self._circled.due() is not None:
                how = "Its window was ended there; it is read again with the next overlap."
                then = how if step.window_done else "Reading goes on by time; nothing is skipped."
                self._say(duo.CIRCLED, "%s: Duo's page cursor did not lead on. %s%s", then, self._circled.more())
        if step.unreachable_ms is not None:
            self._notes.add("unreachable")
            text = "%s: Duo has more events at %s than it gives in one page, and no way to ask for the rest. Those are missing."
            self._say(duo.UNREADABLE_EVENTS, text, utc(step.unreachable_ms))
        if step.odd_rows:
            self._notes.add("odd_rows", step.odd_rows)
        if step.again_secs:
            self._notes.add("asked_again")
        self._about_gaps(step)
        if step.window_done:
            self._notes.add("windows")
            self._about_memory(step.shortened_ms)
        if step.counted is not None:
            by_duo, read = step.counted
            self._notes.add("counted_by_duo", by_duo)
            if by_duo != read:
                self._notes.add("windows_that_differ")
            if by_duo <= read:
                self._short.over()
            else:
                self._notes.add("missing", by_duo - read)
                if self._short.due() is not None:
                    self._say(
                        duo.EVENTS_MISSING,
                        "%s: Duo counted %s in the window that ended at %s, %s were read, also when asked again. Reading "
                        "goes on; the end of that window is read again later. See duologsync status.",
                        counted(by_duo, "event"), utc(step.cursor.position_ms), f"{read:,}",
                    )  # fmt: skip

    def _about_gaps(self, step: Step) -> None:
        gap = step.closed_gap
        if gap is not None:
            self._notes.add("gaps_closed")
            _LOGGER.info(
                "%s: what was missing from %s to %s is here: %s.",
                self._stream, utc(gap.from_ms), utc(gap.to_ms), counted(gap.missing, "event"),
            )  # fmt: skip
        gap = step.gap
        if gap is not None and not step.window_done and gap.due_ms is None:
            self._notes.add("gaps_given_up")
            text = "%s: Duo counted %s more from %s to %s than it gives, now for the last time. That is given up."
            self._say(duo.EVENTS_GIVEN_UP, text, *_in_words(gap))

    def ends_with(self, gaps: tuple[Gap, ...]) -> None:
        """A backfill is at its end: what stays missing is told, for nobody reads it again."""
        for gap in gaps:
            self._say(
                duo.BACKFILL_INCOMPLETE,
                "%s: Duo counted %s more from %s to %s than it gives. The backfill ends without that; a backfill of another "
                "stretch that includes this one can look again.",
                *_in_words(gap),
            )

    def _about_memory(self, shortened_ms: int) -> None:
        if not shortened_ms:
            self._shortened.over()
            return
        self._notes.add("overlap_shortened")
        if self._shortened.due() is not None:
            self._say(
                duo.OVERLAP_SHORTENED,
                "%s: more events are published than overlap_max_rows lets be remembered. Events that Duo publishes late are "
                "looked for over %.0f s less; raise overlap_max_rows to find them all.",
                shortened_ms / 1000,
            )


def _in_words(gap: Gap) -> tuple[str, str, str]:
    return counted(gap.missing, "event"), utc(gap.from_ms), utc(gap.to_ms)


def _span(days: float) -> str:
    return f"{days:.1f} days" if round(days, 1) >= 1 else f"{days * 24:.1f} hours"
