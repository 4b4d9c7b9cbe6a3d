"""Launches on a runner that Beam's own flags name: ``duologsync run CONFIG -- --runner=PrismRunner …``.

Place: beside ``pipelines.local``; the graph is the same, without an end. Flags that neither Beam nor the runner knows are
errors, although Beam itself only warns: a misspelt ``--checkpointing_interval`` would cost every checkpoint. What Beam leaves
out and an endless, checkpointed job needs is added, and each addition is logged.

The job request holds settings and references to secrets; a secret is read by the worker that needs it. The lock of the
checkpoint directory is for local runs only: on a runner there is one reader per stream and destination by construction, and the
directory is each worker's own.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import exit_codes
from pipelines.beam_internals.causes import cause_of, cause_without_events
from pipelines.beam_internals.flags import unknown_to_beam
from pipelines.beam_internals.job_timeout import let_the_job_live_long
from pipelines.graph import build, subscriptions_of
from pipelines.local.children import list_children
from pipelines.local.supervisor import GRACE_SECS, on_signals, restore_signals, run_local
from pipelines.monitoring.systemd import Notifier
from pipelines.runners.dataflow import wrong_on_dataflow
from transforms.destinations.ending import close_destinations
from transforms.duo.fetch.feed_registry import close_feeds, pages_under_way
from transforms.errors import BadDestination, DeliveryTimeout, DuoLogSyncError, RetryLater
from transforms.notices import duo, program, runners
from transforms.notices.notice import tell
from transforms.process.allocator import give_memory_back
from transforms.process.shutdown import FAILURES, STOP
from transforms.settings import UNSEEN, Account, Job

_LOGGER = logging.getLogger("duologsync.runners")
_LOCAL_RUNNERS = ("directrunner", "fnapirunner")
_PRISM = "prismrunner"
_DATAFLOW = "dataflowrunner"
# A job server that a flag names is taken for Flink's, here and in transforms.duo.announce.
_CHECKPOINTING_RUNNERS = ("flinkrunner", "portablerunner")
# Flink's own options live in Java; Beam's Python side passes them on without knowing them.
_FLINK_OPTIONS = (
    "allow_non_restored_state", "attached_mode", "auto_watermark_interval", "checkpoint_timeout_millis",
    "checkpointing_interval", "checkpointing_mode", "execution_retry_delay", "externalized_checkpoints_enabled",
    "fail_on_checkpointing_errors", "files_to_stage",
    "finish_bundle_before_checkpointing", "flink_conf_dir", "max_bundle_size", "max_bundle_time_mills",
    "min_pause_between_checkpoints", "num_concurrent_checkpoints", "number_of_execution_retries", "operator_chaining",
    "retain_externalized_checkpoints_on_cancellation", "savepoint_path", "shutdown_sources_after_idle_ms", "state_backend",
    "state_backend_storage_path", "unaligned_checkpoint_enabled",
)  # fmt: skip
_FLINK_CHECKPOINT_TIMEOUT_SECS = 600.0
_DELIVERY_TIMEOUT_SECS = 60.0


@dataclass(frozen=True, slots=True)
class _Addition:
    flag: str
    why: str


_STREAMING = _Addition("--streaming", "Beam would plan an endless read as a batch job")
_FINISH_FIRST = "--finish_bundle_before_checkpointing"
_FOR_FLINK = (
    _Addition("--checkpointing_interval=10000", "Flink makes no checkpoints unless asked"),
    _Addition("--max_bundle_time_mills=100", "Beam would wait a second at the end of every bundle on Flink"),
    _Addition(
        _FINISH_FIRST,
        "what a step gives out during a checkpoint would wait for its next bundle",
    ),
)


def launch(job: Job, flags: list[str], *, grace_secs: float = GRACE_SECS) -> int:
    """Runs a job with Beam's flags; returns when the runner does, or when asked to end. The exit code."""
    unknown = unknown_flags(flags)
    if unknown:
        tell(_LOGGER, runners.UNKNOWN_FLAGS, "Beam knows no %s. Nothing was started; see docs/runners.md.", ", ".join(unknown))
        return exit_codes.CONFIG
    runner = runner_of(flags)
    if runner in _CHECKPOINTING_RUNNERS and _keeps_streams_back(flags):
        tell(
            _LOGGER,
            runners.KEEPS_STREAMS_BACK,
            "%s=false would keep back what a step gives out during a checkpoint. Leave it out; see docs/flink.md.",
            _FINISH_FIRST,
        )
        return exit_codes.CONFIG
    if runner in _LOCAL_RUNNERS:
        return run_local(job, grace_secs=grace_secs)
    job = replace(job, monitoring=UNSEEN)  # the runner shows its jobs itself; workers need no token for that
    if runner == _DATAFLOW:
        wrong = wrong_on_dataflow(job, flags)
        for each in wrong:
            tell(_LOGGER, runners.WRONG_ON_DATAFLOW, "%s", each)
        if wrong:
            return exit_codes.CONFIG
    flags = complete_flags(flags)
    try:
        job = for_runner(_with_children(job), flags)
    except DuoLogSyncError as error:
        tell(_LOGGER, duo.CHILDREN_UNKNOWN, "The child accounts cannot be listed: %s", error)
        return exit_codes.for_refusal(error)
    if runner != _PRISM:
        _tell_what_workers_need(job)
    give_memory_back()
    return _run(job, flags, runner, grace_secs)


