"""The source as state: what savepoints of Flink and snapshots of Dataflow hold, and what a later release must read.

``frozen_restriction.bin`` is what release 1.0.0 handed to a runner in the middle of a window. It is never made anew; a release
that cannot read it cannot go on from its users' savepoints.
"""

import pickle
import pickletools
import threading
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from apache_beam.io.unbounded_source import _UnboundedSourceRestriction, _UnboundedSourceRestrictionCoder
from apache_beam.utils.timestamp import Timestamp

from tests.conftest import now_ms
from transforms.destinations.circuit_breaker import CIRCUIT_BREAKERS
from transforms.destinations.stream.settings import TcpSettings
from transforms.duo import source as source_module
from transforms.duo.read import _ReadSources
from transforms.duo.source import DuoCheckpointMark, DuoLogSource, unpickle_source
from transforms.errors import BadCredentials, BadDestination
from transforms.formats.json_lines import JsonOptions
from transforms.process.retry import RetryPolicy
from transforms.process.shutdown import STOP
from transforms.records import Stream, Subscription
from transforms.secrets import SecretRef
from transforms.settings import Account, Destination, Format, Reading, Storage
from transforms.state.checkpoints import remote
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.cursor import Cursor
from transforms.state.seen import packed

FROZEN = Path(__file__).parent / "frozen_restriction.bin"
CODER = _UnboundedSourceRestrictionCoder()
ACTIVITY = Stream("main", "activity", "localhost")


def refused():
    raise ConnectionRefusedError


def source_of_1_0_0():
    account = Account("main", "api-1.duosecurity.com", "DIXXX", SecretRef("env", "DUO_SKEY"), account_id="CHILD", port=8443)
    return DuoLogSource("auth", account, "siem", Reading(start_days=30, page_pause_secs=0.5), Storage("/state", "/dead"))


def test_a_restriction_of_release_1_0_0_is_read_and_leads_on_from_its_cursor():
    restriction = CODER.decode(FROZEN.read_bytes())
    account = restriction.source.account

    assert restriction.checkpoint_mark.cursor == Cursor(
        1_795_000_000_000, 1_795_000_600_000, "1795000300000,abc", end_ms=1_795_000_000_000, window_rows=3_000, seq=41
    )
    assert (restriction.source.log_type, restriction.source.destination) == ("auth", "siem")
    assert (account.name, account.account_id, account.skey, account.port) == (
        "main",
        "CHILD",
        SecretRef("env", "DUO_SKEY"),
        8443,
    )
    assert restriction.source.reading.start_days == 30
    assert restriction.source.storage.checkpoint_dir == "/state"
    reader = restriction.source.create_reader(None, restriction.checkpoint_mark)
    assert reader.get_checkpoint_mark().cursor == restriction.checkpoint_mark.cursor


def test_what_is_written_today_is_read_today():
    source = source_of_1_0_0()
    mark = DuoCheckpointMark(Cursor(5, seq=7), source)
    restriction = _UnboundedSourceRestriction(source=source, checkpoint_mark=mark, watermark=Timestamp(3))
    back = CODER.decode(CODER.encode(restriction))

    assert back.source == source
    assert back.checkpoint_mark.cursor == mark.cursor


def test_marks_of_one_position_share_one_cursor_however_often_they_are_decoded():
    # Flink has a reader for each bundle between two checkpoints; each with ids of its own would fill the worker's memory.
    source = source_of_1_0_0()
    coder = source.get_checkpoint_mark_coder()
    encoded = coder.encode(DuoCheckpointMark(Cursor(5, seq=7, seen={0: packed([5])}), source))

    assert coder.decode(bytes(bytearray(encoded))).cursor is coder.decode(encoded).cursor
    assert coder.decode(coder.encode(DuoCheckpointMark(Cursor(6, seq=8), source))).cursor == Cursor(6, seq=8)
    assert coder.decode(encoded).cursor.seen == {0: packed([5])}


def test_a_source_of_a_later_release_with_more_settings_is_read_without_them():
    function, (encoded,) = source_of_1_0_0().__reduce__()
    later = encoded.replace(b'"start_days"', b'"a_setting_of_tomorrow":1,"start_days"').replace(b'"v":1', b'"v":1,"more":[]')

    assert later != encoded
    assert function(later) == source_of_1_0_0()


