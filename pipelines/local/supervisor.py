"""The supervisor of a local run: starts every stream's thread, ends them in good order, and says with which exit code.

Contract of ``run_local``: holds the lock of the checkpoint directory while it runs; on SIGINT or SIGTERM what was read is
delivered and committed within the grace period; returns an exit code (``pipelines.exit_codes``). One stream's end is not the
others': the program ends by itself only when every stream has stopped for good.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

from pipelines import exit_codes
from pipelines.local.stream_runner import StreamRunner
from transforms.checkpoints import StoreInUse, StoreUnusable, store_at
from transforms.dead_letters import keep_unconfirmed
from transforms.destinations import TRANSPORTS, registry
from transforms.destinations.stream_delivery import StreamSender
from transforms.duo.client import DuoClient
from transforms.duo.feed import USER_AGENT, close_feeds, stream_of
from transforms.errors import BadCredentials, BadDestination, DuoLogSyncError, RetryLater, WontHeal
from transforms.lifecycle import STOP
from transforms.secrets import SecretUnavailable
from transforms.settings import Account, Destination, Job

_LOGGER = logging.getLogger(__name__)
GRACE_SECS = 30.0
_RELIST_SECS = 900.0
_RELIST_RETRY_SECS = 30.0


def run_local(job: Job, *, grace_secs: float = GRACE_SECS) -> int:
    """Runs a job on this machine until it is asked to end; the exit code."""
    store = store_at(job.storage.checkpoint_dir)
    try:
        store.lock()
    except (StoreInUse, StoreUnusable) as error:
        _LOGGER.error("%s", error)  # the text is for the user, the traceback is not
        return exit_codes.STATE
    previous = on_signals(lambda: STOP.request(grace_secs))
    supervisor = _Supervisor(job)
    try:
        supervisor.start()
        supervisor.wait()
    finally:
        supervisor.end(grace_secs)
        store.unlock()
        restore_signals(previous)
    return supervisor.exit_code()


class _Supervisor:
    """The threads of one run."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._runners: list[StreamRunner] = []
        self._threads: list[threading.Thread] = []
        self._parents: list[threading.Thread] = []
        self._parent_errors: list[WontHeal] = []
        self._bad_destinations: dict[str, WontHeal] = {}
        self._known: set[str] = set()
        self._mutex = threading.Lock()

    def start(self) -> None:
        for destination in self._job.destinations:
            threading.Thread(target=self._probe, args=(destination,), name=f"probe {destination.name}", daemon=True).start()
        for account in self._job.accounts:
            if account.is_msp:
                thread = threading.Thread(target=self._follow_children, args=(account,), name=f"children of {account.name}")
                thread.daemon = True
                self._parents.append(thread)
                thread.start()
            else:
                self._start_account(account)

    def wait(self) -> None:
        """Returns when the program is asked to end, or when every stream waits for a person."""
        while not STOP.wait(0.5):
            with self._mutex:
                parents_work = any(thread.is_alive() for thread in self._parents)
                streams_work = any(not r.done and self._cause_to_stop(r) is None for r in self._runners)
            if not streams_work and not (parents_work and not self._runners):
                return

    def end(self, grace_secs: float) -> None:
        """Lets every stream finish its bundle, then closes what is shared."""
        STOP.request(grace_secs)
        for thread in self._threads:
            thread.join(STOP.left_secs + 1.0)
        close_feeds()
        try:
            keep_unconfirmed(registry.close_all(min(5.0, STOP.left_secs + 1.0)), self._job.storage.dead_letter_dir)
        except RetryLater as error:
            _LOGGER.error("%s", error)
        late = [t.name for t in self._threads if t.is_alive()]
        if late or any(r.cut_short for r in self._runners):
            _LOGGER.warning(
                "The grace period of %.0f s was over before everything was delivered; what was not is read again at the next "
                "start.", grace_secs,
            )  # fmt: skip

    def exit_code(self) -> int:
        """The first reason that fits, the one the user can act on before the others."""
        causes = [self._cause_to_stop(runner) for runner in self._runners]
        errors = [cause for cause in causes if cause is not None] + self._parent_errors
        all_stopped = len(errors) >= len(self._runners) + len(self._parent_errors) and errors
        if all_stopped:
            if any(isinstance(e, BadDestination) for e in errors):
                return exit_codes.DELIVERY
            if any(isinstance(e, (BadCredentials, SecretUnavailable)) for e in errors):
                return exit_codes.CREDENTIALS
            if any(isinstance(e, StoreUnusable) for e in errors):
                return exit_codes.STATE
            return exit_codes.INTERNAL
        cut_short = any(r.cut_short for r in self._runners) or any(t.is_alive() for t in self._threads)
        return exit_codes.DELIVERY if cut_short else exit_codes.OK

    def _probe(self, destination: Destination) -> None:
        """Connects once at the start: a certificate or name that can never work is told now, not with the first event."""
        sender = TRANSPORTS[destination.transport](destination)
        try:
            if isinstance(sender, StreamSender):
                sender.test_connection()
        except RetryLater:
            pass  # away for now: the streams wait for it
        except WontHeal as error:
            self._bad_destinations[destination.name] = error
            _LOGGER.error("%s", error)
        finally:
            sender.close(0.0)

    def _cause_to_stop(self, runner: StreamRunner) -> WontHeal | None:
        """Why a stream cannot work until a person mends something; None while it can."""
        if runner.fatal is not None:
            return runner.fatal
        bad = [self._bad_destinations.get(name) for name in runner.destinations]
        return bad[0] if all(bad) else None

    def _start_account(self, account: Account) -> None:
        for log_type in self._job.log_types_of(account.name):
            if not self._job.storage.resume:
                store_at(self._job.storage.checkpoint_dir).forget(stream_of(account, log_type))
            runner = StreamRunner(self._job, account, log_type)
            thread = threading.Thread(target=runner.run, name=str(runner.stream), daemon=True)
            with self._mutex:
                self._runners.append(runner)
                self._threads.append(thread)
            thread.start()

    # --- MSP ---------------------------------------------------------------------------------------------------------

    def _follow_children(self, parent: Account) -> None:
        """Starts the streams of every child account, and of those that appear later."""
        wait_secs = 0.0
        while not STOP.wait(wait_secs):
            try:
                for child in list_children(parent, self._job.reading.request_timeout_secs):
                    if child.name not in self._known:
                        self._known.add(child.name)
                        _LOGGER.info("%s: reading child account %s at %s.", parent.name, child.account_id, child.api_host)
                        self._start_account(child)
                wait_secs = _RELIST_SECS
            except WontHeal as error:
                _LOGGER.error("%s: its children cannot be listed: %s", parent.name, error)  # see above
                if not self._known:
                    self._parent_errors.append(error)
                    return
                wait_secs = _RELIST_SECS
            except DuoLogSyncError as error:
                _LOGGER.warning("%s: its children cannot be listed now: %s Trying again.", parent.name, error)
                wait_secs = _RELIST_RETRY_SECS


