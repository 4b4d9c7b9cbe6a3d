"""What waits in a directory of dead letters, counted by destination, log, day and reason.

Place in the flow: ``pipelines.commands.dead_letters`` shows it.

Contract: only looks; a file of a running program is read up to its last whole block. A file that cannot be read is named,
and the others are counted. On this machine no event is read and Beam is not loaded. Raises OSError where the directory
cannot be listed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.replays.letter_choice import LetterChoice
from transforms.process.clock import utc
from transforms.state.dead_letters.avro_files import read_whole_blocks
from transforms.state.dead_letters.counts import WAITING

_TEXTS = ("account", "log_type", "destination", "reason")
# Of a letter; Avro leaves out the rest by itself, events among it.
_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "DeadLetter",
    "namespace": "duologsync",
    "fields": [
        {"name": "time_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        *({"name": name, "type": "string"} for name in _TEXTS),
    ],
}


class Group(NamedTuple):
    """What letters are counted by. ``day``: on which they were given up, in UTC."""

    destination: str
    log_type: str
    account: str
    day: str
    reason: str


@dataclass
class Overview:
    """What waits.

    Attributes:
      counts: letters by group. files, size_bytes: of all that waits, chosen or not.
      unreadable: files that cannot be read, and why.
    """

    counts: Counter[Group] = field(default_factory=Counter)
    files: int = 0
    size_bytes: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)


def overview(directory: str, choice: LetterChoice) -> Overview:
    """What is chosen of the directory; see the module."""
    found = Overview()
    for place, letters, size_bytes in _remote(directory) if "://" in directory else _local(Path(directory)):
        found.files += 1
        found.size_bytes += size_bytes
        try:
            for group, time_ms in letters:
                named = {name: value for name, value in group._asdict().items() if name != "day"}
                if choice.takes(**named, time_ms=time_ms):
                    found.counts[group] += 1
        except FileNotFoundError:  # a replay has just renamed it
            continue
        except (OSError, ValueError) as error:
            found.unreadable[place] = str((isinstance(error, OSError) and error.strerror) or error)
    return found


_Letters = Iterator[tuple[Group, int]]


def _local(directory: Path) -> Iterator[tuple[str, _Letters, int]]:
    if not directory.is_dir():
        return
    for name in sorted(os.listdir(directory)):  # noqa: PTH208 - a Path hides a directory that cannot be listed
        if name.endswith(tuple(f".avro{ending}" for ending in WAITING)):
            path = directory / name
            yield str(path), _records_of(path), path.stat().st_size if path.exists() else 0


def _records_of(path: Path) -> _Letters:
    for record in read_whole_blocks(path, _SCHEMA):
        yield _grouped(round(record["time_ms"].timestamp() * 1000), **{name: record[name] for name in _TEXTS})


def _remote(url: str) -> Iterator[tuple[str, _Letters, int]]:
    from transforms.state.dead_letters.files import letter_files  # needs Beam, which local directories do not

    for file in letter_files(url):
        letters = (
            _grouped(each.time_ms, each.account, each.log_type, each.destination, each.reason) for each in file.letters()
        )
        yield file.place, letters, 0


def _grouped(time_ms: int, account: str, log_type: str, destination: str, reason: str) -> tuple[Group, int]:
    return Group(destination, log_type, account, utc(time_ms)[:10], reason), time_ms
