"""What a job on Dataflow must not depend on, told before it is submitted.

Place: ``pipelines.runners.launch`` asks it where the runner is Dataflow, for a plain launch and for the Flex Template alike.

Why: workers there are machines that come and go, and they see neither files nor variables of whoever submits. A job that needs
some would be accepted, bill its workers and fail on them; state on a worker's disk would be gone with the worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from transforms.settings import Job

_CODE_FLAGS = (
    "--sdk_container_image",
    "--setup_file",
    "--extra_package",
    "--extra_packages",
    "--prebuild_sdk_container_engine",
)


def wrong_on_dataflow(job: Job, flags: Sequence[str]) -> list[str]:
    """What is wrong, each with its fix."""
    return [*_state(job), *_secrets(job), *_code(flags)]


def _state(job: Job) -> Iterator[str]:
    for key, directory in (("checkpoint_dir", job.storage.checkpoint_dir), ("dead_letter_dir", job.storage.dead_letter_dir)):
        if "://" not in directory:
            yield f"storage.{key}: {directory} would be on a worker's disk, which goes away with the worker. Write gs://BUCKET/…."


def _secrets(job: Job) -> Iterator[str]:
    for reference in dict.fromkeys(secret.reference for secret in job.secrets()):
        if reference.scheme != "gcp":
            # A secret that is written into the file is known by its place in it, so the reference can be shown.
            yield f"{reference}: workers cannot read it. Write gcp:projects/PROJECT/secrets/NAME/versions/NUMBER."


def _code(flags: Sequence[str]) -> Iterator[str]:
    if not any(flag.partition("=")[0] in _CODE_FLAGS for flag in flags):
        yield "Workers would not have this program. Add --sdk_container_image=IMAGE, made as docs/dataflow.md says."
