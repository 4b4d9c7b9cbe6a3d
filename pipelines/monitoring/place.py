"""Where the endpoint of a running program is: a small file in its checkpoint directory, for ``status`` and ``tap``.

Place in the flow: ``server`` writes it when it listens and removes it at the end; ``running`` reads it for the commands.

Contract: mode 600, JSON: ``v`` (1), ``url``, ``pid``, and ``key``, which ``tap`` shows: who can read the directory may see
events. No token is in it. One that a killed program has left behind leads to nobody, or to a process of another number, which
``running`` sees; the next start removes it. A directory on another file system has none.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from transforms.process.files import open_new, read_own

FILE_NAME = ".monitoring"
_VERSION = 1


class Place(msgspec.Struct, frozen=True):
    """Where to ask. ``url`` ends with a slash."""

    url: str
    pid: int
    v: int = _VERSION
    key: str = ""


# Made while importing: msgspec crashes the process where two threads are the first to decode a type at the same time.
_decode_place = msgspec.json.Decoder(Place).decode


def write_place(directory: str, url: str, key: str = "") -> None:
    """Tells where this process can be asked. Raises OSError."""
    path = Path(directory) / FILE_NAME
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(open_new(fresh), "wb") as file:
        file.write(msgspec.json.encode(Place(url, os.getpid(), key=key)))
    fresh.replace(path)


def remove_place(directory: str) -> None:
    """It cannot be asked any more. Never raises."""
    with suppress(OSError):
        (Path(directory) / FILE_NAME).unlink()


def place_in(directory: str) -> Place | None:
    """What is noted in a checkpoint directory; None where nothing is. A program that was killed may have left it behind."""
    if "://" in directory:
        return None
    with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        place = _decode_place(read_own(Path(directory) / FILE_NAME))
        return place if place.v == _VERSION else None
    return None