def runner_of(flags: list[str]) -> str:
    """The runner that the flags name, in lower case."""
    named = PipelineOptions(flags).get_all_options().get("runner") or "DirectRunner"
    return str(named).rpartition(".")[2].lower()


def unknown_flags(flags: list[str]) -> list[str]:
    """The flags that no option class of Beam and no option of Flink has."""
    return [flag for flag in unknown_to_beam(flags) if flag[2:].partition("=")[0] not in _FLINK_OPTIONS]


def _keeps_streams_back(flags: list[str]) -> bool:
    return any(value.lower() == "false" for value in _values_of(_FINISH_FIRST, flags))


def _values_of(name: str, flags: list[str]) -> list[str]:
    """What is given with a flag, each time that it is; for one without a value that is whatever stands behind it."""
    behind = zip(flags, [*flags[1:], ""], strict=True)
    split = [(*flag.partition("="), following) for flag, following in behind]
    return [value if equals else following for flag, equals, value, following in split if flag == name]


def complete_flags(flags: list[str]) -> list[str]:
    """The flags with what Beam's defaults leave out; each addition is logged."""
    wanted = [_STREAMING, *(_FOR_FLINK if runner_of(flags) in _CHECKPOINTING_RUNNERS else ())]
    given = {flag.partition("=")[0] for flag in flags}
    added = [addition for addition in wanted if addition.flag.partition("=")[0] not in given]
    for addition in added:
        _LOGGER.info("%s is added: %s.", addition.flag, addition.why)
    return [*flags, *(addition.flag for addition in added)]


def for_runner(job: Job, flags: list[str]) -> Job:
    """The job with a delivery timeout for every destination, on runners where a waiting bundle holds up others.

    On Flink a checkpoint belongs to the whole job, and waits for the bundle that is under way in each log type. On Dataflow a
    bundle that waits too long is taken for stuck. On Prism nobody else is held up, and a bundle that fails ends the job.
    """
    if runner_of(flags) == _PRISM:
        return job
    longest_secs = _checkpoint_timeout_secs(flags)
    default_secs = min(_DELIVERY_TIMEOUT_SECS, longest_secs / 2)
    for destination in job.destinations:
        if (destination.delivery_timeout_secs or 0) >= longest_secs:
            tell(
                _LOGGER, runners.TIMEOUT_TOO_LONG,
                "Destination %s: its delivery timeout of %g s is not below the checkpoint timeout of %g s. While it is away, "
                "checkpoints of all log types fail.", destination.name, destination.delivery_timeout_secs, longest_secs,
                destination=destination.name,
            )  # fmt: skip
    destinations = tuple(
        replace(d, delivery_timeout_secs=default_secs) if d.delivery_timeout_secs is None else d for d in job.destinations
    )
    return replace(job, destinations=destinations)


def _checkpoint_timeout_secs(flags: list[str]) -> float:
    for value in _values_of("--checkpoint_timeout_millis", flags):
        return float(value) / 1000
    return _FLINK_CHECKPOINT_TIMEOUT_SECS


def _with_children(job: Job) -> Job:
    accounts: list[Account] = []
    for account in job.accounts:
        if not account.is_msp:
            accounts.append(account)
            continue
        listing = list_children(account, job.reading.request_timeout_secs)
        accounts += [child.account for child in listing.children]
        for entry in listing.unmatched:
            tell(
                _LOGGER,
                duo.CHILD_NOT_FOUND,
                "%s: no child has the id or name '%s' that is on its lists.",
                account.name,
                entry,
                account=account.name,
            )
    return replace(job, accounts=tuple(accounts))


