"""One stream of a local run on its way to one destination: a thread that runs the graph on its pages, one pass after another.

Place: the supervisor starts one per account, log type and destination, so that none waits for another. Waiting happens here,
outside of Beam, because the in-process runner keeps some memory for each bundle of a run: a pass ends when there is nothing
more for now.

Contract: the thread ends when the program is asked to end, when a backfill is ``done`` (of one that Duo refuses to serve,
``refused`` says so: whether to wait for that is the supervisor's word), or, after ``finish``, when all that
was read is delivered and committed. What only a person can mend suspends the stream (``fatal`` says what) and is tried again
rarely; all else is tried again with back-off. Nothing that was not delivered is ever committed.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

from pipelines.beam_internals.causes import cause_without_events
from pipelines.beam_internals.planning import plan_of, run_plan
from pipelines.graph import build, one_subscription, source_of
from pipelines.local.summary import Outcome, since_the_start
from transforms.destinations import pool
from transforms.duo.fetch.feed import PageFeed, stream_of
from transforms.duo.fetch.feed_registry import close_feed, present_feed
from transforms.duo.source import Passes
from transforms.errors import DuoLogSyncError, FatalError, RetryLater, Stopping
from transforms.metrics.registry import of_stream
from transforms.notices import destinations, program, state
from transforms.notices.notice import tell
from transforms.process import threads
from transforms.process.log_once import REMIND_SECS, LogOnce
from transforms.process.pass_slots import SLOTS
from transforms.process.plural import counted
from transforms.process.retry import Backoff, RetryPolicy
from transforms.process.shutdown import FAILURES, STOP
from transforms.records import Subscription
from transforms.settings import Account, Destination, Job
from transforms.state.checkpoints.stores import store_at
from transforms.state.dead_letters.write import keep_unread
from transforms.state.receipts import RECEIPTS

_LOGGER = logging.getLogger("duologsync.local")
_IDLE_TICK_SECS = 1.0
_SUSPENDED_SECS = 300.0
_RETRY = RetryPolicy(first_secs=1.0, longest_secs=60.0)
_REPORT_SECS = 3600.0


class StreamRunner:
    """Runs one stream for one destination until the program ends, or its account is read no more."""

    def __init__(self, job: Job, account: Account, log_type: str, destination: Destination) -> None:
        self.subscription = Subscription(stream_of(account, log_type), destination.name)
        self.fatal: FatalError | None = None
        self.cut_short = False
        self.done = False
        self.holds_pages = False  # it has ended, and what it read last was not given to the destination any more
        self.delivers = False  # a pass has sent what it read
        self.refused: DuoLogSyncError | None = None  # of a backfill: why Duo does not serve it now
        self.failure = ""  # why the last bundle, or the checkpoint store, failed; empty where it did not
        self._job = one_subscription(job, account, log_type, destination)
        self._source = source_of(job, account, log_type, destination, Passes())
        self._destination = destination
        self._store_trouble = LogOnce()
        self._failing = LogOnce(REMIND_SECS)  # its bundles
        self._caught_up = LogOnce()
        self._backoff = Backoff(_RETRY)
        self._plan: bytes | None = None
        self._reported_at = time.monotonic()
        self._finishing = False
        self._thread = threading.Thread(target=self.run, name=str(self.subscription), daemon=True)

    def start(self) -> bool:
        """Starts the thread; False where none can be had now, then it is asked again."""
        return self._finishing or threads.start(self._thread)

    def finish(self) -> None:
        """Asks the stream to read no more, to deliver what is in hand and to end. Waits for nothing."""
        self._finishing = True

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def caught_up(self) -> bool:
        """Whether Duo has answered all that was asked, the last time just now."""
        source = self._source
        feed = present_feed(source.account, source.log_type, source.reading, source.destination)
        return feed is not None and feed.caught_up

    @property
    def begun(self) -> bool:
        """Whether its thread could be started."""
        return self._thread.ident is not None

    @property
    def feed(self) -> PageFeed | None:
        """The feed that reads for it, where there is one; asking makes none."""
        source = self._source
        return present_feed(source.account, source.log_type, source.reading, source.destination)

    def join(self, secs: float) -> None:
        if self._thread.ident is not None:  # else it never started
            self._thread.join(secs)

    def run(self) -> None:
        """The thread's work."""
        try:
            while not STOP.requested and not self.done:
                try:
                    self._work()
                except FatalError as error:
                    self._suspend(error)
                except (RetryLater, OSError) as error:  # the checkpoint store cannot be asked or written now
                    self._handle_failure(error)
                except Stopping:
                    raise
                except Exception as error:  # a thread that dies silently would stop its stream for ever
                    text = "%s: an error that nobody expected; it goes on."
                    tell(_LOGGER, program.UNEXPECTED, text, self.subscription, exc_info=True, **self.subscription.about)
                    self._handle_failure(error)
        except Stopping:
            self.cut_short = True
        finally:
            # A bundle that failed and was not repeated is not delivered; the exit code must not say it was.
            self.cut_short |= self._backoff.failures > 0
            self.holds_pages = self._source.feed().ready
            self._report()
            if self._finishing:
                self._let_go()

    def _work(self) -> None:
        """Reads and delivers until asked to end."""
        feed = self._source.feed()
        feed.seek(self._source.cursor_behind(None))
        while not STOP.requested and not self.done:
            if self._finishing:
                feed.close()  # hands out what it has; then nothing comes any more
            if feed.wait_ready(_IDLE_TICK_SECS):
                self._run_in_slot(feed)
            else:
                self._idle(feed)
                self.done = feed.finished or self._finishing
            if time.monotonic() - self._reported_at >= _REPORT_SECS:
                self._report()

    def _report(self) -> None:
        """One line about what became of its events, and what went wrong meanwhile."""
        self._reported_at = time.monotonic()
        notes = self._source.feed().counts
        if notes:
            outcome = Outcome.of(of_stream(self.subscription))
            _LOGGER.info("%s since the start: %s.", self.subscription, since_the_start(outcome, notes))

    def _suspend(self, error: FatalError) -> None:
        """Says what a person must mend, and looks rarely whether it was: other streams go on meanwhile."""
        if str(error) != str(self.fatal):
            tell(_LOGGER, error.notice, "%s is suspended: %s", self.subscription, error, **self.subscription.about)
        self.fatal = error
        self._rest(_SUSPENDED_SECS)
        # Nothing of a suspended stream is in hand that could be delivered by waiting.
        self.done = self._finishing

    def _rest(self, secs: float) -> None:
        """Waits, unless the program or this stream is asked to end. Others may have the room of what is in hand meanwhile."""
        feed = self._source.feed()
        held = feed.ready
        end = time.monotonic() + secs
        while not self._finishing and (left_secs := end - time.monotonic()) > 0:
            feed.hold(held)
            if STOP.wait(min(left_secs, _IDLE_TICK_SECS)):
                break
        feed.hold(False)

    def _let_go(self) -> None:
        """Nobody reads this stream any more: its feed ends."""
        source = self._source
        close_feed(source.account, source.log_type, source.reading, source.destination)
        pool.leave(self._destination, self.subscription.stream)

    def _run_in_slot(self, feed: PageFeed) -> None:
        """Waits until not too many others are in a pass, then runs one."""
        with SLOTS.slot(
            self.subscription, self._destination, go_on=lambda: not STOP.requested, blocked=lambda: feed.hold(True)
        ) as granted:
            feed.hold(False)
            # While shut out, the pages may have been let go.
            if granted and feed.wait_ready(0.0):
                self._run_pass()

    def _run_pass(self) -> None:
        try:
            run_plan(self._plan_of_pass())
            self._backoff.succeeded()
            self.fatal, self.failure = None, ""
            # One that is asked to end meanwhile may have found nothing to read, and sent nothing.
            self.delivers = self.delivers or not STOP.requested
        except Exception as error:  # whatever failed, nothing was committed and the pass is run again
            self._handle_failure(FAILURES.take(self.subscription) or error)

    def _plan_of_pass(self) -> bytes:
        """The graph of this stream as Beam plans it; the same for all passes."""
        if self._plan is None:
            self._plan = plan_of(partial(build, job=self._job, passes=Passes()))
        return self._plan

    def _handle_failure(self, error: Exception) -> None:
        """Back-off before the next pass, which begins again behind the last delivered bundle."""
        if isinstance(error, (FatalError, Stopping)):
            raise error
        wait_secs = self._backoff.failed()
        self.failure = cause_without_events(error)
        if self._failing.due(error.kind if isinstance(error, RetryLater) else type(error).__name__) is not None:
            text = "%s: a bundle failed and is read again in %.0f s; nothing is lost, some of it may repeat. %s%s"
            what = self.subscription, wait_secs, self.failure, self._failing.more()
            tell(_LOGGER, destinations.BUNDLE_FAILED, text, *what, **self.subscription.about)
        self._rest(wait_secs)
        # What was handed out and failed is due again, also where nothing new comes.
        self._source.feed().rewind()

    def _idle(self, feed: PageFeed) -> None:
        """Nothing to read: look after the connections, and record how far the stream has been read without events."""
        self.fatal, self.failure = None, ""
        self.refused = feed.refused if self._job.reading.until_ms is not None else None
        pool.check(self._destination, self.subscription.stream)
        pool.keep_given_up(partial(keep_unread, self._job.storage.dead_letter_dir))
        cursor = feed.settled_cursor
        if cursor is None:
            return
        if feed.caught_up and self._caught_up.due() is not None:
            _LOGGER.info(
                "%s is caught up, %s in this run; it looks again every %g s.",
                self.subscription, counted(feed.counts["rows"], "event"), feed.poll_secs,
            )  # fmt: skip
        store = store_at(self._job.storage.checkpoint_dir)
        safe = RECEIPTS.delivered(self.subscription, cursor, partial(store.make_safe, self.subscription))
        try:
            if store.commit(self.subscription, cursor, safe=safe):
                feed.settle(cursor)
            self._store_trouble.over()
        except OSError as error:
            if self._store_trouble.due(str(error)) is not None:
                tell(
                    _LOGGER, state.CHECKPOINT_NOT_WRITTEN,
                    "%s: its checkpoint cannot be written (%s). Delivery goes on; a restart would repeat what is delivered "
                    "until it can.", self.subscription, error.strerror, **self.subscription.about,
                )  # fmt: skip
            time.sleep(_IDLE_TICK_SECS)
