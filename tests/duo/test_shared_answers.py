"""Several feeds of one stream, one for each destination: a page is fetched once for all that keep up, nobody waits for long."""

import itertools
import json
import logging
import random
from collections import Counter
from dataclasses import replace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.duo.fake_duo import MINUTE, NOW_MS
from tests.duo.test_feed_steps import ACCOUNT, HOUR, JumpingClock, MemoryDuo
from transforms.duo.fetch import shared_answers
from transforms.duo.fetch.feed import PageFeed
from transforms.duo.fetch.feed_registry import close_feeds, feed_of
from transforms.duo.fetch.read_ahead import ReadAhead
from transforms.duo.fetch.shared_answers import SharedAnswers
from transforms.duo.position import windows
from transforms.duo.position.windows import DAY_MS, first_cursor
from transforms.duo.rate_limit.budget import RateBudget
from transforms.errors import BadCredentials, RetryLater, StreamUnavailable
from transforms.settings import Reading
from transforms.state.cursor import Cursor

_NUMBERS = itertools.count()  # what one destination counts is not for another one of the same name
READING = Reading(start_days=1, poll_interval_secs=120, lag_secs=120)


class Destination:
    """A feed and the one that takes its pages: at once, or not at all while it is away."""

    def __init__(self, world: "World", cursor: Cursor) -> None:
        self.feed = PageFeed(
            ACCOUNT, "activity", world.reading, clock=world.clock, make_client=lambda: world.duo, budget=world.budget,
            answers=world.answers, own_thread=False, destination=f"siem {next(_NUMBERS)}",
        )  # fmt: skip
        self.feed._log_type = world.duo.log_type
        self.handed: Counter[str] = Counter()
        self.away = False
        self.takes_every_secs = 0.0
        self._takes_at = 0.0
        self.feed.seek(cursor)

    def work(self, now: float) -> float | None:
        wait_secs = self.feed.work_once()
        self.feed.hold(False)  # somebody asks for it, also while it is away
        while not self.away and now >= self._takes_at and (fetched := self.feed.take(0.0)) is not None:
            self.handed.update(json.loads(raw)["activity_id"] for raw in fetched.page.rows)
            self.feed.delivered(fetched.after)
            self._takes_at = now + self.takes_every_secs
            wait_secs = 0.0
        return wait_secs

    @property
    def calls(self) -> int:
        """Pages that it has fetched from Duo itself."""
        return self.feed.counts["pages"] - self.feed.counts["pages_shared"]


class World:
    """One stream: a Duo in memory, a clock, a rate budget, and destinations."""

    def __init__(self, reading: Reading = READING, page_limit: int = 1000) -> None:
        self.reading = reading
        self.clock = JumpingClock()
        self.duo = MemoryDuo(self.clock)
        self.duo.log_type = replace(self.duo.log_type, page_limit=page_limit)
        self.budget = RateBudget(now=self.clock.monotonic_secs)
        self.answers = SharedAnswers(self.clock)
        self.destinations: list[Destination] = []
        self._published = 0

    @property
    def now_ms(self) -> int:
        return int(self.clock.wall_secs() * 1000)

    def add(self, cursor: Cursor | None = None) -> Destination:
        destination = Destination(self, cursor or first_cursor(self.now_ms, self.reading))
        self.destinations.append(destination)
        return destination

    def publish(self, count: int = 1, *, ago_ms: int = 0, apart_ms: int = 1) -> None:
        for number in range(count):
            self.duo.publish(self.now_ms - ago_ms + number * apart_ms, f"event-{self._published}")
            self._published += 1

    def run(self, secs: float) -> None:
        end = self.clock.monotonic_secs() + secs
        while True:
            waits = [destination.work(self.clock.monotonic_secs()) for destination in self.destinations]
            left_secs = end - self.clock.monotonic_secs()
            if 0.0 in waits:
                continue
            if left_secs <= 0:
                return
            self.clock.sleep(max(0.001, min(left_secs, 5.0, *(secs for secs in waits if secs is not None))))

    def events(self) -> Counter[str]:
        return Counter(event_id for _, event_id in self.duo.rows)


