"""Many streams in one process: few run at a time, little is read ahead, and none waits for another's trouble."""

import threading
from contextlib import ExitStack
from dataclasses import replace

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from tests.conftest import FAST, now_ms
from tests.pipeline.test_local_run import RunningJob
from transforms.destinations.stream.settings import TcpSettings
from transforms.duo.fetch.feed import PageFeed
from transforms.duo.fetch.read_ahead import READ_AHEAD, ReadAhead, Share
from transforms.formats.json_lines import JsonOptions
from transforms.process.pass_slots import PassSlots
from transforms.records import Stream, Subscription
from transforms.settings import Destination, Format, Job, Route, Storage
from transforms.state.cursor import Cursor


def to(name):
    return Destination(name, TcpSettings("siem", 1), Format(JsonOptions()))


def nothing():
    """What a stream does that is shut out."""


class Passes:
    """Streams that ask for a slot, each in a thread, and keep it until told to end."""

    def __init__(self, slots):
        self.slots = slots
        self.running = []
        self.blocked = set()
        self.stop = False
        self._ends = {}
        self._threads = []
        self._lock = threading.Lock()

    def start(self, name, destination="siem"):
        ask = threading.Event()
        self._ends[name] = threading.Event()
        thread = threading.Thread(target=self._run, args=(name, to(destination), ask), daemon=True)
        self._threads.append(thread)
        thread.start()
        ask.wait(5)

    def _run(self, name, destination, ask):
        def go_on():
            ask.set()
            return not self.stop

        slot = self.slots.slot(
            Subscription(Stream(name, "auth"), destination.name),
            destination,
            go_on=go_on,
            blocked=lambda: self.blocked.add(name),
        )
        with slot as granted:
            ask.set()
            if granted:
                with self._lock:
                    self.running.append(name)
                self._ends[name].wait(20)
                with self._lock:
                    self.running.remove(name)

    def end(self, name):
        self._ends[name].set()

    def close(self):
        self.stop = True
        for event in self._ends.values():
            event.set()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def stuck():
    """Streams that wait for a destination, by its name."""
    return {}


@pytest.fixture
def passes(stuck):
    started = []

    def start(**changes):
        waiting = lambda destination, _secs: [Stream(name, "auth") for name in stuck.get(destination.name, ())]  # noqa: E731
        made = Passes(PassSlots(waiting, **changes))
        started.append(made)
        return made

    yield start
    for each in started:
        each.close()


# --- slots ---------------------------------------------------------------------------------------------------------------


def test_no_more_passes_run_than_there_are_slots_and_who_came_first_is_first(passes, eventually):
    two = passes(slots=2)
    for name in "abcd":
        two.start(name)
    eventually(lambda: sorted(two.running) == ["a", "b"])
    assert two.slots.wanted
    two.end("a")
    eventually(lambda: sorted(two.running) == ["b", "c"])
    two.end("b")
    eventually(lambda: sorted(two.running) == ["c", "d"])
    assert not two.slots.wanted


def test_a_pass_that_waits_for_its_destination_holds_no_slot(passes, stuck, eventually):
    one = passes(slots=1)
    one.start("a", "away")
    eventually(lambda: one.running == ["a"])
    one.start("b", "siem")
    assert one.running == ["a"]
    stuck["away"] = ["a"]
    eventually(lambda: one.running == ["a", "b"])


def test_a_pass_that_takes_for_ever_holds_no_slot_for_ever(passes, eventually):
    one = passes(slots=1, lease_secs=0.1)
    one.start("a")
    one.start("b")
    eventually(lambda: one.running == ["a", "b"])


def test_streams_of_a_destination_that_takes_nothing_wait_outside_and_others_go_past_them(passes, stuck, eventually):
    four = passes(slots=4, most_stuck=2)
    stuck["away"] = ["x", "y"]
    four.start("a", "away")
    four.start("another", "away")
    four.start("b", "siem")
    eventually(lambda: four.running == ["b"] and four.blocked == {"a", "another"})
    assert not four.slots.wanted  # no running pass could help them
    stuck.clear()
    eventually(lambda: sorted(four.running) == ["a", "another", "b"])


def test_now_and_then_one_more_may_try_a_destination_that_takes_nothing_from_others(passes, stuck, eventually):
    four = passes(slots=4, most_stuck=2, try_secs=0.1)
    stuck["away"] = ["x", "y"]
    four.start("a", "away")
    eventually(lambda: four.running == ["a"])


def test_a_stream_that_waits_for_its_destination_may_try_again_itself(passes, stuck, eventually):
    four = passes(slots=4, most_stuck=2)
    stuck["away"] = ["x", "y"]
    four.start("x", "away")
    eventually(lambda: four.running == ["x"])


def test_who_waits_no_longer_leaves_the_row(passes, eventually):
    one = passes(slots=1)
    one.start("a")
    one.start("b")
    one.stop = True
    eventually(lambda: not one.slots.wanted)
    assert one.running == ["a"]


# --- reading ahead -------------------------------------------------------------------------------------------------------


def test_without_a_limit_everybody_may_read():
    room = ReadAhead()
    assert all(Share(room).reserve(10**9) for _ in range(100))


def test_what_is_here_and_what_is_on_its_way_fills_the_room_and_gives_it_back():
    room = ReadAhead(limit_bytes=100)
    one, two, three = Share(room), Share(room), Share(room)
    assert one.reserve(60)
    one.holds(50, answered=True)
    assert two.reserve(50)
    assert not three.reserve(1)
    assert room.scarce
    two.holds(0, answered=True)
    assert three.granted.is_set()
    assert three.reserve(1)
    assert not room.scarce


