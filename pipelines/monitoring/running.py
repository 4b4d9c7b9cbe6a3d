"""What a running program says of itself, asked from another process on the same machine.

Place in the flow: ``status`` and ``tap`` ask here; ``pipelines.monitoring.server`` answers. Where the program listens stands in
the file ``.monitoring`` of its checkpoint directory: JSON, readable by its owner alone.

Contract: nothing is raised where nobody listens, or somebody else does: then there is no answer, and whoever asks goes by the
checkpoint store. An answer counts only where it is of the process that wrote the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit

import msgspec

from pipelines.monitoring.place import place_in
from pipelines.monitoring.report import Report

_LONGEST_REPORT_BYTES = 64 * 1024 * 1024
_decode_report = msgspec.json.Decoder(Report).decode


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a program listens, and which process it is. ``token``: what it wants to be shown; empty where it wants none."""

    url: str
    pid: int
    token: str = ""

    def ask(self, path: str, timeout_secs: float) -> HTTPResponse:
        """The answer to a GET, its body unread. Raises OSError or HTTPException."""
        parts = urlsplit(self.url)
        connection = HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_secs)
        headers = {"Connection": "close"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        connection.request("GET", path, headers=headers)
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


def endpoint_in(directory: str, token: str = "") -> Endpoint | None:
    """Where the program listens that uses a checkpoint directory; None where none says so."""
    place = place_in(directory)
    return Endpoint(place.url, place.pid, token) if place is not None else None
