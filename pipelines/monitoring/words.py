"""States in words: what is known of a stream, or of the whole run, as a state, a few words, and what a person does about it.

Place in the flow: whoever makes a report (``observe`` of a running program, ``stored`` of a checkpoint directory) asks here, so
that the terminal, the page, systemd and the log say the same of the same.

Contract: pure functions. Words begin in lower case and end without a stop, so that they can stand in a table, behind a colon or
in a sentence; what is to be done is one or more whole sentences, or empty. Times are UTC and say so.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.monitoring.report import Missing, State, StreamReport
from transforms.process.clock import utc
from transforms.process.plural import counted

MINUTE_SECS, HOUR_SECS, DAY_SECS = 60.0, 3600.0, 86_400.0
# A cause of ours is one sentence or more; what stands behind the first says what to do.
_SENTENCE_END = re.compile(r"\.\s+(?=[A-Z\"'])")

NEED_A_PERSON = frozenset({State.SUSPENDED, State.REFUSED, State.DAMAGED})
"""The states that do not pass by themselves."""


class Said(NamedTuple):
    """A state, the words for it, and what a person does about it."""

    state: State
    words: str
    todo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """What is known of one stream on its way to one destination.

    Attributes:
      log_type, destination: the words name them.
      now_ms: when this is known.
      runs: whether a program reads it now; None where nobody can tell, because it would run elsewhere.
      configured: the configuration reads it and sends it there.
      position_ms: delivered up to here; None where nothing was ever read.
      lag_secs: as in ``StreamReport``. caught_up: all that Duo has shown is delivered.
      backlog_events, eta_secs: as in ``StreamReport``.
      advances: delivers now, as far as the last minutes tell; None where they do not.
      finished: a backfill that is read and delivered.
      suspended: why a person must mend something; refused: why Duo does not serve this log now; away: why the destination, or
        the directory of dead letters, cannot be used now, and since when; damaged: why the checkpoint cannot be read. Empty
        where it is not so.
      duo_away: why Duo cannot be asked now; since when is ``away_since_ms``, too. failure: why the last batch failed, where
        neither of the two is known to be away.
      missing: as in ``StreamReport``.
    """

    log_type: str
    destination: str
    now_ms: int
    runs: bool | None = True
    configured: bool = True
    position_ms: int | None = None
    lag_secs: float | None = None
    caught_up: bool = False
    backlog_events: int | None = None
    eta_secs: float | None = None
    advances: bool | None = None
    finished: bool = False
    suspended: str = ""
    refused: str = ""
    away: str = ""
    away_since_ms: int | None = None
    damaged: str = ""
    duo_away: str = ""
    failure: str = ""
    missing: tuple[Missing, ...] = ()


def reported(account: str, facts: StreamFacts) -> StreamReport:
    """What is known of a stream, with its words, as it is reported; what else its caller knows is not in it."""
    return StreamReport(
        account, facts.log_type, facts.destination, *of_stream(facts),
        position_ms=facts.position_ms,
        lag_secs=facts.lag_secs,
        backlog_events=facts.backlog_events,
        eta_secs=facts.eta_secs,
        missing=facts.missing,
    )  # fmt: skip


def of_stream(facts: StreamFacts) -> Said:
    """How one stream is. What is missing of it stands behind whatever else is said."""
    said = _how_it_is(facts)
    missing = in_words(facts.missing, facts.now_ms)
    return said._replace(words=f"{said.words}; {missing}") if missing else said


def _how_it_is(facts: StreamFacts) -> Said:
    if facts.damaged:
        return _with_its_fix(
            State.DAMAGED, "damaged checkpoint", facts.damaged, "The next start begins before it and repeats events."
        )
    if not facts.configured:
        return Said(State.NOT_READ, "not in the configuration any more")
    if facts.suspended:
        return _with_its_fix(State.SUSPENDED, "suspended", facts.suspended, "Mend that; it goes on by itself.")
    if facts.refused:
        leave_out = f"Grant it in Duo's Admin Panel, or leave {facts.log_type} out of the routes."
        return _with_its_fix(State.REFUSED, "not served by Duo", facts.refused, leave_out)
    if facts.away or facts.duo_away:
        since = f" since {moment(facts.away_since_ms, facts.now_ms)}" if facts.away_since_ms is not None else ""
        cause, fix = cause_and_fix(facts.away or facts.duo_away)
        return Said(State.WAITING, f"waiting for {facts.destination if facts.away else 'Duo'}: {cause}{since}", fix)
    if facts.failure:
        cause, fix = cause_and_fix(facts.failure)
        return Said(State.WAITING, f"tries again: {cause}", fix)
    return _how_far_it_is(facts)


def _how_far_it_is(facts: StreamFacts) -> Said:
    if facts.runs is False:
        onward = "" if facts.position_ms is None else "; it goes on from there"
        return Said(State.STOPPED, _where_it_stopped(facts), f"Start duologsync{onward}.")
    if facts.finished:
        return Said(State.FINISHED, "finished")
    if facts.position_ms is None:
        return Said(State.STARTING, "never read yet")
    if facts.caught_up:
        return Said(State.CAUGHT_UP, "caught up")
    words = ", ".join(_how_far_behind(facts))
    if facts.advances is False:
        return Said(State.BEHIND, f"{words}, and nothing is delivered now")
    return Said(State.READING, words)


def _where_it_stopped(facts: StreamFacts) -> str:
    if facts.position_ms is None:
        return "stopped, never read yet"
    return f"stopped {span(facts.lag_secs)} behind" if facts.lag_secs else "stopped"


def _how_far_behind(facts: StreamFacts) -> Iterable[str]:
    yield f"behind {span(facts.lag_secs)}" if facts.lag_secs is not None else "behind"
    if facts.backlog_events:
        yield counted(facts.backlog_events, "event")
    if facts.eta_secs is not None:
        yield f"about {span(facts.eta_secs)}"


def _with_its_fix(state: State, what: str, cause: str, usual_fix: str) -> Said:
    first, fix = cause_and_fix(cause)
    return Said(state, f"{what}: {first}", fix or usual_fix)


def cause_and_fix(cause: str) -> tuple[str, str]:
    """The first sentence without its stop, and what stands behind it."""
    first, *rest = _SENTENCE_END.split(" ".join(cause.split()), maxsplit=1)
    return first.rstrip("."), "".join(rest)


def in_words(missing: Sequence[Missing], now_ms: int) -> str:
    """``missing 94 events from … to …, read again in 3 h``; of several stretches, how many there are. Empty for none."""
    if not missing:
        return ""
    events = counted(sum(each.events for each in missing), "event")
    from_ms, to_ms = min(each.from_ms for each in missing), max(each.to_ms for each in missing)
    stretches = f" in {len(missing)} stretches" if len(missing) > 1 else ""
    due_ms = min((each.due_ms for each in missing if each.due_ms is not None), default=None)
    outlook = "given up" if due_ms is None else f"read again in {span((due_ms - now_ms) / 1000)}"
    return f"missing {events}{stretches} from {moment(from_ms)} to {moment(to_ms)}, {outlook}"


# --- the whole run ---------------------------------------------------------------------------------------------------


def of_run(streams: Sequence[StreamReport], *, runs: bool | None = True, trouble: Said | None = None) -> Said:
    """How the whole is: its worst stream says it.

    Args:
      runs: as in ``StreamFacts``.
      trouble: what concerns all, and is said first: dead letters that cannot be written, say.
    """
    read = [stream for stream in streams if stream.state is not State.NOT_READ]
    if trouble is not None:
        return trouble
    if not read:
        return _of_no_stream(runs)
    needy = [stream for stream in read if stream.state in NEED_A_PERSON]
    if needy:
        worst = max(needy, key=lambda stream: severity(stream.state))
        verb = "needs" if len(needy) == 1 else "need"
        return Said(worst.state, f"{_of(needy, read)} {verb} you: {title(worst)}: {worst.words}", worst.todo)
    for state in (State.STOPPED, State.WAITING, State.BEHIND, State.STARTING, State.READING):
        those = [stream for stream in read if stream.state is state]
        if those:
            return _of_those(state, those, read)
    return _of_what_is_well(read)


def severity(state: State) -> int:
    """Where a state stands among all: the worse, the higher."""
    return list(State).index(state)


def title(stream: StreamReport) -> str:
    """``main/auth to siem``."""
    return f"{stream.account}/{stream.log_type} to {stream.destination}"


def _of_no_stream(runs: bool | None) -> Said:
    if runs is False:
        return Said(State.STOPPED, "stopped, and nothing was ever read", "Start duologsync.")
    return Said(State.STARTING, "starting: no stream is read yet")


def _of(those: Sequence[StreamReport], read: Sequence[StreamReport]) -> str:
    """``2 of 8 streams``, ``all 8 streams``, ``both streams``, ``the stream``."""
    if len(those) == len(read) <= 2:
        return "the stream" if len(read) == 1 else "both streams"
    return f"all {len(read):,} streams" if len(those) == len(read) else f"{len(those):,} of {len(read):,} streams"


def _of_those(state: State, those: list[StreamReport], read: list[StreamReport]) -> Said:
    """Of the streams in the worst state that is there, and that passes by itself."""
    if state is State.STOPPED:
        return _of_the_stopped(those)
    if state is State.READING:
        return _of_the_reading(those, read)
    which, many = _of(those, read), len(those) > 1
    furthest = max(those, key=lambda stream: stream.lag_secs or 0.0)
    if state is State.WAITING:
        usual = Counter(stream.words for stream in those).most_common(1)[0][0]
        return Said(state, f"{which} {'are' if many else 'is'} {usual}", furthest.todo)
    if state is State.BEHIND:
        still = f"{which} {'stand' if many else 'stands'} still"
        return Said(state, f"{still}: {title(furthest)}: {furthest.words}", furthest.todo)
    return Said(state, f"starting: {which} {'have' if many else 'has'} never been read yet")


def _of_the_stopped(those: list[StreamReport]) -> Said:
    if all(stream.position_ms is None for stream in those):
        return Said(State.STOPPED, "stopped, and nothing was ever read", those[0].todo)
    lags = [stream.lag_secs for stream in those if stream.lag_secs]
    furthest = "the furthest " if len(those) > 1 else ""
    behind = f", {furthest}{span(max(lags))} behind" if lags else ""
    return Said(State.STOPPED, f"stopped: nothing reads {counted(len(those), 'stream')}{behind}", those[0].todo)


def _of_the_reading(those: list[StreamReport], read: list[StreamReport]) -> Said:
    lags = [stream.lag_secs for stream in those if stream.lag_secs]
    etas = [stream.eta_secs for stream in those if stream.eta_secs is not None]
    words = f"reading: {_of(those, read)} {'are' if len(those) > 1 else 'is'} behind"
    if lags:
        words += f", the furthest {span(max(lags))}" if len(those) > 1 else f" {span(max(lags))}"
    if len(etas) == len(those):
        words += f", about {span(max(etas))} left"
    return Said(State.READING, words)


def _of_what_is_well(read: list[StreamReport]) -> Said:
    finished = all(stream.state is State.FINISHED for stream in read)
    missing = sum(each.events for stream in read for each in stream.missing)
    words = "finished" if finished else "caught up" if len(read) == 1 else "all caught up"
    if missing:
        words += f", but Duo counted {counted(missing, 'event')} that it does not give"
    return Said(State.FINISHED if finished else State.CAUGHT_UP, words)


# --- numbers and times -----------------------------------------------------------------------------------------------


def span(secs: float) -> str:
    """``45 s``, ``12 min``, ``3 h``, ``2.5 days``: one number, as exact as people say it."""
    secs = max(0.0, secs)
    if secs < 1.5 * MINUTE_SECS:
        return f"{secs:.0f} s"
    if secs < 1.5 * HOUR_SECS:
        return f"{secs / MINUTE_SECS:.0f} min"
    if secs < 1.5 * DAY_SECS:
        return f"{_rounded(secs / HOUR_SECS)} h"
    return f"{_rounded(secs / DAY_SECS)} days"


def _rounded(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0") if number < 9.95 else f"{number:,.0f}"


def moment(time_ms: int, now_ms: int | None = None) -> str:
    """``2026-11-28 14:02:10 UTC``; ``14:02 UTC`` where that is within half a day of now."""
    if now_ms is not None and abs(now_ms - time_ms) < 1000 * DAY_SECS / 2:
        return time.strftime("%H:%M UTC", time.gmtime(time_ms / 1000))
    return utc(time_ms)