def polls(world: World, minutes: int, rows_a_minute: int = 3) -> None:
    for _ in range(minutes):
        world.publish(rows_a_minute, apart_ms=60_000 // rows_a_minute)
        world.run(60)


def catch_up(world: World) -> None:
    world.run(2 * HOUR)


def calls_of_one(secs: float, *, page_limit: int = 1000, backlog: int = 0, minutes: int = 0, rows_a_minute: int = 3) -> int:
    """What one destination alone costs."""
    world = World(page_limit=page_limit)
    world.publish(backlog, ago_ms=20 * HOUR * 1000)
    world.add()
    world.run(secs)
    polls(world, minutes, rows_a_minute)
    return world.duo.calls


@pytest.fixture(params=["quiet", "busy"])
def rows_a_minute(request, monkeypatch) -> int:
    monkeypatch.setattr(windows, "QUIET_ROWS", 100)
    return {"quiet": 3, "busy": 20}[request.param]


class TestKeepingUp:
    @pytest.mark.parametrize("count", [2, 3])
    def test_a_backlog_is_fetched_once_for_all_and_handed_on_once_to_each(self, count):
        world = World(page_limit=10)
        world.publish(1_000, ago_ms=20 * HOUR * 1000)
        for _ in range(count):
            world.add()
        world.run(60)

        assert [destination.handed for destination in world.destinations] == [world.events()] * count
        assert world.duo.calls == calls_of_one(60, page_limit=10, backlog=1_000)

    def test_polls_are_made_once_for_all(self, rows_a_minute):
        world = World()
        world.add()
        world.add()
        world.run(60)
        polls(world, 60, rows_a_minute)
        alone = calls_of_one(60, minutes=60, rows_a_minute=rows_a_minute)

        assert world.duo.calls == alone
        assert [destination.calls for destination in world.destinations] == [alone, 0]
        world.run(5 * 60)
        assert [destination.handed for destination in world.destinations] == [world.events()] * 2

    def test_beginnings_that_were_chosen_shortly_one_after_the_other_make_no_calls_of_their_own(self):
        world = World(page_limit=10)
        world.publish(200, ago_ms=20 * HOUR * 1000)
        later = first_cursor(world.now_ms + 7, READING)
        first = world.add(later)
        second = world.add(first_cursor(world.now_ms, READING))
        world.run(60)

        assert first.handed == second.handed == world.events()
        assert world.duo.calls == calls_of_one(60, page_limit=10, backlog=200)

    def test_rows_before_its_own_beginning_are_not_handed_on(self):
        world = World(page_limit=10)
        world.duo.publish(NOW_MS - DAY_MS - 5, "before")
        world.duo.publish(NOW_MS - DAY_MS - 1, "behind")
        first = world.add(first_cursor(NOW_MS - 9, READING))
        second = world.add(first_cursor(NOW_MS - 2, READING))
        world.run(60)

        assert set(first.handed) == {"before", "behind"}
        assert set(second.handed) == {"behind"}
        assert world.duo.calls == 1

    def test_a_look_back_to_the_edge_of_what_duo_serves_is_shared_while_that_edge_moves_on(self):
        reading = replace(READING, start_days=180, page_pause_secs=1.0)
        worlds = []
        for count in (1, 2):
            world = World(reading, page_limit=10)
            world.budget.at_least(1.0)
            world.publish(300, ago_ms=170 * DAY_MS)
            for _ in range(count):
                world.add()
            world.run(100)
            worlds.append(world)
        alone, together = worlds

        assert [destination.handed for destination in together.destinations] == [together.events()] * 2
        assert together.duo.calls == alone.duo.calls

    def test_an_answer_is_let_go_once_all_have_it(self):
        world = World(page_limit=10)
        world.publish(1_000, ago_ms=20 * HOUR * 1000)
        world.add()
        world.add()
        world.run(60)
        polls(world, 30)

        assert not world.answers._kept
        assert world.answers._kept_bytes == 0

    def test_with_one_destination_nothing_is_kept(self):
        world = World(page_limit=10)
        world.publish(300, ago_ms=20 * HOUR * 1000)
        destination = world.add()
        while destination.work(0.0) == 0.0:
            assert not world.answers._kept

        assert destination.handed == world.events()


class TestFallingBehind:
    def test_who_falls_behind_by_less_than_the_buffer_costs_no_call(self):
        world = World()
        here, away = world.add(), world.add()
        world.run(60)
        away.away = True
        polls(world, 20)
        assert len(here.handed) > len(away.handed) + 30
        away.away = False
        polls(world, 20)

        assert away.handed == here.handed
        assert world.duo.calls == calls_of_one(60, minutes=40)

    def test_who_falls_behind_by_more_fetches_it_again_alone_and_meets_the_others(self):
        world = World(page_limit=10)
        here, away = world.add(), world.add()
        world.run(60)
        away.away = True
        polls(world, 120)
        away_calls = away.calls
        away.away = False
        world.run(60)
        fetched_again = away.calls - away_calls
        assert 0 < fetched_again <= 120 * 3 / 10 + 5
        assert away.handed == here.handed
        polls(world, 60)

        assert world.duo.calls <= calls_of_one(60, page_limit=10, minutes=181) + fetched_again
        catch_up(world)
        assert away.handed == here.handed == world.events()

    def test_a_page_that_is_older_than_the_first_page_of_its_window_is_fetched_again(self, monkeypatch):
        """Else what Duo has published late in between would be counted in the first page, and missing for ever."""
        monkeypatch.setattr(shared_answers, "_MOST_PAGES", 3)
        world = World(page_limit=10)
        world.publish(60, ago_ms=5 * MINUTE, apart_ms=1_000)
        here = world.add()
        late = world.add()
        late.away = True
        here.feed.work_once()
        world.destinations.remove(late)
        world.run(10)
        world.destinations.append(late)
        assert sum(here.handed.values()) == 60
        world.publish(1, ago_ms=5 * MINUTE - 45_500)
        late.away = False
        world.run(10)

        assert late.handed == world.events()
        assert late.feed.counts["missing"] == late.feed.counts["asked_again"] == 0

    def test_after_meeting_polls_are_made_once_for_all_again(self):
        world = World(page_limit=10)
        here, away = world.add(), world.add()
        world.run(60)
        away.away = True
        polls(world, 120)
        away.away = False
        polls(world, 20)
        calls, pages = world.duo.calls, here.feed.counts["pages"]
        polls(world, 60)

        assert world.duo.calls - calls == here.feed.counts["pages"] - pages

    def test_the_one_that_is_current_does_not_notice(self):
        def delays(*, with_other: bool) -> list[int]:
            world = World(page_limit=10)
            here = world.add()
            if with_other:
                world.add().away = True
            world.publish(500, ago_ms=20 * HOUR * 1000)
            counts = []
            for _ in range(60):
                polls(world, 1)
                counts.append(sum(here.handed.values()))
            return counts

        assert delays(with_other=True) == delays(with_other=False)

    def test_the_leader_goes_away_and_the_follower_leads(self):
        world = World(page_limit=10)
        first, second = world.add(), world.add()
        world.run(60)
        polls(world, 10)
        first.away = True
        polls(world, 60)
        ahead = set(second.handed) - set(first.handed)
        first.away = False
        second.away = True
        polls(world, 60)
        second.away = False
        catch_up(world)

        assert len(ahead) > 100
        assert first.handed == second.handed == world.events()

    def test_both_away_and_back(self):
        world = World(page_limit=10)
        world.add()
        world.add()
        world.run(60)
        for destination in world.destinations:
            destination.away = True
        polls(world, 90)
        calls, pages = world.duo.calls, world.destinations[0].feed.counts["pages"]
        for destination in world.destinations:
            destination.away = False
        catch_up(world)

        assert [destination.handed for destination in world.destinations] == [world.events()] * 2
        assert world.duo.calls - calls == world.destinations[0].feed.counts["pages"] - pages

    def test_a_slow_destination_slows_nobody_down(self):
        world = World(page_limit=10)
        world.publish(1_000, ago_ms=20 * HOUR * 1000)
        fast, slow = world.add(), world.add()
        slow.takes_every_secs = 5.0
        world.run(30)
        assert fast.handed == world.events()
        assert sum(slow.handed.values()) < 100
        world.run(1_000)

        assert slow.handed == world.events()
        assert world.duo.calls <= 2 * calls_of_one(1_030, page_limit=10, backlog=1_000)

    def test_no_more_is_kept_than_the_bounds_say(self, monkeypatch):
        monkeypatch.setattr(shared_answers, "_MOST_BYTES", 3_000)
        world = World(page_limit=10)
        world.publish(1_000, ago_ms=20 * HOUR * 1000)
        world.add()
        world.add().away = True
        for _ in range(200):
            for destination in world.destinations:
                destination.work(0.0)
            assert world.answers._kept_bytes <= 3_000
            assert len(world.answers._kept) <= 16

    def test_where_room_is_limited_a_quarter_as_much_is_kept_for_others(self, monkeypatch):
        room = ReadAhead(limit_bytes=20_000)
        monkeypatch.setattr(shared_answers, "READ_AHEAD", room)
        world = World(page_limit=10)
        world.publish(1_000, ago_ms=20 * HOUR * 1000)
        here, away = world.add(), world.add()
        away.away = True
        while here.work(0.0) == 0.0:
            away.work(0.0)
            assert room._kept_bytes == world.answers._kept_bytes <= 5_000
        away.away = False
        catch_up(world)

        assert here.handed == away.handed == world.events()
        assert room._kept_bytes == 0

    def test_a_destination_that_nobody_asks_for_is_forgotten_and_what_was_kept_for_it_is_let_go(self):
        world = World(page_limit=10)
        world.publish(100, ago_ms=20 * HOUR * 1000)
        here, gone = world.add(), world.add()
        gone.away = True
        world.run(10)
        assert world.answers._kept
        world.destinations.remove(gone)
        world.run(130)
        gone.feed.work_once()

        assert not world.answers._kept
        assert here.handed == world.events()

    def test_a_feed_that_is_closed_is_forgotten(self):
        world = World(page_limit=10)
        world.publish(100, ago_ms=20 * HOUR * 1000)
        world.add()
        gone = world.add()
        gone.away = True
        world.run(10)
        world.destinations.remove(gone)
        gone.feed.close()

        assert not world.answers._kept


class TestTheRegistry:
    def test_feeds_of_one_stream_share_wherever_each_destination_begins(self):
        feeds = [
            feed_of(ACCOUNT, "activity", READING, "one"),
            feed_of(ACCOUNT, "activity", replace(READING, start_days=0.0), "another"),
            feed_of(ACCOUNT, "activity", replace(READING, until_ms=NOW_MS), "of a backfill"),
            feed_of(ACCOUNT, "auth", READING, "one"),
        ]
        close_feeds()

        assert len(set(map(id, feeds))) == 4
        assert feeds[0]._answers is feeds[1]._answers
        assert len({id(feed._answers) for feed in feeds}) == 3


class TestJoiningLate:
    @pytest.mark.parametrize("start_days", [0, 0.5])
    def test_it_meets_the_others_and_from_then_on_costs_nothing(self, start_days, rows_a_minute):
        world = World()
        here = world.add()
        world.run(60)
        polls(world, 31, rows_a_minute)
        began_ms = world.now_ms - int(start_days * DAY_MS)
        late = world.add(Cursor(began_ms, end_ms=began_ms, seen_from_ms=began_ms))
        polls(world, 45, rows_a_minute)
        calls, pages = world.duo.calls, here.feed.counts["pages"]
        polls(world, 60, rows_a_minute)
        assert world.duo.calls - calls == here.feed.counts["pages"] - pages
        world.run(300)

        assert late.handed == Counter(event_id for time_ms, event_id in world.duo.rows if time_ms >= began_ms)
        assert here.handed == world.events()

    def test_positions_at_different_ends_meet_within_two_windows(self):
        world = World()
        first = world.add(Cursor(NOW_MS - 10 * MINUTE, end_ms=NOW_MS - 10 * MINUTE, seen_from_ms=NOW_MS - 10 * MINUTE))
        second = world.add(Cursor(NOW_MS - 150_000, end_ms=NOW_MS - 150_000, seen_from_ms=NOW_MS - 150_000))
        world.run(5 * 60)

        assert first.feed._pages.fetch_at.end_ms == second.feed._pages.fetch_at.end_ms

    def test_positions_that_each_stand_in_a_window_of_their_own_meet(self):
        """As after a restart in the middle of two windows that end at different times."""
        world = World(page_limit=5)
        world.publish(200, ago_ms=90 * MINUTE, apart_ms=20_000)
        begun = NOW_MS - 100 * MINUTE
        first = world.add(Cursor(begun, NOW_MS - 50 * MINUTE, end_ms=begun, seen_from_ms=begun, begin_ms=begun))
        second = world.add(Cursor(begun, NOW_MS - 40 * MINUTE, end_ms=begun, seen_from_ms=begun, begin_ms=begun))
        world.run(10 * 60)

        assert first.feed._pages.fetch_at.end_ms == second.feed._pages.fetch_at.end_ms
        assert first.handed == second.handed == world.events()

    @pytest.mark.parametrize("swept", [(0, 5), (5, 0), (9, 2), (2, 9)])
    def test_look_backs_of_a_busy_stream_that_are_due_at_different_times_become_one(self, swept, monkeypatch):
        monkeypatch.setattr(windows, "QUIET_ROWS", 100)
        world = World()
        for minute in range(40):
            world.publish(20, ago_ms=(40 - minute) * MINUTE, apart_ms=3_000)
        end_ms = NOW_MS - 120_000
        _, cursor = world.duo.read(Cursor(NOW_MS - HOUR * 1000), NOW_MS, READING)
        for minutes in swept:
            world.add(replace(cursor, swept_ms=end_ms - minutes * MINUTE))
        polls(world, 20, 20)
        a, b = (destination.feed._pages.fetch_at for destination in world.destinations)
        assert a.swept_ms == b.swept_ms
        calls, pages = world.duo.calls, world.destinations[0].feed.counts["pages"]
        polls(world, 30, 20)

        assert world.duo.calls - calls == world.destinations[0].feed.counts["pages"] - pages


class TestOneCallForAll:
    def test_who_wants_the_same_call_waits_for_it_and_has_its_answer(self):
        world = World()
        world.publish(5, ago_ms=HOUR * 1000)
        first, second = world.add(), world.add()
        waits = []
        fetch_page = world.duo.fetch_page

        def slow(log_type, call):
            waits.append(second.feed.work_once())
            return fetch_page(log_type, call)

        world.duo.fetch_page = slow
        first.feed.work_once()
        world.duo.fetch_page = fetch_page

        assert waits == [pytest.approx(10)]
        assert second.feed.work_once() == 0.0
        assert second.feed.take(0.0).page.rows == first.feed.take(0.0).page.rows
        assert world.duo.calls == 1

    def test_a_call_that_hangs_is_not_waited_for_for_long(self):
        world = World()
        world.publish(5, ago_ms=HOUR * 1000)
        first, second = world.add(), world.add()
        fetch_page = world.duo.fetch_page

        def hangs(log_type, call):
            world.duo.fetch_page = fetch_page
            world.run_only(second, 12)
            assert sum(second.handed.values()) == 5
            raise RetryLater("timed out", kind="network")

        world.run_only = lambda destination, secs: run_only(world, destination, secs)
        world.duo.fetch_page = hangs
        first.feed.work_once()
        world.run(60)

        assert first.handed == second.handed == world.events()

    @pytest.mark.parametrize("error", [RetryLater("503", kind="server_error"), StreamUnavailable("403", kind="forbidden")])
    def test_trouble_does_not_cost_more_calls_than_one_destination_makes(self, error, caplog):
        caplog.set_level(logging.INFO)
        random.seed(1)
        counts = []
        for count in (1, 2):
            world = World()
            for _ in range(count):
                world.add()
            world.duo.error = error
            world.run(HOUR)
            counts.append(world.duo.calls)
            assert len({destination.feed.counts[error.kind] for destination in world.destinations}) == 1
            world.duo.error = None
            world.publish(3)
            world.run(2_000)
            assert [destination.handed for destination in world.destinations] == [world.events()] * count
            assert caplog.text.count("(failure 1 in a row)") == caplog.text.count("is readable again") == 1
            caplog.clear()

        assert counts[1] <= counts[0] * 1.2 + 1

    def test_refused_keys_are_raised_to_each_reader_without_more_calls(self):
        world = World()
        destinations = [world.add(), world.add()]
        world.duo.error = BadCredentials("Duo refused the keys.")
        raised = set()
        for _ in range(2_000):
            waits = []
            for destination in destinations:
                try:
                    waits.append(destination.work(0.0))
                except BadCredentials:
                    raised.add(destination)
                    waits.append(1.0)
            world.clock.sleep(max(0.001, min(waits)))
            if len(raised) == 2:
                break

        assert len(raised) == 2
        assert world.duo.calls == 3

    def test_trouble_of_one_that_is_behind_does_not_touch_one_that_is_current(self):
        world = World(page_limit=10)
        here, away = world.add(), world.add()
        world.run(60)
        away.away = True
        polls(world, 120)
        away.away = False
        fetch_page = world.duo.fetch_page
        limit_ms = world.now_ms - 20 * MINUTE

        def old_pages_fail(log_type, call):
            if call.cursor.position_ms < limit_ms:
                raise RetryLater("504", kind="server_error")
            return fetch_page(log_type, call)

        world.duo.fetch_page = old_pages_fail
        polls(world, 30)
        assert len(here.handed) >= len(world.duo.rows) - 3 * 5
        world.duo.fetch_page = fetch_page
        catch_up(world)

        assert away.handed == here.handed == world.events()

    def test_what_one_feed_learnt_of_duos_clock_counts_for_all(self):
        world = World()
        first, second = world.add(), world.add()
        for _ in range(5):
            world.answers.duo_clock.note(240.0)

        assert first.feed._now_ms() == second.feed._now_ms() == world.now_ms - 240_000


def run_only(world: World, destination: Destination, secs: float) -> None:
    end = world.clock.monotonic_secs() + secs
    while world.clock.monotonic_secs() < end:
        wait_secs = destination.work(world.clock.monotonic_secs())
        world.clock.sleep(min(wait_secs or 0.01, 1.0))


class TestRateBudget:
    def test_who_is_behind_gives_way_to_who_is_current_and_still_progresses(self):
        world = World(page_limit=10)
        world.budget.at_least(10.0)
        here, away = world.add(), world.add()
        world.run(60)
        away.away = True
        polls(world, 240)
        away.away = False
        delays = []
        for _ in range(30):
            polls(world, 1)
            delays.append(len(world.duo.rows) - len(here.handed))
        catch_up(world)

        assert max(delays) <= 3 * 5
        assert away.handed == here.handed == world.events()

    def test_who_is_behind_does_not_stand_still_where_the_current_ones_use_all_that_duo_allows(self):
        clock = JumpingClock()
        budget = RateBudget(10.0, now=clock.monotonic_secs)
        calls = Counter()
        due = {"current": 0.0, "behind": 0.0}
        for _ in range(100_000):
            for who in sorted(due, reverse=True):
                if clock.monotonic_secs() >= due[who]:
                    wait_secs = budget.reserve(behind=who == "behind")
                    calls[who] += wait_secs == 0
                    due[who] = clock.monotonic_secs() + wait_secs
            clock.sleep(0.1)

        assert calls["behind"] >= calls["current"] / 30
        assert calls["current"] >= 0.9 * 100_000 * 0.1 / 10.0


# (minute in which it is published, how old it is beyond the lag): some late, many alike.
arrivals = st.lists(
    st.tuples(st.integers(0, 60), st.one_of(st.integers(0, 3), st.integers(0, 90_000), st.integers(0, 9 * MINUTE))), max_size=80
)
stalls = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(1, 40)), max_size=6)


