"""The feed: reads one stream ahead of its reader, in a thread of its own, so that a page is fetched while the last one is sent.

Place in the flow: client and paging rules below, the Beam reader above. Feeds live in a process-wide registry, one per stream,
because readers come and go (Flink makes one per bundle, local runs one per pass) and a page must not be fetched twice for that.

Contract:
  * ``seek(cursor)`` says where the reader stands. Pages already here behind that cursor are kept and handed out again.
  * ``take(wait_secs)`` hands out the next page, or None where there is none within that time.
  * ``delivered(cursor)`` lets go of the pages up to a cursor that the checkpoint store has. Until then they are kept, so that a
    bundle that failed is repeated from memory.
  * Trouble is handled here: what passes is retried with back-off and jitter, an unavailable stream is tried rarely, and what a
    person must mend is raised from ``take`` once nothing is left to hand out. Each is counted and logged once, not every time.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

from transforms.duo.budgets import budget_of
from transforms.duo.client import IDLE_SECS, DuoClient, PageRefused
from transforms.duo.cursor import Cursor
from transforms.duo.giving_way import LiveStream
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.paging import Step, after_answer, without_page_cursor
from transforms.duo.prefetch import FULL_PAGE_BYTES, READ_AHEAD, Share
from transforms.duo.windows import Call, Finished, Wait, days_out_of_reach, next_call
from transforms.errors import BadCredentials, RetryLater, StreamUnavailable, WontHeal
from transforms.events import DuoPage, Stream
from transforms.settings import Account, Reading

_LOGGER = logging.getLogger(__name__)

# Pages fetched beyond the reader's position: one is being sent, one is ready, one is on its way.
_AHEAD = 2
# Pages handed out and not yet committed. Bundles are smaller; a runner that never finalizes must not fill memory.
_MOST_KEPT = 64
_FIRST_BACKOFF_SECS = 1.0
_LONGEST_BACKOFF_SECS = 60.0
_UNAVAILABLE_RETRY_SECS = 900.0
_GIVE_WAY_SECS = 5.0
_CLOCK_LEEWAY_MS = 600_000
_EDGE_DAYS = 0.01
_LOOK_FOR_ROOM_SECS = 1.0
USER_AGENT = "DuoLogSync-Beam/1.0"


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A page with the cursors before and behind it."""

    before: Cursor
    page: DuoPage
    after: Cursor
    size: int = 0


