"""Every metric by its name: what it says, in which unit, and what its labels are.

Place in the flow: ``transforms.metrics.registry`` counts under these names only, Beam's metrics and the Prometheus endpoint are
made of them, and docs/metrics.md, the alerts and the dashboards are held to them by tests.

Contract: names and labels are an interface. One that is here stays; new ones are added. A counter's name ends with ``_total``,
a unit stands in the name. A label's values are bounded: by the configuration, or by a list in the code, or cut off at a number
that is said in the help.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "duologsync_"
NAMESPACE = "duologsync"
"""Of all of them among Beam's metrics."""

Kind = Literal["counter", "gauge", "histogram"]
Step = Literal["read", "send"]

STREAM = ("account", "log_type", "destination")
"""What most of them are told by: one log of one account on its way to one destination."""
LOG = ("account", "log_type")

LATENCY_BUCKETS_SECS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
      name: as Prometheus has it.
      unit: of its value; empty where it is a plain number.
      labels: their names, in the order in which values are given.
      help: what it says, in one or two sentences.
      use: what somebody does with it.
      beam: the step of the pipeline that hands it to Beam; None: only a process has it.
      buckets: the upper bounds of a histogram.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str
    use: str
    beam: Step | None = None
    buckets: tuple[float, ...] = ()

    @property
    def beam_name(self) -> str:
        """Among Beam's metrics, in ``NAMESPACE``: without the prefix, and a counter without ``_total``."""
        return self.name.removeprefix(PREFIX).removesuffix("_total")


def _counter(name: str, labels: tuple[str, ...], says: str, use: str, *, unit: str = "", beam: Step | None = None) -> Metric:
    return Metric(f"{PREFIX}{name}_total", "counter", unit, labels, says, use, beam)


def _gauge(name: str, labels: tuple[str, ...], says: str, use: str, *, unit: str = "", beam: Step | None = None) -> Metric:
    return Metric(f"{PREFIX}{name}", "gauge", unit, labels, says, use, beam)


# --- events ----------------------------------------------------------------------------------------------------------------

EVENTS_READ = _counter(
    "events_read", STREAM,
    "Events that were read for a destination. What is read again, after a restart or a jump, counts again.",
    "Compare its rate with the SIEM's own count. None for long is normal for a quiet log only.",
    beam="read",
)  # fmt: skip
EVENTS_DELIVERED = _counter(
    "events_delivered", STREAM,
    "Events that the destination has confirmed, as README.md says for its kind. What is sent again counts again.",
    "The throughput. It stands still while duologsync_position_age_seconds grows: see the state of the destination.",
    beam="send",
)  # fmt: skip
EVENTS_FILTERED = _counter(
    "events_filtered", STREAM,
    "Events that no route takes to the destination, on purpose.",
    "A jump after a change of the configuration: check the route's filter with duologsync test.",
    beam="send",
)  # fmt: skip
FILTER_FAILURES = _counter(
    "filter_failures", STREAM,
    "Events of which a filter could not tell, because a field is not of the type it needs. They are sent, redacted.",
    "Mend the filter: compare only fields that the log has, with has() where they may be missing.",
    beam="send",
)  # fmt: skip
EVENTS_REJECTED = _counter(
    "events_rejected", (*STREAM, "reason"),
    "Events that cannot be delivered as they are: the destination refuses them, the format cannot write them, or a route "
    "cannot change them. Each becomes a dead letter.",
    "See the reason; then duologsync replay.",
    beam="send",
)  # fmt: skip
DEAD_LETTERS = _counter(
    "dead_letters", (*STREAM, "reason"),
    "Events that are kept as dead letters: those that were rejected, and those that the destination has perhaps not read.",
    "Look at the reason, mend its cause, and duologsync replay sends them.",
    beam="send",
)  # fmt: skip
DEAD_LETTER_WRITE_FAILURES = _counter(
    "dead_letter_write_failures", STREAM,
    "Attempts to write dead letters that failed. Their bundles wait until the directory can be written.",
    "Make room in the dead letter directory, or mend its permissions.",
    beam="send",
)  # fmt: skip
BUNDLES_FAILED = _counter(
    "bundles_failed", STREAM,
    "Bundles that were not delivered and are read and sent again; some of their events may arrive twice.",
    "Now and then is what a SIEM's restart looks like. A steady rate: see the log for the cause.",
)  # fmt: skip
DELIVERY_LATENCY = Metric(
    f"{PREFIX}delivery_latency_seconds", "histogram", "seconds", STREAM,
    "From when Duo can show an event (its own time and the configured lag) until the destination has confirmed it. Three "
    "events of each page are looked at, its first, middle and last, and stand for a quarter, a half and a quarter of it.",
    "Its 95th percentile is how fresh the SIEM is. During a backfill it is as long as the past that is read.",
    "send", LATENCY_BUCKETS_SECS,
)  # fmt: skip

