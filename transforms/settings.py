"""What the user chose, in the shape that travels to workers.

The configuration file becomes these values once, in ``pipelines.config``; everything behind it sees only them. All are frozen,
compare by value, pickle small, and hold references to secrets, never secrets. Units are in the names; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, ClassVar, Generic, NamedTuple

from typing_extensions import TypeVar

from transforms.config_keys import Broken, Check, Declared, Doc, FilePath, Ge, Host, Le, MinLen, Port, wrong_header_text
from transforms.events.redact_settings import Redaction
from transforms.notices.notice import RUNBOOK
from transforms.secrets import SecretRef

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that is asked to CONNECT to Duo."""

    host: str
    port: int
    user: str | None = None
    password: SecretRef | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """One Duo tenant, or one child of an MSP parent.

    Attributes:
      name: the user's name for it; unique; part of stream names and checkpoint file names.
      api_host: the host that is called and signed, ``api-….duosecurity.com``. For a child, the child's own host.
      ikey: integration key of the Admin API application (for a child: of the parent's Accounts API application).
      skey: where its secret key is kept.
      account_id: a child's id, sent with every call; None for a tenant of its own.
      is_msp: this is an Accounts API parent: it is not read itself, its children are listed and read.
      allow_list, block_list: account ids or names of children (only with ``is_msp``), compared without regard to case. An empty
        allow list takes all; who is on both lists is left out.
      port, ca_file: for a test server or a private gateway; None means Duo's own port and Duo's pinned CA bundle.
    """

    name: str
    api_host: str
    ikey: str
    skey: SecretRef
    account_id: str | None = None
    is_msp: bool = False
    block_list: tuple[str, ...] = ()
    port: Port | None = None
    ca_file: str | None = None
    proxy: Proxy | None = None
    allow_list: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """How every stream is read.

    Attributes:
      start_days: how far back a stream without a checkpoint begins (0 to 180).
      poll_interval_secs: pause between two windows once caught up; None for as often as Duo allows, at least once a minute
        (``transforms.duo.rate_limit.polling``).
      page_pause_secs: least time between two calls of an endpoint.
      lag_secs: how far a window's end stays behind now; Duo publishes the newest two minutes late.
      request_timeout_secs: total time for one call, from connect to the last byte.
      overlap_secs: rows that Duo publishes up to so much late are found; 0 reads nothing twice but the last millisecond.
      overlap_max_rows: rows that are remembered for it, per stream; a burst beyond it shortens the overlap, and that is told.
      from_ms, until_ms: a backfill: begin there instead of ``start_days`` back, and end there.
      live_checkpoint_dir: a backfill: the checkpoint directory of the live reading that comes first.
      relist_secs: how often the children of an MSP parent are listed anew.
    """

    start_days: float = 180.0
    poll_interval_secs: Annotated[float, Ge(1), Le(86_400)] | None = None
    page_pause_secs: Annotated[float, Ge(0), Le(3600)] = 0.0
    lag_secs: Annotated[float, Ge(0), Le(86_400)] = 120.0
    request_timeout_secs: Annotated[float, Ge(1), Le(3600)] = 60.0
    overlap_secs: Annotated[float, Ge(0), Le(86_400)] = 600.0
    overlap_max_rows: Annotated[int, Ge(1000), Le(20_000_000)] = 1_500_000
    from_ms: int | None = None
    until_ms: int | None = None
    live_checkpoint_dir: str | None = None
    relist_secs: Annotated[float, Ge(10), Le(86_400)] = 900.0

    @property
    def longest_poll_secs(self) -> float:
        """The longest that a stream which is caught up waits before it looks again."""
        return 60.0 if self.poll_interval_secs is None else self.poll_interval_secs


@dataclass(frozen=True, slots=True)
class SyslogHeader:
    """A syslog header in front of each message.

    Attributes:
      style: ``rfc5424`` or ``rfc3164``; ``dls`` in a job that was made of Duo Log Sync's configuration file.
      facility: 0 to 23; 16 is local0.
      hostname, app_name: as shown in the SIEM; an empty hostname means this machine's. ``{log_type}`` in app_name is the log.
    """

    style: str
    facility: Annotated[int, Ge(0), Le(23)] = 16
    hostname: Annotated[str, Check(wrong_header_text)] = ""
    app_name: Annotated[str, MinLen(1), Check(wrong_header_text)] = "duologsync"


class FormatOptions(Declared):
    """What can be chosen of one format: the base of a frozen dataclass in the format's module, whose fields are its keys.

    Attributes:
      name: what the format is called in the configuration file.
      summary: what it is, in a few words behind its name.
      default_header: the style of the syslog header where the file says nothing; empty for none.
    """

    __slots__ = ()
    name: ClassVar[str]
    summary: ClassVar[str]
    default_header: ClassVar[str] = ""

    def completed(self, *, of_msp: bool) -> FormatOptions:  # noqa: ARG002 - for formats to which it makes a difference
        """With what the file leaves open decided; ``of_msp``: events of an MSP's children are among those that are written."""
        return self


