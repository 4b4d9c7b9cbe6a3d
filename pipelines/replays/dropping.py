"""Drops dead letters for good, because somebody says so.

Place in the flow: ``pipelines.commands.dead_letters``.

Contract: what is dropped is written down first, in ``dropped.jsonl`` beside the letters: when, how many, whose and why.
Letters of a file that are not chosen, and those that came after the command began, are kept in a new file that is on disk
before the old one goes. So a crash at any moment drops nothing that was not written down; it can leave a file
``….dropping``, whose letters wait like others and may be there twice. A running program is not disturbed
(``transforms.state.dead_letters.files``), and no replay is at work meanwhile. A file that is damaged stays. One bundle of
letters is in memory at a time.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import NamedTuple

from pipelines.replays.letter_choice import LetterChoice
from pipelines.replays.sending import bundles
from transforms.notices import state
from transforms.notices.notice import tell
from transforms.state.dead_letters.counts import TAKEN_BY_REPLAY
from transforms.state.dead_letters.files import LetterFile, letter_files, only_one
from transforms.state.dead_letters.letter import DeadLetter
from transforms.state.dead_letters.retention import write_down
from transforms.state.dead_letters.write import files_in

_LOGGER = logging.getLogger("duologsync.commands")


class Dropped(NamedTuple):
    """By what is counted that was dropped."""

    account: str
    log_type: str
    destination: str
    reason: str


class Dropping:
    """One run over the files of a directory.

    Attributes:
      counts: what was dropped. unreadable: files that stay because they are damaged.
      left: files that a replay has taken, on another file system, where nobody can tell whether it is at work.
    """

    def __init__(self, directory: str, choice: LetterChoice) -> None:
        self.counts: Counter[Dropped] = Counter()
        self.unreadable: list[str] = []
        self.left: list[str] = []
        self._directory = directory
        self._choice = choice
        self._began_ms = time.time_ns() // 1_000_000

    def run(self) -> None:
        """Drops all that is chosen. Raises LettersInUse, OSError, and RetryLater where what is kept cannot be written."""
        with only_one(self._directory):
            for file in letter_files(self._directory):
                if "://" in self._directory and file.name.endswith(TAKEN_BY_REPLAY):
                    self.left.append(file.place)
                    continue
                try:
                    self._drop_from(file)
                except ValueError as error:
                    self.unreadable.append(file.place)
                    tell(_LOGGER, state.NOT_REPLAYED, "%s stays as it is, and the others go on: %s.", file.place, error)

    def _drop_from(self, file: LetterFile) -> None:
        # All of it is read before it is taken: what cannot be read is neither dropped nor kept by what follows.
        if not any([self._is_chosen(letter) for letter in file.letters(whole=True)]):  # noqa: C419
            return
        file.take_to_drop()
        dropped: Counter[Dropped] = Counter()
        for bundle in bundles(file.letters()):
            kept = [letter for letter in bundle if not self._is_chosen(letter)]
            dropped.update(_kind(letter) for letter in bundle if self._is_chosen(letter))
            if kept:
                files_in(self._directory).write(kept)
        self._write_down(file, dropped)
        file.remove()
        self.counts += dropped

    def _is_chosen(self, letter: DeadLetter) -> bool:
        """Whether it goes. One that came meanwhile was never shown to who drops."""
        return letter.time_ms < self._began_ms and self._choice.takes(**_kind(letter)._asdict(), time_ms=letter.time_ms)

    def _write_down(self, file: LetterFile, dropped: Counter[Dropped]) -> None:
        counts = [{**kind._asdict(), "count": count} for kind, count in sorted(dropped.items())]
        line = {"dropped_ms": self._began_ms, "file": file.name, "letters": counts}
        for kind, count in sorted(dropped.items()):
            _LOGGER.info("Dropped: %d of %s/%s to %s, %s.", count, kind.account, kind.log_type, kind.destination, kind.reason)
        if "://" in self._directory:
            return  # an object cannot be appended to; the log has it
        write_down(self._directory, line)


def _kind(letter: DeadLetter) -> Dropped:
    return Dropped(letter.account, letter.log_type, letter.destination, letter.reason)