def _tell_what_workers_need(job: Job) -> None:
    references = sorted({str(secret.reference) for secret in job.secrets()})
    _LOGGER.info(
        "Workers read their secrets themselves: %s. Their checkpoints go to %s; unless all workers share it, it is only where "
        "a launch without a savepoint may begin, the runner's own checkpoint is the truth.",
        ", ".join(references), job.storage.checkpoint_dir,
    )  # fmt: skip


# --- running -------------------------------------------------------------------------------------------------------------


def _run(job: Job, flags: list[str], runner: str, grace_secs: float) -> int:
    options = PipelineOptions([*flags, "--no_save_main_session"])
    previous = on_signals(lambda: STOP.request(grace_secs))
    try:
        try:
            _reach_the_server(options)
            pipeline = beam.Pipeline(options=options)
            build(pipeline, job)
            result = pipeline.run()
        except Exception as error:  # no job server, no binary, a value that a flag cannot have: Beam raises what it likes
            tell(_LOGGER, runners.NOT_TAKEN, "The runner did not take the job: %s", cause_of(error))
            _LOGGER.debug("In full:", exc_info=error)
            return exit_codes.UNREACHABLE if isinstance(error, RetryLater) else exit_codes.INTERNAL
        if options.get_all_options().get("no_wait_until_finish"):
            return exit_codes.OK
        return _follow(result, job, owns_workers=runner == _PRISM)
    finally:
        restore_signals(previous)


def _reach_the_server(options: PipelineOptions) -> None:
    """Waits for the job server, if a flag names one, so that Beam's timeout need not do it."""
    within_secs = let_the_job_live_long(options)
    endpoint = options.view_as(pipeline_options.PortableOptions).job_endpoint
    if endpoint:
        _await_server(endpoint, within_secs)


def _await_server(endpoint: str, within_secs: float) -> None:
    host, _, port = endpoint.rpartition(":")
    deadline = time.monotonic() + within_secs
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10.0).close()
        except ValueError:
            return  # "embed", or a name that only gRPC understands
        except OSError as error:
            if time.monotonic() >= deadline or STOP.wait(0.5):
                raise RetryLater(f"no job server at {endpoint}: {error.strerror or error}.", kind="network") from None
        else:
            return


def _follow(result: Any, job: Job, *, owns_workers: bool) -> int:
    """Waits for the job's end, or to be asked to end."""
    end: list[Exception | None] = []
    waiter = threading.Thread(target=lambda: end.append(_wait(result)), name="job", daemon=True)
    waiter.start()
    systemd = Notifier()
    systemd.ready()
    while not STOP.wait(0.2) and waiter.is_alive():
        systemd.tick(lambda: "the job runs", lambda: True)
    systemd.stopping()
    if not waiter.is_alive():
        return _job_ended(job, end[0])
    if not owns_workers:
        _LOGGER.info("The job goes on in the cluster. End it there, with a savepoint if it is to be continued.")
        return exit_codes.OK
    return _end_in_order(result)


def _wait(result: Any) -> Exception | None:
    try:
        result.wait_until_finish()
    except Exception as error:  # the job failed, or its server went away; the caller says which exit code that is
        return error
    return None


def _job_ended(job: Job, error: Exception | None) -> int:
    if error is None:
        return exit_codes.OK
    causes = [FAILURES.take(subscription) for subscription in subscriptions_of(job)]
    cause = next(filter(None, causes), None)
    tell(_LOGGER, runners.JOB_ENDED, "The job ended by itself: %s", cause_without_events(cause or error))
    return exit_codes.DELIVERY if isinstance(cause, (BadDestination, DeliveryTimeout)) else exit_codes.INTERNAL


def _end_in_order(result: Any) -> int:
    """Delivers and commits what was read, then ends the job. For runners whose workers live in this process."""
    while pages_under_way() and STOP.left_secs > 0:
        time.sleep(0.05)
    left = pages_under_way()
    try:
        result.cancel()
    except Exception as error:  # the job may be over by now, or its server gone: there is nothing to end then
        _LOGGER.debug("The job could not be cancelled.", exc_info=error)
    close_feeds()
    all_read = close_destinations()
    if left:
        tell(
            _LOGGER,
            program.GRACE_OVER,
            "The grace period was over before everything was delivered; what was not is read again at the next start.",
        )
    return exit_codes.DELIVERY if left or not all_read else exit_codes.OK
