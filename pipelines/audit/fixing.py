"""Sends missing events again: reads the stretches in which they happened, and sends those and no others.

Place in the flow: the auditor asks for it where ``--fix`` was said, part by part.
Contract: only to the destination that lacks them, as the configuration says now, at least once: an event that the destination
has and does not show yet is there twice then. What cannot be delivered is a dead letter afterwards. Waits for a destination
that is away, as a replay does. One bundle is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pipelines.audit.compare import stretches
from pipelines.audit.duo_rows import DuoRows
from pipelines.audit.expected import Expected
from pipelines.replays.sending import Sending, as_letter, bundles, keep_failed
from transforms.destinations.stored.reader import Stretch
from transforms.records import Stream
from transforms.settings import Destination, Job

Read = Callable[[Stretch], DuoRows]
"""Reads a stretch of the stream again."""


def send_again(
    job: Job, stream: Stream, destination: Destination, expected: Expected, missing: Mapping[str, int], read: Read
) -> int:
    """Sends the missing ones; how many events were sent. Raises what reading and sending raise."""
    sending = Sending(job, destination.name, None)
    letters = (
        as_letter(stream, row, time_ms)
        for from_ms, until_ms in stretches(missing)
        for row, time_ms in _rows(read(Stretch(from_ms, until_ms)))
        if any(made.key in missing for made in expected.of(row))
    )
    sent = 0
    try:
        for bundle in bundles(letters):
            failed = sending.send(bundle)
            sent += len(bundle)
            keep_failed(failed, job.storage.dead_letter_dir)
    finally:
        sending.end_connections()
    return sent


def _rows(found: DuoRows) -> Iterator[tuple[bytes, int | None]]:
    for page in found.pages():
        yield from page
