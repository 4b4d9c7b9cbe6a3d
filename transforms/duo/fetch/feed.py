"""The feed: reads one position of a stream ahead of its reader, so that a page is fetched while the last one is sent.

It does so in a thread of its own. A stream that goes to several destinations has a feed for each.

Place in the flow: below it the client and the rules (``windows``, ``paging``), what it keeps (``page_buffer``), what it shares
with the other feeds of its stream (``shared_answers``) and what it makes of errors (``failure_classifier``); above it
``feed_registry`` and the Beam reader.

Contract:
  * ``seek(cursor)`` says where the reader stands. Pages already here behind that cursor are kept and handed out again. Whoever
    seeks takes the stream over: a bundle that a runner has given up may still be at work, and would take pages from its
    successor, whose mark then leads past them.
  * ``take(wait_secs, generation)`` hands out the next page, or None where there is none within that time, or that generation of
    readers is over.
  * ``delivered(cursor)`` lets go of the pages up to a cursor that the checkpoint store has. Until then they are kept, so that a
    bundle that failed is repeated from memory.
  * A failure ends nothing: what passes is retried with back-off and jitter, an unavailable stream is tried rarely, and what a
    person must mend is raised from ``take`` once nothing is left to hand out.
  * A feed that nobody asks for anything for two minutes rests: its thread ends, what it read ahead is let go, what was handed
    out is kept. Whoever asks again wakes it up.
  * Waits for a moment of the wall clock are looked at again every half a minute, because that clock can jump.
  * ``work_once`` is one step of what the thread does, without waiting. ``own_thread=False`` leaves calling it to others.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from transforms.duo.client.client import DuoClient, PageClient, PageRefused
from transforms.duo.client.connections import IDLE_SECS
from transforms.duo.drift import DRIFT
from transforms.duo.fetch.backfill_priority import LiveStream
from transforms.duo.fetch.duo_clock import LEEWAY_SECS
from transforms.duo.fetch.failure_classifier import FailureClassifier
from transforms.duo.fetch.feed_thread import FeedThread
from transforms.duo.fetch.page_buffer import FetchedPage, PageBuffer
from transforms.duo.fetch.read_ahead import FULL_PAGE_BYTES, READ_AHEAD, Share
from transforms.duo.fetch.shared_answers import Failure, SharedAnswers, UnderWay
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.position.paging import Answer, Step, after_answer, after_refusal
from transforms.duo.position.windows import Call, Finished, Wait, beginning, next_call
from transforms.duo.rate_limit.budget import RateBudget
from transforms.duo.rate_limit.budgets import BUDGETS, budget_of
from transforms.duo.rate_limit.polling import automatic_poll_secs
from transforms.errors import BadCredentials, DuoLogSyncError, FatalError, RetryLater, StreamUnavailable
from transforms.metrics.reading import ReadingNotes
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.records import DuoPage, Stream, Subscription
from transforms.settings import Account, Reading
from transforms.state.cursor import Cursor

# Pages fetched beyond the reader's position: one is being sent, one is ready, one is on its way.
_AHEAD = 2
_GIVE_WAY_SECS = 5.0
_LOOK_FOR_ROOM_SECS = 1.0
_LOOK_AGAIN_SECS = 30.0
_FORGOTTEN_SECS = 120.0
USER_AGENT = "DuoLogSync-Beam/1.0"


@dataclass(frozen=True, slots=True)
class _Pause:
    """Nothing to fetch for so long; None means until something changes. For longer than a connection is worth keeping: idle."""

    secs: float | None
    idle: bool = False


@dataclass(frozen=True, slots=True)
class _Fetch:
    """A page to fetch now. ``answer``: where another feed of the stream has fetched it."""

    epoch: int
    call: Call
    answer: Answer | None


@dataclass(frozen=True, slots=True)
class FeedFacts:
    """What people want to know of a feed.

    Attributes:
      fetched: the position behind the last page that is fetched; None before anybody has said where to begin.
      caught_up, finished: as the feed's. in_hand: pages that are fetched and not delivered.
      oldest_ms: time of the oldest event in them. error, since_ms: what the last call met, and since when calls fail.
      final: only a person can mend that.
    """

    fetched: Cursor | None
    caught_up: bool
    finished: bool
    in_hand: int
    oldest_ms: int | None
    error: Exception | None
    since_ms: int | None
    final: bool


class PageFeed:
    """Reads one position of a stream ahead. Thread-safe; the registry makes and closes it."""

    def __init__(
        self,
        account: Account,
        log_type: str,
        reading: Reading,
        *,
        clock: Clock = SYSTEM_CLOCK,
        make_client: Callable[[], PageClient] | None = None,
        budget: RateBudget | None = None,
        answers: SharedAnswers | None = None,
        own_thread: bool = True,
        destination: str = "",
    ) -> None:
        self.stream = stream_of(account, log_type)
        self._notes = ReadingNotes(Subscription(self.stream, destination))
        self._reading = self._reading_now = reading
        self._log_type = LOG_TYPES[log_type]
        self._clock = clock
        timeout_secs = reading.request_timeout_secs
        of_duo = partial(DuoClient, account, user_agent=USER_AGENT, timeout_secs=timeout_secs, clock=clock)
        self._make_client: Callable[[], PageClient] = make_client or of_duo
        self._client: PageClient | None = None
        self.budget = budget or budget_of(account.ikey, account.api_host, self._log_type.path, reading.page_pause_secs)
        self._trouble = FailureClassifier(self.stream, self.budget, self._notes, clock)
        live_dir = reading.live_checkpoint_dir
        self._live = LiveStream(live_dir, self.stream, reading, clock) if live_dir else None
        self._answers = answers or SharedAnswers(clock)
        self._duo_clock = self._answers.duo_clock
        self._part = self._answers.join(self._look_again)
        self._changed = threading.Condition()
        self._thread = FeedThread(f"feed {self.stream}", self._changed, self.work_once, self._wait_for_room, self._wanted)
        self._pages = PageBuffer()
        self._generation = 0  # grows with every reader
        self._epoch = 0  # grows with every jump, so that an answer asked for before it is thrown away
        self._due = 0.0  # monotonic time before which there is nothing to do
        self._caught_up = self._finished = self._held = self._closed = False
        self._fatal: FatalError | None = None
        self._asked_at = self._called_at = clock.monotonic_secs()
        self._forgotten = False
        self._waits_for_room = False
        self._share = Share(READ_AHEAD)
        self._expected_bytes = FULL_PAGE_BYTES
        self._own_thread = own_thread

    # --- the reader's side -------------------------------------------------------------------------------------------

    def seek(self, cursor: Cursor) -> int:
        """Goes to a position: backward to pages still here, forward to what is fetched, else anew from there.

        Returns the generation of readers that begins with it, and ends with the next call.
        """
        with self._changed:
            if not self._pages.go_to(cursor):
                self._pages.begin_at(cursor)
                self._jumped()
                self._due = 0.0
                self._fatal = None
                self._trouble.begins_at(cursor, self._now_ms(), self._reading)
                self._part.enter(cursor)
            self._generation += 1
            self._count_ready()
            self._asked()
            self._thread.wake()
            return self._generation

    def take(self, wait_secs: float, generation: int | None = None) -> FetchedPage | None:
        """The next page; None where there is none in time, and when the generation is over. Without one it is anybody's.

        Raises FatalError where only a person can help.
        """
        deadline = self._clock.monotonic_secs() + wait_secs
        with self._changed:
            self._asked()
            while not self._pages.ready and generation in (None, self._generation):
                if self._fatal is not None:
                    raise self._fatal
                left_secs = deadline - self._clock.monotonic_secs()
                if left_secs <= 0 or self._closed or (self.resting and not self._due_within(left_secs)):
                    return None
                self._changed.wait(left_secs)
            if generation not in (None, self._generation):
                return None
            fetched = self._pages.hand_out()
            self._count_ready()
            self._thread.wake()
            return fetched

    def wait_ready(self, wait_secs: float) -> bool:
        """Waits until a page is ready (True), or so long. Raises FatalError like ``take``."""
        with self._changed:
            self._asked()
            if not self._pages.ready and self._fatal is None:
                self._changed.wait(wait_secs)
            if self._pages.ready:
                return True
            if self._fatal is not None:
                raise self._fatal
            return False

    def rewind(self) -> None:
        """What was handed out was not delivered: it is handed out again."""
        with self._changed:
            self._pages.rewind()
            self._count_ready()
            self._thread.wake()

    def delivered(self, cursor: Cursor) -> None:
        """Everything before the cursor is safe: its pages are let go."""
        with self._changed:
            self._pages.delivered(cursor)

    @property
    def counts(self) -> Counter[str]:
        """What was read and met since the process began; see ``ReadingNotes``."""
        return self._notes.counts

    @property
    def ready(self) -> bool:
        """A page is here that is not handed out."""
        return self._pages.ready > 0

    @property
    def under_way(self) -> int:
        """Pages handed out whose delivery nobody has confirmed."""
        return self._pages.handed

    @property
    def resting(self) -> bool:
        """Nothing is on its way right now: caught up, backing off, suspended or paced."""
        return self._due > self._clock.monotonic_secs()

    @property
    def caught_up(self) -> bool:
        """The last window was read to its end and the next one is not due."""
        return self._caught_up

    @property
    def poll_secs(self) -> float:
        """How long a stream that is caught up waits before it looks again."""
        return self._polled().longest_poll_secs

    @property
    def refused(self) -> StreamUnavailable | PageRefused | None:
        """Why Duo does not serve the stream now. It is tried again rarely; whoever cannot wait for that goes on without."""
        return self._trouble.refused

    @property
    def finished(self) -> bool:
        """A backfill has been read to its end, and all of it is delivered."""
        return self._finished and not self._pages

    def age_secs(self, cursor: Cursor) -> float:
        """How far a position is behind what Duo shows by now; 0 for one behind which there is nothing more for now."""
        with self._changed:
            if self._caught_up and not self._pages.ready:
                return 0.0
        return max(0.0, self._now_ms() / 1000 - self._reading.lag_secs - cursor.position_ms / 1000)

    @property
    def settled_cursor(self) -> Cursor | None:
        """Where the stream stands when nothing is in flight: everything before it is delivered. None while pages are here."""
        with self._changed:
            return self._pages.fetch_at if not self._pages else None

    def facts(self) -> FeedFacts:
        """How it stands now. Asked by whoever shows it; it is no reason to go on reading."""
        with self._changed:
            oldest, trouble, finished = self._pages.oldest, self._trouble, self._finished and not self._pages
            fetched, caught_up, in_hand = self._pages.fetch_at, self._caught_up, len(self._pages)
            error, since_ms = trouble.error, trouble.since_ms
            final = error is not None and trouble.final(error)
        # Without the lock: to decode a row takes its time.
        oldest_ms = self._oldest_ms(oldest.rows) if oldest is not None and oldest.rows else None
        return FeedFacts(fetched, caught_up, finished, in_hand, oldest_ms, error, since_ms, final)

    def _oldest_ms(self, rows: list[bytes]) -> int | None:
        return self._log_type.row_key(rows[0 if self._log_type.ascending else -1]).time_ms

    def settle(self, cursor: Cursor) -> None:
        """Tells that a settled cursor was recorded, so that the next page follows it."""
        with self._changed:
            self._pages.settle(cursor)

    def hold(self, held: bool) -> None:
        """Whether reading is of no use for now, because nobody can take what is read. Pages that are not handed out are let go
        where others wait for the room, and read again later. Ask again while it lasts.
        """
        with self._changed:
            self._asked()
            if held and READ_AHEAD.scarce and self._pages.ready and not self._closed:
                self._give_up_ready()
            if held != self._held:
                self._held = held
                self._thread.wake()

    def close(self) -> None:
        """Ends the thread and the connection; waits for neither."""
        with self._changed:
            self._closed = True
            self._share.withdraw()
            self._part.leave()
            self._thread.wake()
        self._disconnect()

    def forget(self) -> None:
        """Lets go of everything; for a closed feed that nobody reads any more."""
        with self._changed:
            # Not only its pages: where fetching stood would look like the end of all that was delivered.
            self._pages = PageBuffer()
            self._jumped()
            self._count_ready()

    def _jumped(self) -> None:
        """Fetching goes on elsewhere: what was asked for, or said of the end, before that holds no more."""
        self._epoch += 1
        self._caught_up = self._finished = False

    def _give_up_ready(self) -> None:
        self._pages.give_up_ready()
        self._jumped()
        self._count_ready()

    def _count_ready(self) -> None:
        self._share.holds(self._pages.ready_bytes)

    def _due_within(self, secs: float) -> bool:
        return self._due - self._clock.monotonic_secs() < secs

    def _asked(self) -> None:
        """Somebody wants something of this feed: it must be at work. The caller holds the lock."""
        self._asked_at = self._clock.monotonic_secs()
        self._forgotten = False
        if self._own_thread and not self._closed:
            self._trouble.thread(there=self._thread.need())

    # --- the fetching thread -----------------------------------------------------------------------------------------

    def _wanted(self) -> bool:
        return not self._closed and not self._forgotten

    def _wait_for_room(self, secs: float | None) -> bool:
        if secs and self._waits_for_room and not self._closed:
            self._share.wait(secs)
            return True
        return False

    def work_once(self) -> float | None:
        """One step of work: makes at most one call, where one is due, and waits for nothing else. Not thread-safe.

        Returns the seconds until another step is of use; None where there is nothing to do until a reader asks for something.
        """
        try:
            work = self._next_work(gives_way=self._gives_way())
        except Exception as error:  # a thread that dies silently would stop the stream for ever
            return self._trouble.unexpected(error)
        if isinstance(work, _Pause):
            if work.idle:
                self._disconnect()
            return work.secs
        try:
            self._use(work)
        except Exception as error:  # a thread that dies silently would stop the stream for ever
            self._handle(work.epoch, work.call, error)
            if isinstance(error, BadCredentials):
                # The key may be a new one by the next attempt, so it is read again.
                self._disconnect()
                self._client = None
        finally:
            self._part.ended()
        if self._closed or not self._due_within(IDLE_SECS):
            self._disconnect()
        self._share.holds(self._share.ready_bytes, answered=True)
        if work.answer is None:
            self._called_at = self._clock.monotonic_secs()
        return 0.0

    def _gives_way(self) -> bool:
        """Whether live reading comes first. It looks at files, so the lock is not held."""
        return self._live is not None and not self.resting and self._live.is_behind()

    def _look_again(self) -> None:
        """What another feed was asked for may be there."""
        with self._changed:
            self._thread.wake()

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()

    def _use(self, work: _Fetch) -> None:
        """A function of its own, so that nothing holds the page when this thread waits afterwards."""
        answer = work.answer or self._fetch(work.call)
        if answer is not None:
            self._add(work, after_answer(self._log_type, work.call, answer, self._reading))

    def _fetch(self, call: Call) -> Answer | None:
        """What Duo answers; None where that is of no use."""
        if self._client is None:
            self._client = self._make_client()
        client = self._client
        client.skew_secs = None
        try:
            answer = client.fetch_page(self._log_type, call)
        except RetryLater as error:
            self._notes.call("throttled" if error.kind == "rate_limited" else "failed")
            self._duo_clock.note(client.skew_secs, refused=error.kind == "clock_skew")
            raise
        except DuoLogSyncError:
            self._notes.call("refused")
            raise
        self._notes.call("ok", sum(map(len, answer.rows)))
        DRIFT.look(self._log_type, answer.rows)
        self._duo_clock.note(client.skew_secs)
        if call.opens_window and call.now_ms > self._duo_clock.now_ms() + 1000 * LEEWAY_SECS:
            return None  # this answer told that the window's end is not past yet, for Duo: the window is opened again
        self.budget.succeeded()
        self._part.answered(call, answer)
        return answer

    def _now_ms(self) -> int:
        """The present, as reading reckons with it."""
        return self._duo_clock.now_ms()

    def _next_work(self, *, gives_way: bool) -> _Fetch | _Pause:
        """The page to fetch now, or how long there is none."""
        with self._changed:
            self._waits_for_room = False
            now = self._clock.monotonic_secs()
            if self._closed:
                return _Pause(None, idle=True)
            if now - self._asked_at > _FORGOTTEN_SECS:
                return self._leave_off()
            if self._pages.ready >= _AHEAD or self._pages.fetch_at is None or self._held:
                self._share.withdraw()
                return _Pause(IDLE_SECS, idle=now - self._called_at >= IDLE_SECS)
            if self._due > now:
                self._share.withdraw()
                return _Pause(min(self._due - now, _FORGOTTEN_SECS))
            now_ms = self._now_ms()
            self._begin_earlier(now_ms)
            with self._answers.lock:  # until this feed has decided, no other one decides
                others = self._part.others(self._pages.fetch_at)
                step = next_call(self._pages.fetch_at, now_ms, self._polled(), others)
                self._trouble.waits_at(self._pages.fetch_at, now_ms)
                if not isinstance(step, Call):
                    return self._nothing_to_call(step)
                return self._rest(_GIVE_WAY_SECS, caught_up=False) if gives_way else self._room_for(step)

    def _polled(self) -> Reading:
        """How the stream is read, with how often it is looked at now."""
        if self._reading.poll_interval_secs is not None:
            return self._reading
        secs = automatic_poll_secs(self.budget.interval_secs, BUDGETS.count)
        if self._reading_now.poll_interval_secs != secs:
            self._reading_now = replace(self._reading, poll_interval_secs=secs)
        return self._reading_now

    def _nothing_to_call(self, step: Wait | Finished) -> _Pause:
        if isinstance(step, Wait):
            return self._rest(min(step.secs, _LOOK_AGAIN_SECS), caught_up=True, idle=step.secs >= IDLE_SECS)
        if not self._finished and self._pages.fetch_at is not None:
            self._trouble.ends_with(self._pages.fetch_at.gaps)
        self._finished = True
        self._changed.notify_all()
        return _Pause(None, idle=True)

    def _room_for(self, call: Call) -> _Fetch | _Pause:
        """The call, where others leave room for it: other feeds, and the rate budget where no other feed has the answer."""
        found = self._part.find(call)
        if isinstance(found, UnderWay):
            self._share.withdraw()
            return _Pause(found.secs)
        if isinstance(found, Failure):
            return self._fail_too(found)
        if not self._share.reserve(self._expected_bytes):
            self._waits_for_room = True
            return _Pause(_LOOK_FOR_ROOM_SECS)
        if found is None and (pause := self.budget.reserve(behind=self._part.is_behind(call))) > 0:
            self._share.holds(self._share.ready_bytes, answered=True)
            if not self._caught_up:
                self._notes.throttled(pause)
            return self._rest(pause, caught_up=self._caught_up)
        self._caught_up = False
        if found is None:
            self._part.begins(call)
        else:
            self._part.takes(call)
        return _Fetch(self._epoch, call, found)

    def _fail_too(self, failure: Failure) -> _Pause:
        """Another feed has made this feed's call and failed: it fares as if it had made it."""
        if failure.error is not None:
            self._trouble.failed(failure.error, told=True)
            self._raise_if_final(failure.error)
        return self._rest(failure.secs, caught_up=False)

    def _begin_earlier(self, now_ms: int) -> None:
        assert self._pages.fetch_at is not None
        begin = beginning(self._pages.fetch_at, now_ms, self._reading)
        if begin is not self._pages.fetch_at:
            self._pages.fetch_at = begin
            self._trouble.begins_earlier(begin)

    def _leave_off(self) -> _Pause:
        """Nobody reads this stream here any more, or not for long."""
        self._forgotten = True
        self._share.withdraw()
        self._part.leave()
        if self._pages.ready:
            self._give_up_ready()
        return _Pause(None, idle=True)

    def _rest(self, secs: float, *, caught_up: bool, idle: bool | None = None) -> _Pause:
        self._due = self._clock.monotonic_secs() + secs
        self._caught_up = caught_up
        self._changed.notify_all()
        return _Pause(secs, idle=secs >= IDLE_SECS if idle is None else idle)

    def _add(self, work: _Fetch, step: Step) -> None:
        with self._changed:
            self._notes.page(rows=len(step.rows), left_out=step.skipped, shared=work.answer is not None)
            self._trouble.over(told=work.answer is not None)
            self._fatal = None
            if work.epoch != self._epoch:
                return
            self._trouble.shown_by(step)
            self._pages.fetch_at = self._part.cursor = step.cursor
            self._expected_bytes = size = sum(map(len, step.rows))
            if step.rows:
                self._pages.add(DuoPage(self.stream, step.rows), step.cursor, size)
                self._count_ready()
            if step.again_secs:
                self._rest(step.again_secs, caught_up=False)
            self._changed.notify_all()

    def _handle(self, epoch: int, call: Call, error: Exception) -> None:
        with self._changed:
            if isinstance(error, PageRefused) and epoch != self._epoch:
                return  # of a position that was left meanwhile; it says nothing of the present one
            if isinstance(error, PageRefused) and (onward := after_refusal(call)) is not None:
                self._pages.fetch_at = onward
                self._rest(self._trouble.page_cursor_refused(error), caught_up=False)
                return
            wait_secs = self._trouble.failed(error)
            self._raise_if_final(error)
            if getattr(error, "kind", "") == "rate_limited":
                self._notes.throttled(wait_secs)
            self._rest(wait_secs, caught_up=False)
            # How long a 429 is waited out is the budget's word, and all feeds ask that.
            if not isinstance(error, PageRefused) and getattr(error, "kind", "") != "rate_limited":
                with self._answers.lock:
                    self._part.failed(call, error, wait_secs)

    def _raise_if_final(self, error: Exception) -> None:
        """``take`` raises what only a person can mend, where it has stayed so since the beginning."""
        if isinstance(error, FatalError) and self._trouble.final(error) and not self._trouble.answered:
            self._fatal = error


def stream_of(account: Account, log_type: str) -> Stream:
    """The stream of one log type of an account."""
    return Stream(account.name, log_type, account.api_host, account.account_id)
