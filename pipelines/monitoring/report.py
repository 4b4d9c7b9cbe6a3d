"""The report: everything that is known of a run at one moment, as values.

Place in the flow: a running program makes one of itself (``pipelines.monitoring.observe``), and ``status`` makes one of the
checkpoint store where nothing runs (``pipelines.monitoring.stored``). What is shown is made of it and of nothing else: the
terminal's table, ``--json``, ``/status.json``, the page, ``/healthz`` and ``/readyz``, systemd's line of status.

Contract: frozen values without a secret and without the content of an event. As JSON it is an interface for scripts, with its
version in ``v``: fields are only added, and each is described here. Times are milliseconds since the epoch, None where there is
none; durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

VERSION = 1


class State(str, Enum):
    """How a stream on its way to a destination is; the worst of them is the whole run's.

    In the order of what a person looks at first, the best first.
    """

    CAUGHT_UP = "caught_up"  # all that Duo has shown is delivered
    FINISHED = "finished"  # a backfill that is read and delivered
    READING = "reading"  # delivers, and is not there yet
    STARTING = "starting"  # nothing is known yet
    NOT_READ = "not_read"  # a checkpoint is there, and the configuration does not read it any more
    STOPPED = "stopped"  # nothing runs
    BEHIND = "behind"  # delivers nothing, or less than comes
    WAITING = "waiting"  # the destination, Duo, or the directory of dead letters cannot be used now
    REFUSED = "refused"  # Duo does not serve this log now: the edition, a permission
    SUSPENDED = "suspended"  # a person must mend something
    DAMAGED = "damaged"  # its checkpoint cannot be read


@dataclass(frozen=True)
class Missing:
    """A stretch in which Duo counted more events than it gave. ``due_ms``: when it is read again; None: given up."""

    from_ms: int
    to_ms: int
    events: int
    tries: int
    due_ms: int | None


@dataclass(frozen=True)
class StreamReport:
    """One log of one account on its way to one destination.

    Attributes:
      words: the state in words, ``behind 3 h, 12,000 events, about 4 min``; the cause is in it where there is one.
      todo: what a person does about it; empty where nothing is to be done.
      position_ms: delivered up to here; safe_ms: and seen to be read up to here.
      lag_secs: how old the position is, less what Duo itself takes to show an event; 0 where it is caught up.
      backlog_events: how many events of the present window are not delivered, as Duo counts them; None where it does not say.
      eta_secs: in how long it is caught up, at the rate of the last minutes.
      delivered: events since the stream's first start, filtered ones among them; rejected and filtered: since this start of the
        program. dead_letters: of it, that are kept now.
      rates: events per second that were delivered in each of the last minutes, the newest last; at most 60.
      oldest_undelivered_ms: time of the oldest event that is read and not delivered.
      committed_ms: when the checkpoint was last written; of a running program: by it.
      title: of an MSP's child, its name as people gave it.
    """

    account: str
    log_type: str
    destination: str
    state: State
    words: str
    todo: str = ""
    position_ms: int | None = None
    safe_ms: int | None = None
    lag_secs: float | None = None
    backlog_events: int | None = None
    eta_secs: float | None = None
    delivered: int = 0
    rejected: int = 0
    filtered: int = 0
    rates: tuple[float, ...] = ()
    oldest_undelivered_ms: int | None = None
    committed_ms: int | None = None
    missing: tuple[Missing, ...] = ()
    dead_letters: int = 0
    title: str = ""


@dataclass(frozen=True)
class DestinationReport:
    """One destination.

    Attributes:
      usable: None where nobody has looked yet; cause: why it is not; since_ms: since when it is so.
      connections: that are open now; held_bytes: acknowledged by it and perhaps not read.
      certificate_expires_ms: of the certificate that it showed; client_certificate_expires_ms: of ours.
    """

    name: str
    kind: str
    place: str
    usable: bool | None = None
    cause: str = ""
    since_ms: int | None = None
    connections: int = 0
    held_bytes: int = 0
    certificate_expires_ms: int | None = None
    client_certificate_expires_ms: int | None = None


@dataclass(frozen=True)
class BudgetReport:
    """How fast one endpoint of Duo may be called, as learnt. ``interval_secs``: between calls; ``limit_secs``: its limit."""

    account: str
    log_type: str
    interval_secs: float | None
    limit_secs: float | None
    calls: int
    refused: int  # answers 429
    waits_secs: float = 0.0  # until the next call may be made


@dataclass(frozen=True)
class DeadLetters:
    """Dead letters that are kept, of one destination, log and reason, and account where that is known."""

    destination: str
    log_type: str
    reason: str
    count: int
    account: str = ""


@dataclass(frozen=True)
class BackfillReport:
    """One backfill. ``share``: of the streams that were begun, 0 to 1; ``events``: delivered over all its starts."""

    from_ms: int
    until_ms: int
    share: float
    events: int
    runs: bool


@dataclass(frozen=True)
class LogLine:
    """One line of the program's log, as it was written."""

    time_ms: int
    level: str
    code: str
    message: str


@dataclass(frozen=True)
class ProcessReport:
    """The process: None or 0 where none runs."""

    pid: int
    version: str
    started_ms: int
    memory_bytes: int
    threads: int
    cpu_secs: float


@dataclass(frozen=True)
class Report:
    """The whole.

    Attributes:
      process: None where nothing runs; then all else is what the checkpoint store says.
      state, words, todo: of the whole run: those of its worst stream, or of what concerns all.
      ready: everything that is configured has been tried once, and no stream is suspended; not_ready: why not, in words.
    """

    v: int
    time_ms: int
    state: State
    words: str
    todo: str = ""
    process: ProcessReport | None = None
    ready: bool = False
    not_ready: tuple[str, ...] = ()
    streams: tuple[StreamReport, ...] = ()
    destinations: tuple[DestinationReport, ...] = ()
    budgets: tuple[BudgetReport, ...] = ()
    dead_letters: tuple[DeadLetters, ...] = ()
    log: tuple[LogLine, ...] = field(default=())
    backfills: tuple[BackfillReport, ...] = ()
    dead_letter_keep_days: float | None = None  # for how long they are kept; None for ever
