"""The ways in which a destination can be asked what it has stored.

Place in the flow: the configuration makes the section ``audit`` of each; ``duologsync audit`` makes readers by it.

Contract: what needs settings of its own (an address, credentials) is in ``SEARCHES``, one module per way; a kind whose own
settings are enough says so in ``KINDS``. No reader is loaded before one is made.
"""

from __future__ import annotations

import importlib
from typing import Any

from transforms.destinations.kinds import KINDS
from transforms.destinations.stored.reader import StoredReader
from transforms.destinations.stored.settings import (
    ElasticSearchSettings,
    LogsQlSettings,
    OpenSearchSettings,
    SplunkSearchSettings,
)
from transforms.settings import AuditSettings, Destination

_MODULES: dict[type[AuditSettings], str] = {
    SplunkSearchSettings: "transforms.destinations.stored.splunk",
    ElasticSearchSettings: "transforms.destinations.stored.elastic",
    OpenSearchSettings: "transforms.destinations.stored.elastic",
    LogsQlSettings: "transforms.destinations.stored.logsql",
}
SEARCHES: dict[str, type[AuditSettings]] = {settings.kind: settings for settings in _MODULES}
"""By the word in the file."""


def register(settings: type[AuditSettings], module: str) -> None:
    """Adds a way from outside: ``make(destination, settings)`` of the module makes a reader. Call it before
    ``pipelines.config`` is imported.
    """
    _MODULES[settings] = module
    SEARCHES[settings.kind] = settings


def reader_of(destination: Destination[Any]) -> StoredReader | None:
    """What shows what a destination has stored; None where it cannot be asked."""
    if destination.audit is not None:
        module = importlib.import_module(_MODULES[type(destination.audit)])
        reader: StoredReader = module.make(destination, destination.audit)
        return reader
    stored = KINDS[destination.kind].stored
    return stored(destination) if stored is not None else None