def test_a_source_of_an_unknown_version_is_refused():
    _, (encoded,) = source_of_1_0_0().__reduce__()
    with pytest.raises(ValueError, match="version 2"):
        unpickle_source(encoded.replace(b'"v":1', b'"v":2'))


def test_a_pickled_source_names_no_class_of_ours():
    # A class that is named could never be renamed or rearranged again. The one function that is named stays.
    names = [
        value for opcode, value, _ in pickletools.genops(pickle.dumps(source_of_1_0_0())) if opcode.name == "SHORT_BINUNICODE"
    ]

    assert names == ["transforms.duo.source", "unpickle_source"]


# --- a source that comes back ------------------------------------------------------------------------------------------

SIEM = Destination("siem", TcpSettings("127.0.0.1", 1), Format(JsonOptions()))


def read_by(restored, *present, mark=None):
    """The reader of a restored source in a step whose graph has these."""
    step = _ReadSources(present, SIEM, 1.0, 8, 2.0)
    return step.reader_of(_UnboundedSourceRestriction(source=restored, checkpoint_mark=mark))


def test_a_restored_source_follows_the_settings_of_the_graph_that_runs(tmp_path):
    restored = source_of_1_0_0()
    now = replace(restored, reading=Reading(page_pause_secs=9), storage=Storage(str(tmp_path), str(tmp_path)))
    reader = read_by(restored, now, mark=DuoCheckpointMark(Cursor(5, seq=7), restored))

    assert reader._source == now
    assert reader.get_checkpoint_mark().cursor == Cursor(5, seq=7)


def test_a_child_that_duo_has_moved_to_another_api_host_is_read_there_from_its_mark_on():
    restored = source_of_1_0_0()
    moved = replace(restored, account=replace(restored.account, api_host="api-2.duosecurity.com"))
    reader = read_by(restored, moved, mark=DuoCheckpointMark(Cursor(5, seq=7), restored))

    assert reader._source == moved


@pytest.mark.parametrize("change", [{"name": "other"}, {"account_id": None, "api_host": "api-2.duosecurity.com"}])
def test_an_account_that_the_configuration_no_longer_has_is_not_read_and_its_position_is_kept(change, caplog):
    restored = source_of_1_0_0()
    other = replace(restored, account=replace(restored.account, **change))
    reader = read_by(restored, other, mark=DuoCheckpointMark(Cursor(5, seq=7), restored))

    assert not reader.start()
    assert not reader.advance()
    assert reader.get_checkpoint_mark().cursor == Cursor(5, seq=7)
    assert "main/auth to siem: it is not in the configuration any more" in caplog.text


# --- an endless reader --------------------------------------------------------------------------------------------------


@pytest.fixture
def endless(account, tmp_path):
    return DuoLogSource(
        "auth", account, "siem", Reading(start_days=1, lag_secs=0, poll_interval_secs=0.2), Storage(str(tmp_path / "c"), "")
    )


def test_an_endless_reader_waits_for_a_page_on_its_way_and_not_for_one_that_is_not_there(endless, simulator, monkeypatch):
    # So long that a slow machine has the page by then, and less than after what a feed looks at its clock again.
    monkeypatch.setattr(source_module, "_ENDLESS_WAIT_SECS", 20.0)
    simulator.add("auth", 5)
    reader = replace(endless, reading=replace(endless.reading, poll_interval_secs=3600)).create_reader(None, None)

    assert reader.start()
    assert len(reader.get_current().rows) == 5
    assert not reader.advance()


def test_a_reader_whose_bundle_was_given_up_takes_no_page_from_its_successor(endless, simulator, eventually):
    # It may still be at work in the same process when the runner has begun anew from the last checkpoint.
    simulator.add_backlog("auth", 3_000, now_ms() - 3_600_000, now_ms() - 60_000)
    given_up = endless.create_reader(None, None)
    given_up.start() or eventually(given_up.advance, "the first page")
    mark = given_up.get_checkpoint_mark()
    rows = [*given_up.get_current().rows]
    successor = endless.create_reader(None, mark)
    successor.start() or eventually(successor.advance, "the second page")
    rows += successor.get_current().rows

    assert not given_up.advance()
    assert given_up.get_checkpoint_mark().cursor == mark.cursor
    eventually(successor.advance, "the third page")
    assert rows + successor.get_current().rows == simulator.produced_rows("auth")


