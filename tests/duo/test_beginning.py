"""Where a destination begins with a log: at its checkpoint, else as its route says, else where Duo Log Sync was."""

import json
from dataclasses import replace

import pytest

from pipelines.graph import source_of
from transforms.destinations.stream.settings import TcpSettings
from transforms.duo.position.windows import DAY_MS, beginning
from transforms.duo.source import Passes
from transforms.formats.json_lines import JsonOptions
from transforms.process import lifetime
from transforms.process.clock import SYSTEM_CLOCK
from transforms.secrets import SecretRef
from transforms.settings import Account, Destination, Format, Job, Reading, Route, Start, Storage
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.checkpoints.stores import store_at
from transforms.state.cursor import Cursor

ACCOUNT = Account("main", "api-1.duosecurity.com", "DIXXX", SecretRef("env", "DUO_SKEY"))
ONE, OTHER = (Destination(name, TcpSettings("127.0.0.1", 1), Format(JsonOptions())) for name in ("one", "other"))
NOW_MS = 1_795_000_000_000


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr(type(SYSTEM_CLOCK), "wall_secs", lambda _self: NOW_MS / 1000)


def a_day_later(monkeypatch):
    monkeypatch.setattr(type(SYSTEM_CLOCK), "wall_secs", lambda _self: (NOW_MS + DAY_MS) / 1000)


@pytest.fixture
def job(tmp_path):
    storage = Storage(str(tmp_path / "state"), str(tmp_path / "dead"), import_dir=str(tmp_path))
    return Job((ACCOUNT,), (ONE, OTHER), (Route(("auth",), ("one",)),), storage, Reading(start_days=30))


def source(job, start, destination=OTHER):
    route = Route(("auth",), (destination.name,), start=start)
    return source_of(replace(job, routes=(*job.routes, route)), ACCOUNT, "auth", destination)


def begins_days_back(job, start):
    return (NOW_MS - source(job, start).cursor_behind(None).mintime_ms) / DAY_MS


def test_it_begins_at_the_look_back_unless_its_route_says_other_days(job):
    assert begins_days_back(job, Start()) == 30


@pytest.mark.parametrize("days", [0, 0.5, 7])
def test_its_route_says_how_many_days_back(job, days):
    assert begins_days_back(job, Start(days=days)) == days


def test_it_takes_over_the_position_of_another_destination_and_what_that_remembers(job):
    there = Cursor(NOW_MS - 1000, end_ms=NOW_MS - 1000, seen={1: bytes(8)}, seq=41)
    CheckpointStore(job.storage.checkpoint_dir).commit(source(job, Start(), ONE).subscription, there)

    assert source(job, Start(checkpoint_of="one")).cursor_behind(None) == there.step()


def test_where_the_other_one_has_no_position_it_begins_at_the_look_back_and_says_so(job, caplog):
    assert begins_days_back(job, Start(checkpoint_of="one")) == 30
    assert "main/auth to one has no checkpoint; main/auth to other starts at its look-back" in caplog.text


@pytest.mark.parametrize("start", [Start(), Start(days=0), Start(checkpoint_of="one")])
def test_its_own_checkpoint_counts_whatever_its_route_says(job, start):
    mine = Cursor(NOW_MS - 5 * DAY_MS, seq=7)
    CheckpointStore(job.storage.checkpoint_dir).commit(source(job, start).subscription, mine)

    assert source(job, start).cursor_behind(None) == mine


def test_where_it_begins_is_kept_before_anything_is_delivered(job, monkeypatch):
    at_first = source(job, Start(days=0))
    begun = at_first.cursor_behind(None)
    a_day_later(monkeypatch)

    assert CheckpointStore(job.storage.checkpoint_dir).load(at_first.subscription) == begun
    assert source(job, Start(days=0)).cursor_behind(None) == begun


