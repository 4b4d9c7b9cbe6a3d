"""The supervisor of a local run: a thread for each stream and destination, their orderly end, and the exit code.

Contract of ``run_local``: holds the lock of the checkpoint directory while it runs; on SIGINT or SIGTERM what was read is
delivered and committed within the grace period; returns an exit code (``pipelines.exit_codes``). One stream's end is not the
others': the program ends by itself only when every stream has stopped for good.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType

from pipelines import exit_codes
from pipelines.beam_internals.step_clock import end_bundles_at_once
from pipelines.local.children import Children, StreamOfChild
from pipelines.local.stream_runner import StreamRunner
from pipelines.local.summary import End, Outcome, last_line
from pipelines.monitoring.endpoint import Endpoint
from transforms.destinations import pool
from transforms.destinations.ending import close_destinations
from transforms.destinations.health import health_of
from transforms.destinations.probe import connect_once
from transforms.duo.client.connections import CONNECTIONS
from transforms.duo.fetch.feed_registry import close_feeds
from transforms.duo.fetch.read_ahead import READ_AHEAD
from transforms.duo.rate_limit.budgets import BUDGETS
from transforms.errors import BadCredentials, BadDestination, DuoLogSyncError, FatalError, RetryLater, StreamUnavailable
from transforms.notices import duo, program, state
from transforms.notices.notice import tell
from transforms.process import descriptors, threads
from transforms.process.files import Unsafe
from transforms.process.log_once import LogOnce
from transforms.process.pass_slots import SLOTS
from transforms.process.shutdown import STOP
from transforms.secrets import SecretUnavailable
from transforms.settings import Account, Destination, Job
from transforms.state.checkpoints.local import StoreInUse, StoreUnusable
from transforms.state.checkpoints.stores import store_at
from transforms.state.dead_letters.retention import Retention
from transforms.state.dead_letters.write import trouble_with_dead_letters

_LOGGER = logging.getLogger("duologsync.local")
GRACE_SECS = 30.0
# So many streams run as if each were alone. Of more, not all need a pass or pages at the same time, and memory would show it.
_FEW_STREAMS = 8
_LOOK_AGAIN_SECS = 60.0
_SLOTS_OF_MANY = 3
_READ_AHEAD_BYTES_OF_MANY = 20_000_000


def run_local(job: Job, *, grace_secs: float = GRACE_SECS) -> int:
    """Runs a job on this machine until it is asked to end; the exit code."""
    store = store_at(job.storage.checkpoint_dir)
    try:
        store.lock()
    except (StoreInUse, StoreUnusable) as error:
        tell(_LOGGER, error.notice, "%s", error)  # the text is for the user, the traceback is not
        return exit_codes.STATE
    trouble = trouble_with_dead_letters(job.storage.dead_letter_dir)
    if isinstance(trouble, Unsafe):
        tell(
            _LOGGER,
            state.DEAD_LETTERS_UNSAFE,
            "The dead letter directory %s is not safe: %s.",
            job.storage.dead_letter_dir,
            trouble.strerror,
        )
        store.unlock()
        return exit_codes.STATE
    if trouble is not None:
        tell(
            _LOGGER, state.DEAD_LETTERS_NOT_WRITTEN,
            "Dead letters cannot be written to %s: %s. All else is delivered; the first event that no destination takes holds "
            "what needs a dead letter until they can.", job.storage.dead_letter_dir, trouble.strerror,
        )  # fmt: skip
    end_bundles_at_once()
    descriptors.raise_limit()
    CONNECTIONS.most = descriptors.left_for_duo()
    BUDGETS.load(job.storage.checkpoint_dir)
    previous = on_signals(lambda: STOP.request(grace_secs))
    supervisor = _Supervisor(job)
    endpoint = Endpoint(job, supervisor)
    try:
        supervisor.start()
        endpoint.open()
        supervisor.wait(endpoint.tick)
    finally:
        endpoint.ends()
        supervisor.end(grace_secs)
        endpoint.close()
        store.unlock()
        restore_signals(previous)
    code = supervisor.exit_code()
    if job.reading.until_ms is None:  # of a backfill, whoever started it says how far it came
        _LOGGER.info("%s", last_line(supervisor.how_it_ended(code)))
    return code


class _Supervisor:
    """The threads of one run."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._runners: list[StreamRunner] = []
        self._parents: list[Children] = []
        self._parent_threads: list[threading.Thread] = []
        self._bad_destinations: dict[str, FatalError] = {}
        self._begun: set[str] = set()
        self._mutex = threading.Lock()
        self._all_read = True
        self._missing: list[Callable[[], bool]] = []  # starts threads that could not be had; True once it has
        self._later: list[StreamRunner] = []  # each waits for an earlier life of its own
        self._by_itself = False  # nobody asked for the end
        self._began = time.monotonic()
        self._reached: set[str] = set()
        self._unreached: dict[str, str] = {}  # why not, by the last look
        self._looking: set[str] = set()
        self._look_again_at = time.monotonic() + _LOOK_AGAIN_SECS
        self._few_connections = LogOnce()
        self._threads_missing = LogOnce()
        self._retention = Retention(job.storage)

    def start(self) -> None:
        for destination in self._job.destinations:
            thread = threading.Thread(target=self._probe, args=(destination,), name=f"probe {destination.name}", daemon=True)
            self._start(partial(threads.start, thread))
        for account in self._job.accounts:
            if account.is_msp:
                self._follow_children(account)
            else:
                self._start_account(account)

    @property
    def runners(self) -> list[StreamRunner]:
        """The streams that are read, and those that will be."""
        with self._mutex:
            return list(self._runners)

    @property
    def parents(self) -> list[Children]:
        """The MSPs whose children are followed."""
        return self._parents

    def wrong(self, destination: str) -> FatalError | None:
        """Why a destination can never be used as configured."""
        return self._bad_destinations.get(destination)

    def reached(self, destination: str) -> bool:
        """Whether a destination was connected to at the start."""
        return destination in self._reached

    def unreached(self, destination: str) -> str:
        """Why a destination could not be connected to when it was last looked at; empty where it could."""
        return self._unreached.get(destination, "")

    def wait(self, tick: Callable[[], None]) -> None:
        """Returns when the program is asked to end, or when every stream waits for a person. Calls ``tick`` twice a second."""
        while not STOP.wait(0.5):
            tick()
            BUDGETS.save()
            CONNECTIONS.tidy()
            self._start_what_is_missing()
            self._start_what_has_waited()
            self._forgive_what_works()
            self._retention.tend(self._duo_answers)
            self._look_again()
            with self._mutex:
                parents_work = any(thread.is_alive() or thread.ident is None for thread in self._parent_threads)
                streams_work = any(not r.done and self._cause_to_stop(r) is None for r in self._runners)
            if not streams_work and not (parents_work and not self._runners):
                self._by_itself = True
                self._tell_of_refusals()
                return

    def _duo_answers(self) -> bool:
        """Whether Duo has taken a call that was signed with this machine's time: it refuses those that are minutes off."""
        return any(runner.caught_up for runner in list(self._runners))

    def end(self, grace_secs: float) -> None:
        """Lets every stream finish its bundle, then closes what is shared."""
        STOP.request(grace_secs)
        for thread in self._parent_threads:  # first of all: they start streams
            if thread.ident is not None:
                thread.join(1.0)
        runners = list(self._runners)
        for runner in runners:
            runner.join(STOP.left_secs + 1.0)
        close_feeds()
        BUDGETS.save(at_once=True)
        self._all_read = close_destinations()
        if any(self._is_undelivered(runner) for runner in runners):
            tell(
                _LOGGER, program.GRACE_OVER,
                "Not everything was delivered within the grace period of %.0f s; what was not is read again at the next start.",
                grace_secs,
            )  # fmt: skip

    def exit_code(self) -> int:
        """The first reason that fits, the one the user can act on before the others."""
        self._forgive_what_works()
        causes = [self._cause_to_stop(runner) for runner in self._runners]
        parent_errors = [parent.error for parent in self._parents if parent.error is not None]
        errors: list[DuoLogSyncError] = [cause for cause in causes if cause is not None]
        errors += parent_errors
        # Where the program ended by itself, nothing of those will come any more: that a backfill did not reach one destination
        # is not told by what the others got.
        all_stopped = self._by_itself or len(errors) >= len(self._runners) + len(parent_errors)
        if errors and all_stopped:
            if any(isinstance(e, BadDestination) for e in errors):
                return exit_codes.DELIVERY
            if any(isinstance(e, (BadCredentials, SecretUnavailable, StreamUnavailable)) for e in errors):
                return exit_codes.CREDENTIALS
            if any(isinstance(e, StoreUnusable) for e in errors):
                return exit_codes.STATE
            return exit_codes.INTERNAL
        undelivered = any(self._is_undelivered(runner) for runner in self._runners)
        return exit_codes.DELIVERY if undelivered or not self._all_read else exit_codes.OK

    def how_it_ended(self, code: int) -> End:
        """What the last line tells."""
        undelivered = sorted(str(runner.subscription) for runner in self._runners if self._is_undelivered(runner))
        secs = time.monotonic() - self._began
        return End(secs, Outcome.of(), undelivered, self._all_read, asked=not self._by_itself, code=code)

    def _is_undelivered(self, runner: StreamRunner) -> bool:
        """What it read is not delivered, and that is no wonder of the moment: its destination was not there to take it."""
        return runner.alive or runner.cut_short or (runner.holds_pages and not self._was_there(runner.subscription.destination))

    def _was_there(self, name: str) -> bool:
        destination = next(each for each in self._job.destinations if each.name == name)
        health = health_of(destination)
        return not health.cause and (health.ever_delivered or name in self._reached)

    def _probe(self, destination: Destination) -> None:
        """Connects once at the start: a certificate or name that can never work is told now, not with the first event."""
        self._looking.add(destination.name)
        try:
            connect_once(destination)
            self._reached.add(destination.name)
            self._unreached.pop(destination.name, None)
        except RetryLater as error:
            self._unreached[destination.name] = str(error)  # away for now: what goes there waits for it
        except FatalError as error:
            self._unreached.pop(destination.name, None)
            self._bad_destinations[destination.name] = error
            tell(_LOGGER, error.notice, "%s", error, destination=destination.name)
        finally:
            self._looking.discard(destination.name)

    def _look_again(self) -> None:
        """Of what was away at the start, and gets no event, nobody else would find out that it is back."""
        if not self._unreached or time.monotonic() < self._look_again_at:
            return
        self._look_again_at = time.monotonic() + _LOOK_AGAIN_SECS
        for destination in self._job.destinations:
            if health_of(destination).ever_delivered:
                self._unreached.pop(destination.name, None)
            if destination.name in self._unreached and destination.name not in self._looking:
                threads.started(self._probe, f"probe {destination.name}", destination)

    def _forgive_what_works(self) -> None:
        """A destination that could not be used at the start, and takes events now, is no cause to stop."""
        if self._bad_destinations:
            for runner in list(self._runners):
                if runner.delivers:
                    self._bad_destinations.pop(runner.subscription.destination, None)

    def _tell_of_refusals(self) -> None:
        for runner in self._runners:
            if runner.refused is not None and not runner.done:
                tell(
                    _LOGGER, duo.BACKFILL_REFUSED,
                    "%s: Duo does not serve it, and the backfill ends without it: %s Start it again to ask again, or leave it "
                    "out by --log-types.", runner.subscription, runner.refused, **runner.subscription.about,
                )  # fmt: skip

    def _cause_to_stop(self, runner: StreamRunner) -> DuoLogSyncError | None:
        """Why a stream cannot work until a person mends something; None while it can.

        Live reading waits for a log that Duo does not serve; a backfill would never end.
        """
        if runner.fatal is not None or runner.refused is not None:
            return runner.fatal or runner.refused
        return self._bad_destinations.get(runner.subscription.destination)

    def _start_account(self, account: Account) -> list[StreamRunner]:
        started = [
            StreamRunner(self._job, account, log_type, destination)
            for log_type in self._job.log_types_of(account.name)
            for destination in self._job.destinations_of(account.name, log_type)
        ]
        # A child that comes back goes on where it was; only a launch can begin anew.
        if not self._job.storage.resume and account.name not in self._begun:
            for runner in started:
                store_at(self._job.storage.checkpoint_dir).forget(runner.subscription)
        self._begun.add(account.name)
        with self._mutex:
            self._runners += started
            self._share_room()
        for runner in started:
            self._start_in_turn(runner)
        return started

    def _start_in_turn(self, runner: StreamRunner) -> None:
        """Starts a stream now, or once its earlier life has ended: of a child that has moved, or is back."""
        identity = runner.subscription.identity
        with self._mutex:
            if any(other.alive and other.subscription.identity == identity for other in self._runners):
                self._later.append(runner)
                return
        self._start(runner.start)

    def _start_what_has_waited(self) -> None:
        with self._mutex:
            waiting, self._later = self._later, []
        for runner in waiting:
            self._start_in_turn(runner)

    def _start(self, start: Callable[[], bool]) -> None:
        """Starts a thread now, or as soon as one can be had."""
        if start():
            return
        with self._mutex:
            self._missing.append(start)
        if self._threads_missing.due() is not None:
            tell(_LOGGER, program.NO_THREAD, "Not all streams are read yet: %s. It is tried again.", threads.NO_THREAD)

    def _start_what_is_missing(self) -> None:
        if not self._missing:
            return
        with self._mutex:
            missing, self._missing = self._missing, []
        still = [start for start in missing if not start()]
        with self._mutex:
            self._missing += still
        if not still and self._threads_missing.over() is not None:
            _LOGGER.info("The threads that were missing could be started.")

    def _follow_children(self, parent: Account) -> None:
        reading = self._job.reading
        children = Children(parent, reading.relist_secs, reading.request_timeout_secs, self._start_account, self._forget)
        thread = threading.Thread(target=children.follow, name=f"children of {parent.name}", daemon=True)
        self._parents.append(children)
        self._parent_threads.append(thread)
        self._start(partial(threads.start, thread))

    def _forget(self, ended: Sequence[StreamOfChild]) -> None:
        with self._mutex:
            self._runners = [runner for runner in self._runners if runner not in ended]
            self._share_room()

    def _share_room(self) -> None:
        many = len(self._runners) > _FEW_STREAMS
        SLOTS.waiting = pool.waiting
        SLOTS.slots = _SLOTS_OF_MANY if many else _FEW_STREAMS
        READ_AHEAD.limit_bytes = _READ_AHEAD_BYTES_OF_MANY if many else math.inf
        most = CONNECTIONS.most
        if most is not None and len(self._runners) > most and self._few_connections.due() is not None:
            tell(_LOGGER, program.FEW_CONNECTIONS, "%s", descriptors.advice(len(self._runners), most))


def on_signals(stop: Callable[[], None]) -> dict[int, object]:
    """SIGINT and SIGTERM ask to end. Only a program's main thread may set handlers; others rely on their caller."""
    if threading.current_thread() is not threading.main_thread():
        return {}

    def handle(number: int, _frame: FrameType | None) -> None:
        # What was asked for comes first: where stderr takes nothing at the moment, the line fails or waits.
        if STOP.requested:
            STOP.request(0.0)
            tell(
                _LOGGER,
                program.ENDS_AT_ONCE,
                "Asked again: ending at once. What is not delivered is read again at the next start.",
            )
            return
        stop()
        _LOGGER.info("Asked to end (%s): delivering what was read; asked again, it ends at once.", signal.Signals(number).name)

    return {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}


def restore_signals(previous: dict[int, object]) -> None:
    """Puts back what ``on_signals`` replaced."""
    for number, handler in previous.items():
        signal.signal(number, handler)  # type: ignore[arg-type] # what signal.signal gave us
