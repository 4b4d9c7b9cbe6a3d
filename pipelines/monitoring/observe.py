"""The report of a running local run: looks at what the program has in memory anyway, when somebody asks.

Place in the flow: the supervisor makes one ``Observer`` for a run and calls ``tick`` from its loop; the endpoints and systemd's
line of status ask it. What is seen of each stream and destination is put into words by ``words``.

Contract: nothing is read from Duo, sent, written or waited for, and no feed or connection is made by looking. A report is kept
for a second, so that many who look cost as much as one. ``tick`` is cheap: it notes that the main loop is alive and, once a
minute, how many events every stream has delivered. Thread-safe.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pipelines import __version__
from pipelines.monitoring import streams, words
from pipelines.monitoring.letters import LetterCounts
from pipelines.monitoring.log_tail import LogTail
from pipelines.monitoring.rates import MINUTE_SECS
from pipelines.monitoring.report import (
    VERSION,
    BudgetReport,
    DestinationReport,
    ProcessReport,
    Report,
    State,
    StreamReport,
)
from pipelines.monitoring.stored import kept_letters
from transforms.destinations import certificates, pool
from transforms.destinations.health import health_of
from transforms.duo.rate_limit.budget import RateBudget
from transforms.process.plural import counted
from transforms.process.shutdown import STOP
from transforms.settings import Destination, Job
from transforms.state.checkpoints.stores import store_at
from transforms.state.dead_letters.write import files_in

_KEPT_SECS = 1.0
_LOOK_SECS = 5.0  # whoever asks has a thread of few, and health checks need one
_STALLED_SECS = 60.0  # a main loop that has not come round for so long hangs
_UNWRITTEN_SECS = 10.0  # a checkpoint that takes longer is not just slow
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Running(streams.Running, Protocol):
    """What an observer looks at: the supervisor of a run."""

    def reached(self, destination: str) -> bool:
        """Whether a destination was connected to."""
        ...

    def unreached(self, destination: str) -> str:
        """Why it could not be connected to, the last time that this was tried without an event."""
        ...


class Observer:
    """See the module."""

    def __init__(self, job: Job, running: Running, log: LogTail | None = None) -> None:
        self._job = job
        self._running = running
        self._log = log
        self._streams = streams.Streams(job, running)
        self._letters = LetterCounts(job.storage.dead_letter_dir)
        self._lock = threading.Lock()
        self._started_ms = _now_ms()
        self._report: Report | None = None
        self._verdict = "starting"
        self._reported_at = self._ticked_at = self._sampled_at = time.monotonic()

    # --- the supervisor's side ---------------------------------------------------------------------------------------

    def tick(self) -> None:
        """The main loop has come round."""
        self._ticked_at = now = time.monotonic()
        everything = now - self._sampled_at >= MINUTE_SECS
        if everything:
            self._sampled_at = now
        if self._lock.acquire(blocking=False):  # else somebody looks, perhaps at a file system that hangs: the next time
            try:
                self._streams.sample(now, everything=everything)
            finally:
                self._lock.release()

    def verdict(self) -> str:
        """How the run is, in words, without a look at any file and without a wait: for the main loop itself."""
        if self._lock.acquire(blocking=False):
            try:
                self._verdict = words.of_run(self._streams.report(_now_ms(), {}), trouble=self._trouble()).words
            finally:
                self._lock.release()
        return self._verdict

    # --- whoever looks -----------------------------------------------------------------------------------------------

    def report(self) -> Report:
        """Everything that is known now, or was a second ago; or, while somebody else's look hangs, what was known before it.

        Raises TimeoutError where there is none of that.
        """
        if not self._lock.acquire(timeout=_LOOK_SECS):
            if self._report is None:
                raise TimeoutError
            return self._report
        try:
            if self._report is None or time.monotonic() - self._reported_at >= _KEPT_SECS:
                self._report = self._made()
                self._reported_at = time.monotonic()
            return self._report
        finally:
            self._lock.release()

    def ailing(self) -> tuple[str, ...]:
        """Why the program does not work as it should, and only its end and a new start would help; empty while it does."""
        reasons = []
        behind_secs = time.monotonic() - self._ticked_at
        if behind_secs > _STALLED_SECS and not STOP.requested:
            reasons.append(f"the main loop has not come round for {words.span(behind_secs)}")
        dead = [r for r in self._running.runners if r.begun and not (r.alive or r.done or STOP.requested)]
        reasons += [f"the thread of {runner.subscription} is dead" for runner in dead]
        return tuple(reasons)

    # --- the report ----------------------------------------------------------------------------------------------------

    def _made(self) -> Report:
        now_ms = _now_ms()
        destinations = tuple(self._destination(each) for each in self._job.destinations)
        letters = self._letters.count()
        found = self._streams.report(now_ms, letters)
        said = words.of_run(found, trouble=self._trouble())
        not_ready = tuple(self._not_ready(found, destinations))
        return Report(
            v=VERSION,
            time_ms=now_ms,
            state=said.state,
            words=said.words,
            todo=said.todo,
            process=self._process(),
            ready=not not_ready,
            not_ready=not_ready,
            streams=found,
            destinations=destinations,
            budgets=self._budgets(),
            dead_letters=kept_letters(letters),
            dead_letter_keep_days=self._job.storage.dead_letter_keep_days,
            log=self._log.lines() if self._log is not None else (),
        )

    def _trouble(self) -> words.Said | None:
        """What concerns more than single streams: dead letters that cannot be kept, children that cannot be listed."""
        if cause := files_in(self._job.storage.dead_letter_dir).insistence.cause:
            return words.Said(State.WAITING, *words.cause_and_fix(cause))
        if store_at(self._job.storage.checkpoint_dir).unwritten_secs > _UNWRITTEN_SECS:
            return words.Said(
                State.WAITING,
                f"checkpoints cannot be written to {self._job.storage.checkpoint_dir}",
                "Free space there, or mend its permissions: delivery goes on, but a restart would repeat what is delivered "
                "until then.",
            )
        for parent in self._running.parents:
            if parent.error is not None or (parent.failure and not self._running.runners):
                state = State.WAITING if parent.error is None else State.SUSPENDED
                cause, fix = words.cause_and_fix(parent.failure or str(parent.error))
                return words.Said(state, f"the children of {parent.name} cannot be listed: {cause}", fix)
        return None

    def _destination(self, destination: Destination) -> DestinationReport:
        health, wrong = health_of(destination), self._running.wrong(destination.name)
        held = pool.held_by(destination)
        reached = self._ever_reached(destination)
        cause = str(wrong) if wrong is not None else health.cause
        if not cause and not reached:
            cause = self._running.unreached(destination.name)
        return DestinationReport(
            name=destination.name,
            kind=destination.kind,
            place=destination.place,
            usable=False if cause else True if reached else None,
            cause=cause,
            since_ms=health.since_ms,
            connections=held.connections,
            held_bytes=held.held_bytes,
            certificate_expires_ms=certificates.expires_ms(destination.name, "server"),
            client_certificate_expires_ms=certificates.expires_ms(destination.name, "client"),
        )

    def _not_ready(self, found: Sequence[StreamReport], destinations: Sequence[DestinationReport]) -> list[str]:
        if STOP.requested:
            return ["the program is ending"]
        never = [each for each in self._job.destinations if not self._ever_reached(each)]
        causes = {each.name: f": {each.cause.rstrip('.')}" if each.cause else "" for each in destinations}
        reasons = [f"destination {each.name} was never reached{causes[each.name]}" for each in never]
        reasons += [f"{words.title(s)} is {s.words}" for s in found if s.state in words.NEED_A_PERSON]
        if not found:
            reasons.append("no stream is read yet")
        missing = sum(not runner.begun for runner in self._running.runners)
        if missing:
            reasons.append(f"{counted(missing, 'stream')} could not be started yet")
        return reasons

    def _ever_reached(self, destination: Destination) -> bool:
        return self._running.reached(destination.name) or health_of(destination).ever_delivered

    def _budgets(self) -> tuple[BudgetReport, ...]:
        found: dict[int, BudgetReport] = {}
        for runner in self._running.runners:
            feed, stream = runner.feed, runner.subscription.stream
            if feed is not None and id(feed.budget) not in found:
                found[id(feed.budget)] = _budget(feed.budget, stream.account, stream.log_type)
        return tuple(found.values())

    def _process(self) -> ProcessReport:
        return ProcessReport(
            pid=os.getpid(),
            version=__version__,
            started_ms=self._started_ms,
            memory_bytes=_memory_bytes(),
            threads=threading.active_count(),
            cpu_secs=round(time.process_time(), 2),
        )


def _budget(budget: RateBudget, account: str, log_type: str) -> BudgetReport:
    facts = budget.facts()
    return BudgetReport(
        account=account,
        log_type=log_type,
        interval_secs=round(facts.interval_secs, 3) or None,
        limit_secs=round(facts.limit_secs, 3) or None,
        calls=facts.calls,
        refused=facts.refused,
        waits_secs=round(facts.wait_secs, 1),
    )


def _memory_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
