"""One run of a backfill: the supervisor's, with progress beside it, and an account of how far it came.

Place in the flow: ``pipelines.commands.backfill`` makes the job and shows the account.

Contract of the exit code: the supervisor's, where it says that something is wrong; else ``INTERRUPTED`` where the end was not
reached, because somebody asked for an end before.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from pipelines import exit_codes
from pipelines.local.progress import Progress, StreamProgress, finished_subscriptions, is_wanted
from pipelines.local.summary import Outcome
from pipelines.local.supervisor import run_local
from pipelines.monitoring.words import moment, span
from transforms.errors import FatalError
from transforms.process import threads
from transforms.settings import Job
from transforms.state.checkpoints.stores import store_at


@dataclass(frozen=True)
class Ended:
    """How far a backfill came. As JSON it is for scripts; fields are only added.

    Attributes:
      state: ``finished``, ``stopped``, or ``finished_before`` where nothing was left to do.
      words: the same, for people. share: of the whole, 0 to 1.
      delivered, filtered, dead_letters: events of this run.
      streams: each stream on its way to each destination; their events are those of all runs of this backfill.
      code: the exit code.
    """

    state: str
    words: str
    from_ms: int
    until_ms: int
    share: float
    secs: float
    delivered: int
    filtered: int
    dead_letters: int
    streams: tuple[StreamProgress, ...]
    code: int


def forget(job: Job) -> str:
    """Lets a backfill begin anew; why that cannot be, empty where it can."""
    store = store_at(job.storage.checkpoint_dir)
    try:
        store.lock()
        try:
            for record in list(store.records()):
                if is_wanted(job, record.subscription):
                    store.forget(record.subscription)
        finally:
            store.unlock()
    except FatalError as error:
        return str(error)
    except OSError as error:
        return f"The backfill cannot begin anew: {error.filename}: {error.strerror}."
    return ""


def run(job: Job) -> Ended:
    """Runs until the end of the stretch, or until asked to end."""
    finished_before = finished_subscriptions(job)
    began = time.monotonic()
    progress = Progress(job)
    stopped = threading.Event()
    thread = threads.started(progress.run, "progress", stopped)  # without one it goes on unseen
    try:
        code = run_local(job)
    finally:
        stopped.set()
        if thread is not None:
            thread.join(5.0)
    return _ended(job, progress, code, time.monotonic() - began, nothing_new=finished_before)


def _ended(job: Job, progress: Progress, code: int, secs: float, nothing_new: frozenset[object]) -> Ended:
    finished = finished_subscriptions(job)
    streams, share = tuple(progress.streams()), progress.share()
    whole = bool(finished) and share >= 1
    state = "stopped" if not whole else "finished_before" if nothing_new == finished else "finished"
    if code == exit_codes.OK and not whole:
        code = exit_codes.INTERRUPTED
    outcome = Outcome.of()
    from_ms, until_ms = job.reading.from_ms or 0, job.reading.until_ms or 0
    words = _in_words(state, f"{moment(from_ms)} to {moment(until_ms)}", share)
    if state != "finished_before":
        words += f" {outcome} in {span(secs)}."
    return Ended(
        state, words, from_ms, until_ms, round(share, 6), round(secs, 3), outcome.delivered, outcome.filtered,
        outcome.dead_letters, streams, code,
    )  # fmt: skip


def _in_words(state: str, stretch: str, share: float) -> str:
    if state == "finished_before":
        return (
            f"This backfill ({stretch}) was finished before, and nothing was sent now. To send it again, repeat the command "
            "with --again."
        )
    if state == "finished":
        return f"Finished: {stretch}."
    # What is not read to its end is not told as the whole, however little is left.
    return f"Stopped at {min(share, 0.999):.1%} of {stretch}; the same command goes on from there."
