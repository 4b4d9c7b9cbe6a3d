"""``duologsync tap``: events of a running program, seen from another process."""

import json
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

from pipelines import cli, exit_codes
from pipelines.config import load
from pipelines.monitoring.place import place_in
from tests.cli.test_hostile_names import on_a_terminal
from tests.cli.test_run import Running
from tests.conftest import now_ms
from transforms.destinations.tap import MOST_EVENTS, TAP
from transforms.records import Stream, Subscription

AUTH = Subscription(Stream("main", "auth"), "siem")
NAME = re.compile(rb'"user":\{[^}]*"name":"([^"]+)"')


def tap(config, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pipelines", "tap", str(config), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def running(config, eventually):
    """A program that runs and has caught up."""
    run = Running(config)
    try:
        eventually(lambda: run.said("main/auth to siem is caught up"), within_secs=60)
        yield run
    finally:
        run.kill()


@pytest.fixture
def passing(simulator):
    """Events that happen until the test is over."""
    stop = threading.Event()

    def produce() -> None:
        while not stop.wait(0.2):
            for log_type in ("auth", "activity"):
                simulator.add(log_type, 1, at_ms=now_ms())

    thread = threading.Thread(target=produce)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_events_are_shown_as_they_pass_with_what_is_personal_masked(config, running, passing, simulator):
    shown, _ = tap(config, "--count", "3", "--log-types", "auth").communicate(timeout=60)
    lines = shown.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.match(r"\d\d:\d\d:\d\d main/auth to siem \{", line)
        assert '"***"' in line
        assert '"result":"' in line
    for row in simulator.produced_rows("auth"):
        name = NAME.search(row)
        assert name is None or f'"{name[1].decode()}"' not in shown


def test_raw_shows_them_as_they_are(config, running, passing, simulator):
    shown, _ = tap(config, "--count", "2", "--raw", "--json", "--stream", "main/activity").communicate(timeout=60)
    told = [json.loads(line) for line in shown.splitlines()]
    rows = {row.decode() for row in simulator.produced_rows("activity")}
    assert len(told) == 2
    assert all(each["event"] in rows and each["log_type"] == "activity" for each in told)


def test_it_ends_when_the_program_ends_and_says_so(config, running, passing):
    process = tap(config)
    assert process.stdout is not None
    assert " to siem " in process.stdout.readline()
    running.end()
    _, said = process.communicate(timeout=60)
    assert process.returncode == exit_codes.OK
    assert said.startswith("The program has ended. ")


def test_it_ends_quietly_with_ctrl_c(config, running, passing):
    shown = on_a_terminal(["tap", str(config)], until=" to siem ", number=2)
    assert "Traceback" not in shown


def test_who_cannot_read_the_checkpoint_directory_sees_no_event(config, running):
    place = place_in(load(config).job.storage.checkpoint_dir)
    assert place is not None
    for headers in ({}, {"X-Duologsync-Key": "guess"}):
        request = urllib.request.Request(f"{place.url}tap?raw=1", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == 403


def test_where_nothing_runs_it_says_why_there_is_nothing_to_see(config, capsys):
    assert cli.main(["tap", str(config)]) == exit_codes.STOPPED
    assert "Nothing that can be asked runs on " in capsys.readouterr().err
    config.write_text(config.read_text() + "monitoring: {enabled: false}\n")
    assert cli.main(["tap", str(config)]) == exit_codes.STOPPED
    assert "set monitoring.enabled to true" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1", "x"])
def test_a_count_that_is_none_is_an_error_of_the_command_line(config, count):
    with pytest.raises(SystemExit) as end:
        cli.main(["tap", str(config), f"--count={count}"])
    assert end.value.code == exit_codes.CONFIG


class TestOffering:
    def test_nobody_watches_at_first_nor_once_it_is_over(self):
        assert not TAP.watched
        with TAP.watching(lambda _: True):
            assert TAP.watched
        assert not TAP.watched

    def test_what_there_is_no_room_for_is_dropped_and_counted(self):
        with TAP.watching(lambda _: True) as watcher:
            TAP.offer(AUTH, [b"x"] * (MOST_EVENTS + 12))
            events, dropped = watcher.take(0)
            assert (len(events), dropped) == (MOST_EVENTS, 12)
            TAP.offer(AUTH, [b"y" * 1_000_001] * 3)
            events, dropped = watcher.take(0)
            assert (len(events), dropped) == (1, 2)
            assert watcher.take(0) == ([], 0)

    def test_each_gets_what_it_wants(self):
        with (
            TAP.watching(lambda subscription: subscription.destination == "other") as other,
            TAP.watching(lambda _: True) as everything,
        ):
            TAP.offer(AUTH, [b"x"])
            assert other.take(0) == ([], 0)
            assert everything.take(0) == ([(AUTH, b"x")], 0)
