"""The shape of our own configuration file (``version: 2``): keys, types, bounds, defaults, and a description of each.

Place in the flow: plain dicts from ``reading`` are validated against ``OwnFile``; ``own`` turns it into a Job. What a kind of
destination or a format has of its own stands with it, see ``sections``. The JSON Schema and the sample file are generated from
here, so a description is what users read: one or two plain sentences.

Contract: a section's default is what a user gets who leaves the key out; units are in the names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from pipelines.config.fields import (
    ApiHost,
    Begin,
    FilePath,
    HeaderText,
    Host,
    Ikey,
    LinkBase,
    Name,
    OneOrMany,
    Secret,
    Section,
    Skey,
    other_destination,
)
from pipelines.config.problems import listed
from pipelines.config.sections import TaggedSection, section_for, tagged
from transforms.config_keys import Broken, Port, Text, is_loopback
from transforms.destinations import KINDS
from transforms.destinations.stored.registry import SEARCHES
from transforms.duo.log_types import DEFAULT_LOG_TYPES, LOG_TYPES
from transforms.events.redact_settings import Redaction
from transforms.formats import FORMATS
from transforms.settings import MONITORING_PORT

if TYPE_CHECKING:
    LogType = str
else:
    LogType = Literal[tuple(LOG_TYPES)]
_OLD_LOGS = " and ".join(name for name in LOG_TYPES if name not in DEFAULT_LOG_TYPES)
HeaderStyle = Literal["rfc5424", "rfc3164", "none"]


class ProxySection(Section):
    """An HTTP proxy that is asked to CONNECT to Duo."""

    host: Host = Field(description="Host name or address of the proxy.", examples=["proxy.example.com"])
    port: Port = Field(description="Port of the proxy.", examples=[3128])
    user: Text | None = Field(None, description="User name, where the proxy asks for one.", examples=["duologsync"])
    password: Secret | None = Field(
        None, description="Its password: env:NAME or file:PATH. One written here is used, too.", examples=["env:PROXY_PASSWORD"]
    )

    @classmethod
    def broken_rules(cls, given: dict[str, Any]) -> Iterator[Broken]:
        for key, other in (("user", "password"), ("password", "user")):
            if key in given and other not in given:
                yield Broken(other, f"is missing beside {key}", "Give both or none.")


class AccountSection(Section):
    """One Duo tenant, or one MSP parent with all its children."""

    name: Name = Field(
        "main",
        description="Your name for the account. It is part of checkpoint names, so renaming an account starts it anew.",
        examples=["main"],
    )
    api_host: ApiHost = Field(
        description="API hostname of the Admin API application (for an MSP: of the Accounts API application).",
        examples=["api-1a2b3c4d.duosecurity.com"],
    )
    ikey: Ikey = Field(description="Integration key of that application: 20 characters.", examples=["DIXXXXXXXXXXXXXXXXXX"])
    skey: Skey = Field(
        description="Its secret key: env:NAME (a variable), file:PATH, or gcp:projects/P/secrets/S/versions/V. One that is "
        "written here is used, too.",
        examples=["env:DUO_SKEY"],
    )
    msp: bool = Field(False, description="This is the parent of an MSP: its children are listed and read.")
    block_list: list[Text] = Field(
        default_factory=list,
        description="Account ids or names of children that are left out, also where the allow list has them. Only with msp. "
        "Compared without regard to case.",
        examples=[["DAXXXXXXXXXXXXXXXXXX"]],
    )
    allow_list: list[Text] = Field(
        default_factory=list,
        description="Account ids or names of the only children that are read; without it, all of them. Only with msp.",
        examples=[["Customer A", "DAXXXXXXXXXXXXXXXXXX"]],
    )
    proxy: ProxySection | None = Field(None, description="HTTP proxy on the way to Duo.")
    ca_file: FilePath | None = Field(
        None,
        description="CA file (PEM) for Duo, instead of Duo's own CAs that come with the program.",
        examples=["/etc/duologsync/ca.pem"],
    )
    port: Port | None = Field(None, description="Port, where it is not 443.", examples=[443])

    @classmethod
    def broken_rules(cls, given: dict[str, Any]) -> Iterator[Broken]:
        for key, words in (("block_list", "a block list is"), ("allow_list", "an allow list is")):
            if given.get(key) and given.get("msp") is not True:
                yield Broken(key, f"{words} for the children of an MSP", "Add msp: true, or remove the list.")


class ReadingSection(Section):
    """How Duo's logs are read."""

    start_days: float = Field(180.0, ge=0, le=180, description="Days to go back where there is no checkpoint. Duo keeps 180.")
    poll_interval_secs: Annotated[float, Field(ge=1, le=86_400)] | None = Field(
        None,
        description="Pause between two rounds once everything has been read. Without it, as often as Duo allows: every 15 "
        "seconds, every minute at worst.",
        examples=[120],
    )
    page_pause_secs: float = Field(0.0, ge=0, le=3600, description="Least time between two pages while catching up.")
    lag_secs: float = Field(
        120.0, ge=0, le=86_400, description="How far to stay behind now: Duo shows new events up to two minutes late."
    )
    request_timeout_secs: float = Field(60.0, ge=1, le=3600, description="Longest time for one answer of Duo.")
    overlap_secs: float = Field(
        600.0,
        ge=0,
        le=86_400,
        description="Events that Duo publishes up to so much late are found, too, and delivered once. 0 looks for none.",
    )
    overlap_max_rows: int = Field(
        1_500_000,
        ge=1000,
        le=20_000_000,
        description="Events remembered for that, per log; about 11 bytes each in the checkpoint. Enough for 1,000 a second.",
    )
    relist_secs: float = Field(
        900.0, ge=10, le=86_400, description="How often the children of an MSP are listed, to find new and removed ones."
    )


