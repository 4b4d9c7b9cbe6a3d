"""The tally: what of each day was delivered, counted once, in the record of the cursor that is behind it."""

import json
import threading

import pytest

from tests.conftest import FAST
from transforms.days import DAY_MS, begin_of, day_of
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.source import DuoCheckpointMark, DuoLogSource, Passes
from transforms.records import Stream, Subscription
from transforms.settings import Storage
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.checkpoints.stores import store_at
from transforms.state.cursor import Cursor
from transforms.state.ledger.pending import Pending, rows_by_day
from transforms.state.ledger.tally import MOST_DAYS, Counts, Tally, read_tally

AUTH = Subscription(Stream("main", "auth", "api-1a2b3c4d.example.com"), "siem")
MIDNIGHT_MS = begin_of("2026-11-27")


def row(time_ms: int, number: int = 0) -> bytes:
    seconds = time_ms // 1000
    return json.dumps({"txid": f"tx-{number}", "timestamp": seconds, "isotimestamp": None}).encode()


def tally_of(directory) -> Tally | None:
    (record,) = CheckpointStore(directory).records()
    return record.tallied


class TestDaysOfAPage:
    def test_a_page_within_a_day_is_of_that_day(self):
        rows = [row(MIDNIGHT_MS + n * 1000) for n in range(5)]
        assert rows_by_day(LOG_TYPES["auth"], rows) == {"2026-11-27": 5}

    def test_a_page_over_midnight_is_split_in_utc(self):
        rows = [row(MIDNIGHT_MS - 2000), row(MIDNIGHT_MS - 1000), row(MIDNIGHT_MS)]
        assert rows_by_day(LOG_TYPES["auth"], rows) == {"2026-11-26": 2, "2026-11-27": 1}

    def test_rows_of_a_log_without_order_are_looked_at_one_by_one(self):
        rows = [b'{"surfaced_timestamp":%d}' % (MIDNIGHT_MS + hours * 3_600_000) for hours in (1, -1, 2)]
        assert rows_by_day(LOG_TYPES["trustmonitor"], rows) == {"2026-11-27": 2, "2026-11-26": 1}

    def test_rows_that_say_no_time_are_undated(self):
        assert rows_by_day(LOG_TYPES["auth"], [b"{}", b"no json"]) == {"undated": 2}

    def test_a_time_that_no_calendar_has_is_undated(self):
        assert day_of(10**18) == day_of(-1) == day_of(None) == "undated"


