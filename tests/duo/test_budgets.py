"""The budgets of a process and their file: what is shared, what is kept over a restart, and what is not believed."""

import json
import logging
import random
import time

import pytest

from pipelines.demo.simulator import DuoSimulator, RateLimit
from tests.conftest import FAST, IKEY, now_ms
from tests.duo.test_feed_steps import JumpingClock
from transforms.duo.fetch.feed import PageFeed
from transforms.duo.rate_limit.budget import RateBudget
from transforms.duo.rate_limit.budgets import FILE_NAME, Budgets
from transforms.secrets import SecretRef
from transforms.settings import Account
from transforms.state.cursor import Cursor

HOST, PATH = "api-1.example", "/admin/v2/logs/authentication"


@pytest.fixture
def learnt():
    """A budget that has found an interval, as a process leaves it: its own clock, 1 call in 6 s."""
    now = [0.0]
    budget = RateBudget(0.0, lambda: now[0], random.Random(1).uniform)
    answered_at = -6.0
    for _ in range(60):
        while (wait := budget.reserve()) > 0:
            now[0] += wait
        called_at = now[0]
        now[0] += 0.05
        if called_at - answered_at >= 6.0:
            answered_at = called_at
            budget.succeeded()
        else:
            budget.limited(None)
    assert budget.interval_secs == pytest.approx(6.0, rel=0.05)
    return budget


def budgets_with(budget, directory):
    """A process whose one budget is this one."""
    budgets = Budgets()
    budgets.load(directory)
    budgets.of(IKEY, HOST, PATH, 0.0)
    (key,) = budgets._budgets
    budgets._budgets[key] = budget
    return budgets


def test_callers_of_one_endpoint_with_one_key_share_a_budget_and_no_others_do():
    budgets = Budgets()
    budget = budgets.of(IKEY, HOST, PATH, 0.0)

    assert budgets.of(IKEY, HOST, PATH, 0.0) is budget
    assert budgets.of("DIOTHER", HOST, PATH, 0.0) is not budget
    assert budgets.of(IKEY, "api-2.example", PATH, 0.0) is not budget
    assert budgets.of(IKEY, HOST, "/admin/v2/logs/activity", 0.0) is not budget


def test_of_several_pauses_that_users_want_the_longest_counts():
    budgets = Budgets()
    budget = budgets.of(IKEY, HOST, PATH, 2.0)
    budgets.of(IKEY, HOST, PATH, 5.0)
    budgets.of(IKEY, HOST, PATH, 0.0)

    assert budget.interval_secs == 5.0


def test_the_pace_is_kept_over_a_restart(learnt, tmp_path):
    budgets_with(learnt, tmp_path).save(at_once=True)
    after = Budgets()
    after.load(tmp_path)
    budget = after.of(IKEY, HOST, PATH, 0.0)

    assert budget.interval_secs == pytest.approx(learnt.interval_secs)
    assert 0 < budget.reserve() <= 7.0
    assert after.of(IKEY, HOST, "/admin/v2/logs/activity", 0.0).interval_secs == 0


def test_a_wait_that_duo_asked_for_outlives_a_restart(learnt, tmp_path):
    learnt.reserve()
    learnt.limited(300.0)
    budgets_with(learnt, tmp_path).save(at_once=True)
    after = Budgets()
    after.load(tmp_path)

    assert 290 < after.of(IKEY, HOST, PATH, 0.0).reserve() <= 306


def test_budgets_that_were_not_used_are_kept_too(learnt, tmp_path):
    budgets_with(learnt, tmp_path).save(at_once=True)
    other = Budgets()
    other.load(tmp_path)
    other._budgets["another"] = learnt
    other.save(at_once=True)
    after = Budgets()
    after.load(tmp_path)

    assert after.of(IKEY, HOST, PATH, 0.0).interval_secs > 0


def test_the_file_is_private_and_shows_no_integration_key(learnt, tmp_path):
    left_over = tmp_path / f"{FILE_NAME}.new"
    left_over.write_text("of a run that was killed")
    left_over.chmod(0o644)
    budgets_with(learnt, tmp_path).save(at_once=True)
    file = tmp_path / FILE_NAME

    assert file.stat().st_mode & 0o777 == 0o600
    assert IKEY not in file.read_text()
    assert HOST not in file.read_text()
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_where_nothing_was_limited_nothing_is_written(tmp_path):
    budgets = Budgets()
    budgets.load(tmp_path)
    budgets.of(IKEY, HOST, PATH, 1.0).reserve()
    budgets.save(at_once=True)

    assert list(tmp_path.iterdir()) == []


