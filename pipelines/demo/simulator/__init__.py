"""A Duo of one's own: signs are checked, pages are paged, faults happen on demand. See ``server.DuoSimulator``."""

from __future__ import annotations

from pipelines.demo.simulator.accounts import Child
from pipelines.demo.simulator.faults import Fault, Faults
from pipelines.demo.simulator.ids import LOG_TYPES, OLD_LOG_TYPES
from pipelines.demo.simulator.rate import RateLimit
from pipelines.demo.simulator.server import Call, DuoSimulator

__all__ = ["LOG_TYPES", "OLD_LOG_TYPES", "Call", "Child", "DuoSimulator", "Fault", "Faults", "RateLimit"]
