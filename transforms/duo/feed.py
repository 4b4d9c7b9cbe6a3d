"""The feed: reads one stream ahead of its reader, in a thread of its own, so that a page is fetched while the last one is sent.

Place in the flow: below it the client and the rules (``windows``, ``paging``), what it keeps (``page_buffer``) and what it
makes of errors (``trouble``); above it ``feed_registry`` and the Beam reader.

Contract:
  * ``seek(cursor)`` says where the reader stands. Pages already here behind that cursor are kept and handed out again. Whoever
    seeks takes the stream over: a bundle that a runner has given up may still be at work, and would take pages from its
    successor, whose mark then leads past them.
  * ``take(wait_secs, turn)`` hands out the next page, or None where there is none within that time, or the turn is over.
  * ``delivered(cursor)`` lets go of the pages up to a cursor that the checkpoint store has. Until then they are kept, so that a
    bundle that failed is repeated from memory.
  * Trouble ends nothing: what passes is retried with back-off and jitter, an unavailable stream is tried rarely, and what a
    person must mend is raised from ``take`` once nothing is left to hand out.
"""

from __future__ import annotations

import threading
import time
from collections import Counter

from transforms.duo.budgets import budget_of
from transforms.duo.client import IDLE_SECS, DuoClient, PageRefused
from transforms.duo.cursor import Cursor
from transforms.duo.duo_clock import LEEWAY_SECS, DuoClock
from transforms.duo.giving_way import LiveStream
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.page_buffer import FetchedPage, PageBuffer
from transforms.duo.paging import Step, after_answer, after_refusal
from transforms.duo.prefetch import FULL_PAGE_BYTES, READ_AHEAD, Share
from transforms.duo.trouble import Trouble
from transforms.duo.windows import Call, Finished, Wait, next_call
from transforms.errors import BadCredentials, RetryLater, WontHeal
from transforms.events import DuoPage, Stream
from transforms.settings import Account, Reading

# Pages fetched beyond the reader's position: one is being sent, one is ready, one is on its way.
_AHEAD = 2
_GIVE_WAY_SECS = 5.0
_LOOK_FOR_ROOM_SECS = 1.0
USER_AGENT = "DuoLogSync-Beam/1.0"


