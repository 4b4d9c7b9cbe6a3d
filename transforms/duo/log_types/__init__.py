"""The logs that Duo keeps, by the names that users write in their configuration.

A new one is one module with a ``LOG_TYPE``, one golden folder and one line here.
"""

from __future__ import annotations

from transforms.duo.log_types import activity, auth, telephony, trustmonitor
from transforms.duo.log_types.base import LogType

LOG_TYPES: dict[str, LogType] = {
    "auth": auth.LOG_TYPE,
    "activity": activity.LOG_TYPE,
    "telephony": telephony.LOG_TYPE,
    "trustmonitor": trustmonitor.LOG_TYPE,
}