def test_nobody_overtakes_in_the_row_and_who_leaves_it_lets_the_next_one_come():
    room = ReadAhead(limit_bytes=100)
    one, large, small = Share(room), Share(room), Share(room)
    assert one.reserve(90)
    assert not large.reserve(50)
    assert not small.reserve(5)
    large.withdraw()
    assert small.reserve(5)


def test_a_page_larger_than_all_the_room_may_be_read_when_nothing_else_is_there():
    room = ReadAhead(limit_bytes=100)
    one, two = Share(room), Share(room)
    assert one.reserve(1000)
    assert not two.reserve(1)
    one.holds(0, answered=True)
    assert two.reserve(1)


def test_calls_that_hang_take_no_room_from_others():
    room = ReadAhead(limit_bytes=100, call_secs=0.0)
    assert all(Share(room).reserve(90) for _ in range(10))


def test_pages_that_nobody_can_take_are_let_go_for_others_and_read_again_later(simulator, account, eventually):
    simulator.add_backlog("auth", 3_000, now_ms() - 3_600_000, now_ms() - 1_000)
    feed = PageFeed(account, "auth", FAST)
    begin = now_ms() - 7_200_000
    other = Share(READ_AHEAD)
    READ_AHEAD.limit_bytes = 10_000_000
    try:
        feed.seek(Cursor(begin, seq=1))
        first = feed.take(5)
        eventually(lambda: len(feed._pages) == 3)
        assert not other.reserve(20_000_000)
        feed.hold(True)
        assert not feed.ready
        assert feed.under_way == 1  # what was handed out is still here
        other.withdraw()
        feed.hold(False)
        rest = [feed.take(5), feed.take(5)]
    finally:
        other.withdraw()
        feed.close()
        feed.forget()

    assert [page.before for page in rest] == [first.after, rest[0].after]
    assert [row for page in (first, *rest) for row in page.page.rows] == simulator.produced_rows("auth")
    assert other.ready_bytes == 0


# --- all of it -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(simulator, account, tmp_path):
    """Twelve children of a parent, and a job without destinations."""
    ids = [f"DA{number:018d}" for number in range(12)]
    for child in ids:
        simulator.add_child(child, child, "localhost")
    storage = Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead"))
    return ids, Job((replace(account, is_msp=True),), (), (), storage, FAST)


def test_many_streams_with_a_backlog_each_deliver_all_of_it_once_over_few_connections(many, simulator):
    ids, job = many
    with SiemReceiver() as siem:
        for child in ids:
            simulator.add_backlog("auth", 2_500, now_ms() - 3_600_000, now_ms() - 1_000, account_id=child)
            simulator.add("activity", 10, account_id=child)
        destination = Destination("siem", TcpSettings("127.0.0.1", siem.port), Format(JsonOptions(envelope=True)))
        job = replace(job, destinations=(destination,), routes=(Route(("auth", "activity"), ("siem",)),))
        with RunningJob(job) as running:
            assert siem.wait_for(12 * 2_510, 90)
            connections = siem.connected()

        assert siem.unique_ids("auth") == {i for child in ids for i in simulator.produced_ids("auth", child)}
        assert siem.unique_ids("activity") == {i for child in ids for i in simulator.produced_ids("activity", child)}
        assert siem.total() == 12 * 2_510
        assert connections < 12
        assert running.exit_code == exit_codes.OK


def test_a_blocked_destination_of_many_streams_holds_no_other_stream(many, simulator):
    ids, job = many
    with ExitStack() as stack:
        siem, stalled = stack.enter_context(SiemReceiver()), stack.enter_context(SiemReceiver())
        stalled.stall()
        for child in ids:
            simulator.add_backlog("auth", 8_000, now_ms() - 3_600_000, now_ms() - 1_000, account_id=child)
            simulator.add_backlog("activity", 1_200, now_ms() - 3_600_000, now_ms() - 1_000, account_id=child)
        job = replace(
            job,
            destinations=(
                Destination("stalled", TcpSettings("127.0.0.1", stalled.port), Format(JsonOptions())),
                Destination("siem", TcpSettings("127.0.0.1", siem.port), Format(JsonOptions())),
            ),
            routes=(Route(("auth",), ("stalled",)), Route(("activity",), ("siem",))),
        )
        with RunningJob(job, grace_secs=2.0):
            assert siem.wait_for(12 * 1_200, 90)
            simulator.add("activity", 5, account_id=ids[-1])
            assert siem.wait_for(12 * 1_200 + 5, 30)

        assert siem.unique_ids("activity") == {i for child in ids for i in simulator.produced_ids("activity", child)}


def test_a_destination_of_many_streams_that_comes_back_gets_everything(many, simulator, eventually):
    ids, job = many
    with SiemReceiver() as siem:
        siem.refuse()
        for child in ids:
            simulator.add_backlog("auth", 1_500, now_ms() - 3_600_000, now_ms() - 1_000, account_id=child)
        destination = Destination("siem", TcpSettings("127.0.0.1", siem.port), Format(JsonOptions()))
        job = replace(job, destinations=(destination,), routes=(Route(("auth",), ("siem",)),))
        with RunningJob(job) as running:
            eventually(lambda: len({call.account_id for call in list(simulator.calls) if call.log_type == "auth"}) >= 8)
            siem.reopen()
            assert siem.wait_for(12 * 1_500, 90)

        assert siem.unique_ids("auth") == {i for child in ids for i in simulator.produced_ids("auth", child)}
        assert running.exit_code == exit_codes.OK
