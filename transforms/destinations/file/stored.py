"""What is in the files of a destination: each line is an event.

Place in the flow: a ``StoredReader``, for audits.

Contract: looks at the file that is written to now and at those that were renamed beside it, as ``log_file`` names them, but not
at those that were last written to before the stretch began. What somebody else has moved away or compressed is not seen. The
last line may be half written; then it is an event that is not there yet. Nothing is changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from transforms.destinations.file.settings import FileSettings, path_of
from transforms.destinations.stored.keys import Keys
from transforms.destinations.stored.reader import CannotBeShown, Stretch
from transforms.duo.log_types import LOG_TYPES
from transforms.process.files import open_to_read
from transforms.records import Stream
from transforms.settings import Destination

_RENAMED = re.compile(r"\.\d{8}T\d{6}Z-\d+\.\d{3}")


def make(destination: Destination[FileSettings]) -> FileReader:
    """A reader; it opens nothing yet."""
    return FileReader(destination)


class FileReader:
    """See the module."""

    of_rows = False

    def __init__(self, destination: Destination[FileSettings]) -> None:
        self._destination = destination

    def keys(self, stream: Stream, stretch: Stretch) -> Iterator[str]:
        log_type = LOG_TYPES.get(stream.log_type)
        keys = Keys(log_type.id_field if log_type is not None else None)
        path = path_of(self._destination.settings.path, stream.account, stream.log_type)
        seen: set[int] = set()  # inodes: one that is renamed meanwhile is found under its new name
        while fresh := [each for each in self._files(path) if _inode(each) not in {*seen, None}]:
            for each in fresh:
                try:
                    with os.fdopen(open_to_read(each), "rb") as file:
                        found = os.fstat(file.fileno())
                        if found.st_ino not in seen and found.st_mtime * 1000 >= stretch.from_ms:
                            yield from (keys.of_text(line) for line in file if line.endswith(b"\n"))
                        seen.add(found.st_ino)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise CannotBeShown(f"{each} cannot be read: {error.strerror}.") from error

    def close(self) -> None:
        """Nothing is open between two questions."""

    def _files(self, path: Path) -> Iterator[Path]:
        try:
            beside = list(path.parent.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise CannotBeShown(f"{path.parent} cannot be read: {error.strerror}.") from error
        for each in beside:
            behind = each.name.removeprefix(path.name)
            if each.name.startswith(path.name) and (not behind or _RENAMED.fullmatch(behind)):
                yield each


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None