def test_a_held_stream_is_not_read_on_until_its_destination_takes_connections(endless, simulator, eventually, monkeypatch):
    simulator.add("auth", 5)
    reachable = []

    def probe():
        if not reachable:
            raise ConnectionRefusedError

    monkeypatch.setattr(CIRCUIT_BREAKERS, "_policy", RetryPolicy(0.0, 0.0))
    CIRCUIT_BREAKERS.hold(endless.subscription, "siem", probe)
    reader = endless.create_reader(None, None)
    assert not reader.start()
    assert not reader.advance()
    reachable.append(True)
    CIRCUIT_BREAKERS._breakers["siem"].next_look_at = 0.0
    eventually(reader.advance, "a page behind the hold")


def test_a_new_process_reads_nothing_before_its_destination_was_connected_to(endless, simulator, eventually, caplog):
    # Its predecessor may have ended with a bundle that failed; if it read at once, so would this one.
    simulator.add("auth", 5)
    reachable = []

    def probe():
        if not reachable:
            raise BadDestination("The certificate has expired.")

    reader = endless.reader(None, probe)
    assert not reader.start()
    assert not reader.advance()
    assert "is not read on until siem can be used" in caplog.text
    assert "The certificate has expired." in caplog.text

    reachable.append(True)
    CIRCUIT_BREAKERS._breakers["siem"].next_look_at = 0.0
    eventually(reader.advance, "a page once the destination is there")


def test_a_destination_that_is_there_is_looked_at_once_and_costs_no_poll(endless, simulator, eventually):
    looks = []
    simulator.add("auth", 5)
    for _ in range(3):
        reader = endless.reader(None, lambda: looks.append(1))
        reader.start() or eventually(reader.advance, "the first page")
    CIRCUIT_BREAKERS.delivered(endless.subscription, "siem")
    assert not reader.advance()
    assert looks == [1]


def test_what_is_held_leaves_other_destinations_alone_and_is_forgotten_once_its_own_has_taken_a_bundle(endless):
    CIRCUIT_BREAKERS.hold(endless.subscription, "siem", refused)

    assert CIRCUIT_BREAKERS.held(endless.subscription)
    assert not CIRCUIT_BREAKERS.held(Subscription(endless.subscription.stream, "other"))
    assert not CIRCUIT_BREAKERS.held(Subscription(ACTIVITY, "other"))
    CIRCUIT_BREAKERS.delivered(endless.subscription, "siem")
    assert not CIRCUIT_BREAKERS.held(endless.subscription)
    assert not CIRCUIT_BREAKERS.held(Subscription(ACTIVITY, "siem"))


def test_what_goes_to_a_destination_that_did_not_take_another_ones_bundle_waits_until_it_can_be_connected_to(
    endless, eventually
):
    # Each would find out with a bundle of its own; on Flink each such bundle is a restart.
    looks, reachable = [], []

    def probe():
        looks.append(1)
        if not reachable:
            raise ConnectionRefusedError

    other = Subscription(ACTIVITY, "siem")
    assert not CIRCUIT_BREAKERS.held(other)
    CIRCUIT_BREAKERS.hold(endless.subscription, "siem", probe)
    assert CIRCUIT_BREAKERS.held(other)
    eventually(lambda: looks and not CIRCUIT_BREAKERS._breakers["siem"].probing, "a look")
    assert CIRCUIT_BREAKERS.held(other)
    assert CIRCUIT_BREAKERS.held(endless.subscription)
    assert len(looks) == 1, "one look serves all"

    reachable.append(True)
    CIRCUIT_BREAKERS._breakers["siem"].next_look_at = 0.0
    eventually(lambda: not CIRCUIT_BREAKERS.held(other), "a connection")


def test_what_another_one_has_delivered_there_is_as_good_as_a_connection(endless):
    delivering, waiting = Subscription(ACTIVITY, "siem"), Subscription(Stream("main", "telephony", "localhost"), "siem")
    CIRCUIT_BREAKERS.hold(endless.subscription, "siem", refused)
    assert CIRCUIT_BREAKERS.held(waiting)

    CIRCUIT_BREAKERS.delivered(delivering, "siem")
    assert not CIRCUIT_BREAKERS.held(waiting)
    assert CIRCUIT_BREAKERS.held(endless.subscription), "its own wait is not shortened by what others deliver"


def test_one_whose_bundles_fail_again_and_again_holds_others_no_longer_than_until_a_connection(endless, eventually):
    other = Subscription(ACTIVITY, "siem")
    for _ in range(20):
        CIRCUIT_BREAKERS.hold(endless.subscription, "siem", lambda: None)

    eventually(lambda: not CIRCUIT_BREAKERS.held(other), "a connection")
    assert CIRCUIT_BREAKERS.held(endless.subscription)


