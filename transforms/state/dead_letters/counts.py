"""How many dead letters wait, and why: counted for people who look, without Beam and without reading one event.

Place in the flow: ``status`` and the report of a running program ask here; ``files`` says what the names of files mean.

Contract: only looks; files of a running copy and of a replay are counted like others, files that are replayed are not. Letters
beyond the first thousands are counted without their reasons, so that a look stays short. A file that is damaged, or another
user's, is counted by itself, as one of ``NOT_READABLE``. An URL is not looked into. Raises OSError where the directory cannot
be listed.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import fastavro

from transforms.notices.notice import Notice
from transforms.process.files import open_to_read
from transforms.state.dead_letters.avro_files import read_whole_blocks

NOT_LOOKED_INTO, NOT_READABLE = "not_looked_into", "file_not_readable"
MAYBE_UNREAD = "maybe_unread"
"""The reason of a letter whose event was acknowledged by its receiver, which may not have read it."""
TAKEN_BY_REPLAY, TAKEN_TO_DROP = ".replaying", ".dropping"
WAITING = ("", TAKEN_BY_REPLAY, TAKEN_TO_DROP)
"""What can stand behind the name of a file whose letters wait; see ``files``."""
_MOST_LOOKED_INTO = 20_000  # a tenth of a second
# What is read of a letter: Avro leaves out the rest by itself, events among it.
_FIELDS = ("account", "log_type", "destination", "reason")
_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "DeadLetter",
    "namespace": "duologsync",
    "fields": [{"name": name, "type": "string"} for name in _FIELDS],
}


class Kind(NamedTuple):
    """What letters are counted by; of letters that were not looked into, only the reason is known, and says so."""

    account: str
    log_type: str
    destination: str
    reason: str

    @property
    def was_sent(self) -> bool:
        """It was acknowledged, and may have been read: it counts as delivered, too."""
        return self.reason == MAYBE_UNREAD


def kept_for(keep_days: float | None) -> str:
    """For how long letters are kept, in words."""
    return "for ever" if keep_days is None else f"for {keep_days:g} day{'' if keep_days == 1 else 's'}"


def count_letters(directory: str, most_looked_into: int = _MOST_LOOKED_INTO) -> Counter[Kind]:
    """How many letters of each kind wait in a directory; see the module."""
    counts: Counter[Kind] = Counter()
    if "://" in directory or not Path(directory).is_dir():
        return counts
    names = sorted(name for name in os.listdir(directory) if name.endswith(tuple(f".avro{ending}" for ending in WAITING)))  # noqa: PTH208 - a Path hides a directory that cannot be listed
    left = most_looked_into
    for name in names:
        path = Path(directory) / name
        try:
            if left > 0:
                found = count_letters_in(path)
                left -= found.total()
            else:
                found = Counter({Kind("", "", "", NOT_LOOKED_INTO): _number_in(path)})
            counts += found
        except FileNotFoundError:  # a replay has just renamed it
            continue
        except (OSError, ValueError):
            counts[Kind("", "", "", NOT_READABLE)] += 1
    return counts


def count_letters_in(path: Path) -> Counter[Kind]:
    """How many letters of each kind are in one file; of a damaged one those that can be read. Raises OSError and ValueError."""
    records = read_whole_blocks(path, _SCHEMA, _untold)
    return Counter(Kind(*(record[field] for field in _FIELDS)) for record in records)


def _untold(_notice: Notice, _text: str) -> None:
    """Nothing is said of damage by who only counts: he looks again and again, also while somebody is writing."""


def _number_in(path: Path) -> int:
    """How many there are by the heads of the blocks."""
    number = 0
    with os.fdopen(open_to_read(path), "rb") as file:
        try:
            for block in fastavro.block_reader(file):
                number += block.num_records
        except Exception as error:  # a damaged file shows as whatever its reader trips over
            if not number:
                raise ValueError(str(error)) from error
    return number
