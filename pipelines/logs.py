"""Logging of the program's own life (never of events): readable lines on a terminal and in systemd's journal, one JSON object
per line elsewhere.

Contract: ``set_up`` configures the root logger once, at the start of a command. A log file is rotated (10 MB, 5 old ones,
mode 600), and nothing that somebody else put in its place is written to (``transforms.process.files``). Whatever a message
holds, it makes one line, commands no terminal, and is written in any encoding. A log that cannot be written stops nothing
and ends in no traceback: the log file's trouble is told on stderr once a minute. Who moves the log file on by himself
(logrotate) says so by ``open_log_file_again``.

Beam's own chatter below WARNING is left out; what it says of a step that fails is ``pipelines.beam_internals.log_records``'s.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from typing_extensions import override

from pipelines.beam_internals.log_records import in_words
from pipelines.log_lines import JournalLines, JsonLines, TerminalLines
from pipelines.printable import printable
from transforms.notices import program
from transforms.notices.notice import RUNBOOK, tell
from transforms.process.files import open_own
from transforms.process.log_once import REMIND_SECS, LogOnce

_LOGGER = logging.getLogger("duologsync.program")
_FILE_BYTES = 10_000_000
_FILES = 5


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]  # it takes none on Python 3.10
    """Writes to what stderr is at the moment: while progress is drawn there, lines go above it."""

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _: Any) -> None:
        """What the base class was made with is of no use later."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except RecursionError:  # which the library lets through: whoever logs must not fail for what it logs
            self.handleError(record)

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        """Where stderr cannot be written to, there is nobody to tell; a record that cannot be rendered is told of plainly."""
        error = sys.exc_info()[1]
        if isinstance(error, (OSError, ValueError)):  # ValueError: it is closed
            return
        with suppress(OSError, ValueError, RuntimeError):  # RuntimeError: a signal's handler logs in the midst of a line
            self.stream.write(f"{record.levelname} {_plainly(record)} ({type(error).__name__} in the log itself)\n")
            self.flush()


def _plainly(record: logging.LogRecord) -> str:
    try:
        return printable(repr(record.msg))
    except Exception:  # of an object that cannot even say what it is
        return f"by {printable(record.name)}"


class _OwnerOnlyFile(logging.handlers.RotatingFileHandler):
    """A rotating file that only its owner may read: messages name accounts, hosts and files."""

    def __init__(self, path: str) -> None:
        self._tried_at = float("-inf")
        self._trouble = LogOnce(REMIND_SECS)
        self._writing = self._moved = False
        super().__init__(path, maxBytes=_FILE_BYTES, backupCount=_FILES, encoding="utf-8", errors="backslashreplace")

    def _open(self) -> Any:
        descriptor = open_own(Path(self.baseFilename), os.O_WRONLY | os.O_APPEND)
        return os.fdopen(descriptor, self.mode, encoding=self.encoding, errors=self.errors)

    def open_again(self) -> None:
        """The file was moved on by somebody else: the next record begins a new one. May be called by a signal's handler."""
        self._moved = True

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if self._writing:  # by a signal that came in the midst of a record: its file stays open until it is written
            super().emit(record)
            return
        self._writing = True
        try:
            if self._moved:
                self._moved = False
                self._begin_anew()
            super().emit(record)
        finally:
            self._writing = False

    def _begin_anew(self) -> None:
        try:
            fresh = self._open()
        except OSError as error:
            self._tell(error)  # and goes on in the one that it has
            return
        self.stream, old = fresh, self.stream
        if old is not None:
            old.close()

    @override
    def shouldRollover(self, record: logging.LogRecord) -> int:
        return super().shouldRollover(record) if time.monotonic() - self._tried_at >= REMIND_SECS else 0

    @override
    def doRollover(self) -> None:
        """Where the files cannot be moved on, this one grows for another minute: a record is worth more than the limit."""
        try:
            super().doRollover()
        except OSError as error:
            self._tried_at = time.monotonic()
            self._tell(error)

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        self._tell(sys.exc_info()[1])

    def _tell(self, error: BaseException | None) -> None:
        if self._trouble.due() is not None:  # what is said now comes here as well
            cause = getattr(error, "strerror", None) or error
            text = "The log file %s cannot be written as it should be: %s."
            tell(_LOGGER, program.LOG_NOT_WRITTEN, text, self.baseFilename, cause)


def set_up(*, verbose: bool = False, log_file: str | None = None, runbook: str = RUNBOOK) -> None:
    """Sends records to stderr, and to a file where one is wanted. Raises OSError where the file cannot be opened.

    Args:
      verbose: DEBUG, too.
      log_file: of JSON lines, beside stderr.
      runbook: where the lines' links lead, without the anchor.
    """
    handlers: list[logging.Handler] = [_Stderr(sys.stderr)]
    handlers[0].setFormatter(_for_stderr(runbook, texts=verbose))
    if log_file is not None:
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        file_handler = _OwnerOnlyFile(log_file)
        file_handler.setFormatter(JsonLines(runbook, texts=verbose))
        handlers.append(file_handler)
    for handler in handlers:
        handler.addFilter(in_words)
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=handlers, force=True)
    for name in ("apache_beam", "root_beam", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


def open_log_file_again() -> bool:
    """Begins a new log file at the next record, because the present one was moved on; whether there is a log file."""
    files = [handler for handler in logging.getLogger().handlers if isinstance(handler, _OwnerOnlyFile)]
    for file in files:
        file.open_again()
    return bool(files)


def _for_stderr(runbook: str, *, texts: bool) -> logging.Formatter:
    kind = TerminalLines if sys.stderr.isatty() else JournalLines if _is_journal() else JsonLines
    return kind(runbook, texts=texts)


def _is_journal() -> bool:
    """Whether stderr goes to systemd's journal, which says so by the device and inode of its socket."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):  # closed, or replaced by what has no descriptor
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))
