"""Destinations: how the messages of a bundle reach a SIEM, and what "delivered" honestly means for each kind.

Place in the flow: format → **destination**. A kind of destination knows nothing of formats. A new one is one module with its
``KindSettings`` and a ``make(settings.Destination) -> Sender``, one test folder and one line in ``KINDS``; a program of its own
calls ``register`` instead, before it reads a configuration. What the configuration file accepts, its schema, its sample and
which secrets there are follow from the settings. No sender and nothing of Beam is loaded here, so that who needs the settings
only, such as the configuration, does not wait for them.

Contract: see ``transforms.destinations.sender``, whose names are here, too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transforms.destinations.sender import Confirmation, Rejection, Sender
from transforms.destinations.stream.settings import TcpSettings, TlsSettings
from transforms.destinations.udp.settings import UdpSettings
from transforms.settings import Destination, KindSettings

if TYPE_CHECKING:
    from transforms.destinations.write import WriteToSiem, WriteToSiemResult

__all__ = [
    "KINDS",
    "Confirmation",
    "Kind",
    "Rejection",
    "Sender",
    "WriteToSiem",
    "WriteToSiemResult",
    "make_sender",
    "register",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of destination: its settings, which are its section of the configuration file, and what sends to one."""

    settings: type[KindSettings]
    make: Callable[[Destination[Any]], Sender]

    @property
    def name(self) -> str:
        return self.settings.kind


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
    )
}


def register(kind: Kind) -> None:
    """Adds a kind from outside. Call it before ``pipelines.config`` is imported, in every process."""
    KINDS[kind.name] = kind


def make_sender(destination: Destination) -> Sender:
    """What sends to a destination."""
    return KINDS[destination.kind].make(destination)


def __getattr__(name: str) -> Any:
    # Only who builds a pipeline waits for Beam to load: the configuration needs the kinds and their settings.
    if name in ("WriteToSiem", "WriteToSiemResult"):
        from transforms.destinations import write

        return getattr(write, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
