"""Launches on a runner that Beam's own flags name: ``duologsync run CONFIG -- --runner=PrismRunner …``.

Place: beside ``pipelines.local``; the graph is the same, without an end. Flags that neither Beam nor the runner knows are
errors, although Beam itself only warns: a misspelt ``--checkpointing_interval`` would cost every checkpoint.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import apache_beam as beam
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import exit_codes
from pipelines.graph import build
from pipelines.local.supervisor import list_children, run_local
from transforms.errors import BadCredentials, DuoLogSyncError
from transforms.settings import Account, Job

_LOGGER = logging.getLogger(__name__)
_LOCAL_RUNNERS = ("DirectRunner", "FnApiRunner")
# Flink's own options live in Java; Beam's Python side passes them on without knowing them.
_FLINK_OPTIONS = (
    "allow_non_restored_state", "attached_mode", "auto_watermark_interval", "checkpoint_timeout_millis",
    "checkpointing_interval", "checkpointing_mode", "execution_retry_delay", "externalized_checkpoints_enabled",
    "fail_on_checkpointing_errors",
    "finish_bundle_before_checkpointing", "flink_conf_dir", "max_bundle_size", "max_bundle_time_mills",
    "min_pause_between_checkpoints", "num_concurrent_checkpoints", "number_of_execution_retries", "operator_chaining",
    "retain_externalized_checkpoints_on_cancellation", "savepoint_path", "shutdown_sources_after_idle_ms", "state_backend",
    "state_backend_storage_path", "unaligned_checkpoint_enabled",
)  # fmt: skip


def launch(job: Job, flags: list[str]) -> int:
    """Runs a job with Beam's flags; returns when the runner does."""
    options = PipelineOptions(flags)
    unknown = unknown_flags(flags)
    if unknown:
        _LOGGER.error("Beam knows no %s. Nothing was started; see 'Beam flags' in the README.", ", ".join(unknown))
        return exit_codes.CONFIG
    runner = options.get_all_options().get("runner") or "DirectRunner"
    if runner in _LOCAL_RUNNERS:
        return run_local(job)
    if "--streaming" not in flags:
        # Beam would plan an endless read as a batch job.
        flags = [*flags, "--streaming"]
    if "Flink" in runner and not any(f.startswith("--checkpointing_interval") for f in flags):
        _LOGGER.warning("Flink makes no checkpoints unless asked: --checkpointing_interval=10000 is added.")
        flags = [*flags, "--checkpointing_interval=10000"]
    try:
        job = _with_children(job)
    except BadCredentials as error:
        _LOGGER.error("%s", error)
        return exit_codes.CREDENTIALS
    except DuoLogSyncError as error:
        _LOGGER.error("The child accounts cannot be listed: %s", error)
        return exit_codes.INTERNAL
    pipeline = beam.Pipeline(options=PipelineOptions([*flags, "--no_save_main_session"]))
    build(pipeline, job)
    result = pipeline.run()
    if not options.get_all_options().get("no_wait_until_finish"):
        result.wait_until_finish()
    return exit_codes.OK


def unknown_flags(flags: list[str]) -> list[str]:
    """The flags that no option class of Beam and no option of Flink has."""
    # Beam offers no public way to ask; the version is pinned and a test covers this.
    parser = pipeline_options._BeamArgumentParser(add_help=False)  # noqa: SLF001
    for options_class in PipelineOptions.__subclasses__():
        options_class._add_argparse_args(parser)  # noqa: SLF001
    _, left = parser.parse_known_args(flags)
    return [f for f in left if f.startswith("--") and f[2:].partition("=")[0] not in _FLINK_OPTIONS]


def _with_children(job: Job) -> Job:
    accounts: list[Account] = []
    for account in job.accounts:
        accounts += list_children(account, job.reading.request_timeout_secs) if account.is_msp else [account]
    return replace(job, accounts=tuple(accounts))