class HeaderSection(Section):
    """The syslog header in front of each message."""

    style: HeaderStyle = Field(description="rfc5424, rfc3164 or none.", examples=["rfc5424"])
    facility: int = Field(16, ge=0, le=23, description="Syslog facility; 16 is local0.")
    hostname: HeaderText = Field("", max_length=255, description="Host name in the header; empty for this machine's.")
    app_name: HeaderText = Field(
        "duologsync",
        min_length=1,
        max_length=48,
        description="Program name in the header. {log_type} in it is the event's log, for SIEMs that select by program.",
    )


def _style(value: Any) -> Any:
    return {"style": value} if isinstance(value, str) else value


def _format_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _default_headers() -> str:
    of_style: dict[str, list[str]] = {}
    for name, kind in FORMATS.items():
        of_style.setdefault(kind.options.default_header or "none", []).append(name)
    return "; ".join(f"{style} for {', '.join(names)}" for style, names in of_style.items())


class FormatSection(TaggedSection):
    """How an event is written."""

    tag_key: ClassVar[str] = "name"
    lead_keys: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    header: Annotated[HeaderSection, BeforeValidator(_style, json_schema_input_type=HeaderStyle | HeaderSection)] | None = (
        Field(
            None,
            description="Syslog header: rfc5424, rfc3164 or none; or a mapping with style, facility, hostname, app_name. "
            f"Without it: {_default_headers()}.",
            examples=["rfc5424"],
        )
    )


if TYPE_CHECKING:
    FormatName = str
    AnyFormat = FormatSection
else:
    FormatName = Literal[tuple(FORMATS)]
    AnyFormat = tagged(
        FormatSection,
        {name: kind.options for name, kind in FORMATS.items()},
        f"{listed(f'{name} ({kind.options.summary})' for name, kind in FORMATS.items())}.",
        "json",
    )


def _promises() -> str:
    without = [name for name, kind in KINDS.items() if not kind.settings.promises_delivery]
    return f" Of {' and '.join(without)} nothing is promised: what is lost on the way is lost." if without else ""


class AuditSection(TaggedSection):
    """How the destination is asked what it has stored."""

    tag_key: ClassVar[str] = "kind"
    lead_keys: ClassVar[tuple[str, ...]] = ("kind",)
    kind: str


if TYPE_CHECKING:
    AnyAudit = AuditSection
else:
    AnyAudit = tagged(AuditSection, SEARCHES, f"{listed(SEARCHES)}.", "splunk")


class DestinationSection(TaggedSection):
    """One SIEM endpoint."""

    tag_key: ClassVar[str] = "kind"
    lead_keys: ClassVar[tuple[str, ...]] = ("name", "kind")
    name: Name = Field(description="Your name for the destination; routes use it.", examples=["splunk"])
    kind: str
    format: Annotated[AnyFormat, BeforeValidator(_format_name, json_schema_input_type=FormatName | AnyFormat)] = Field(
        description=f"{', '.join(FORMATS)}, or a mapping with more choices.", examples=["json"]
    )
    max_message_bytes: int | None = Field(
        None,
        ge=480,
        le=100_000_000,
        description="The SIEM's own limit. A longer message is kept as a dead letter, never cut.",
        examples=[65536],
    )
    delivery_timeout_secs: float | None = Field(
        None,
        ge=1,
        le=86_400,
        description="Give up a batch after this long and read it again later; without it, wait.",
        examples=[300],
    )
    audit: AnyAudit | None = Field(
        None, description="Where duologsync audit asks what this destination has stored; file and avro need none."
    )


if TYPE_CHECKING:
    AnyDestination = DestinationSection
else:
    AnyDestination = tagged(
        DestinationSection,
        {name: kind.settings for name, kind in KINDS.items()},
        f"{listed(KINDS)}.{_promises()}",
        "tls",
    )


if TYPE_CHECKING:
    AnyRedaction = Section
else:
    AnyRedaction = section_for(Redaction)