@pytest.mark.parametrize(("at_first", "then"), [(0, 9), (9, 0), (180, 1)])
def test_days_that_were_changed_before_anything_was_read_count_from_the_first_start(job, monkeypatch, caplog, at_first, then):
    # From today on, what happened while nothing could be read would be skipped.
    source(job, Start(days=at_first)).cursor_behind(None)
    a_day_later(monkeypatch)
    caplog.set_level("INFO")

    changed = source(job, Start(days=then)).cursor_behind(None)

    assert changed.mintime_ms == NOW_MS - then * DAY_MS
    assert f"nothing was read yet, and start_days was changed from {at_first} to {then}" in caplog.text
    assert source(job, Start(days=then)).cursor_behind(None) == changed


def test_days_that_were_changed_count_after_a_restart(job):
    source(job, Start(days=180)).cursor_behind(None)
    lifetime.reset()

    assert begins_days_back(job, Start(days=1)) == 1


def test_days_that_are_changed_once_something_was_read_change_nothing(job):
    first = source(job, Start(days=30))
    read = first.cursor_behind(None).step(end_ms=NOW_MS)
    store_at(job.storage.checkpoint_dir).commit(first.subscription, read)

    assert source(job, Start(days=1)).cursor_behind(None) == read


def test_a_beginning_at_another_destinations_checkpoint_is_not_moved_by_what_that_one_delivers_since(job):
    # It would skip what the other one delivered meanwhile.
    first = source(job, Start(checkpoint_of="one")).cursor_behind(None)
    CheckpointStore(job.storage.checkpoint_dir).commit(
        source(job, Start(), ONE).subscription, Cursor(NOW_MS, end_ms=NOW_MS, seq=9)
    )

    assert source(job, Start(checkpoint_of="one")).cursor_behind(None) == first


def test_duo_log_syncs_checkpoint_counts_where_it_was_named_only_after_a_first_start_that_read_nothing(job, tmp_path):
    source(job, Start()).cursor_behind(None)
    (tmp_path / "auth_checkpoint_data.txt").write_text(json.dumps([str(NOW_MS - 2 * DAY_MS), "TX1"]))

    begins = source(job, Start()).cursor_behind(None)

    assert begins.mintime_ms == NOW_MS - 2 * DAY_MS
    assert source(job, Start()).cursor_behind(None) == begins


def test_duo_log_syncs_position_counts_only_where_the_route_says_nothing(job, tmp_path):
    (tmp_path / "auth_checkpoint_data.txt").write_text(json.dumps([str(NOW_MS - 2 * DAY_MS), "TX1"]))

    assert begins_days_back(job, Start(days=3)) == 3
    assert source(job, Start(), ONE).cursor_behind(None).mintime_ms == NOW_MS - 2 * DAY_MS


def test_without_checkpointing_each_launch_begins_at_the_look_back_and_not_where_duo_log_sync_once_was(job, tmp_path):
    (tmp_path / "auth_checkpoint_data.txt").write_text(json.dumps([str(NOW_MS - 2 * DAY_MS), "TX1"]))

    always_anew = source(replace(job, storage=replace(job.storage, resume=False)), Start())
    for passes in (None, Passes()):
        cursor = replace(always_anew, passes=passes).cursor_behind(None)
        assert (NOW_MS - cursor.mintime_ms) / DAY_MS == 30


def test_two_that_begin_together_begin_where_duo_log_sync_was_whichever_is_first(job, tmp_path):
    (tmp_path / "auth_checkpoint_data.txt").write_text(json.dumps([str(NOW_MS - 2 * DAY_MS), "TX1"]))

    assert begins_days_back(job, Start(checkpoint_of="one")) == 2


def test_a_beginning_of_now_by_a_clock_that_was_ahead_is_corrected(job):
    # Else what happens until then would be skipped.
    ahead = source(job, Start(days=0))
    cursor = ahead.cursor_behind(None)

    assert beginning(cursor, NOW_MS - 3_600_000, ahead.reading).mintime_ms == NOW_MS - 3_600_000
    assert beginning(cursor, NOW_MS + 3_600_000, ahead.reading) == cursor
