"""The kinds of destinations that there are.

Place in the flow: the configuration makes a section of the file for each; the pool, and whoever tries a destination, makes
senders by it.

Contract: no sender is loaded before one is made, and nothing of Beam, so that who needs the settings only, such as the
configuration, does not wait for them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transforms.destinations.archive.settings import AvroSettings
from transforms.destinations.file.settings import FileSettings
from transforms.destinations.http.generic_settings import GenericSettings
from transforms.destinations.http.hec_settings import HecSettings
from transforms.destinations.kafka.settings import KafkaSettings
from transforms.destinations.sender import Sender
from transforms.destinations.stdout.settings import StdoutSettings
from transforms.destinations.stored.reader import StoredReader
from transforms.destinations.stream.settings import TcpSettings, TlsSettings
from transforms.destinations.udp.settings import UdpSettings
from transforms.settings import Destination, KindSettings


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of destination: its settings, which are its section of the configuration file, and what sends to one.

    Attributes:
      stored: what shows an audit what one has stored, where that needs no settings of its own.
    """

    settings: type[KindSettings]
    make: Callable[[Destination[Any]], Sender]
    stored: Callable[[Destination[Any]], StoredReader] | None = None

    @property
    def name(self) -> str:
        return self.settings.kind


def _shown_by(module: str) -> Callable[[Destination[Any]], StoredReader]:
    """``make`` of a module that is loaded when the first reader is made."""

    def make(destination: Destination[Any]) -> StoredReader:
        reader: StoredReader = importlib.import_module(module).make(destination)
        return reader

    return make


def _made_by(module: str) -> Callable[[Destination[Any]], Sender]:
    """``make`` of a module that is loaded when the first sender is made."""

    def make(destination: Destination[Any]) -> Sender:
        sender: Sender = importlib.import_module(module).make(destination)
        return sender

    return make


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(TcpSettings, _made_by("transforms.destinations.stream.tcp")),
        Kind(TlsSettings, _made_by("transforms.destinations.stream.tls")),
        Kind(UdpSettings, _made_by("transforms.destinations.udp.sender")),
        Kind(HecSettings, _made_by("transforms.destinations.http.hec")),
        Kind(GenericSettings, _made_by("transforms.destinations.http.generic")),
        Kind(KafkaSettings, _made_by("transforms.destinations.kafka.sender")),
        Kind(
            FileSettings,
            _made_by("transforms.destinations.file.sender"),
            _shown_by("transforms.destinations.file.stored"),
        ),
        Kind(StdoutSettings, _made_by("transforms.destinations.stdout.sender")),
        Kind(
            AvroSettings,
            _made_by("transforms.destinations.archive.sender"),
            _shown_by("transforms.destinations.archive.stored"),
        ),
    )
}


def register(kind: Kind) -> None:
    """Adds a kind from outside. Call it before ``pipelines.config`` is imported, in every process."""
    KINDS[kind.name] = kind


def make_sender(destination: Destination) -> Sender:
    """What sends to a destination."""
    return KINDS[destination.kind].make(destination)
