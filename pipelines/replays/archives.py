"""Replays a window of an archive.

Place in the flow: ``pipelines.commands.replay`` with ``--from-archive``.

Contract: the archive is not changed. Events are sent in the order of their days, those without one first; within a day, log by
log. What is undeliverable becomes a dead letter. A file that is damaged is told; the others go on. One bundle of events is in
memory at a time, and the names of the files. Broken off, it says from which day on the next replay goes on; what was sent of
that day is repeated then.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

from pipelines.replays.choice import Choice
from pipelines.replays.letters import UNREAD, UNREADABLE
from pipelines.replays.progress import Progress
from pipelines.replays.sending import Sending, as_letter, bundles, keep_failed
from transforms.destinations.archive import reader
from transforms.destinations.archive.reader import ArchiveFile
from transforms.notices import state
from transforms.notices.notice import tell
from transforms.state.dead_letters.letter import DeadLetter

_LOGGER = logging.getLogger("duologsync.commands")


class ArchiveReplay:
    """One run over the files of an archive.

    Attributes:
      planned: how many events of each log are chosen, and where they go; known behind ``plan`` or ``run``.
      day: of the file that is read now; what is before it has been delivered.
    """

    def __init__(self, directory: str, choice: Choice, sending: Sending, dead_letter_dir: str) -> None:
        self._directory = directory
        self._choice = choice
        self._sending = sending
        self._dead_letter_dir = dead_letter_dir
        self.planned: Counter[tuple[str, str]] = Counter()
        self.day = ""
        self._reading_day = ""

    def plan(self) -> None:
        """Looks through the files. Raises OSError where there is no such directory, RetryLater where it cannot be asked for."""
        for _ in self._chosen(self._files(), None):
            pass

    def run(self) -> None:
        """Sends all that is chosen. Raises DuoLogSyncError, and OSError where there is no such directory."""
        files = self._files()
        progress = Progress(sum(file.events for file in files))
        for bundle in bundles(self._chosen(files, progress)):
            failed = self._sending.send(bundle)
            keep_failed(failed, self._dead_letter_dir)
            self.day = self._reading_day
        if not self._sending.end_connections():
            self._sending.counts[UNREAD] += 1
            tell(_LOGGER, state.REPLAY_UNREAD, "A receiver was not seen to read all that it acknowledged: replay it again.")

    def _files(self) -> list[ArchiveFile]:
        return reader.files_of(self._directory, self._choice.window)

    def _chosen(self, files: list[ArchiveFile], progress: Progress | None) -> Iterator[DeadLetter]:
        for file in files:
            self._reading_day = file.day
            self.day = self.day or file.day
            try:
                for event in reader.events_of(file):
                    letter = as_letter(event.stream, event.raw, event.time_ms, event.message)
                    if self._choice.window.has(event.time_ms) and self._choice.takes(letter):
                        destination = self._sending.destination_of(letter)
                        self.planned[letter.log_type, destination.name if destination else ""] += 1
                        yield letter
            except (OSError, ValueError) as error:
                self._sending.counts[UNREADABLE] += 1
                tell(_LOGGER, state.NOT_REPLAYED, "%s is left out, and the others go on: %s.", file.place, error)
            if progress is not None:
                progress.add(file.events)
