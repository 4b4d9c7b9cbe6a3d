"""The one place where a process counts."""

import signal
import threading

import pytest

from transforms.metrics.catalog import (
    DEAD_LETTERS,
    DELIVERY_LATENCY,
    DUO_CALLS,
    DUO_THROTTLED_SECONDS,
    EVENTS_DELIVERED,
    EVENTS_READ,
    LATENCY_BUCKETS_SECS,
    SENT_BYTES,
)
from transforms.metrics.latency import delivered, duo_takes, sample
from transforms.metrics.reading import ReadingNotes
from transforms.metrics.registry import METRICS, MetricsRegistry, of_stream
from transforms.process import lifetime
from transforms.records import Stream, Subscription

AUTH = Subscription(Stream("main", "auth"), "siem")
ACTIVITY = Subscription(Stream("main", "activity"), "siem")


def test_counts_are_kept_by_their_labels():
    METRICS.add(EVENTS_READ, of_stream(AUTH), 3)
    METRICS.add(EVENTS_READ, of_stream(AUTH))
    METRICS.add(EVENTS_READ, of_stream(ACTIVITY), 0)
    assert METRICS.of(EVENTS_READ) == {("main", "auth", "siem"): 4}


def test_the_sum_is_of_those_whose_labels_begin_so():
    METRICS.add_each(DEAD_LETTERS, of_stream(AUTH), {"oversize": 2, "not_utf8": 1})
    METRICS.add_each(DEAD_LETTERS, of_stream(ACTIVITY), {"oversize": 5})
    assert METRICS.total(DEAD_LETTERS, of_stream(AUTH)) == 3
    assert METRICS.total(DEAD_LETTERS) == 8


def test_a_process_that_begins_anew_has_counted_nothing():
    METRICS.add(EVENTS_READ, of_stream(AUTH))
    lifetime.reset()
    assert METRICS.of(EVENTS_READ) == {}
    assert METRICS.take_untold("read", AUTH) == ({}, {})


def test_many_threads_lose_no_count():
    def work():
        for _ in range(2_000):
            METRICS.add(EVENTS_READ, of_stream(AUTH))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert METRICS.total(EVENTS_READ) == 8_000


