"""Reports of runs as they can be, for what shows them."""

import math
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


def for_the_readme() -> Report:
    """Two tenants, two SIEMs, a day with a bit of everything."""
    now_ms = time.time_ns() // 1_000_000

    def rates(scale: float, *, until: int = 60) -> tuple[float, ...]:
        wave = [scale * (1 + 0.6 * math.sin(minute / 7) + 0.25 * math.sin(minute / 1.7)) for minute in range(60)]
        return tuple(round(max(0.0, each), 2) if minute < until else 0.0 for minute, each in enumerate(wave))

    facts = words.StreamFacts(log_type="auth", destination="archive-eu", now_ms=now_ms, away="connection refused",
                              away_since_ms=now_ms - 1_140_000)  # fmt: skip
    away = words.of_stream(facts).words
    streams = [
        stream(account, log_type, "splunk", rates=rates(scale), delivered=int(scale * 410_000), safe_ms=now_ms - 20_000)
        for account, scales in (("emea", (6.2, 1.4, 0.5, 0.1)), ("americas", (9.8, 2.2, 0.8, 0.2)))
        for log_type, scale in zip(LOG_TYPES, scales, strict=True)
    ]
    streams[5] = replace(streams[5], state=State.READING, words="behind 12 min, 1,940 events, about 2 min", lag_secs=720.0,
                         backlog_events=1_940, eta_secs=120.0)  # fmt: skip
    streams[2] = replace(streams[2], dead_letters=3)
    streams.append(
        stream("emea", "auth", "archive-eu", State.WAITING, away, rates=rates(6.2, until=41), delivered=2_301_554,
               lag_secs=1_140.0, backlog_events=7_068, position_ms=now_ms - 1_140_000)
    )  # fmt: skip
    destinations = (
        DestinationReport("splunk", "hec", "splunk.example.com:8088", usable=True, connections=4,
                          certificate_expires_ms=now_ms + 212 * DAY_MS),
        DestinationReport("archive-eu", "tls", "syslog.example.com:6514", usable=False, cause="connection refused",
                          since_ms=now_ms - 1_140_000, held_bytes=262_144, certificate_expires_ms=now_ms + 12 * DAY_MS),
    )  # fmt: skip
    return report(
        *streams, destinations=destinations, dead_letters=(DeadLetters("splunk", "telephony", "oversize", 3, "emea"),)
    )