@given(
    arrivals=arrivals,
    stalls=stalls,
    count=st.integers(2, 3),
    joins=st.lists(st.integers(0, 20), min_size=2, max_size=2),
    page_limit=st.integers(2, 7),
    slow=st.sampled_from([0.0, 0.0, 30.0, 200.0]),
    quiet_rows=st.sampled_from([3, 500]),
)
@settings(max_examples=40, deadline=None)
def test_every_row_is_handed_on_once_to_each_whoever_stalls_when(arrivals, stalls, count, joins, page_limit, slow, quiet_rows):
    with mock.patch.object(windows, "QUIET_ROWS", quiet_rows):
        live_through(World(page_limit=page_limit), arrivals, stalls, [0, *joins][:count], slow)


def live_through(world: World, arrivals, stalls, joins: list[int], slow: float) -> None:
    for minute in range(61):
        for number, joins_at in enumerate(joins):
            if joins_at == minute:
                world.add(Cursor(NOW_MS - DAY_MS)).takes_every_secs = slow if number == 1 else 0.0
        for number, destination in enumerate(world.destinations):
            destination.away = any(who == number and since <= minute < since + length for who, since, length in stalls)
        publish_arrivals(world, minute, arrivals)
        world.run(60)
    for destination in world.destinations:
        destination.away, destination.takes_every_secs = False, 0.0
    catch_up(world)

    assert [destination.handed for destination in world.destinations] == [world.events()] * len(joins)
    assert not any(destination.feed.counts["missing"] for destination in world.destinations)
    calls, pages = world.duo.calls, world.destinations[0].feed.counts["pages"]
    catch_up(world)
    assert world.duo.calls - calls == world.destinations[0].feed.counts["pages"] - pages


def publish_arrivals(world: World, minute: int, arrivals) -> None:
    for at_minute, age_ms in arrivals:
        if at_minute == minute:
            world.publish(1, ago_ms=120_000 + age_ms)


@given(arrivals=arrivals, count=st.integers(2, 3), page_limit=st.integers(2, 7), quiet_rows=st.sampled_from([3, 500]))
@settings(max_examples=30, deadline=None)
def test_keeping_up_costs_as_many_calls_as_one_destination(arrivals, count, page_limit, quiet_rows):
    with mock.patch.object(windows, "QUIET_ROWS", quiet_rows):
        assert calls_of(count, arrivals, page_limit) == calls_of(1, arrivals, page_limit)


def calls_of(count: int, arrivals, page_limit: int) -> int:
    world = World(page_limit=page_limit)
    for _ in range(count):
        world.add(Cursor(NOW_MS - DAY_MS))
    for minute in range(61):
        publish_arrivals(world, minute, arrivals)
        world.run(60)
    world.run(30 * 60)
    assert [destination.handed for destination in world.destinations] == [world.events()] * count
    return world.duo.calls