def test_a_signal_that_comes_while_counting_can_count_too():
    registry = MetricsRegistry()

    def in_between(_signal, _frame):
        registry.add(EVENTS_READ, of_stream(AUTH))

    before = signal.signal(signal.SIGUSR2, in_between)
    try:
        with registry._lock:
            signal.raise_signal(signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert registry.total(EVENTS_READ) == 1


class TestHistograms:
    @pytest.mark.parametrize(("secs", "bucket"), [(0.0, 0), (1.0, 0), (1.001, 1), (86_400.0, 12), (86_400.1, 13)])
    def test_a_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed(self, secs, bucket):
        METRICS.observe(DELIVERY_LATENCY, of_stream(AUTH), [(secs, 7)])
        histogram = METRICS.histograms(DELIVERY_LATENCY)[of_stream(AUTH)]
        assert [index for index, count in enumerate(histogram.counts) if count] == [bucket]
        assert (histogram.count, histogram.total) == (7, 7 * secs)
        assert len(histogram.counts) == len(LATENCY_BUCKETS_SECS) + 1

    def test_what_is_read_does_not_change_any_more(self):
        METRICS.observe(DELIVERY_LATENCY, of_stream(AUTH), [(1, 1)])
        read = METRICS.histograms(DELIVERY_LATENCY)
        METRICS.observe(DELIVERY_LATENCY, of_stream(AUTH), [(1, 1)])
        assert read[of_stream(AUTH)].count == 1


class TestWhatBeamIsTold:
    def test_it_is_told_once_of_what_came_since(self):
        METRICS.add(EVENTS_READ, of_stream(AUTH), 3)
        assert METRICS.take_untold("read", AUTH) == ({"events_read": 3}, {})
        assert METRICS.take_untold("read", AUTH) == ({}, {})
        METRICS.add(EVENTS_READ, of_stream(AUTH), 4)
        assert METRICS.take_untold("read", AUTH) == ({"events_read": 4}, {})
        assert METRICS.total(EVENTS_READ) == 7

    def test_each_step_tells_its_own_and_each_stream_its_own(self):
        METRICS.add(EVENTS_READ, of_stream(AUTH), 1)
        METRICS.add(EVENTS_READ, of_stream(ACTIVITY), 2)
        METRICS.add(EVENTS_DELIVERED, of_stream(AUTH), 3)
        assert METRICS.take_untold("send", AUTH) == ({"events_delivered": 3}, {})
        assert METRICS.take_untold("read", ACTIVITY) == ({"events_read": 2}, {})
        assert METRICS.take_untold("read", AUTH) == ({"events_read": 1}, {})

    def test_what_streams_share_is_told_by_the_first_of_them(self):
        METRICS.add(SENT_BYTES, ("siem",), 10)
        METRICS.add(DUO_CALLS, ("main", "auth", "ok"), 2)
        assert METRICS.take_untold("send", ACTIVITY) == ({"sent_bytes": 10}, {})
        assert METRICS.take_untold("send", AUTH) == ({}, {})
        other = Subscription(AUTH.stream, "other siem")
        assert METRICS.take_untold("read", other) == ({"duo_calls_ok": 2}, {})

    def test_a_label_beyond_the_stream_is_in_the_name(self):
        METRICS.add_each(DEAD_LETTERS, of_stream(AUTH), {"oversize": 2})
        assert METRICS.take_untold("send", AUTH) == ({"dead_letters_oversize": 2}, {})

    def test_parts_of_a_second_wait_until_they_are_a_whole_one(self):
        told = 0
        for _ in range(10):
            METRICS.add(DUO_THROTTLED_SECONDS, ("main", "auth"), 0.25)
            told += METRICS.take_untold("read", AUTH)[0].get("duo_throttled_seconds", 0)
        assert told == 2

    def test_values_wait_in_a_bounded_number(self):
        for _ in range(200):
            METRICS.observe(DELIVERY_LATENCY, of_stream(AUTH), [(1, 1), (2, 1), (3, 1)])
        assert len(METRICS.take_untold("send", AUTH)[1]["delivery_latency_seconds"]) == 300
        assert METRICS.histograms(DELIVERY_LATENCY)[of_stream(AUTH)].count == 600


def test_only_the_first_of_many_are_told_apart():
    asked = [METRICS.is_among_first("fields", f"field {n}", 3) for n in range(5)]
    assert asked == [True, True, True, False, False]
    assert METRICS.is_among_first("fields", "field 1", 3)
    assert METRICS.is_among_first("others", "field 4", 3)


def test_what_reading_meets_is_counted_as_the_log_tells_it():
    notes, others = ReadingNotes(AUTH), ReadingNotes(ACTIVITY)
    assert notes.counts == {}
    notes.page(rows=5, left_out=2, shared=False)
    notes.page(rows=0, left_out=0, shared=True)
    notes.add("asked_again")
    others.add("asked_again")
    assert notes.counts == {"pages": 2, "rows": 5, "rows_left_out": 2, "pages_shared": 1, "asked_again": 1}


class TestTheLatency:
    NOW_MS = 10_000_000

    @pytest.fixture(autouse=True)
    def _duo_takes_two_minutes(self):
        duo_takes(AUTH.stream, 120)

    def spread(self) -> dict[float, float]:
        histogram = METRICS.histograms(DELIVERY_LATENCY)[of_stream(AUTH)]
        bounds = [*LATENCY_BUCKETS_SECS, float("inf")]
        return {bound: count for bound, count in zip(bounds, histogram.counts, strict=True) if count}

    def test_it_begins_when_duo_can_show_an_event(self):
        delivered(AUTH, [(self.NOW_MS - 123_000, 250), (self.NOW_MS - 180_000, 500)], self.NOW_MS)
        assert self.spread() == {5.0: 250, 60.0: 500}
        assert METRICS.histograms(DELIVERY_LATENCY)[of_stream(AUTH)].total == 250 * 3 + 500 * 60

    def test_an_event_that_came_sooner_than_duo_usually_shows_it_took_no_time(self):
        delivered(AUTH, [(self.NOW_MS - 5_000, 1), (self.NOW_MS + 3_600_000, 1)], self.NOW_MS)
        assert self.spread() == {1.0: 2}

    def test_of_a_stream_that_is_read_elsewhere_the_usual_lag_is_taken(self):
        delivered(ACTIVITY, [(self.NOW_MS - 121_000, 1)], self.NOW_MS)
        assert METRICS.histograms(DELIVERY_LATENCY)[of_stream(ACTIVITY)].total == 1

    def test_beam_gets_each_value_once(self):
        delivered(AUTH, [(self.NOW_MS - 123_000, 250), (self.NOW_MS - 180_000, 500)], self.NOW_MS)
        assert METRICS.take_untold("send", AUTH) == ({}, {"delivery_latency_seconds": [3.0, 60.0]})


class TestTheSampleForTheLatency:
    @staticmethod
    def rows(count: int) -> list[bytes]:
        return [b'{"txid":"%d","timestamp":%d}' % (n, n) for n in range(1, count + 1)]

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 999, 1_000])
    def test_it_stands_for_every_event_of_the_page(self, count):
        assert sum(weight for _, weight in sample(AUTH.stream, self.rows(count))) == count

    def test_it_is_the_beginning_the_middle_and_the_end(self):
        assert sample(AUTH.stream, self.rows(1_000)) == [(1_000, 250), (501_000, 500), (1_000_000, 250)]

    @pytest.mark.parametrize("odd", [b"", b"[]", b"\xff", b'{"timestamp":"x"}', b'{"timestamp":1e400}'])
    def test_what_has_no_time_is_left_out(self, odd):
        assert sample(AUTH.stream, [odd, *self.rows(1)]) == [(1_000, 1)]

    def test_of_a_log_that_is_not_duos_nothing_is_known(self):
        assert sample(Stream("main", "mine"), self.rows(3)) == []