class PageFeed:
    """Reads one stream ahead. Thread-safe; closed by the registry when the process ends."""

    def __init__(self, account: Account, log_type: str, reading: Reading) -> None:
        self.stream = stream_of(account, log_type)
        self.counts: Counter[str] = Counter()
        self.trouble: str | None = None
        self._account = account
        self._reading = reading
        self._log_type = LOG_TYPES[log_type]
        self._budget = budget_of(account.ikey, account.api_host, self._log_type.path, reading.page_pause_secs)
        self._live = LiveStream(reading.give_way_to, self.stream, reading) if reading.give_way_to else None
        self._changed = threading.Condition()
        self._pages: deque[FetchedPage] = deque()
        self._handed = 0
        self._base: Cursor | None = None  # behind the last page in _pages: what the next page's ``before`` will be
        self._fetch_at: Cursor | None = None  # where fetching goes on; ahead of _base by windows that held nothing
        self._epoch = 0  # grows with every jump, so that an answer asked for before it is thrown away
        self._due = 0.0  # monotonic time before which there is nothing to do
        self._caught_up = False
        self._fatal: WontHeal | None = None
        self._failures = 0
        self._answered = False
        self._finished = False
        self._closed = False
        self._held = False
        self._share = Share(READ_AHEAD)
        self._expected_bytes = FULL_PAGE_BYTES
        self._thread: threading.Thread | None = None

    # --- the reader's side -------------------------------------------------------------------------------------------

    def seek(self, cursor: Cursor) -> None:
        """Goes to a position: backward to pages still here, forward to what is fetched, else anew from there."""
        with self._changed:
            if not self._seek_in_memory(cursor):
                self._pages.clear()
                self._handed = 0
                self._base = self._fetch_at = cursor
                self._epoch += 1
                self._due = 0.0
                self._fatal = None
                self._warn_of_lost_days(cursor)
            self._count_ready()
            self._start_thread()
            self._changed.notify_all()

    def take(self, wait_secs: float) -> FetchedPage | None:
        """The next page; None where there is none in time. Raises WontHeal where only a person can help."""
        deadline = time.monotonic() + wait_secs
        with self._changed:
            while self._handed >= len(self._pages):
                if self._fatal is not None:
                    raise self._fatal
                left_secs = deadline - time.monotonic()
                if left_secs <= 0 or self._closed or (self.resting and not self._due_within(left_secs)):
                    return None
                self._changed.wait(left_secs)
            fetched = self._pages[self._handed]
            self._handed += 1
            self._count_ready()
            self._changed.notify_all()
            return fetched

    def wait_ready(self, wait_secs: float) -> bool:
        """Waits until a page is ready (True), or so long. Raises WontHeal like ``take``."""
        with self._changed:
            if self._handed >= len(self._pages) and self._fatal is None:
                self._changed.wait(wait_secs)
            if self._handed < len(self._pages):
                return True
            if self._fatal is not None:
                raise self._fatal
            return False

    def rewind(self) -> None:
        """What was handed out was not delivered: it is handed out again."""
        with self._changed:
            self._handed = 0
            self._count_ready()
            self._changed.notify_all()

    def delivered(self, cursor: Cursor) -> None:
        """Everything before the cursor is safe: its pages are let go."""
        with self._changed:
            while self._pages and self._handed and self._pages[0].after.seq <= cursor.seq:
                self._pages.popleft()
                self._handed -= 1

    @property
    def ready(self) -> bool:
        """A page is here that is not handed out."""
        return self._handed < len(self._pages)

    @property
    def under_way(self) -> int:
        """Pages handed out whose delivery nobody has confirmed."""
        return self._handed

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
            return self._fetch_at if not self._pages else None

    def settle(self, cursor: Cursor) -> None:
        """Tells that a settled cursor was recorded, so that the next page follows it."""
        with self._changed:
            if not self._pages and self._fetch_at == cursor:
                self._base = cursor

    def hold(self, held: bool) -> None:
        """Whether reading is of no use for now, because nobody can take what is read. Pages that are not handed out are let go
        where others wait for the room, and read again later. Ask again while it lasts.
        """
        with self._changed:
            if held and READ_AHEAD.scarce and self._handed < len(self._pages) and not self._closed:
                self._base = self._fetch_at = self._pages[self._handed].before
                while len(self._pages) > self._handed:
                    self._pages.pop()
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
            self._handed = 0
            self._count_ready()

    def _count_ready(self) -> None:
        ahead = len(self._pages) - self._handed
        self._share.holds(sum(self._pages[-1 - index].size for index in range(ahead)))

    # --- positions (the caller holds the condition) ------------------------------------------------------------------

    def _seek_in_memory(self, cursor: Cursor) -> bool:
        for index, fetched in enumerate(self._pages):
            if fetched.before == cursor:
                self._handed = index
                return True
        if cursor in (self._base, self._fetch_at) and self._base is not None:
            self._handed = len(self._pages)
            return True
        return False

    def _due_within(self, secs: float) -> bool:
        return self._due - time.monotonic() < secs

    def _warn_of_lost_days(self, cursor: Cursor) -> None:
        now_ms = int(time.time() * 1000)
        if cursor.position_ms > now_ms + _CLOCK_LEEWAY_MS:
            _LOGGER.error(
                "%s: its checkpoint is %.1f days ahead of this machine's clock, so nothing is read until then. Correct the "
                "clock; or, if it was wrong when the checkpoint was written, move the checkpoint aside.",
                self.stream, (cursor.position_ms - now_ms) / 86_400_000,
            )  # fmt: skip
        days = days_out_of_reach(cursor, now_ms)
        # A full look-back begins at the edge of what Duo serves, and that moves on while the first call is prepared.
        if days > _EDGE_DAYS:
            self.counts["days_out_of_reach"] += round(days)
            _LOGGER.error(
                "%s was last read %.1f days before the oldest event that Duo still serves. Those days are out of reach.",
                self.stream, days,
            )  # fmt: skip

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
                _LOGGER.error("%s: an error that nobody expected; the stream goes on.", self.stream, exc_info=error)
                time.sleep(_FIRST_BACKOFF_SECS)
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
        answer = client.fetch_page(self._log_type, call)
        self._add(epoch, after_answer(self._log_type, call, answer, self._reading))

    def _next_work(self) -> tuple[int, Call] | None:
        """Waits until there is a page to fetch; None when closed, and where there is no room for it now."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                if len(self._pages) - self._handed >= _AHEAD or self._fetch_at is None or self._held:
                    self._share.withdraw()
                    self._changed.wait()
                elif self._due > now:
                    self._share.withdraw()
                    self._changed.wait(self._due - now)
                else:
                    step = next_call(self._fetch_at, int(time.time() * 1000), self._reading)
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
            self._answered = True
            self.counts["pages"] += 1
            self.counts["rows"] += len(step.rows)
            self.counts["rows_left_out"] += step.skipped
            if self.trouble is not None:
                _LOGGER.info("%s is readable again after %d failed calls.", self.stream, self._failures)
            self.trouble, self._failures, self._fatal = None, 0, None
            if epoch != self._epoch:
                return
            self._tell_of(step)
            self._fetch_at = step.cursor
            self._expected_bytes = size = sum(map(len, step.rows))
            if step.rows:
                before = self._base if self._base is not None else step.cursor
                self._pages.append(FetchedPage(before, DuoPage(self.stream, step.rows), step.cursor, size))
                self._base = step.cursor
                self._forget_oldest()
                self._count_ready()
            self._changed.notify_all()

    def _tell_of(self, step: Step) -> None:
        """What an answer showed beside its rows: whether a window was complete, and what Duo cannot be made to give."""
        if step.circled:
            self.counts["circled"] += 1
            _LOGGER.warning(
                "%s: Duo's page cursor did not lead on. %s", self.stream,
                "Its window was ended there; it is read again with the next overlap." if step.window_done
                else "Reading goes on by time; nothing is skipped.",
            )  # fmt: skip
        if step.unreachable_ms is not None:
            self.counts["unreachable"] += 1
            _LOGGER.error(
                "%s: Duo has more events at %s than it gives in one page, and no way to ask for the rest. Those are missing.",
                self.stream, _utc(step.unreachable_ms),
            )  # fmt: skip
        if step.window_done:
            self.counts["windows"] += 1
        if step.counted is not None:
            counted, read = step.counted
            self.counts["counted_by_duo"] += counted
            if counted != read:
                self.counts["windows_that_differ"] += 1
                _LOGGER.warning(
                    "%s: Duo counted %d events in the window that ended at %s, %d were read.",
                    self.stream, counted, _utc(step.cursor.position_ms), read,
                )  # fmt: skip

    def _forget_oldest(self) -> None:
        while self._handed > _MOST_KEPT:
            self._pages.popleft()
            self._handed -= 1

    def _handle(self, epoch: int, call: Call, error: Exception) -> None:
        with self._changed:
            self._failures += 1
            if isinstance(error, PageRefused) and call.next_offset and epoch == self._epoch:
                self.counts["page_refused"] += 1
                _LOGGER.warning(
                    "%s: %s. The rest of the window is read by time instead; nothing is skipped.", self.stream, error
                )
                self._fetch_at = without_page_cursor(call.cursor)
                self._rest(_FIRST_BACKOFF_SECS, caught_up=False)
                return
            kind, wait_secs = self._sort(error)
            self.counts[kind] += 1
            if isinstance(error, WontHeal) and not self._answered:
                self._fatal = error
            self._tell(kind, error, wait_secs)
            self._rest(wait_secs, caught_up=False)

    def _sort(self, error: Exception) -> tuple[str, float]:
        """What kind of trouble it is, and how long to leave the stream alone."""
        if isinstance(error, RetryLater):
            if error.kind == "rate_limited":
                return error.kind, self._budget.limited(error.wait_secs)
            return error.kind, max(error.wait_secs or 0.0, self._backoff_secs())
        if isinstance(error, StreamUnavailable):
            return error.kind, _UNAVAILABLE_RETRY_SECS
        if isinstance(error, PageRefused):
            return "refused", _UNAVAILABLE_RETRY_SECS
        if isinstance(error, BadCredentials):
            return "bad_credentials", _UNAVAILABLE_RETRY_SECS
        if isinstance(error, WontHeal):
            return "wont_heal", _UNAVAILABLE_RETRY_SECS
        _LOGGER.error("%s: an error that nobody expected; the stream goes on.", self.stream, exc_info=error)
        return "unexpected", self._backoff_secs()

    def _backoff_secs(self) -> float:
        grown = min(_FIRST_BACKOFF_SECS * 2.0 ** min(self._failures - 1, 10), _LONGEST_BACKOFF_SECS)
        return grown * random.uniform(0.5, 1.0)  # jitter, not a secret

    def _tell(self, kind: str, error: Exception, wait_secs: float) -> None:
        """Once per kind of trouble, and again when it has lasted."""
        level = logging.WARNING if self.trouble != kind or self._failures % 20 == 0 else logging.DEBUG
        if kind == "rate_limited" and level == logging.WARNING and self._failures < 20:
            level = logging.INFO  # how fast Duo may be called is learnt from these
        self.trouble = kind
        _LOGGER.log(
            level, "%s: %s Trying again in %.0f s (failure %d in a row).", self.stream, error, wait_secs, self._failures
        )


def _disconnect(client: DuoClient | None) -> None:
    if client is not None:
        client.close()


def _utc(time_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time_ms / 1000))


def stream_of(account: Account, log_type: str) -> Stream:
    """The stream of one log type of an account."""
    return Stream(account.name, log_type, account.api_host, account.account_id)


_feeds: dict[tuple[Account, str, Reading], PageFeed] = {}
_feeds_lock = threading.Lock()


def feed_of(account: Account, log_type: str, reading: Reading) -> PageFeed:
    """The process's one feed of a stream."""
    with _feeds_lock:
        key = (account, log_type, reading)
        feed = _feeds.get(key)
        if feed is None:
            feed = _feeds[key] = PageFeed(account, log_type, reading)
        return feed


def close_feed(account: Account, log_type: str, reading: Reading) -> None:
    """Ends the feed of one stream and forgets it. A later ``feed_of`` makes a new one."""
    with _feeds_lock:
        feed = _feeds.pop((account, log_type, reading), None)
    if feed is not None:
        feed.close()
        feed.forget()


def pages_under_way() -> int:
    """Pages of all feeds of this process that were handed out and are not delivered."""
    with _feeds_lock:
        return sum(feed.under_way for feed in _feeds.values())


def close_feeds() -> None:
    """Ends every feed of the process. A later ``feed_of`` makes new ones."""
    with _feeds_lock:
        feeds = list(_feeds.values())
        _feeds.clear()
    for feed in feeds:
        feed.close()
        feed.forget()
