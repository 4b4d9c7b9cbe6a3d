"""The logs that Duo keeps, by the names that users write in their configuration.

A new one is one module with a ``LOG_TYPE``, one golden folder and one line here; CONTRIBUTING.md walks through it. What the
configuration accepts, its schema and its sample follow from here, so nothing of this package may load Beam.
"""

from __future__ import annotations

from transforms.duo.log_types import activity, admin, auth, offline_enrollment, telephony, trustmonitor
from transforms.duo.log_types.base import LogType

LOG_TYPES: dict[str, LogType] = {
    "auth": auth.LOG_TYPE,
    "activity": activity.LOG_TYPE,
    "telephony": telephony.LOG_TYPE,
    "trustmonitor": trustmonitor.LOG_TYPE,
    "admin": admin.LOG_TYPE,
    "offline_enrollment": offline_enrollment.LOG_TYPE,
}

# What a configuration without routes reads.
DEFAULT_LOG_TYPES = tuple(name for name, log_type in LOG_TYPES.items() if not log_type.opt_in)