# --- Duo -------------------------------------------------------------------------------------------------------------------

DUO_CALLS = _counter(
    "duo_calls", (*LOG, "outcome"),
    "Calls of Duo's API by outcome: ok; throttled (429); refused (the keys, a permission, the edition, a parameter); failed.",
    "A share of throttled calls above a tenth: something else uses the same credentials.",
    beam="read",
)  # fmt: skip
DUO_THROTTLED_SECONDS = _counter(
    "duo_throttled_seconds", LOG,
    "For how long Duo's rate limit held reading back while there was more to read; summed over destinations.",
    "It grows in a backfill. While it grows in live reading, the account has more events than its limit lets be read.",
    unit="seconds", beam="read",
)  # fmt: skip
RECEIVED_BYTES = _counter(
    "received_bytes", LOG,
    "Bytes of events in Duo's answers, as JSON, before any compression of the connection.",
    "What the machine's line to Duo carries.",
    unit="bytes", beam="read",
)  # fmt: skip
READING_NOTES = _counter(
    "reading_notes", (*STREAM, "what"),
    "What reading met beside events, such as pages, windows, rows_left_out, missing or the kind of an error; docs/metrics.md "
    "has the list.",
    "For the curious, and for support: the hourly line of the log has the same numbers.",
    beam="read",
)  # fmt: skip
DUO_CALL_INTERVAL = _gauge(
    "duo_call_interval_seconds", LOG,
    "The pause between two calls of Duo that is kept now; absent while there is none.",
    "With more than a minute, fresh events wait that long.",
    unit="seconds",
)  # fmt: skip
DUO_LIMIT_INTERVAL = _gauge(
    "duo_limit_interval_seconds", LOG,
    "The pause between two calls that Duo's limit asks for, as it was learnt; absent where no limit was met.",
    "Duo support can raise it.",
    unit="seconds",
)  # fmt: skip

# --- positions -------------------------------------------------------------------------------------------------------------

POSITION_TIMESTAMP = _gauge(
    "position_timestamp_seconds", STREAM,
    "Up to which time events are delivered.",
    "Subtract it from time() for the age including what Duo itself takes.",
    unit="seconds",
)  # fmt: skip
SAFE_POSITION_TIMESTAMP = _gauge(
    "safe_position_timestamp_seconds", STREAM,
    "Up to which time events must have been read by the SIEM; from here an end that was not orderly is made good.",
    "Far behind the position: the SIEM takes events and does not read them.",
    unit="seconds",
)  # fmt: skip
POSITION_AGE = _gauge(
    "position_age_seconds", STREAM,
    "How far the position is behind what Duo shows by now; 0 where the stream is caught up.",
    "The one to alert on. See docs/runbook.md.",
    unit="seconds", beam="read",
)  # fmt: skip
BACKLOG_EVENTS = _gauge(
    "backlog_events", STREAM,
    "Events of the present window that are not delivered yet, as Duo counts them; 0 where caught up, absent where unknown.",
    "Divide it by the rate of delivery: so long until caught up.",
)  # fmt: skip
OLDEST_UNDELIVERED_AGE = _gauge(
    "oldest_undelivered_age_seconds", STREAM,
    "How old the oldest event is that was read and is not delivered; absent where there is none.",
    "It grows while a destination is away.",
    unit="seconds",
)  # fmt: skip
CHECKPOINT_AGE = _gauge(
    "checkpoint_age_seconds", STREAM,
    "For how long the checkpoint was not written.",
    "It grows while events are delivered: the checkpoint directory cannot be written; a restart repeats what was sent since.",
    unit="seconds",
)  # fmt: skip
MISSING_EVENTS = _gauge(
    "missing_events", STREAM,
    "Events that Duo counts and does not give, in stretches that are read again or were given up.",
    "The stretches are named by duologsync status.",
)  # fmt: skip
STREAM_STATE = _gauge(
    "stream_state", (*STREAM, "state"),
    "1 for the state that the stream is in; the others have no series.",
    "In words, and with what to do, it is in duologsync status.",
)  # fmt: skip

# --- destinations ----------------------------------------------------------------------------------------------------------

