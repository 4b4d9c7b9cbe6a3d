"""The hourly line of a stream and the last line of a run: true, and nothing in them reads like a loss that is none."""

from dataclasses import replace

from pipelines.local.summary import End, Outcome, last_line, since_the_start

NOTES = {"pages": 12, "rows": 4_998, "counted_by_duo": 19_347, "rows_left_out": 10_349, "windows": 6, "asked_again": 1}
ENDED = End(7200.0, Outcome(4_998, 0, 0), (), all_read=True, asked=True, code=0)


def test_what_overlaps_read_again_is_told_as_that_and_what_duo_counts_with_it_is_not_told():
    line = since_the_start(Outcome(4_998, 0, 0), NOTES)
    assert line == "4,998 events delivered; 10,349 repeats of windows that overlap left out"


def test_what_became_of_events_otherwise_stands_beside_what_is_delivered():
    assert since_the_start(Outcome(1, 20, 3), {"pages": 1}) == "1 event delivered, 20 filtered, 3 dead letters kept"


def test_what_is_missing_is_told_with_what_came_of_it_and_so_are_troubles():
    line = since_the_start(Outcome(5, 0, 0), {"missing": 94, "gaps_closed": 1, "server_error": 3, "rate_limited": 7})
    assert line == "5 events delivered; Duo counted 94 events more than it gave, and 1 gap closed since; met: server_error 3"


def test_a_good_end_says_that_all_is_delivered():
    assert last_line(ENDED) == "Ended as asked, after 2 h: 4,998 events delivered. All that was read is delivered."
    kept = replace(ENDED, outcome=Outcome(5, 2, 1))
    assert last_line(kept).endswith("All that was read is delivered, or filtered, or kept as a dead letter.")


def test_an_end_without_any_event_does_not_boast():
    assert last_line(replace(ENDED, outcome=Outcome(0, 0, 0))).endswith(
        "0 events delivered. Nothing that was read waits to be delivered."
    )


def test_what_is_not_delivered_is_named_with_what_happens_to_it():
    ended = replace(ENDED, undelivered=("main/auth to siem", "main/activity to siem"), code=4)
    assert last_line(ended).endswith(
        "Not delivered: what was read of main/auth to siem and of 1 other stream; the next start reads it again and sends it "
        "(exit code 4)."
    )


def test_what_was_not_seen_to_be_read_is_sent_again():
    assert "the next start sends that again (exit code 4)" in last_line(replace(ENDED, all_read=False, code=4))


def test_an_end_that_nobody_asked_for_says_so():
    assert last_line(replace(ENDED, asked=False, code=3)).startswith("Ended by itself, because no stream can go on until")