def test_it_is_written_when_something_was_learnt_and_not_every_time(learnt, tmp_path, monkeypatch):
    now = [1_000.0]
    monkeypatch.setattr("transforms.process.clock.time.monotonic", lambda: now[0])
    budgets, file = budgets_with(learnt, tmp_path), tmp_path / FILE_NAME
    budgets.save()
    assert file.exists()
    file.unlink()
    learnt.reserve()
    learnt.limited(None)
    now[0] += 29
    budgets.save()
    assert not file.exists()
    now[0] += 2
    budgets.save()
    assert file.exists()
    file.unlink()
    now[0] += 31
    budgets.save()

    assert not file.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"v": 1}',
        b'{"v": 1, "budgets": {"a": {"interval_secs": "x"}}}',
        b'{"v": 9, "budgets": {}}',
    ],
)
def test_a_file_that_is_not_readable_is_told_and_not_used_and_written_anew(learnt, tmp_path, caplog, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    budgets = budgets_with(learnt, tmp_path)

    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert FILE_NAME in caplog.text
    budgets.save(at_once=True)
    assert json.loads((tmp_path / FILE_NAME).read_bytes())["v"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"saved_at": time.time() - 8 * 86_400},
        {"saved_at": time.time() + 8 * 86_400},
        {"interval_secs": -1.0},
        {"interval_secs": 1e9},
        {"limit_secs": 0.0},
        {"next_call_at": time.time() + 86_400},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_old_or_cannot_be_is_not_believed(learnt, tmp_path, change):
    budgets_with(learnt, tmp_path).save(at_once=True)
    file = json.loads((tmp_path / FILE_NAME).read_bytes())
    for entry in file["budgets"].values():
        entry.update(change)
    (tmp_path / FILE_NAME).write_text(json.dumps(file))
    after = Budgets()
    after.load(tmp_path)
    budget = after.of(IKEY, HOST, PATH, 0.0)

    assert budget.interval_secs == 0
    assert budget.reserve() == 0


def test_a_directory_that_cannot_be_written_is_told_once_and_stops_nothing(learnt, tmp_path, caplog):
    budgets = budgets_with(learnt, tmp_path / "missing")
    budgets.save(at_once=True)
    budgets.save(at_once=True)

    assert [r.levelno for r in caplog.records] == [logging.WARNING]


def test_a_feed_keeps_within_a_limit_that_it_was_not_told(authority, skey, tmp_path):
    key_file = tmp_path / "skey"
    key_file.write_text(skey)
    tls = (authority.cert_file, authority.key_file)
    with DuoSimulator(IKEY, skey, delay_secs=0, tls=tls, rate_limit=RateLimit(120, burst=3)) as duo:
        duo.add_backlog("auth", 8_500, now_ms() - 3_600_000, now_ms() - 60_000)
        account = Account("main", "localhost", IKEY, SecretRef("file", str(key_file)), port=duo.port, ca_file=authority.ca_file)
        feed = PageFeed(account, "auth", FAST)
        feed.seek(Cursor(now_ms() - 86_400_000))
        rows = []
        while len(rows) < 8_500:
            page = feed.take(20)
            assert page is not None
            rows += page.page.rows
        feed.close()

        assert rows == duo.produced_rows("auth")
        assert 1 <= feed.counts["rate_limited"] <= 8


def test_a_clock_that_is_behind_makes_no_wait_longer_than_it_was(learnt, tmp_path):
    budgets_with(learnt, tmp_path).save(at_once=True)
    wait_secs = learnt.pace().wait_secs
    after = Budgets(JumpingClock(now_ms() - 3_500_000))
    after.load(tmp_path)

    assert 0 < after.of(IKEY, HOST, PATH, 0.0).reserve() <= wait_secs + 0.01


def test_a_link_where_the_file_is_written_aside_leads_nowhere(learnt, tmp_path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / f"{FILE_NAME}.new").symlink_to(tmp_path / "precious")
    budgets_with(learnt, tmp_path / "state").save(at_once=True)

    assert (tmp_path / "precious").read_text() == "kept"
    assert (tmp_path / "state" / FILE_NAME).stat().st_size > 0