SENT_BYTES = _counter(
    "sent_bytes", ("destination",),
    "Bytes of confirmed messages, without framing, compression and TLS.",
    "What the SIEM will bill.",
    unit="bytes", beam="send",
)  # fmt: skip
RECONNECTS = _counter(
    "reconnects", ("destination",),
    "Connections that had to be made again in the midst of a delivery.",
    "A steady rate: a firewall or load balancer ends connections; what was in flight is sent twice.",
    beam="send",
)  # fmt: skip
REPLAY_BUFFER_BYTES = _gauge(
    "replay_buffer_bytes", ("destination",),
    "Bytes that the receiver's system has acknowledged and the SIEM has perhaps not read; they are kept to be sent again.",
    "It stays high where the SIEM reads slowly.",
    unit="bytes",
)  # fmt: skip
DESTINATION_UP = _gauge(
    "destination_up", ("destination",),
    "1 where the destination can be used, 0 where not; absent until it was tried.",
    "0: see duologsync status for the cause.",
)  # fmt: skip
CONNECTIONS = _gauge(
    "connections", ("destination",),
    "Connections that are open now.",
    "Receivers limit them: rsyslog to 200, syslog-ng to 10, unless told otherwise.",
)  # fmt: skip
CERTIFICATE_EXPIRY = _gauge(
    "certificate_expiry_timestamp_seconds", ("destination", "certificate"),
    "When a certificate ends: server is the one that the destination showed at the last connection, client is ours.",
    "Renew it before then. After that, nothing is delivered.",
    unit="seconds",
)  # fmt: skip

# --- drift -----------------------------------------------------------------------------------------------------------------

UNKNOWN_FIELDS = _gauge(
    "unknown_fields", ("log_type",),
    "Distinct fields that were seen in a sample of events and that this release does not know, up to 50 for each log.",
    "Formats carry them where they can. Look for a newer release.",
)  # fmt: skip
UNKNOWN_VALUES = _gauge(
    "unknown_values", ("log_type", "field"),
    "Distinct values of a field of few values, such as a result, that this release does not know; up to 50 for each log.",
    "Severities and categories of such events are the default ones. Look for a newer release.",
)  # fmt: skip

# --- the program -----------------------------------------------------------------------------------------------------------

LOG_MESSAGES = _counter(
    "log_messages", ("level", "code"),
    "Lines of the program's log, by level and, for warnings and errors, their code in docs/runbook.md.",
    "Any error deserves a look.",
)  # fmt: skip
START_TIME = _gauge(
    "start_time_seconds", (),
    "When the program was started.",
    "A change is a restart.",
    unit="seconds",
)  # fmt: skip
BUILD_INFO = _gauge(
    "build_info", ("version", "python", "beam"),
    "1; the labels say which program it is.",
    "Join it to see what an update changed.",
)  # fmt: skip
PROCESS_MEMORY = Metric(
    "process_resident_memory_bytes", "gauge", "bytes", (), "Memory of the process.",
    "It is about the same after an hour and after a month.",
)  # fmt: skip
PROCESS_CPU = Metric(
    "process_cpu_seconds_total", "counter", "seconds", (), "Processor time that the process has used.",
    "Its rate is the share of one processor; at rest it is below 0.01.",
)  # fmt: skip
PROCESS_THREADS = Metric(
    "process_threads", "gauge", "", (), "Threads of the process.",
    "A few, and one or two for each stream.",
)  # fmt: skip


CATALOG: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        EVENTS_READ,
        EVENTS_DELIVERED,
        EVENTS_FILTERED,
        FILTER_FAILURES,
        EVENTS_REJECTED,
        DEAD_LETTERS,
        DEAD_LETTER_WRITE_FAILURES,
        BUNDLES_FAILED,
        DELIVERY_LATENCY,
        DUO_CALLS,
        DUO_THROTTLED_SECONDS,
        RECEIVED_BYTES,
        READING_NOTES,
        DUO_CALL_INTERVAL,
        DUO_LIMIT_INTERVAL,
        POSITION_TIMESTAMP,
        SAFE_POSITION_TIMESTAMP,
        POSITION_AGE,
        BACKLOG_EVENTS,
        OLDEST_UNDELIVERED_AGE,
        CHECKPOINT_AGE,
        MISSING_EVENTS,
        STREAM_STATE,
        SENT_BYTES,
        RECONNECTS,
        REPLAY_BUFFER_BYTES,
        DESTINATION_UP,
        CONNECTIONS,
        CERTIFICATE_EXPIRY,
        UNKNOWN_FIELDS,
        UNKNOWN_VALUES,
        LOG_MESSAGES,
        START_TIME,
        BUILD_INFO,
        PROCESS_MEMORY,
        PROCESS_CPU,
        PROCESS_THREADS,
    )
}
"""All of them, in the order in which docs/metrics.md tells them."""
