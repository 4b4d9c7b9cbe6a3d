"""``duologsync backfill``: a stretch of the past, apart from live reading."""

import datetime as dt
import json
import re
import subprocess
import sys
import time

import pyte
import pytest

from pipelines import cli, exit_codes
from pipelines.commands.backfill import backfill_job, moment
from pipelines.config import load
from pipelines.local.progress import Progress
from tests.cli.test_hostile_names import on_a_terminal
from tests.conftest import now_ms
from transforms.destinations.stream.settings import TcpSettings
from transforms.formats.json_lines import JsonOptions
from transforms.records import Stream, Subscription
from transforms.secrets import SecretRef
from transforms.settings import Account, Destination, Format, Job, Reading, Route, Storage
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.cursor import Cursor

DAY_MS = 86_400_000
LIVE = Subscription(Stream("main", "auth", "localhost"), "siem")


def iso(time_ms: int) -> str:
    return dt.datetime.fromtimestamp(time_ms / 1000, tz=dt.timezone.utc).isoformat(timespec="milliseconds")


def command(config, *words):
    return [sys.executable, "-m", "pipelines", "backfill", str(config), *map(str, words)]


def between(simulator, log_type, from_ms, until_ms):
    from transforms.duo.log_types import LOG_TYPES

    key = LOG_TYPES[log_type].row_key
    ids = zip(simulator.produced_rows(log_type), simulator.produced_ids(log_type), strict=True)
    return {event_id for row, event_id in ids if from_ms <= key(row).time_ms <= until_ms}


def test_it_delivers_the_stretch_and_nothing_else_and_ends_by_itself(config, simulator, receiver):
    for log_type in ("auth", "activity"):
        simulator.add_backlog(log_type, 6_000, now_ms() - 6 * DAY_MS, now_ms() - 3_600_000)
    from_ms, until_ms = now_ms() - 4 * DAY_MS, now_ms() - 2 * DAY_MS
    done = subprocess.run(
        command(config, "--from", iso(from_ms), "--to", iso(until_ms)), capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == exit_codes.OK, done.stderr
    for log_type in ("auth", "activity"):
        assert receiver.unique_ids(log_type) == between(simulator, log_type, from_ms, until_ms)
    assert receiver.total() == sum(len(receiver.unique_ids(t)) for t in ("auth", "activity"))
    assert "100.0%" in done.stderr
    assert "Traceback" not in done.stderr
    told = done.stderr.splitlines()[-1]
    assert told.startswith("Finished: ")
    assert f" {receiver.total():,} events delivered in " in told


def test_a_killed_backfill_goes_on_where_it_was_and_live_checkpoints_stay_as_they_are(config, simulator, receiver, tmp_path):
    simulator.add_backlog("auth", 30_000, now_ms() - 3 * DAY_MS, now_ms() - 3_600_000)
    config.write_text(config.read_text().replace("lag_secs: 0", "lag_secs: 0, page_pause_secs: 0.2"))
    words = command(config, "--from", "10d", "--log-types", "auth")
    first = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    assert receiver.wait_for(8_000, 60)
    first.kill()
    first.wait()
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == exit_codes.OK, done.stderr
    assert receiver.unique_ids("auth") == set(simulator.produced_ids("auth"))
    assert receiver.total() <= 30_000 + 8_000
    assert not list((tmp_path / "checkpoints").glob("*.json"))


def test_it_waits_while_the_live_stream_is_behind(config, simulator, receiver, tmp_path, eventually):
    """A live copy that holds the lock and stands at a position of hours ago: the backfill makes no call."""
    from transforms.state.checkpoints.local import CheckpointStore
    from transforms.state.cursor import Cursor

    simulator.add_backlog("auth", 100, now_ms() - 3 * DAY_MS, now_ms() - 3_600_000)
    live = CheckpointStore(tmp_path / "checkpoints")
    live.lock()
    live.commit(LIVE, Cursor(now_ms() - 7_200_000, seq=1))
    log = tmp_path / "backfill.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(command(config, "--from", "10d", "--log-types", "auth"), stderr=stderr)
    try:
        eventually(lambda: "the backfill waits" in log.read_text(), within_secs=60)
        time.sleep(2)
        assert not simulator.calls
        live.commit(LIVE, Cursor(now_ms(), seq=2))
        assert receiver.wait_for(100, 60)
        process.wait(timeout=60)
        told = log.read_text()
    finally:
        process.kill()
        live.unlock()

    assert process.returncode == exit_codes.OK
    assert told.count("main/auth: the backfill waits, because live reading of it is behind") == 1
    assert told.count("main/auth: the backfill goes on") == 1
    assert told.index("waits") < told.index("goes on")


def test_a_finished_one_that_is_started_again_says_that_it_is_done_and_how_to_send_it_again(
    config, simulator, receiver, tmp_path
):
    simulator.add_backlog("auth", 500, now_ms() - 3 * DAY_MS, now_ms() - 2 * DAY_MS)
    words = command(config, "--from", "10d", "--to", "1d", "--log-types", "auth,activity")
    first = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    delivered = receiver.total()
    again = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)

    assert (first.returncode, again.returncode) == (exit_codes.OK, exit_codes.OK)
    assert "was finished before" not in first.stderr
    assert "was finished before, and nothing was sent now" in again.stderr
    assert "repeat the command with --again" in again.stderr
    assert receiver.total() == delivered

    anew = subprocess.run([*words, "--again"], capture_output=True, text=True, timeout=120, check=False)
    assert anew.stderr.splitlines()[-1].startswith("Finished: ")
    assert receiver.total() == 2 * delivered