@dataclass(frozen=True, slots=True)
class Format:
    """How an event is written: one of ``transforms.formats.FORMATS``, what was chosen of it, and the syslog header before each
    message, None for bare messages.
    """

    options: FormatOptions
    header: SyslogHeader | None = None

    @property
    def name(self) -> str:
        return self.options.name


@dataclass(frozen=True, slots=True)
class Tls(Declared):
    """Certificates of one destination. The server's certificate and name are always verified."""

    ca_file: Annotated[
        FilePath | None,
        Doc("CA file (PEM) of the SIEM; without it, the system's CAs.", example="/etc/duologsync/siem-ca.pem"),
    ] = None
    client_cert_file: Annotated[
        FilePath | None,
        Doc("Our certificate (PEM), where the SIEM asks for one.", example="/etc/duologsync/client.pem"),
    ] = None
    client_key_file: Annotated[
        FilePath | None,
        Doc("Its key (PEM), where it is not in the certificate's file.", example="/etc/duologsync/client.key"),
    ] = None
    client_key_password: Annotated[
        SecretRef | None, Doc("Password of that key: env:NAME or file:PATH.", example="env:CLIENT_KEY_PASSWORD")
    ] = None
    server_name: Annotated[
        Host | None, Doc("Name in the SIEM's certificate, where it is not the host's.", example="siem.example.com")
    ] = None

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[Broken]:
        for key in ("client_key_file", "client_key_password"):
            if key in given and "client_cert_file" not in given:
                yield Broken(key, "a client key is given without a client certificate", "Add client_cert_file.")


class Library(NamedTuple):
    """What an installation without extras does not have: the module that is loaded, and the extra that brings it."""

    module: str
    extra: str


class KindSettings(Declared):
    """What has to be known of one destination of a kind: the base of a frozen dataclass beside the kind's sender, whose fields
    are the kind's keys in the configuration file.

    Attributes:
      kind: what the kind is called in the configuration file.
      promises_delivery: whether *delivered* means more than *sent*.
      library: what its sender needs beside this installation; None for nothing.
    """

    __slots__ = ()
    kind: ClassVar[str]
    promises_delivery: ClassVar[bool] = True
    library: ClassVar[Library | None] = None

    @property
    def place(self) -> str:
        """Where it connects to or writes to, as logs and tables show it."""
        raise NotImplementedError

    @property
    def refused_age_secs(self) -> float | None:
        """An older event becomes a dead letter, because the receiver would drop it without a word; None for no limit."""
        return None

    @property
    def local_places(self) -> tuple[tuple[str, str], ...]:
        """Files and directories that it writes to, each with its key: no other destination should have the same."""
        return ()

    @property
    def takes_bare_rows(self) -> bool:
        """The receiver knows Duo's rows: they get no envelope unless the file says so."""
        return False

    def completed(self, written: Format) -> KindSettings:  # noqa: ARG002 - for kinds to which it makes a difference
        """With what the file leaves open decided, for events that are written so."""
        return self

    def name_of(self, log: str) -> str:  # noqa: ARG002 - for kinds whose receivers have names for logs
        """What the receiver calls a log: a sourcetype, a data stream; "" where it has no name for it."""
        return ""


class AuditSettings(Declared):
    """How a destination can be asked what it has stored: the base of a frozen dataclass beside what asks, whose fields are its
    keys in the configuration file.

    Attributes:
      kind: what the way is called in the configuration file.
    """

    __slots__ = ()
    kind: ClassVar[str]

    @property
    def place(self) -> str:
        """Where it is asked, as tables show it."""
        raise NotImplementedError


S_co = TypeVar("S_co", bound=KindSettings, covariant=True, default=KindSettings)


@dataclass(frozen=True, slots=True)
class Destination(Generic[S_co]):
    """A named SIEM endpoint.

    Attributes:
      name: unique; part of step labels, so renaming it is a new destination.
      settings: those of its kind, one of ``transforms.destinations.KINDS``.
      max_message_bytes: longer messages are dead letters, never cut; None means no limit of ours.
      delivery_timeout_secs: after this long without delivery the bundle fails and is read again; None means wait for ever
        (the local default: a blocked destination holds only its own streams).
      audit: how it is asked what it has stored; None where its kind says, or nobody can.
    """

    name: str
    settings: S_co
    format: Format
    max_message_bytes: int | None = None
    delivery_timeout_secs: float | None = None
    audit: AuditSettings | None = None

    @property
    def kind(self) -> str:
        return self.settings.kind

    @property
    def place(self) -> str:
        return self.settings.place


@dataclass(frozen=True, slots=True)
class Start:
    """Where a destination begins with a log that it has no checkpoint of.

    Attributes:
      days: so many days back, 0 for now; None for ``Reading.start_days``, or Duo Log Sync's checkpoint where there is one.
      checkpoint_of: the destination whose position it takes over, where that has one.
    """

    days: float | None = None
    checkpoint_of: str | None = None


