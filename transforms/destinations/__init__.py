"""Destinations: how the messages of a bundle reach a SIEM, and what "delivered" honestly means for each kind.

Place in the flow: format → **destination**. A kind of destination knows nothing of formats. A new one is one module with its
``KindSettings`` and a ``make(settings.Destination) -> Sender``, one test folder and one line in ``KINDS``; a program of its own
calls ``register`` instead, before it reads a configuration. What the configuration file accepts, its schema, its sample and
which secrets there are follow from the settings. Names of all rooms of this package are here; in it, modules take them from
where they are.

Contract: see ``transforms.destinations.sender``, whose names are here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transforms.destinations.kinds import KINDS, Kind, make_sender, register
from transforms.destinations.sender import Confirmation, Rejection, Sender

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


def __getattr__(name: str) -> Any:
    # Only who builds a pipeline waits for Beam to load: the configuration needs the kinds and their settings.
    if name in ("WriteToSiem", "WriteToSiemResult"):
        from transforms.destinations import write

        return getattr(write, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
