"""What can be chosen of a Splunk HTTP Event Collector, and of what else speaks its protocol.

Place in the flow: one of ``transforms.destinations.KINDS``; the sender and the configuration read it. It loads no sender.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from transforms.config_keys import Check, Declared, Doc, Text, Wrong
from transforms.destinations.http.address import Url, address
from transforms.destinations.http.settings import HttpSettings
from transforms.duo.log_types import LOG_TYPES
from transforms.secrets import SecretRef

SOURCE = "cisco_duo"
SOURCETYPES = {
    "auth": "cisco:duo:authentication_v2",
    "activity": "cisco:duo:activity",
    "telephony": "cisco:duo:telephony_v2",
    "trustmonitor": "cisco:duo:trust_monitor",
    "admin": "cisco:duo:administrator",
    "offline_enrollment": "cisco:duo:offline_enrollment",
}
"""By log, as Splunk's own Cisco Security Cloud app names them, whose field extractions and dashboards go by them. The app has
nothing for the last one.
"""


def _wrong_log(value: str) -> Wrong | None:
    return None if value in LOG_TYPES else Wrong("there is no such log", f"Write one of {', '.join(LOG_TYPES)}.")


LogName = Annotated[str, Check(_wrong_log)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HecLog(Declared):
    """What is different for one log."""

    log: Annotated[LogName, Doc("The log.", example="auth")]
    index: Annotated[Text | None, Doc("Index of its events.", example="duo_auth")] = None
    source: Annotated[Text | None, Doc("Source of its events.", example="cisco_duo")] = None
    sourcetype: Annotated[Text | None, Doc("Sourcetype of its events.", example="cisco:duo:authentication_v2")] = None
    event_host: Annotated[Text | None, Doc("Host of its events.", example="api-1a2b3c4d.duosecurity.com")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HecSettings(HttpSettings):
    """Splunk's HTTP Event Collector, and what else speaks like it: CrowdStrike LogScale, VictoriaLogs, Vector, Fluent Bit."""

    kind: ClassVar[str] = "hec"
    url: Annotated[
        Url,
        Doc(
            "Address of the collector, without /services/collector and what follows.", example="https://splunk.example.com:8088"
        ),
    ]
    token: Annotated[SecretRef, Doc("The token: env:NAME or file:PATH.", example="env:HEC_TOKEN")]
    endpoint: Annotated[
        Literal["event", "raw"],
        Doc("event: each event with its own time and names. raw: lines, of which Splunk finds out the time itself."),
    ] = "event"
    acknowledge: Annotated[
        bool,
        Doc(
            "Wait until the events are indexed. The token must have indexer acknowledgement switched on; then it must be true "
            "here, too. Splunk Cloud has none.",
        ),
    ] = False
    index: Annotated[Text | None, Doc("Index; without it, the token's own.", example="duo")] = None
    source: Annotated[Text, Doc("Source of all events.")] = SOURCE
    sourcetype: Annotated[
        Text | None,
        Doc(
            "One sourcetype for all logs; without it, those of Splunk's own app for Duo, a different one for each log.",
            example="duo:json",
        ),
    ] = None
    event_host: Annotated[
        Text | None, Doc("Host of all events; without it, the API host that they were read from.", example="duo")
    ] = None
    logs: Annotated[tuple[HecLog, ...], Doc("What is different for single logs.")] = ()

    @property
    def place(self) -> str:
        return str(address(self.url))

    def name_of(self, log: str) -> str:
        return self.named(log).sourcetype or ""

    def named(self, log: str) -> HecLog:
        """The names of one log's events; None of event_host: that of the account."""
        own = next((each for each in self.logs if each.log == log), HecLog(log=log))
        return HecLog(
            log=log,
            index=own.index or self.index,
            source=own.source or self.source,
            sourcetype=own.sourcetype or self.sourcetype or SOURCETYPES.get(log, f"cisco:duo:{log}"),
            event_host=own.event_host or self.event_host,
        )
