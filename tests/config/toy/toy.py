"""A format and a kind of destination that the product knows nothing of, as somebody else would write them.

``pairs`` writes an event as ``key=value`` pairs. ``spool`` appends signed lines to a file.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from transforms import destinations, formats
from transforms.config_keys import Broken, Doc, FilePath, Ge, Le
from transforms.destinations import Confirmation, Kind, Rejection
from transforms.errors import BadDestination
from transforms.formats import FormatKind
from transforms.records import DuoEvent, FormattedPage, Stream
from transforms.secrets import SecretRef
from transforms.settings import Destination, Format, FormatOptions, KindSettings
from transforms.state.receipts import READ_AT_ONCE


def register() -> None:
    """The two lines that make the product know them."""
    formats.register(FormatKind(PairsOptions, Pairs))
    destinations.register(Kind(SpoolSettings, SpoolSender))


@dataclass(frozen=True, slots=True)
class PairsOptions(FormatOptions):
    """Pairs of key and value."""

    name: ClassVar[str] = "pairs"
    summary: ClassVar[str] = "key=value, the event last"
    separator: Annotated[Literal["space", "bar"], Doc("What stands between two pairs.")] = "space"


class Pairs:
    """A ``Formatter``."""

    def __init__(self, settings: Format) -> None:
        assert isinstance(settings.options, PairsOptions)
        self._separator = {"space": b" ", "bar": b"|"}[settings.options.separator]

    def format(self, event: DuoEvent) -> bytes:
        pairs = (b"log=%b" % event.stream.log_type.encode(), b"event=%b" % event.raw)
        return self._separator.join(pairs)


@dataclass(frozen=True, slots=True)
class SpoolSettings(KindSettings):
    """A file that another program reads."""

    kind: ClassVar[str] = "spool"
    path: Annotated[FilePath, Doc("File that the messages are appended to.", example="/var/spool/duo/events")]
    signing_key: Annotated[SecretRef, Doc("Key that each line is signed with: env:NAME or file:PATH.", example="env:SPOOL_KEY")]
    batch_lines: Annotated[int, Ge(1), Le(1000), Doc("Lines that are written at once.")] = 100

    @property
    def place(self) -> str:
        return self.path

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[Broken]:
        if str(given.get("path", "")).startswith("/dev/"):
            yield Broken("path", "a device is no file", "Name a file on a disk.")


class SpoolSender:
    """A ``Sender``. Delivered is what is in the file."""

    waited_secs = 0.0
    reconnects = 0
    connected = True
    held_bytes = 0

    def __init__(self, destination: Destination[SpoolSettings]) -> None:
        self._name = destination.name
        self._settings = destination.settings
        self._most_bytes = destination.max_message_bytes or 1 << 30
        self._messages: list[bytes] = []

    def begin(self, owner: Stream | None = None) -> None:
        self._messages = []

    def send(self, page: FormattedPage) -> None:
        self._messages += page.messages

    def confirm(self) -> Confirmation:
        key = self._settings.signing_key.resolve().encode()
        rejected = []
        with Path(self._settings.path).open("ab") as spool:
            for index, message in enumerate(self._messages):
                if len(message) > self._most_bytes:
                    rejected.append(Rejection(index, "oversize", f"{self._name} takes {self._most_bytes} bytes."))
                else:
                    spool.write(b"%b %b\n" % (signature(key, message), message))
        return Confirmation(READ_AT_ONCE, tuple(rejected))

    def check(self) -> None:
        pass

    def close(self, grace_secs: float) -> None:
        pass

    def interrupt(self) -> None:
        pass

    def unread(self) -> list[tuple[Stream | None, list[bytes]]]:
        return []

    def given_up(self) -> list[tuple[Stream | None, list[bytes]]]:
        return []

    def given_up_is_kept(self) -> None:
        pass

    def test_connection(self) -> None:
        folder = Path(self._settings.path).parent
        if not folder.is_dir():
            raise BadDestination(f"Destination {self._name}: there is no directory {folder}. Make it.")


def signature(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).hexdigest().encode()