def list_children(parent: Account, timeout_secs: float) -> list[Account]:
    """The child accounts of a parent that are not on its block list, each with its own API host."""
    client = DuoClient(parent, user_agent=USER_AGENT, timeout_secs=timeout_secs)
    try:
        children = client.fetch_children()
    finally:
        client.close()
    return [
        replace(
            parent,
            name=f"{parent.name}/{child['account_id']}",
            api_host=child.get("api_hostname") or parent.api_host,
            account_id=child["account_id"],
            is_msp=False,
            block_list=(),
        )
        for child in children
        if child["account_id"] not in parent.block_list and child.get("name") not in parent.block_list
    ]


def on_signals(stop: Callable[[], None]) -> dict[int, object]:
    """SIGINT and SIGTERM ask to end. Only a program's main thread may set handlers; others rely on their caller."""
    if threading.current_thread() is not threading.main_thread():
        return {}

    def handle(number: int, _frame: FrameType | None) -> None:
        _LOGGER.info("Asked to end (%s): delivering what was read.", signal.Signals(number).name)
        stop()

    return {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}


def restore_signals(previous: dict[int, object]) -> None:
    """Puts back what ``on_signals`` replaced."""
    for number, handler in previous.items():
        signal.signal(number, handler)  # type: ignore[arg-type] # what signal.signal gave us
