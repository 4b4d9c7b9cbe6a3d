"""The words for a state: what a person reads first, wherever it is shown."""

from dataclasses import replace

import pytest

from pipelines.monitoring import words
from pipelines.monitoring.report import Missing, State, StreamReport
from pipelines.monitoring.words import Said, StreamFacts, of_run, of_stream

NOW_MS = 1_795_870_930_000  # 2026-11-28 13:02:10 UTC
HOUR_MS = 3_600_000
FACTS = StreamFacts(log_type="auth", destination="siem", now_ms=NOW_MS, position_ms=NOW_MS - 3 * HOUR_MS, lag_secs=3 * 3600.0)


def said(**changes: object) -> Said:
    return of_stream(replace(FACTS, **changes))


def stream(state: State, told: str = "", **more: object) -> StreamReport:
    return StreamReport("main", "auth", "siem", state, told, **more)


class TestOfAStream:
    def test_one_that_has_all_is_caught_up(self):
        assert said(caught_up=True, lag_secs=0.0) == Said(State.CAUGHT_UP, "caught up")

    def test_one_that_reads_says_how_far_it_is_and_how_long_it_takes(self):
        told = said(backlog_events=12_000, eta_secs=240.0, advances=True)
        assert told == Said(State.READING, "behind 3 h, 12,000 events, about 4 min")

    def test_what_is_not_known_is_left_out(self):
        assert said() == Said(State.READING, "behind 3 h")

    def test_one_that_delivers_nothing_is_behind(self):
        assert said(advances=False) == Said(State.BEHIND, "behind 3 h, and nothing is delivered now")

    def test_one_that_nobody_reads_is_stopped_however_near_it_is(self):
        assert said(runs=False).state is State.STOPPED
        assert said(runs=False).words == "stopped 3 h behind"
        assert said(runs=False, lag_secs=0.0, caught_up=True).words == "stopped"

    def test_one_without_a_checkpoint_was_never_read(self):
        assert said(position_ms=None, lag_secs=None) == Said(State.STARTING, "never read yet")
        assert said(position_ms=None, lag_secs=None, runs=False).words == "stopped, never read yet"

    def test_a_backfill_at_its_end_is_finished(self):
        assert said(finished=True) == Said(State.FINISHED, "finished")

    def test_one_that_waits_for_a_destination_names_it_and_the_cause_and_since_when(self):
        told = said(away="connection refused. Look whether it runs.", away_since_ms=NOW_MS - HOUR_MS)
        assert told == Said(State.WAITING, "waiting for siem: connection refused since 12:02 UTC", "Look whether it runs.")

    def test_a_cause_is_the_words_and_its_fix_is_what_to_do(self):
        told = said(suspended="Duo refuses the keys. Check ikey, skey and api_host.")
        assert told == Said(State.SUSPENDED, "suspended: Duo refuses the keys", "Check ikey, skey and api_host.")

    def test_a_dot_inside_of_a_name_does_not_end_a_sentence(self):
        assert said(suspended="api-1.example.com says no").words == "suspended: api-1.example.com says no"

    def test_what_only_a_person_can_mend_always_says_what_to_do(self):
        for what in ("suspended", "refused", "damaged"):
            assert said(**{what: "its cause"}).todo

    def test_a_log_that_duo_does_not_serve_can_be_left_out(self):
        assert "leave auth out of the routes" in said(refused="403").todo

    def test_what_is_worse_is_said_before_what_is_not(self):
        everything = {"damaged": "a", "suspended": "b", "refused": "c", "away": "d", "caught_up": True}
        for what, state in (
            ("damaged", State.DAMAGED),
            ("suspended", State.SUSPENDED),
            ("refused", State.REFUSED),
            ("away", State.WAITING),
            ("caught_up", State.CAUGHT_UP),
        ):
            assert said(**everything).state is state
            del everything[what]

    def test_one_that_the_configuration_has_no_more_is_none_that_needs_anybody(self):
        assert said(configured=False) == Said(State.NOT_READ, "not in the configuration any more")

    def test_what_is_missing_stands_behind_the_state(self):
        gap = Missing(1_700_000_000_000, 1_700_000_060_000, 94, 1, NOW_MS + HOUR_MS * 2)
        told = said(caught_up=True, missing=(gap,)).words
        assert told == (
            "caught up; missing 94 events from 2023-11-14 22:13:20 UTC to 2023-11-14 22:14:20 UTC, read again in 2 h"
        )
        told = said(caught_up=True, missing=(gap, replace(gap, events=1, due_ms=None))).words
        assert "missing 95 events in 2 stretches" in told
        assert said(caught_up=True, missing=(replace(gap, due_ms=None),)).words.endswith("given up")

    def test_words_are_one_line_whatever_the_cause_holds(self):
        assert "\n" not in said(suspended="one\ntwo\r\nthree").words


