"""What is in an archive, for audits: the same events as ``reader`` shows a replay.

Place in the flow: a ``StoredReader``. Contract: as that says; a file that is damaged raises, because what is in it cannot be
said to be there.
"""

from __future__ import annotations

from collections.abc import Iterator

from transforms.destinations.archive.reader import Window, events_of, files_of
from transforms.destinations.archive.settings import AvroSettings
from transforms.destinations.stored.keys import Keys
from transforms.destinations.stored.reader import CannotBeShown, Stretch
from transforms.duo.log_types import LOG_TYPES
from transforms.process.files import file_safe
from transforms.records import Stream
from transforms.settings import Destination


def make(destination: Destination[AvroSettings]) -> ArchiveReader:
    """A reader; it opens nothing yet."""
    return ArchiveReader(destination)


class ArchiveReader:
    """See the module."""

    of_rows = True

    def __init__(self, destination: Destination[AvroSettings]) -> None:
        self._directory = destination.settings.directory

    def keys(self, stream: Stream, stretch: Stretch) -> Iterator[str]:
        log_type = LOG_TYPES.get(stream.log_type)
        keys = Keys(log_type.id_field if log_type is not None else None)
        window = Window(stretch.from_ms, stretch.until_ms)
        beginning = f"{file_safe(stream.account)}/{file_safe(stream.log_type)}/"
        try:
            for file in files_of(self._directory, window):
                if not file.below.startswith(beginning):
                    continue
                for event in events_of(file):
                    if window.has(event.time_ms) and event.stream.identity == stream.identity:
                        yield keys.of_text(event.raw or event.message)
        except FileNotFoundError:
            return  # nothing was ever written
        except (OSError, ValueError) as error:
            raise CannotBeShown(f"{error}.") from error

    def close(self) -> None:
        """Nothing is open between two questions."""
