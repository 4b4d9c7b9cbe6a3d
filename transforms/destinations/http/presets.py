"""What is known of receivers: one row of data for each preset of the kind ``http``.

Place in the flow: ``generic`` makes requests and reads answers by a preset; the settings and the configuration know its needs.

Contract: no code here. What a body looks like is a name in ``bodies.BODIES``, how an answer is read one in
``answers.READERS``. A ``{}`` in braces is filled in: ``{name}`` is what the receiver calls the log (``logs`` in the file, or
else the preset's own), ``{rule_id}``, ``{instance}``, ``{tenant_id}`` are keys of the file. A limit is the receiver's own;
sizes leave room for what stands between events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_HOUR_SECS = 3600.0
NO_NAMES: Mapping[str, str] = MappingProxyType({})
USUAL_DELIVERED = frozenset((200, 201, 202, 204))
USUAL_REJECTED = frozenset((400, 422))
USUAL_LATER = frozenset((408, 425, 429, *range(500, 600)))


@dataclass(frozen=True, slots=True)
class Statuses:
    """What statuses mean; 401 and 403 are the credentials, 413 is too large, and any other is a mistake in the address."""

    delivered: frozenset[int] = USUAL_DELIVERED
    rejected: frozenset[int] = USUAL_REJECTED
    later: frozenset[int] = USUAL_LATER


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """See the module.

    Attributes:
      product: for users. example: an address of it.
      target: path and query behind the address.
      body: how events are written. reader: how answers are read.
      needs: keys of the file that it cannot do without; of several in one text, one.
      takes: keys that only some presets know.
      token_header: name of the header that the token stands in, and what is before it.
      headers: of each request; one whose value comes out empty is left out.
      scope, token_url: what a token is fetched for, and where.
      names: what it calls a log; other_names: for those that are not there.
      longest_age_secs: it drops older events, mostly without a word.
      bare: its content for Duo expects Duo's rows as they are: no envelope, no header.
      settings_codes: error codes that are no event's fault.
      probe: a request that sends nothing: method, target, body.
      leave_fix: what to do where it does not take the credentials.
    """

    product: str
    example: str
    target: str
    body: str = "lines"
    reader: str = "status"
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    token_header: tuple[str, str] = ("Authorization", "Bearer ")
    headers: Mapping[str, str] = field(default_factory=lambda: NO_NAMES)
    scope: str = ""
    token_url: str = ""
    names: Mapping[str, str] = field(default_factory=lambda: NO_NAMES)
    other_names: str = ""
    statuses: Statuses = Statuses()
    most_events: int = 1000
    most_bytes: int = 1_000_000
    most_event_bytes: int | None = None
    longest_age_secs: float | None = None
    bare: bool = False
    settings_codes: frozenset[str] = frozenset()
    probe: tuple[str, str, bytes] | None = None
    leave_fix: str = "Check the token."


# What a receiver is that nothing is known of.
PLAIN = Preset(product="any receiver", example="https://siem.example.com/duo", target="", needs=("url|secret_url",))

PRESETS: Mapping[str, Preset] = {
    # Microsoft's own solution for Duo: rules of data collection of kind Direct that take Duo's rows, one stream for each log.
    "sentinel": Preset(
        product="Microsoft Sentinel (Logs Ingestion API)",
        example="https://duo-a1b2.westeurope-1.ingest.monitor.azure.com",
        target="/dataCollectionRules/{rule_id}/streams/{name}?api-version=2023-01-01",
        body="array",
        needs=("url", "rule_id", "oauth|identity"),
        takes=("rule_id", "logs", "oauth", "identity"),
        scope="https://monitor.azure.com",
        token_url="https://login.microsoftonline.com/{tenant_id}/oauth2/v2.0/token",  # noqa: S106  # an address
        names={
            "auth": "Custom-DuoAuthentication_CL",
            "activity": "Custom-DuoActivity_CL",
            "telephony": "Custom-DuoTelephony_CL",
            "trustmonitor": "Custom-DuoTrustMonitor_CL",
            "admin": "Custom-DuoAdministrator_CL",
            "offline_enrollment": "Custom-DuoOfflineEnrollment_CL",
        },
        statuses=Statuses(delivered=frozenset((204,))),
        most_bytes=950_000,  # 1 MB, compressed or not
        bare=True,
        settings_codes=frozenset(("InvalidStream", "InvalidDataCollectionRule", "InvalidApiVersion")),
        leave_fix="Give the application the role Monitoring Metrics Publisher on the data collection rule.",
    ),
    # Elastic's own package for Duo parses the row in "message", maps it to ECS, and reckons the id of each event.
    "elastic": Preset(
        product="Elasticsearch, Elastic Cloud, OpenSearch (bulk)",
        example="https://elastic.example.com:9200",
        target="/_bulk?filter_path=errors,items.*.status,items.*.error.type",
        body="bulk",
        reader="bulk",
        needs=("url", "token|user"),
        takes=("namespace", "logs", "token", "user", "password", "body"),
        token_header=("Authorization", "ApiKey "),
        names={
            "auth": "logs-cisco_duo.auth-{namespace}",
            "activity": "logs-cisco_duo.activity-{namespace}",
            "telephony": "logs-cisco_duo.telephony_v2-{namespace}",
            "trustmonitor": "logs-cisco_duo.trust_monitor-{namespace}",
            "admin": "logs-cisco_duo.admin-{namespace}",
            "offline_enrollment": "logs-cisco_duo.offline_enrollment-{namespace}",
        },
        statuses=Statuses(delivered=frozenset((200,))),
        most_events=2000,
        most_bytes=5_000_000,
        bare=True,
        leave_fix="Check the API key: it needs create_doc and auto_configure on logs-cisco_duo.*.",
    ),
    # The services are those by which Datadog's integration for Duo chooses what to do with a row.
    "datadog": Preset(
        product="Datadog",
        example="https://http-intake.logs.datadoghq.eu",
        target="/api/v2/logs",
        body="datadog",
        needs=("url", "token"),
        takes=("tags", "logs", "token", "too_old"),
        token_header=("DD-API-KEY", ""),
        names={"auth": "authentication", "admin": "administrator", "trustmonitor": "trust_monitor"},
        other_names="{log}",
        statuses=Statuses(delivered=frozenset((202,))),
        most_events=1000,
        most_bytes=4_500_000,  # 5 MB
        most_event_bytes=1_000_000,  # what is longer is cut, and answered as if all was well
        longest_age_secs=18 * _HOUR_SECS,
        bare=True,
        leave_fix="Check the API key, and that it is one of the site in url.",
    ),
    "sumo": Preset(
        product="Sumo Logic (HTTP source)",
        example="https://endpoint4.collection.eu.sumologic.com/receiver/v1/http/…",
        target="",
        needs=("secret_url|url",),
        takes=("logs", "secret_url"),
        headers={"X-Sumo-Category": "{name}"},
        statuses=Statuses(delivered=frozenset((200,))),
        leave_fix="Check the address: it holds the token of the source.",
    ),
    # The older Ingestion API ends in 2027 and is closed to new instances; this is the one that stays.
    "secops": Preset(
        product="Google SecOps (Chronicle API, logs.import)",
        example="https://europe-chronicle.googleapis.com",
        target="/v1alpha/{instance}/logTypes/{name}/logs:import",
        body="chronicle",
        reader="json",
        needs=("url", "instance", "forwarder", "service_account|identity"),
        takes=("instance", "forwarder", "logs", "service_account", "identity"),
        scope="https://www.googleapis.com/auth/cloud-platform",
        names={
            "auth": "DUO_AUTH",
            "activity": "DUO_ACTIVITY",
            "telephony": "DUO_TELEPHONY",
            "trustmonitor": "DUO_TRUST_MONITOR",
            "admin": "DUO_ADMIN",
            "offline_enrollment": "DUO_ADMIN",
        },
        statuses=Statuses(delivered=frozenset((200,))),
        most_bytes=3_000_000,  # 4 MB
        bare=True,
        leave_fix="Give the service account the permission chronicle.logs.import on the instance.",
    ),
    "otlp": Preset(
        product="OpenTelemetry (OTLP/HTTP logs)",
        example="https://otel.example.com:4318",
        target="/v1/logs",
        body="otlp",
        reader="otlp",
        needs=("url",),
        takes=("token", "user", "password", "oauth"),
        statuses=Statuses(frozenset((200,)), frozenset((400, 422)), frozenset((429, 502, 503, 504, 408, 500))),
        most_events=500,  # of a request that is taken in part, nobody says which part
        probe=("POST", "/v1/logs", b""),
    ),
    "dynatrace": Preset(
        product="Dynatrace (OTLP/HTTP logs)",
        example="https://abc12345.live.dynatrace.com",
        target="/api/v2/otlp/v1/logs",
        body="otlp",
        reader="otlp",
        needs=("url", "token"),
        takes=("token", "too_old"),
        token_header=("Authorization", "Api-Token "),
        statuses=Statuses(frozenset((200,)), frozenset((400, 422)), frozenset((429, 502, 503, 504, 408, 500))),
        most_events=500,
        longest_age_secs=24 * _HOUR_SECS,
        leave_fix="Check the token: it needs the scope logs.ingest.",
    ),
}
"""By the word in the file."""
