"""Replays dead letters, file by file.

Place in the flow: ``pipelines.commands.replay`` without ``--from-archive``.

Contract: a file whose letters were all delivered and seen to be read, or found undeliverable again and kept in a new file, is
renamed to ``….replayed`` and never deleted. Letters that were not chosen are kept in a new file as they are; a file of which
none is chosen is left alone. At least once: a replay that is broken off sends that file's letters again. A file that is damaged
is told and stays; the others go on. One bundle of letters is in memory at a time.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from pipelines.replays.choice import Choice
from pipelines.replays.progress import Progress
from pipelines.replays.sending import Sending, bundles
from transforms.notices import state
from transforms.notices.notice import tell
from transforms.process.plural import counted
from transforms.state.dead_letters.files import LetterFile, letter_files, only_one
from transforms.state.dead_letters.letter import DeadLetter
from transforms.state.dead_letters.write import files_in

_LOGGER = logging.getLogger("duologsync.commands")
HOMELESS, UNREADABLE, UNREAD = "without a destination", "files that cannot be read", "not seen to be read"


class LetterReplay:
    """One run over the files of a directory.

    Attributes:
      planned: how many letters of each log are chosen, and where they go.
    """

    def __init__(self, directory: str, choice: Choice, sending: Sending) -> None:
        self._directory = directory
        self._choice = choice
        self._sending = sending
        self._counts = sending.counts
        self.planned: Counter[tuple[str, str]] = Counter()

    def plan(self) -> list[LetterFile]:
        """The files of which something is chosen; those that cannot be read are told. Raises OSError for the directory."""
        return [file for file in letter_files(self._directory) if self._wanted(file)]

    def run(self) -> None:
        """Sends all that is chosen. Raises DuoLogSyncError; LettersInUse where another command does so now."""
        with only_one(self._directory):
            files = self.plan()
            progress = Progress(sum(self.planned.values()))
            for file in files:
                try:
                    self._send_file(file, progress)
                except (OSError, ValueError) as error:
                    self._unreadable(file, error)

    def _wanted(self, file: LetterFile) -> bool:
        """Looks through a file: whether something is chosen in it, all of which has somewhere to go."""
        planned: Counter[tuple[str, str]] = Counter()
        try:
            for letter in file.letters():
                if self._choice.takes(letter):
                    destination = self._sending.destination_of(letter)
                    planned[letter.log_type, destination.name if destination else ""] += 1
        except (OSError, ValueError) as error:
            self._unreadable(file, error)
            return False
        homeless = sum(count for (_, name), count in planned.items() if not name)
        if homeless:
            self._counts[HOMELESS] += homeless
            tell(
                _LOGGER,
                state.HOMELESS,
                "%s: %s without a destination of this configuration; use --to.",
                file.name,
                counted(homeless, "letter"),
            )
            return False
        self.planned += planned
        return bool(planned) or self._choice.takes_all

    def _send_file(self, file: LetterFile, progress: Progress) -> None:
        """Sends a file's letters and sets it aside. Raises OSError and ValueError where it cannot be read or renamed."""
        # A running copy sees that its file is gone and begins another one; what it wrote meanwhile is in this one.
        file.take()
        done = 0
        while more := self._send_behind(file, done, progress):
            done += more
        if not self._sending.end_connections():
            # Acknowledged is not read: the file is sent again by the next replay.
            self._counts[UNREAD] += done
            tell(
                _LOGGER,
                state.REPLAY_UNREAD,
                "%s: a receiver was not seen to read what it acknowledged. The next replay sends it again.",
                file.name,
            )
            return
        file.set_aside()

    def _send_behind(self, file: LetterFile, done: int, progress: Progress) -> int:
        """Sends what is behind the letters that are done; how many there were."""
        letters: Iterator[DeadLetter] = islice(file.letters(), done, None)
        more = 0
        for bundle in bundles(letters):
            more += len(bundle)
            chosen = [letter for letter in bundle if self._choice.takes(letter)]
            kept = [] if len(chosen) == len(bundle) else [letter for letter in bundle if not self._choice.takes(letter)]
            kept += self._sending.send(chosen)
            if kept:
                files_in(self._directory).write(kept)
            progress.add(len(chosen))
        return more

    def _unreadable(self, file: LetterFile, error: OSError | ValueError) -> None:
        """One file that is damaged, or that somebody took away meanwhile, must not keep the others back."""
        self._counts[UNREADABLE] += 1
        cause = error.strerror if isinstance(error, OSError) and error.strerror else error
        tell(_LOGGER, state.NOT_REPLAYED, "%s stays as it is, and the others go on: %s.", file.place, cause)