def test_again_begins_anew_whatever_else_was_read_of_the_stretch_and_not_while_it_is_at_work(
    config, simulator, receiver, tmp_path
):
    simulator.add_backlog("auth", 50, now_ms() - 3 * DAY_MS, now_ms() - 2 * DAY_MS)
    simulator.add_backlog("activity", 50, now_ms() - 3 * DAY_MS, now_ms() - 2 * DAY_MS)
    words = command(config, "--from", "10d", "--log-types")
    subprocess.run([*words, "auth,activity"], capture_output=True, timeout=120, check=True)
    subprocess.run([*words, "auth", "--again"], capture_output=True, timeout=120, check=True)
    assert receiver.total() == 150

    (directory,) = (tmp_path / "checkpoints" / "backfill").iterdir()
    at_work = CheckpointStore(directory)
    at_work.lock()
    refused = subprocess.run([*words, "auth", "--again"], capture_output=True, text=True, timeout=120, check=False)
    at_work.unlock()
    assert refused.returncode == exit_codes.STATE
    assert "Another duologsync" in refused.stderr
    assert (directory / "until").exists()


def test_one_that_is_interrupted_says_how_far_it_came_and_has_a_code_of_its_own(config, simulator, receiver, eventually):
    simulator.add_backlog("auth", 20_000, now_ms() - 3 * DAY_MS, now_ms() - 3_600_000)
    config.write_text(config.read_text().replace("lag_secs: 0", "lag_secs: 0, page_pause_secs: 2"))
    words = command(config, "--from", "10d", "--log-types", "auth", "--json")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert receiver.wait_for(1_000, 60)
    process.terminate()
    out, err = process.communicate(timeout=120)

    assert process.returncode == exit_codes.INTERRUPTED
    assert re.search(r"^Stopped at \d+\.\d% of .*; the same command goes on from there\. .* delivered in ", err, re.MULTILINE)
    told = json.loads(out)
    assert (told["state"], told["code"]) == ("stopped", exit_codes.INTERRUPTED)
    assert 0 < told["share"] < 1
    eventually(lambda: receiver.total() >= told["delivered"])
    assert told["delivered"] == receiver.total()
    assert told["streams"][0]["name"] == "main/auth to siem"


class TestProgress:
    """On a terminal of its own."""

    @pytest.fixture
    def shown_at(self, config, simulator, receiver):
        def shown(columns: int) -> str:
            simulator.add_backlog("auth", 6_000, now_ms() - 3 * DAY_MS, now_ms() - 3_600_000)
            words = ["backfill", str(config), "--from", "10d", "--log-types", "auth"]
            return on_a_terminal(words, until="\0", columns=columns)

        return shown

    @pytest.mark.parametrize("columns", [60, 80, 120])
    def test_each_stream_has_one_line_that_fits_and_what_is_logged_leaves_no_bars_behind(self, shown_at, columns):
        screen = pyte.Screen(columns, 200)
        pyte.Stream(screen).feed(shown_at(columns))
        lines = [line.rstrip() for line in screen.display if line.strip()]
        (bar,) = [line for line in lines if "%" in line and not line.startswith("Finished")]
        assert bar.startswith("main/auth to siem")
        assert "100.0%" in bar
        assert bar.endswith("done")
        assert any("is caught up" in line or "INFO" in line for line in lines)


