"""Dead letters on another file system (``gs://…``, ``s3://…``, ``hdfs://…``), through Beam's FileSystems.

Place in the flow: ``dead_letters.write.files_in`` gives this one for a directory that is an URL. Contract, where it differs
from the local one: each flush is an Avro file of its own; a name is never used twice.
"""

from __future__ import annotations

import time
from uuid import uuid4

import fastavro
import msgspec

from transforms.state.dead_letters.letter import SCHEMA, DeadLetter
from transforms.state.dead_letters.local import DeadLetterFiles, StreamName, file_safe_stream
from transforms.state.remote_files import file_systems, make_directory, retry_later


class RemoteDeadLetterFiles(DeadLetterFiles):
    """Dead letters in a directory of a Beam file system. Each write is a file of its own, so many letters share one."""

    at_once = False

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._url = url.rstrip("/")

    def try_out(self) -> None:
        """Nothing to do: to write costs a call, and the next bundle makes it anyway."""

    def _sync_stream(self, stream: StreamName) -> None:
        """Nothing to do: a file is durable once it is closed."""

    def _write_stream(self, stream: StreamName, letters: list[DeadLetter]) -> None:
        place = f"{self._url}/{file_safe_stream(stream)}.{time.time_ns() // 1_000_000}-{uuid4().hex}.avro"
        try:
            make_directory(self._url)
            with file_systems().create(place, mime_type="application/octet-stream") as file:
                fastavro.writer(file, SCHEMA, [msgspec.structs.asdict(letter) for letter in letters], codec="deflate")
        except Exception as error:  # each file system has errors of its own
            raise retry_later(f"Dead letters cannot be written to {self._url}", error, "dead_letters") from error