class PageFeed:
    """Reads one stream ahead. Thread-safe; the registry makes and closes it."""

    def __init__(self, account: Account, log_type: str, reading: Reading) -> None:
        self.stream = stream_of(account, log_type)
        self.counts: Counter[str] = Counter()
        self._account = account
        self._reading = reading
        self._log_type = LOG_TYPES[log_type]
        self._budget = budget_of(account.ikey, account.api_host, self._log_type.path, reading.page_pause_secs)
        self._trouble = Trouble(self.stream, self._budget, self.counts)
        self._live = LiveStream(reading.give_way_to, self.stream, reading) if reading.give_way_to else None
        self._duo_clock = DuoClock()
        self._changed = threading.Condition()
        self._pages = PageBuffer()
        self._turn = 0  # grows with every reader
        self._epoch = 0  # grows with every jump, so that an answer asked for before it is thrown away
        self._due = 0.0  # monotonic time before which there is nothing to do
        self._caught_up = False
        self._fatal: WontHeal | None = None
        self._finished = False
        self._closed = False
        self._held = False
        self._share = Share(READ_AHEAD)
        self._expected_bytes = FULL_PAGE_BYTES
        self._thread: threading.Thread | None = None

    # --- the reader's side -------------------------------------------------------------------------------------------

    def seek(self, cursor: Cursor) -> int:
        """Goes to a position: backward to pages still here, forward to what is fetched, else anew from there.

        Returns the turn that begins with it, and ends with the next call.
        """
        with self._changed:
            if not self._pages.go_to(cursor):
                self._pages.begin_at(cursor)
                self._epoch += 1
                self._due = 0.0
                self._fatal = None
                self._trouble.begins_at(cursor)
            self._turn += 1
            self._count_ready()
            self._start_thread()
            self._changed.notify_all()
            return self._turn

    def take(self, wait_secs: float, turn: int | None = None) -> FetchedPage | None:
        """The next page; None where there is none in time, and when the turn is over. Without one it is anybody's.

        Raises WontHeal where only a person can help.
        """
        deadline = time.monotonic() + wait_secs
        with self._changed:
            while not self._pages.ready and turn in (None, self._turn):
                if self._fatal is not None:
                    raise self._fatal
                left_secs = deadline - time.monotonic()
                if left_secs <= 0 or self._closed or (self.resting and not self._due_within(left_secs)):
                    return None
                self._changed.wait(left_secs)
            if turn not in (None, self._turn):
                return None
            fetched = self._pages.hand_out()
            self._count_ready()
            self._changed.notify_all()
            return fetched

    def wait_ready(self, wait_secs: float) -> bool:
        """Waits until a page is ready (True), or so long. Raises WontHeal like ``take``."""
        with self._changed:
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
            self._changed.notify_all()

    def delivered(self, cursor: Cursor) -> None:
        """Everything before the cursor is safe: its pages are let go."""
        with self._changed:
            self._pages.delivered(cursor)

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
        return self._due > time.monotonic()

    @property
    def caught_up(self) -> bool:
        """The last window was read to its end and the next one is not due."""
        return self._caught_up

    @property
    def finished(self) -> bool:
        """A backfill has been read to its end, and all of it is delivered."""
        return self._finished and not self._pages

    @property
    def settled_cursor(self) -> Cursor | None:
        """Where the stream stands when nothing is in flight: everything before it is delivered. None while pages are here."""
        with self._changed:
            return self._pages.fetch_at if not self._pages else None

    def settle(self, cursor: Cursor) -> None:
        """Tells that a settled cursor was recorded, so that the next page follows it."""
        with self._changed:
            self._pages.settle(cursor)

    def hold(self, held: bool) -> None:
        """Whether reading is of no use for now, because nobody can take what is read. Pages that are not handed out are let go
        where others wait for the room, and read again later. Ask again while it lasts.
        """
        with self._changed:
            if held and READ_AHEAD.scarce and self._pages.ready and not self._closed:
                self._pages.give_up_ready()
                self._epoch += 1
                self._count_ready()
            if held != self._held:
                self._held = held
                self._changed.notify_all()

    def close(self) -> None:
        """Ends the thread and the connection; waits for neither."""
        with self._changed:
            self._closed = True
            self._share.withdraw()
            self._changed.notify_all()

    def forget(self) -> None:
        """Lets go of everything; for a closed feed that nobody reads any more."""
        with self._changed:
            self._pages.clear()
            self._count_ready()

    def _count_ready(self) -> None:
        self._share.holds(self._pages.ready_bytes)

    def _due_within(self, secs: float) -> bool:
        return self._due - time.monotonic() < secs

    # --- the fetching thread -----------------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"feed {self.stream}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        client: DuoClient | None = None
        while not self._closed:
            try:
                work = self._next_work()
            except Exception as error:  # a thread that dies silently would stop the stream for ever
                time.sleep(self._trouble.unexpected(error))
                continue
            if work is None:
                if not self._closed:  # then there is no room
                    self._share.wait(_LOOK_FOR_ROOM_SECS)
                continue
            epoch, call = work
            try:
                if client is None:
                    client = DuoClient(self._account, user_agent=USER_AGENT, timeout_secs=self._reading.request_timeout_secs)
                self._fetch(client, epoch, call)
            except Exception as error:  # a thread that dies silently would stop the stream for ever
                self._handle(epoch, call, error)
                if isinstance(error, BadCredentials):
                    # The key may be a new one by the next attempt, so it is read again.
                    _disconnect(client)
                    client = None
            self._share.holds(self._share.ready_bytes, answered=True)
            if self._due - time.monotonic() > IDLE_SECS:
                _disconnect(client)  # Duo would close it anyway, before it is used again
        _disconnect(client)

    def _fetch(self, client: DuoClient, epoch: int, call: Call) -> None:
        """A function of its own, so that nothing holds the page when this thread waits afterwards."""
        client.skew_secs = None
        try:
            answer = client.fetch_page(self._log_type, call)
        except RetryLater as error:
            self._duo_clock.note(client.skew_secs, refused=error.kind == "clock_skew")
            raise
        self._duo_clock.note(client.skew_secs)
        if _is_first(call) and call.now_ms > self._duo_clock.now_ms() + 1000 * LEEWAY_SECS:
            return  # this answer told that the window's end is not past yet, for Duo: the window is opened again
        self._add(epoch, after_answer(self._log_type, call, answer, self._reading))

    def _next_work(self) -> tuple[int, Call] | None:
        """Waits until there is a page to fetch; None when closed, and where there is no room for it now."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                if self._pages.ready >= _AHEAD or self._pages.fetch_at is None or self._held:
                    self._share.withdraw()
                    self._changed.wait()
                elif self._due > now:
                    self._share.withdraw()
                    self._changed.wait(self._due - now)
                else:
                    step = next_call(self._pages.fetch_at, self._duo_clock.now_ms(), self._reading)
                    if isinstance(step, Finished):
                        self._finished = True
                        self._changed.notify_all()
                        self._changed.wait()
                    elif self._live is not None and self._live.is_behind():
                        self._rest(_GIVE_WAY_SECS, caught_up=False)
                    elif isinstance(step, Wait):
                        self._rest(step.secs, caught_up=True)
                    elif not self._share.reserve(self._expected_bytes):
                        return None
                    elif (pause := self._budget.reserve()) > 0:
                        self._share.holds(self._share.ready_bytes, answered=True)
                        self._rest(pause, caught_up=self._caught_up)
                    else:
                        self._caught_up = False
                        return self._epoch, step
            return None

    def _rest(self, secs: float, *, caught_up: bool) -> None:
        self._due = time.monotonic() + secs
        self._caught_up = caught_up
        self._changed.notify_all()

    def _add(self, epoch: int, step: Step) -> None:
        self._budget.succeeded()
        with self._changed:
            self.counts["pages"] += 1
            self.counts["rows"] += len(step.rows)
            self.counts["rows_left_out"] += step.skipped
            self._trouble.over()
            self._fatal = None
            if epoch != self._epoch:
                return
            self._trouble.shown_by(step)
            self._pages.fetch_at = step.cursor
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
            if isinstance(error, WontHeal) and not self._trouble.answered:
                self._fatal = error
            self._rest(self._trouble.failed(error), caught_up=False)


def _is_first(call: Call) -> bool:
    """Whether the call opens its window: nothing is kept of that before it is answered."""
    return call.gap is None and call.next_offset is None and not call.cursor.window_rows and not call.cursor.doubts


def _disconnect(client: DuoClient | None) -> None:
    if client is not None:
        client.close()


def stream_of(account: Account, log_type: str) -> Stream:
    """The stream of one log type of an account."""
    return Stream(account.name, log_type, account.api_host, account.account_id)