class RouteSection(Section):
    """Which logs go where."""

    log_types: Annotated[list[LogType], Field(min_length=1), OneOrMany] = Field(
        description=f"Any of {', '.join(LOG_TYPES)}. The old logs {_OLD_LOGS} repeat what activity has.",
        examples=[["auth", "activity"]],
    )
    destinations: Annotated[list[Text], Field(min_length=1), OneOrMany] = Field(
        description="Names of destinations.", examples=[["splunk"]]
    )
    accounts: Annotated[list[Text], Field(min_length=1), OneOrMany] | None = Field(
        None, description="Names of accounts; without it, all.", examples=[["main"]]
    )
    begin: Begin | None = Field(
        None,
        alias="from",
        description="Where these destinations begin with a log that they have no checkpoint of: now, N days back, or "
        "checkpoint of NAME, which is where destination NAME is. Without it, start_days back.",
        examples=["now"],
    )
    where: Text | None = Field(
        None,
        description="Only events of which this is true, in CEL (extra [filters]), over event, log and account. Of several "
        "routes to a destination, the first that takes an event decides. See docs/routes.md.",
        examples=["event.result != 'success'"],
    )
    redact: AnyRedaction | None = Field(None, description="Fields that these destinations must not get.")
    function: Text | None = Field(
        None,
        description="Your own function, module:function: it gets a row and its stream, and returns none, one or many rows.",
        examples=["my_siem:without_tests"],
    )

    @classmethod
    def broken_rules(cls, given: dict[str, Any]) -> Iterator[Broken]:
        begin, destinations = given.get("from"), given.get("destinations")
        names = [destinations] if isinstance(destinations, str) else destinations
        if isinstance(names, list) and isinstance(begin, str) and other_destination(begin) in names:
            yield Broken("from", "a destination cannot begin at its own checkpoint", "Name another one, or use two routes.")


class StorageSection(Section):
    """Where the program keeps its state."""

    checkpoint_dir: FilePath | None = Field(
        None,
        description="Directory of the checkpoints; one running copy per directory. Without it, the user's state directory.",
        examples=["/var/lib/duologsync/checkpoints"],
    )
    dead_letter_dir: FilePath | None = Field(
        None,
        description="Directory of the events that no destination can take. Without it, a directory dead-letters beside the "
        "default checkpoints, or inside the checkpoint_dir given here.",
        examples=["/var/lib/duologsync/dead-letters"],
    )
    dead_letter_keep_days: Annotated[float, Field(ge=1, le=3650)] | None = Field(
        None,
        description="Remove dead letters, and those that were replayed, after so many days; what goes is counted and logged. "
        "Without it, they are kept for ever. Of a directory on this machine.",
        examples=[90],
    )
    import_dir: FilePath | None = Field(
        None,
        description="Directory with Duo Log Sync's checkpoint files, to go on where it stopped.",
        examples=["/var/lib/duologsync-old"],
    )


class MonitoringSection(Section):
    """A page that shows how the program is, metrics for Prometheus, and health checks. Of runs on this machine."""

    enabled: bool = Field(True, description="Without it, no port is opened: no page, no metrics, no health checks, no tap.")
    host: Host = Field(
        "127.0.0.1",
        description="Address to listen at. Another one than this machine's own loopback needs a token. There is no encryption "
        "here: put a proxy with TLS before it.",
    )
    port: Port | None = Field(
        None,
        description=f"Port to listen at. Without it, {MONITORING_PORT}, or a free one where another program has that.",
        examples=[MONITORING_PORT],
    )
    token: Secret | None = Field(
        None,
        description="What whoever asks must know: as a bearer token, or as the password in a browser. env:NAME or file:PATH.",
        examples=["env:DUOLOGSYNC_TOKEN"],
    )

    @classmethod
    def broken_rules(cls, given: dict[str, Any]) -> Iterator[Broken]:
        host = given.get("host", "127.0.0.1")
        if isinstance(host, str) and host and not is_loopback(host) and not given.get("token"):
            fix = "Add token: env:NAME or file:PATH, or leave host out."
            yield Broken("host", "others can reach this address, and nothing would be asked of them", fix)


class OwnFile(Section):
    """Configuration of Duo Log Sync on Apache Beam."""

    version: Literal[2] = Field(description="Version of this file's layout.", examples=[2])
    accounts: list[AccountSection] = Field(min_length=1, description="The Duo accounts to read.")
    reading: ReadingSection = Field(
        default_factory=lambda: ReadingSection.model_validate({}), description="How Duo's logs are read."
    )
    destinations: list[AnyDestination] = Field(min_length=1, description="The SIEMs to write to.")
    routes: list[RouteSection] | None = Field(
        None,
        min_length=1,
        description=f"Which logs go where. Without it, all logs but {_OLD_LOGS} go from all accounts to all destinations.",
    )
    storage: StorageSection = Field(
        default_factory=lambda: StorageSection.model_validate({}), description="Where the program keeps its state."
    )
    monitoring: MonitoringSection = Field(
        default_factory=lambda: MonitoringSection.model_validate({}),
        description="How the program is seen while it runs: a page, metrics, health checks.",
    )
    log_file: FilePath | None = Field(
        None, description="File for the program's own messages; without it, the terminal.", examples=["/var/log/duologsync.log"]
    )
    runbook_url: LinkBase | None = Field(
        None,
        description="Where the links of warnings lead: your own copy of docs/runbook.md, without the anchor.",
        examples=["https://wiki.example.com/duologsync/runbook"],
    )
