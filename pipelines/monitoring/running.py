"""What a running program says of itself, asked from another process on the same machine.

Place in the flow: ``status`` and ``tap`` ask here, where ``place`` says that one listens; ``server`` answers.

Contract: nothing is raised where nobody listens, or somebody else does: then there is no answer, and whoever asks goes by the
checkpoint store. An answer counts only where it is of the process that wrote the file; where no process holds the checkpoint
directory, nobody is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from pipelines.monitoring.place import place_in
from pipelines.monitoring.report import Report
from transforms.errors import DuoLogSyncError
from transforms.settings import Job
from transforms.state.checkpoints.inspection import is_in_use

_LONGEST_REPORT_BYTES = 64 * 1024 * 1024
# Made while importing: see transforms.state.cursor on msgspec and threads.
_decode_report = msgspec.json.Decoder(Report).decode


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a program listens, and which process it is. ``token``: what it wants to be shown; empty where it wants none.
    ``key``: what it wants of who would see events.
    """

    url: str
    pid: int
    token: str = ""
    key: str = ""

    def ask(self, path: str, timeout_secs: float, more_headers: Mapping[str, str] | None = None) -> HTTPResponse:
        """The answer to a GET, its body unread. Raises OSError or HTTPException."""
        parts = urlsplit(self.url)
        connection = HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_secs)
        headers = {"Connection": "close"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        connection.request("GET", path, headers=headers | dict(more_headers or {}))
        return connection.getresponse()

    def report(self, timeout_secs: float = 2.0) -> Report | None:
        """What it says of itself; None where it does not answer, or another process does."""
        try:
            with self.ask("/status.json", timeout_secs) as answer:
                if answer.status != 200:
                    return None
                report = _decode_report(answer.read(_LONGEST_REPORT_BYTES))
        except (OSError, HTTPException, msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return None
        return report if report.process is not None and report.process.pid == self.pid else None


def endpoint_of(job: Job) -> Endpoint | None:
    """Where the program listens that runs a job; None where none runs, or it cannot be asked.

    What a program that was killed has noted counts for nothing: by now, another user's may listen there, who must get neither
    token nor key.
    """
    place = place_in(job.storage.checkpoint_dir)
    if place is None or not is_in_use(Path(job.storage.checkpoint_dir)):
        return None
    reference = job.monitoring.token
    try:
        return Endpoint(place.url, place.pid, reference.resolve() if reference is not None else "", place.key)
    except DuoLogSyncError:  # a secret that only the program may read
        return None
