"""Files: a line for each message, on the disk before a bundle ends.

Place in the flow: one of the kinds.

Delivered means: the line is in the file, the file and its name are synced to the disk, and the line is whole. The file is never
removed here, and nothing in it is ever changed.

A disk that is full or that fails is told, and tried again until it takes the rest; no line is written in halves meanwhile. What
was written before an error stays, so a bundle that is given up then, or a process that dies before its bundle is confirmed, is
repeated as far as it was written.

Contract: as in ``transforms.destinations.sender``.
"""

from __future__ import annotations

from pathlib import Path

from transforms.destinations.file.log_file import LogFile
from transforms.destinations.file.settings import MODES, FileSettings, path_of
from transforms.destinations.health import health_of
from transforms.destinations.sender import Confirmation, KeepsNothing, Rejection, oversize
from transforms.destinations.waits import CONNECTING, Waits
from transforms.errors import BadDestination, DuoLogSyncError
from transforms.process.files import ONLY_A_PERSON, check_own, why_not_writable
from transforms.process.retry import RetryPolicy
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination
from transforms.state.receipts import READ_AT_ONCE

_MOST_OPEN = 16  # files that one sender keeps open between bundles


def make(destination: Destination[FileSettings], retry: RetryPolicy = CONNECTING) -> FileSender:
    """A sender that opens its files when the first messages are confirmed."""
    return FileSender(destination, retry)


class FileSender(KeepsNothing):
    """A ``Sender`` to files. Messages are held until ``confirm``, and written to each file at once."""

    reconnects = 0

    def __init__(self, destination: Destination[FileSettings], retry: RetryPolicy) -> None:
        self._destination = destination
        self._health = health_of(destination)
        self._waits = Waits(destination, retry)
        self._files: dict[Path, LogFile] = {}
        self._taken = 0  # messages of this bundle
        self._rejected: list[Rejection] = []  # of them
        self._lines: dict[Path, list[bytes]] = {}  # of them: what is not in its file yet

    def begin(self, owner: Stream | None = None) -> None:  # noqa: ARG002 - nothing is kept that would need an owner
        self._taken = 0
        self._rejected, self._lines = [], {}
        self._waits.begin()

    def send(self, page: FormattedPage) -> None:
        most_bytes = self._destination.max_message_bytes
        lines = self._lines.setdefault(path_of(self._destination.settings.path, page.stream.account, page.stream.log_type), [])
        for index, message in enumerate(page.messages, self._taken):
            if most_bytes is not None and len(message) > most_bytes:
                self._rejected.append(oversize(index, len(message), self._destination.name, most_bytes))
            else:
                lines.append(message)
        self._taken += len(page.messages)

    def confirm(self) -> Confirmation:
        for path in list(self._lines):
            lines = self._lines[path]
            if lines:
                self._insist(path, b"\n".join([*lines, b""]))
            del self._lines[path]
        if len(self._files) > _MOST_OPEN:
            self._close_files()
        return Confirmation(READ_AT_ONCE, tuple(self._rejected))

    def check(self) -> None:
        """Nothing can have happened to a file that matters before the next bundle."""

    def close(self, grace_secs: float) -> None:  # noqa: ARG002 - all that was confirmed is on the disk
        self._close_files()

    def interrupt(self) -> None:
        self._waits.interrupt()

    @property
    def waited_secs(self) -> float:
        """How long this bundle has waited for the disk to take something."""
        return self._waits.waited_secs

    def test_connection(self) -> None:
        """Looks whether the file, and its directory, can be written to, without making any. Raises BadDestination."""
        template = self._destination.settings.path
        try:
            trouble = why_not_writable(Path(template.partition("{")[0] + "_").parent)
            check_own(Path(template))
        except OSError as error:
            trouble = error
        if trouble is not None:
            raise self._bad(trouble)

    def _insist(self, path: Path, block: bytes) -> None:
        file = self._file(path)
        try:
            while not self._appended(file, block):
                self._waits.back_off()
        except DuoLogSyncError:
            file.give_up()
            raise
        self._waits.succeeded()
        self._waits.moved()
        self._health.back(0)
        self._health.ever_delivered = True

    def _appended(self, file: LogFile, block: bytes) -> bool:
        """Whether the disk took it. What only a person can mend ends the program only before anything was ever written."""
        try:
            file.append(block, self._rest)
        except OSError as error:
            if error.errno in ONLY_A_PERSON and not self._health.ever_delivered:
                raise self._bad(error) from error
            self._health.away(str(error.strerror or error))
            return False
        return True

    def _file(self, path: Path) -> LogFile:
        there = self._destination.settings
        if path not in self._files:
            self._files[path] = LogFile(
                path, mode=MODES[there.readable_by], rotate_bytes=there.rotate_bytes, rotate_secs=there.rotate_secs
            )
        return self._files[path]

    def _bad(self, error: OSError) -> BadDestination:
        name, path = self._destination.name, error.filename or self._destination.place
        return BadDestination(f"Destination {name}: {path} cannot be written to: {error.strerror or error}.")

    def _rest(self, secs: float) -> None:
        self._waits.rest(secs)
        self._waits.watch()

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
