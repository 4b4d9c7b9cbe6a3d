"""What the program shows on a terminal, made harmless: the one place for it.

Place in the flow: the log's formatters and every line that a command prints go through here.

Why: names of an MSP's children, account ids, host names and the messages of errors come from Duo, file names from whoever can
make files. A terminal obeys what they hold: escape sequences change what is seen, line breaks forge lines, direction marks turn
text around. What is no visible character (``str.isprintable``) is shown as Python would write it: ``\\x1b``, ``\\n``,
``\\u202e``. That goes for lone surrogates, too, which no encoding can write.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import TextIO

_MAYBE_ODD = re.compile(r"[^\x20-\x7e]")


def printable(text: str) -> str:
    """The text on one line, with every character visible."""
    return text if text.isprintable() else _MAYBE_ODD.sub(_shown, text)


def printable_lines(text: str) -> str:
    """The same for a text of ours that has several lines."""
    return "\n".join(printable(line) for line in text.split("\n"))


class OutputLost(Exception):
    """What a command prints cannot be written: a disk is full, for one. No OSError, which commands take for their own files'.

    Attributes:
      nobody_reads: its reader went away, as in ``… | head``.
    """

    nobody_reads = False


def say(line: object = "", *, to: TextIO | None = None) -> None:
    """Prints one line, at once; to stdout unless said otherwise. Raises OutputLost."""
    with writing():
        print(printable(str(line)), file=to if to is not None else sys.stdout, flush=True)


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Around what writes to stdout or stderr: an error there is no other file's. Raises OutputLost."""
    try:
        yield
    except OSError as error:
        lost = OutputLost(error.strerror or str(error))
        lost.nobody_reads = isinstance(error, BrokenPipeError)
        raise lost from error


def say_json(value: object, *, to: TextIO | None = None) -> None:
    """Prints a value as one line of JSON, at once; in ASCII, so that no character of it commands a terminal."""
    import json  # here, because ``--help`` and errors need neither

    import msgspec

    with writing():
        print(json.dumps(msgspec.to_builtins(value)), file=to if to is not None else sys.stdout, flush=True)


def write_whatever_comes() -> None:
    """Lets stdout and stderr escape what their encoding does not have, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _shown(match: re.Match[str]) -> str:
    character = match.group()
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
