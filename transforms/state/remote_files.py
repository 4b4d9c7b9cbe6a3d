"""Objects on a Beam file system (``gs://…``, ``s3://…``, ``hdfs://…``): the few calls that the remote stores are made of.

Place in the flow: below ``checkpoints.remote`` and ``dead_letters.remote``. Contract: each file system raises errors of its
own; whoever calls turns them into ``RetryLater`` by ``retry_later``.
"""

from __future__ import annotations

import posixpath
from contextlib import suppress
from typing import Any

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.options.value_provider import RuntimeValueProvider

from transforms.errors import RetryLater


def retry_later(what: str, error: Exception, kind: str) -> RetryLater:
    """What an error of any file system means here."""
    return RetryLater(f"{what}: {type(error).__name__}: {error}. It is tried again.", kind=kind)


def file_systems() -> Any:
    """Beam's file systems, ready to be used.

    They get their options where a pipeline is made, or a worker begins. A command that makes none has to give them some: S3's
    does nothing without.
    """
    if FileSystems._pipeline_options is None and RuntimeValueProvider.runtime_options is None:  # noqa: SLF001 - nothing public tells
        FileSystems.set_options(PipelineOptions([]))
    return FileSystems


def exists(place: str) -> bool:
    """Whether there is an object."""
    return bool(file_systems().exists(place))


def read(place: str) -> bytes:
    """The whole object."""
    with file_systems().open(place) as file:
        return bytes(file.read())


def write(place: str, content: bytes) -> None:
    """Writes an object whole; its directory is made where that is missing."""
    make_directory(posixpath.dirname(place))
    with file_systems().create(place, mime_type="application/json") as file:
        file.write(content)


def make_directory(directory: str) -> None:
    """For file systems that have directories; object stores do not mind, and say that it is there."""
    with suppress(OSError):
        file_systems().mkdirs(directory)