USUAL_START = Start()


@dataclass(frozen=True, slots=True)
class Route:
    """Which log types of which accounts go to which destinations. Empty ``accounts`` means all of them.

    Attributes:
      start: where a destination begins that is added later; of several routes, the first that says anything.
      where: a filter in CEL, see ``transforms.events.filters``; without it, every event is taken.
      redact: what is taken out of an event.
      function: ``module:function``, which makes none, one or many rows of a row.
    """

    log_types: tuple[str, ...]
    destinations: tuple[str, ...]
    accounts: tuple[str, ...] = ()
    start: Start = USUAL_START
    where: str | None = None
    redact: Redaction | None = None
    function: str | None = None

    @property
    def selects(self) -> bool:
        """Whether it does anything but to say what goes where."""
        return self.where is not None or self.redact is not None or self.function is not None

    def takes(self, account: str) -> bool:
        """Whether the route is for an account; a child (``PARENT/CHILD_ID``) goes with its parent."""
        return not self.accounts or account in self.accounts or account.partition("/")[0] in self.accounts


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the program keeps its state.

    Attributes:
      checkpoint_dir: last delivered cursor of every subscription; one running copy per directory.
      dead_letter_dir: Avro files of what can never be delivered.
      import_dir: where Duo Log Sync's checkpoint files are looked for when there is none of ours; None means nowhere.
      dead_letter_keep_days: how long dead letters are kept on this machine; None for ever.
      resume: False begins every log ``start_days`` back at each launch (Duo Log Sync's ``checkpointing.enabled: False``).
    """

    checkpoint_dir: str
    dead_letter_dir: str
    import_dir: str | None = None
    resume: bool = True
    dead_letter_keep_days: float | None = None


MONITORING_PORT = 9437
"""Where the page and the metrics are, unless the file says otherwise or another program has it."""


@dataclass(frozen=True, slots=True)
class Monitoring:
    """Where a local run shows itself: the page, metrics, health checks.

    Attributes:
      enabled: False opens no port at all.
      host: a name or an address of this machine; another one than loopback only with a token.
      port: None for MONITORING_PORT, or a free one where that is taken; 0 for a free one.
      token: what whoever asks must have; None for nothing, on loopback only.
    """

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int | None = None
    token: SecretRef | None = None


UNSEEN = Monitoring(enabled=False)


@dataclass(frozen=True, slots=True)
class Job:
    """A whole configuration, checked and complete: every name that a route uses exists, every stream has a destination."""

    accounts: tuple[Account, ...]
    destinations: tuple[Destination, ...]
    routes: tuple[Route, ...]
    storage: Storage
    reading: Reading = field(default_factory=Reading)
    log_file: str | None = None
    runbook: str = RUNBOOK
    monitoring: Monitoring = UNSEEN

    def log_types_of(self, account: str) -> tuple[str, ...]:
        """The log types that some route takes from an account, in the order in which the routes name them."""
        named = (t for r in self.routes if r.takes(account) for t in r.log_types)
        return tuple(dict.fromkeys(named))

    def destinations_of(self, account: str, log_type: str) -> tuple[Destination, ...]:
        """The destinations of one stream, each once, in the order of ``destinations``."""
        wanted = {
            name for route in self.routes if log_type in route.log_types and route.takes(account) for name in route.destinations
        }
        return tuple(d for d in self.destinations if d.name in wanted)

    def selection(self, log_type: str, destination: str) -> tuple[Route, ...]:
        """The routes of a log to a destination, in order, where one of them filters or changes events; else none."""
        routes = tuple(r for r in self.routes if log_type in r.log_types and destination in r.destinations)
        return routes if any(route.selects for route in routes) else ()

    def start_of(self, account: str, log_type: str, destination: str) -> Start:
        """Where a destination begins with a stream that it has no checkpoint of."""
        routes = (r for r in self.routes if r.takes(account) and log_type in r.log_types and destination in r.destinations)
        return next((route.start for route in routes if route.start != USUAL_START), USUAL_START)

    def secrets(self) -> Iterator[UsedSecret]:
        """Every secret that the job refers to, whoever needs it: each ``SecretRef`` in it, so that no list can forget one."""
        return (UsedSecret(key, reference) for key, reference in parts_of(self, SecretRef))


class UsedSecret(NamedTuple):
    """A reference to a secret, and the key of the configuration file that gives it."""

    key: tuple[str | int, ...]
    reference: SecretRef


def parts_of(value: object, kind: type[T], key: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], T]]:
    """Every part of a type in settings, however deep, with its key as our own configuration file has it."""
    if isinstance(value, kind):
        yield key, value
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from parts_of(item, kind, (*key, index))
    elif is_dataclass(value):
        for each in fields(value):
            # The keys of a kind stand beside those that all kinds have.
            flat = isinstance(value, (Destination, Format)) and each.name in ("settings", "options")
            yield from parts_of(getattr(value, each.name), kind, key if flat else (*key, each.name))
