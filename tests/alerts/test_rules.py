"""Each alert: a history in which it fires, and one near to it in which it does not. Nothing else may fire in either."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.alerts.promtool import RULES, assert_fires, assert_says, binary
from tests.alerts.series import PROGRAM, program, series

History = list[dict[str, str]]


@dataclass(frozen=True)
class Case:
    """What was exposed, and which alerts fire so many minutes later: severity by name; ``nearly``: which one nearly does."""

    says: str
    history: History
    minutes: int
    alerts: dict[str, str]
    nearly: str = ""


def states(state: str, values: str, **labels: str) -> dict[str, str]:
    return series("duologsync_stream_state", values, state=state, **labels)


def letters(values: str, **labels: str) -> dict[str, str]:
    return series("duologsync_dead_letters_total", values, reason="too_long", **labels)


def calls(outcome: str, values: str, **labels: str) -> dict[str, str]:
    return series("duologsync_duo_calls_total", values, outcome=outcome, **labels)


def latency(*per_minute: tuple[str, int]) -> History:
    """So many more deliveries a minute in each bucket, for two hours."""
    return [series("duologsync_delivery_latency_seconds_bucket", f"0+{n}x120", le=le) for le, n in per_minute]


def age(values: str, **labels: str) -> dict[str, str]:
    return series("duologsync_position_age_seconds", values, **labels)


def many(make: Callable[[str], History], children: int = 1000) -> History:
    return [one for number in range(children) for one in make(f"DA{number:04}")]


def cases() -> Iterator[Case]:
    yield Case("all is well", program(age("0x120"), states("caught_up", "1x120")), 90, {})

    down = {"DuoLogSyncDown": "critical"}
    yield Case("the program is gone", program(up="1x9 0x30"), 16, down)
    yield Case("the program is restarted", program(up="1x9 0x3 1x30"), 16, {}, "DuoLogSyncDown")
    yield Case("nobody scrapes the program", [series("up", "1x30", job="another")], 16, down)

    starts = "-86400x9 600x4 900x4 1200x4 1500x40"
    yield Case("it starts again and again", program(started=starts), 26, {"DuoLogSyncRestarting": "warning"})
    yield Case("it is updated", program(started="-86400x9 600x40"), 26, {}, "DuoLogSyncRestarting")

    high = series("process_resident_memory_bytes", "900000000x60")
    yield Case("it takes 900 MB", program(high), 20, {"MemoryHigh": "warning"})
    yield Case("it takes 900 MB for ten minutes", program(high), 10, {}, "MemoryHigh")
    other = series("process_resident_memory_bytes", "900000000x60", job="another", instance="host:1")
    yield Case("another program takes 900 MB", program(other), 20, {}, "MemoryHigh")

    errors = series("duologsync_log_messages_total", "_x19 1x120", level="error", code="DLS-P001")
    yield Case("the first error of all", program(errors), 25, {"ErrorsLogged": "warning"})
    yield Case("the error was two hours ago", program(errors), 139, {}, "ErrorsLogged")
    warnings = series("duologsync_log_messages_total", "0+1x60", level="warning", code="DLS-D001")
    yield Case("warnings", program(warnings), 25, {}, "ErrorsLogged")

    yield from cases_of_streams()
    yield from cases_of_duo()
    yield from cases_of_destinations()
    yield from cases_of_msps()


def cases_of_streams() -> Iterator[Case]:
    behind = {"StreamBehind": "warning"}
    yield Case("it delivers nothing", program(age("0x5 60+60x60")), 50, behind)
    yield Case("it gains ten seconds in a minute", program(age("7200-1x120")), 60, behind)
    yield Case("it catches up after a weekend", program(age("172800-1200x60")), 60, {}, "StreamBehind")
    # 180 days, and an hour of them in each minute.
    yield Case("a long backfill", program(age("15552000-3600x600")), 590, {}, "StreamBehind")
    yield Case("it is 14 minutes behind", program(age("0+60x14 840x60")), 60, {}, "StreamBehind")
    away = program(age("0+60x60"), series("duologsync_destination_up", "0x60"))
    yield Case("its destination is away", away, 50, {"DestinationDown": "critical"})
    restarted = program(age("600x9 _x3 780+60x9 600-300x2 0x60"), up="1x9 0x3 1x60")
    yield Case("it caught up from a restart", restarted, 30, {}, "StreamBehind")

    one_log = program(age("0+60x60"), calls("failed", "0+1x60"), calls("ok", "0+1x60", log_type="activity"))
    yield Case("Duo has trouble with one log of an account", one_log, 50, behind)

    suspended = program(age("0+60x60"), states("suspended", "1x60"), states("caught_up", "0x60"))
    yield Case("it is suspended", suspended, 50, {"StreamSuspended": "critical"})
    yield Case("it was suspended for two minutes", program(states("suspended", "0x9 1x2 0x60")), 12, {}, "StreamSuspended")

    yield Case("Duo refuses the log", program(states("refused", "1x120")), 70, {"LogRefused": "warning"})
    yield Case("Duo refuses the log for half an hour", program(states("refused", "1x30 0x90")), 70, {}, "LogRefused")

    delivers = series("duologsync_events_delivered_total", "0+100x60")
    old = series("duologsync_checkpoint_age_seconds", "0+60x60")
    yield Case("no checkpoint is written", program(delivers, old), 30, {"CheckpointStale": "critical"})
    yield Case("none was written since the start", program(delivers), 30, {"CheckpointStale": "critical"})
    fresh = series("duologsync_checkpoint_age_seconds", "5x60")
    yield Case("checkpoints are written", program(delivers, fresh), 30, {}, "CheckpointStale")
    yield Case("there are no events to keep a checkpoint of", program(old), 50, {}, "CheckpointStale")

    yield Case("events are missing", program(series("duologsync_missing_events", "94x180")), 130, {"MissingEvents": "warning"})
    yield Case("they came late", program(series("duologsync_missing_events", "94x70 0x120")), 130, {}, "MissingEvents")

    fields = series("duologsync_unknown_fields", "2x60")
    values = series("duologsync_unknown_values", "1x60", field="result")
    yield Case("Duo has new fields", program(fields), 5, {"UnknownFields": "info"})
    yield Case("Duo has a new result", program(values), 5, {"UnknownFields": "info"})
    yield Case("all fields are known", program(series("duologsync_unknown_fields", "0x60")), 5, {}, "UnknownFields")


def cases_of_duo() -> Iterator[Case]:
    gone = {"DuoUnreachable": "critical"}
    unheard = program(age("0x9 0+60x60"), calls("failed", "0x9 0+1x60"), calls("ok", "0+1x9 9x60"))
    yield Case("no call comes through", unheard, 40, gone)
    yield Case("some calls fail", program(calls("failed", "0+1x60"), calls("ok", "0+1x60")), 40, {}, "DuoUnreachable")
    yield Case(
        "calls failed once", program(calls("failed", "0x9 3x60"), calls("ok", "0+1x9 _x2 9+1x60")), 40, {}, "DuoUnreachable"
    )

    throttled = program(calls("throttled", "0+2x90"), calls("ok", "0+2x90"))
    yield Case("every other call is refused with 429", throttled, 80, {"DuoThrottled": "warning"})
    learning = program(calls("throttled", "0+2x20 40x90"), calls("ok", "0+2x120"))
    yield Case("the limit was learnt in the first 20 minutes", learning, 80, {}, "DuoThrottled")


def cases_of_destinations() -> Iterator[Case]:
    up = "duologsync_destination_up"
    yield Case("it is away", program(series(up, "0x60")), 10, {"DestinationDown": "critical"})
    yield Case("it was restarted", program(series(up, "1x9 0x4 1x60")), 15, {}, "DestinationDown")

    warned = {"DeadLetters": "warning"}
    yield Case("the first dead letter of all", program(letters("_x19 1x120")), 25, warned)
    yield Case("one more", program(letters("7x90 8x60")), 95, warned)
    yield Case("the one was two hours ago", program(letters("7x30 8x160")), 160, {}, "DeadLetters")
    again = program(letters("1x29 _x3 1x60"), up="1x29 0x3 1x60", started="-86400x29 _x3 1920x60")
    yield Case("one before a restart and one behind it", again, 35, warned)
    old = program(letters("5x89 _x4 0x90"), up="1x89 0x4 1x90", started="-86400x89 _x4 5580x90")
    yield Case("five long before a restart, none behind it", old, 95, {}, "DeadLetters")

    failing = series("duologsync_dead_letter_write_failures_total", "_x19 0+2x60")
    yield Case("their disk is full", program(failing), 30, {"DeadLettersCannotBeWritten": "critical"})
    was_full = series("duologsync_dead_letter_write_failures_total", "4x200")
    yield Case("their disk was full", program(was_full), 180, {}, "DeadLettersCannotBeWritten")

    slow = latency(("300", 0), ("900", 100), ("+Inf", 100))
    fast = latency(("60", 96), ("900", 100), ("+Inf", 100))
    yield Case("events take ten minutes", program(*slow, age("0x120")), 60, {"SlowDelivery": "warning"})
    yield Case("one in twenty-five takes ten minutes", program(*fast, age("0x120")), 60, {}, "SlowDelivery")
    yield Case("what comes is old, in a backfill", program(*slow, age("15552000-3600x120")), 60, {}, "SlowDelivery")

    kept = "duologsync_replay_buffer_bytes"
    yield Case("it acknowledges and reads nothing", program(series(kept, "200000000x60")), 40, {"ReplayBufferLarge": "info"})
    yield Case("it reads slowly now and then", program(series(kept, "200000000x9 2000000x60")), 40, {}, "ReplayBufferLarge")

    for days, alerts in ((30, {}), (20, {"CertificateExpiresSoon": "warning"}), (2, {"CertificateExpiresSoon": "critical"})):
        ends = series("duologsync_certificate_expiry_timestamp_seconds", f"{days * 86400}x60", certificate="server")
        nearly = "" if alerts else "CertificateExpiresSoon"
        yield Case(f"its certificate ends in {days} days", program(ends), 5, alerts, nearly)


def cases_of_msps() -> Iterator[Case]:
    def stuck(account: str) -> History:
        return [age("0+60x40", account=account)]

    away = program(series("duologsync_destination_up", "0x40"), *many(stuck))
    yield Case("the SIEM of a thousand customers is away", away, 35, {"DestinationDown": "critical"})
    yield Case("a thousand customers are behind", program(*many(stuck)), 35, {"StreamBehind": "warning"})

    def suspended(account: str) -> History:
        return [states("suspended", "1x10", account=account)]

    yield Case("a thousand customers are suspended", program(*many(suspended)), 8, {"StreamSuspended": "critical"})

    def unreachable(account: str) -> History:
        return [calls("failed", "0+1x30", account=account)]

    yield Case("Duo is away for a thousand customers", program(*many(unreachable)), 25, {"DuoUnreachable": "critical"})

    def refused(account: str) -> History:
        return [letters("_x19 1x30", account=account)]

    yield Case("a SIEM refuses events of a thousand customers", program(*many(refused)), 25, {"DeadLetters": "warning"})


CASES = list(cases())


@pytest.mark.servers
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_alerts_of(case, tmp_path):
    assert_fires(tmp_path, case.history, case.minutes, case.alerts)


@pytest.mark.servers
def test_what_an_alert_of_many_streams_says_names_the_worst_three(tmp_path):
    history = program(
        *(age(f"{start}+60x60", account=name) for name, start in zip("abcd", (0, 7200, 3600, 10800), strict=True))
    )
    assert_says(
        tmp_path,
        history,
        45,
        "StreamBehind",
        labels={**PROGRAM, "destination": "siem", "severity": "warning"},
        annotations={
            "summary": "Events reach siem late, and it does not get better",
            "description": "Streams on their way to siem that are more than 15 minutes behind and do not catch up: 4. "
            "The furthest: auth of d (3h 45m 0s); auth of b (2h 45m 0s); auth of c (1h 45m 0s);",
            "runbook_url": "docs/runbook.md#alert-streambehind",
        },
    )


@pytest.mark.servers
def test_what_an_alert_says_of_a_name_with_quotes_in_it(tmp_path):
    history = program(letters("_x9 1x60", destination='a "SIEM"'.replace('"', r"\"")))
    assert_says(
        tmp_path,
        history,
        15,
        "DeadLetters",
        labels={**PROGRAM, "destination": 'a "SIEM"', "reason": "too_long", "severity": "warning"},
        annotations={
            "summary": 'Events could not be delivered to a "SIEM" as they are',
            "description": 'Dead letters of the last hour, a "SIEM", too_long: about 1. They are kept; mend the cause, and '
            "duologsync replay sends them.",
            "runbook_url": "docs/runbook.md#alert-deadletters",
        },
    )


@pytest.mark.servers
def test_a_history_that_was_told_wrongly_would_be_found(tmp_path):
    with pytest.raises(AssertionError, match="DestinationDown"):
        assert_fires(tmp_path, program(series("duologsync_destination_up", "0x60")), 10, {})


@pytest.mark.servers
def test_the_files_are_what_prometheus_takes():
    for check, path in (("rules", RULES), ("config", RULES.with_name("prometheus.yml"))):
        done = subprocess.run([binary("promtool"), "check", check, path], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
