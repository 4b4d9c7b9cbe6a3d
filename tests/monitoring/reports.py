"""Reports of runs as they can be, for what shows them."""

import time
from dataclasses import replace

from pipelines.monitoring import words
from pipelines.monitoring.report import (
    VERSION,
    BudgetReport,
    DeadLetters,
    DestinationReport,
    LogLine,
    Missing,
    ProcessReport,
    Report,
    State,
    StreamReport,
)

LOG_TYPES = ("auth", "activity", "telephony", "trustmonitor")
HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[2J</script><script>alert(2)</script>"
DAY_MS = 86_400_000


def stream(
    account="main", log_type="auth", destination="siem", state=State.CAUGHT_UP, said="caught up", **more
) -> StreamReport:
    now_ms = time.time_ns() // 1_000_000
    rates = tuple(float((7 * minute) % 23) for minute in range(60))
    usual = {"position_ms": now_ms - 2_000, "safe_ms": now_ms - 3_000, "committed_ms": now_ms - 1_000, "lag_secs": 0.0}
    return StreamReport(account, log_type, destination, state, said, **{**usual, "rates": rates, "delivered": 12_345, **more})


def report(*streams: StreamReport, **more) -> Report:
    now_ms = time.time_ns() // 1_000_000
    said = words.of_run(streams)
    names = dict.fromkeys(each.destination for each in streams)
    usual = {
        "process": ProcessReport(4711, "1.0.0", now_ms - 3 * DAY_MS, 190_000_000, 10, 812.5),
        "ready": True,
        "destinations": tuple(DestinationReport(name, "tls", f"{name}.example.com:6514", usable=True) for name in names),
        "budgets": (BudgetReport("main", "auth", 1.22, 1.2, 4_321, 7), BudgetReport("main", "activity", None, None, 99, 0)),
    }
    return Report(VERSION, now_ms, said.state, said.words, said.todo, streams=tuple(streams), **{**usual, **more})


def well() -> Report:
    """All is as it should be."""
    return report(*(stream(log_type=log_type) for log_type in LOG_TYPES))


def troubled() -> Report:
    """One of each trouble, with names that somebody has chosen who means no good."""
    now_ms = time.time_ns() // 1_000_000
    gap = Missing(now_ms - 2 * DAY_MS, now_ms - 2 * DAY_MS + 60_000, 94, 2, now_ms + 3_600_000)
    streams = (
        stream(
            "msp/DA1", "auth", state=State.REFUSED, said="not served by Duo: 403 (40301) access forbidden",
            todo="Grant it in Duo's Admin Panel, or leave auth out of the routes.", title=HOSTILE,
        ),
        stream("msp/DA1", "activity", state=State.WAITING, said="waiting for siem: connection refused since 14:02 UTC"),
        stream("msp/DA2", "telephony", state=State.READING, said="behind 3 h, 12,000 events, about 4 min", lag_secs=10_800.0,
               backlog_events=12_000, eta_secs=240.0),
        stream("msp/DA2", "trustmonitor", dead_letters=40, missing=(gap,), oldest_undelivered_ms=now_ms - 9_000),
        stream("main", "auth", "archive", state=State.STARTING, said="never read yet", position_ms=None, safe_ms=None,
               committed_ms=None, lag_secs=None, rates=(), delivered=0),
    )  # fmt: skip
    destinations = (
        DestinationReport(
            "siem", "tls", "siem.example.com:6514", usable=False, cause="connection refused", since_ms=now_ms - 600_000,
            connections=2, held_bytes=1_234_567, certificate_expires_ms=now_ms + 5 * DAY_MS,
        ),
        DestinationReport("archive", "avro", "/var/lib/duologsync/archive"),
    )  # fmt: skip
    log = (
        LogLine(now_ms - 60_000, "INFO", "", f"msp/DA1: reading {HOSTILE}"),
        LogLine(now_ms - 50_000, "WARNING", "DLS-S001", "Destination siem is away: connection refused."),
        LogLine(now_ms - 40_000, "ERROR", "DLS-D012", "msp/DA1/auth: Duo does not serve it."),
    )
    letters = (DeadLetters("siem", "trustmonitor", "oversize", 40), DeadLetters("siem", "auth", HOSTILE, 2))
    made = report(*streams, destinations=destinations, log=log, dead_letters=letters)
    return replace(made, ready=False, not_ready=("msp/DA1/auth to siem is not served by Duo",))


def of_an_msp(children: int) -> Report:
    """Three logs of each child; two children need a person."""
    streams = [
        stream(f"msp/DA{number:018d}", log_type, title=f"Customer {number}")
        for number in range(children)
        for log_type in LOG_TYPES[:3]
    ]
    for index in (1, len(streams) - 1):
        streams[index] = replace(
            streams[index], state=State.SUSPENDED, words="suspended: Duo refuses the keys", todo="Mend that."
        )
    return report(*streams)