def progress_of(tmp_path, until_ms=1_100_000_000_000):
    reading = Reading(from_ms=1_000_000_000_000, until_ms=until_ms)
    return Progress(
        Job(
            (Account("main", "localhost", "DI", SecretRef("env", "X")),),
            (Destination("siem", TcpSettings(host="h", port=1), Format(JsonOptions())),),
            (Route(("auth", "activity"), ("siem",)),),
            Storage(str(tmp_path), str(tmp_path)),
            reading,
        )
    )


def test_what_is_finished_keeps_the_rate_that_it_had(tmp_path):
    store = CheckpointStore(tmp_path)
    progress = progress_of(tmp_path)
    store.commit(LIVE, Cursor(1_000_000_000_000, seq=1))
    progress.streams()
    store.commit(
        Subscription(Stream("main", "auth", "localhost"), "siem"),
        Cursor(1_100_000_000_000, end_ms=1_100_000_000_000, seq=2),
        500,
    )
    (_, first) = progress.streams()
    time.sleep(0.05)
    (activity, again) = progress.streams()

    assert first.rate > 0
    assert again.rate == first.rate
    assert again.left == "done"
    assert (activity.name, activity.share, activity.left) == ("main/activity to siem", 0.0, "-")
    assert progress.share() == 0.5


def test_another_log_type_of_a_finished_stretch_is_not_done_before(config, simulator, receiver):
    simulator.add_backlog("activity", 500, now_ms() - 3 * DAY_MS, now_ms() - 2 * DAY_MS)
    words = command(config, "--from", "10d", "--to", "1d", "--log-types")
    subprocess.run([*words, "auth"], capture_output=True, timeout=120, check=True)
    both = subprocess.run([*words, "auth,activity"], capture_output=True, text=True, timeout=120, check=True)

    assert "was finished before" not in both.stderr
    assert receiver.unique_ids("activity") == set(simulator.produced_ids("activity"))
    auth = subprocess.run([*words, "auth"], capture_output=True, text=True, timeout=120, check=True)
    assert "was finished before" in auth.stderr


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--from", "yesterday"], "not a time"),
        (["--from", "0001-01-01T00:00+14:00"], "is before 1970"),
        (["--from", "300d", "--to", "200d"], "Duo keeps 180 days: nothing before "),
        (["--from", "1d", "--to", "2d"], "must be before"),
        (["--from", "2d", "--log-types", "nonsense"], "nonsense"),
        ([], "--from"),
    ],
)
def test_bad_words_end_with_a_message(config, words, what, capsys):
    try:
        code = cli.main(["backfill", str(config), *words])
    except SystemExit as end:
        code = end.code

    assert code == exit_codes.CONFIG
    assert what in capsys.readouterr().err


def test_what_duo_does_not_keep_any_more_is_told_and_the_rest_is_delivered(config, simulator, receiver, capfd):
    simulator.add_backlog("auth", 50, now_ms() - 170 * DAY_MS, now_ms() - 169 * DAY_MS)
    code = cli.main(["backfill", str(config), "--from", "300d", "--to", "100d", "--log-types", "auth"])

    assert code == exit_codes.OK
    assert receiver.total() == 50
    assert "Duo keeps 180 days: --from is cut to " in capfd.readouterr().err


def test_times_without_a_zone_are_utc():
    assert moment("2026-11-01T08:30").isoformat() == "2026-11-01T08:30:00+00:00"
    assert moment("2026-11-01T08:30+01:00").utcoffset() == dt.timedelta(hours=1)


def test_a_number_of_days_is_that_many_midnights_ago_all_day_long():
    found = moment("2d")
    assert found.timestamp() % 86_400 == 0
    assert 2 <= (dt.datetime.now(dt.timezone.utc) - found) / dt.timedelta(days=1) < 3.5, "or a midnight later"


def test_a_stretch_that_a_receiver_would_drop_is_refused_before_anything_is_read(config, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DATADOG_KEY", "k")
    datadog = (
        "{name: siem, kind: http, preset: datadog, url: 'https://datadog.example.com', token: env:DATADOG_KEY, format: json}"
    )
    lines = [f"  - {datadog}" if "kind: tcp" in line else line for line in config.read_text().splitlines()]
    config.write_text("\n".join(lines) + "\n")

    assert cli.main(["backfill", str(config), "--from", "2d"]) == exit_codes.CONFIG
    told = capsys.readouterr().err
    assert "takes no event that is older than 18 hours" in told
    assert "too_old: send" in told
    assert not (tmp_path / "checkpoints").exists()


def test_it_leaves_the_usual_port_to_the_live_program_whether_that_runs_now_or_not(config):
    job = backfill_job(load(config).job, 1_000_000_000_000, 1_100_000_000_000, open_end=False, log_types=None)
    assert job.monitoring.port == 0, "any that is free"