class TestOfTheRun:
    def test_all_is_well_where_every_stream_is(self):
        assert of_run([stream(State.CAUGHT_UP)] * 4) == Said(State.CAUGHT_UP, "all caught up")
        assert of_run([stream(State.CAUGHT_UP)]).words == "caught up"
        assert of_run([stream(State.FINISHED)] * 2) == Said(State.FINISHED, "finished")

    def test_who_is_needed_is_told_first_with_what_to_do_about_the_worst(self):
        streams = [
            stream(State.SUSPENDED, "suspended: no", todo="Mend it."),
            stream(State.DAMAGED, "damaged checkpoint: x", todo="Look."),
            *[stream(State.BEHIND, "behind 3 h")] * 6,
        ]
        assert of_run(streams) == Said(
            State.DAMAGED, "2 of 8 streams need you: main/auth to siem: damaged checkpoint: x", "Look."
        )
        assert of_run(streams[:1]).words == "the stream needs you: main/auth to siem: suspended: no"

    def test_a_destination_that_is_away_is_what_its_streams_wait_for(self):
        waiting = stream(State.WAITING, "waiting for siem: connection refused since 14:02 UTC")
        told = of_run([waiting, waiting, stream(State.CAUGHT_UP)])
        assert told.state is State.WAITING
        assert told.words == "2 of 3 streams are waiting for siem: connection refused since 14:02 UTC"

    def test_the_furthest_of_those_that_read_is_named_and_the_longest_time_that_is_left(self):
        streams = [stream(State.READING, lag_secs=60.0, eta_secs=5.0), stream(State.READING, lag_secs=7200.0, eta_secs=600.0)]
        assert of_run(streams).words == "reading: both streams are behind, the furthest 2 h, about 10 min left"
        assert of_run([*streams, stream(State.READING, lag_secs=1.0)]).words == (
            "reading: all 3 streams are behind, the furthest 2 h"
        )
        assert of_run(streams[1:]).words == "reading: the stream is behind 2 h, about 10 min left"

    def test_where_nothing_runs_that_is_what_counts(self):
        streams = [stream(State.STOPPED, lag_secs=7200.0, position_ms=1, todo="Start duologsync."), stream(State.STOPPED)]
        assert of_run(streams, runs=False) == Said(
            State.STOPPED, "stopped: nothing reads 2 streams, the furthest 2 h behind", "Start duologsync."
        )
        assert of_run(streams[:1], runs=False).words == "stopped: nothing reads 1 stream, 2 h behind"
        assert of_run(streams[1:], runs=False).words == "stopped, and nothing was ever read"
        assert of_run([], runs=False).state is State.STOPPED

    def test_before_anything_is_known_it_starts(self):
        assert of_run([]).state is State.STARTING
        assert of_run([stream(State.STARTING)]).words == "starting: the stream has never been read yet"

    def test_one_that_stands_still_is_named(self):
        told = of_run([stream(State.BEHIND, "behind 3 h", lag_secs=1.0), stream(State.CAUGHT_UP)])
        assert told.words == "1 of 2 streams stands still: main/auth to siem: behind 3 h"

    def test_those_that_are_not_read_any_more_do_not_count(self):
        assert of_run([stream(State.NOT_READ), stream(State.CAUGHT_UP)]).words == "caught up"

    def test_what_is_missing_is_not_hidden_by_all_else_being_well(self):
        missing = (Missing(0, 1, 94, 5, None),)
        assert of_run([stream(State.CAUGHT_UP, missing=missing)] * 2).words == (
            "all caught up, but Duo counted 188 events that it does not give"
        )

    def test_what_concerns_all_is_said_before_all_streams(self):
        trouble = Said(State.WAITING, "dead letters cannot be written", "Free space.")
        assert of_run([stream(State.SUSPENDED)], trouble=trouble) == trouble

    def test_every_state_of_a_stream_gives_a_verdict(self):
        for state in State:
            assert of_run([stream(state, "some words")]).words


@pytest.mark.parametrize(
    ("secs", "text"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (45, "45 s"),
        (89, "89 s"),
        (90, "2 min"),
        (720, "12 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (3 * 3600, "3 h"),
        (35 * 3600, "35 h"),
        (48 * 3600, "2 days"),
        (180 * 86_400, "180 days"),
    ],
)
def test_a_span_is_one_number_as_people_say_it(secs, text):
    assert words.span(secs) == text


def test_a_moment_is_short_where_it_is_near_and_whatever_a_clock_says_it_is_a_text():
    assert words.moment(NOW_MS - HOUR_MS, NOW_MS) == "12:02 UTC"
    assert words.moment(NOW_MS - 24 * HOUR_MS, NOW_MS) == "2026-11-27 13:02:10 UTC"
    assert words.moment(-1) == "-1 ms"