def test_a_look_that_began_before_a_bundle_failed_says_nothing_about_it(endless, eventually):
    other, at_work, go_on = Subscription(ACTIVITY, "siem"), threading.Event(), threading.Event()

    def probe():
        at_work.set()
        assert go_on.wait(5)

    CIRCUIT_BREAKERS.hold(endless.subscription, "siem", probe)
    assert CIRCUIT_BREAKERS.held(other)
    assert at_work.wait(5)
    CIRCUIT_BREAKERS.hold(endless.subscription, "siem", refused)
    go_on.set()
    eventually(lambda: not CIRCUIT_BREAKERS._breakers["siem"].probing, "the look to be over")
    assert CIRCUIT_BREAKERS.held(other)


def test_dead_letters_that_cannot_be_written_hold_nobody_but_whose_they_are(endless):
    CIRCUIT_BREAKERS.hold(endless.subscription, "dead letters in /nowhere", refused)

    assert CIRCUIT_BREAKERS.held(endless.subscription)
    assert not CIRCUIT_BREAKERS.held(Subscription(ACTIVITY, "siem"))


def test_each_failed_bundle_holds_the_stream_for_longer(endless):
    for _ in range(3):
        CIRCUIT_BREAKERS.hold(endless.subscription, "siem", lambda: None)
    (first,) = CIRCUIT_BREAKERS._holds[endless.subscription].values()

    assert first.backoff.failures == 3
    assert CIRCUIT_BREAKERS.held(endless.subscription)


def test_bad_keys_give_no_pages_instead_of_an_error_that_ends_the_job(endless, caplog, monkeypatch):
    reader = endless.create_reader(None, None)
    reader.start()

    def refuse(_wait_secs, _turn):
        raise BadCredentials("Duo refused the keys.")

    monkeypatch.setattr(reader._feed, "take", refuse)
    assert not reader.advance()
    assert not reader.advance()
    assert caplog.text.count("Duo refused the keys.") == 1


def test_an_endless_reader_begins_nothing_new_once_asked_to_end(endless, simulator):
    simulator.add("auth", 5)
    STOP.request(10)
    reader = endless.create_reader(None, None)
    assert not reader.start()
    assert not reader.advance()
    assert not simulator.calls, "a feed was made, although all feeds are closed by now"


def test_a_checkpoint_directory_that_cannot_be_used_costs_the_hint_and_not_the_stream(
    endless, simulator, tmp_path, caplog, eventually
):
    in_the_way = tmp_path / "a-file"
    in_the_way.touch()
    source = replace(endless, storage=Storage(str(in_the_way / "checkpoints"), ""))
    simulator.add("auth", 5)
    reader = source.create_reader(None, None)

    reader.start() or eventually(reader.advance, "the first page")
    reader.get_checkpoint_mark().finalize_checkpoint()
    assert "cannot be used here" in caplog.text
    assert "cannot be kept" in caplog.text


def test_a_file_system_that_cannot_be_asked_when_a_bundle_was_delivered_costs_the_hint_and_no_memory(
    endless, simulator, tmp_path, monkeypatch, caplog, eventually
):
    source = replace(endless, storage=Storage((tmp_path / "state").as_uri(), ""))
    simulator.add("auth", 5)
    reader = source.reader(DuoCheckpointMark(Cursor(now_ms() - 3_600_000, seq=1), source))
    reader.start() or eventually(reader.advance, "the first page")
    monkeypatch.setattr(remote, "exists", mock.Mock(side_effect=ConnectionError("no route")))

    reader.get_checkpoint_mark().finalize_checkpoint()
    assert "cannot be kept" in caplog.text
    assert not source.feed().under_way


def test_without_resume_an_endless_reader_begins_at_the_look_back_whatever_the_store_says(endless):
    store = CheckpointStore(endless.storage.checkpoint_dir)
    store.commit(endless.subscription, Cursor(1_900_000_000_000, seq=9))
    anew = replace(endless, storage=replace(endless.storage, resume=False))

    assert endless.create_reader(None, None).get_checkpoint_mark().cursor.mintime_ms == 1_900_000_000_000
    assert anew.create_reader(None, None).get_checkpoint_mark().cursor.mintime_ms < 1_900_000_000_000