class TestTheRecord:
    def test_a_bundle_s_counts_are_written_with_its_cursor(self, tmp_path):
        store = CheckpointStore(tmp_path)
        store.commit(AUTH, Cursor(5, seq=1), 10, days={"2026-11-27": Counts(10, 2, 1)}, since_ms=3)
        store.commit(AUTH, Cursor(9, seq=2), 5, days={"2026-11-27": Counts(4), "2026-11-28": Counts(1)}, since_ms=7)

        assert tally_of(tmp_path) == Tally(3, True, {"2026-11-27": Counts(14, 2, 1), "2026-11-28": Counts(1)})

    def test_a_cursor_that_moves_without_events_keeps_the_counts(self, tmp_path):
        store = CheckpointStore(tmp_path)
        store.commit(AUTH, Cursor(5, seq=1), 1, days={"2026-11-27": Counts(1)}, since_ms=3)
        store.commit(AUTH, Cursor(9, seq=2))

        assert tally_of(tmp_path).days == {"2026-11-27": Counts(1)}

    def test_another_process_goes_on_counting(self, tmp_path):
        CheckpointStore(tmp_path).commit(AUTH, Cursor(5, seq=1), 1, days={"2026-11-27": Counts(1)}, since_ms=3)
        other = CheckpointStore(tmp_path)
        other.load(AUTH)
        other.commit(AUTH, Cursor(9, seq=2), 1, days={"2026-11-27": Counts(1)}, since_ms=5)

        assert tally_of(tmp_path) == Tally(3, True, {"2026-11-27": Counts(2)})

    def test_what_is_sent_again_after_a_crash_is_named(self, tmp_path):
        CheckpointStore(tmp_path).commit(
            AUTH, Cursor(500, seq=4), 10, safe=Cursor(100, seq=1), days={"2026-11-27": Counts(10)}, since_ms=3
        )
        other = CheckpointStore(tmp_path)
        assert other.load(AUTH) == Cursor(100, seq=1)
        other.commit(AUTH, Cursor(500, seq=4), 10, days={"2026-11-27": Counts(10)}, since_ms=100)

        assert tally_of(tmp_path) == Tally(3, True, {"2026-11-27": Counts(20)}, again=((100, 500),))

    def test_a_record_of_a_release_without_tallies_is_read_and_counted_on_from_where_it_is(self, tmp_path):
        CheckpointStore(tmp_path).commit(AUTH, Cursor(5, seq=1), 10)
        assert tally_of(tmp_path) is None
        other = CheckpointStore(tmp_path)
        other.load(AUTH)
        other.commit(AUTH, Cursor(9, seq=2), 1, days={"2026-11-27": Counts(1)}, since_ms=5)

        assert tally_of(tmp_path) == Tally(5, False, {"2026-11-27": Counts(1)})

    def test_a_tally_that_cannot_be_read_costs_no_position(self, tmp_path):
        assert read_tally(b'{"since":"yesterday"}') is None

    def test_it_does_not_grow_with_the_years(self, tmp_path):
        tally = Tally(0)
        for number in range(400):
            tally = tally.with_bundle({day_of(MIDNIGHT_MS + number * DAY_MS): Counts(1_000_000)})

        assert len(tally.days) == MOST_DAYS
        assert max(tally.days) == day_of(MIDNIGHT_MS + 399 * DAY_MS)
        assert len(tally.to_json()) < 2000


class TestPending:
    def test_what_a_failed_bundle_noted_is_forgotten(self):
        pending = Pending()
        pending.dead(AUTH, row(MIDNIGHT_MS))
        pending.begin(AUTH)
        pending.filtered(AUTH, [row(MIDNIGHT_MS), row(MIDNIGHT_MS + 1000)])

        assert pending.take(AUTH) == {"2026-11-27": Counts(0, 2, 0)}
        assert pending.take(AUTH) == {}

    def test_notes_of_many_threads_are_all_there(self):
        pending = Pending()
        threads = [threading.Thread(target=lambda: [pending.dead(AUTH, b"{}") for _ in range(200)]) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert pending.take(AUTH) == {"undated": Counts(0, 0, 1000)}


class TestWhereBundlesLoseCount:
    @pytest.mark.parametrize("passes", [Passes(), None], ids=["in passes", "endless"])
    def test_only_runs_in_passes_keep_one(self, tmp_path, account, passes):
        source = DuoLogSource("auth", account, "siem", FAST, Storage(str(tmp_path / "state"), str(tmp_path)), passes)
        store_at(source.storage.checkpoint_dir).begin(source.subscription, Cursor(5, seq=1))
        DuoCheckpointMark(Cursor(9, seq=2), source, {"2026-11-27": 3}, 5).finalize_checkpoint()

        kept = tally_of(tmp_path / "state")
        assert kept == (Tally(5, True, {"2026-11-27": Counts(3)}) if passes else None)

    def test_a_mark_that_has_travelled_ends_the_tally(self, tmp_path):
        store = CheckpointStore(tmp_path)
        store.begin(AUTH, Cursor(5, seq=1))
        assert tally_of(tmp_path) == Tally(5, True)
        store.commit(AUTH, Cursor(9, seq=2), days=None)
        assert tally_of(tmp_path) is None

        store.commit(AUTH, Cursor(11, seq=3), 1, days={"2026-11-27": Counts(1)}, since_ms=9)
        assert tally_of(tmp_path) == Tally(9, False, {"2026-11-27": Counts(1)})
