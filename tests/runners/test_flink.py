"""The endless graph on a real Flink cluster: what is lost and repeated when machines die, versions change, a SIEM is away."""

import time

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from pipelines.launch_files.flink.savepoint import stop_with_savepoint
from tests.runners.frozen_savepoints import EVENTS, RELEASES, thaw
from tests.runners.programs import (
    RunnerProgram,
    SubmittedProgram,
    add_account,
    fetched_twice,
    pages_since,
    set_destinations,
    set_routes,
)
from tests.servers.harness import Duo, checkpoints, missing, now_ms, repeated, tcp, wait_for_all, wait_until, write_config
from transforms.duo.fetch.feed import _AHEAD
from transforms.duo.io import PAGES_PER_BUNDLE
from transforms.state.cursor import Cursor

pytestmark = [pytest.mark.servers, pytest.mark.timeout(400)]
LOAD = {"auth": 120_000, "activity": 30_000}


class Repeats:
    """How much one blow has repeated, against what it may: the pages that were read since the last checkpoint was begun.

    Those that lay ready then, in the feed and in the bundle under way, belong to them.
    """

    def __init__(self, duo, siem, flink, job):
        self._duo, self._siem = duo, siem
        self._since_secs, self.checkpoint = flink.last_checkpoint(job)
        self._before = repeated(siem)

    def assert_bounded(self, allowed_from_earlier=PAGES_PER_BUNDLE + _AHEAD):
        now = repeated(self._siem)
        for log_type, count in now.items():
            pages = pages_since(self._duo, log_type, self._since_secs) + allowed_from_earlier
            assert count - self._before.get(log_type, 0) <= pages * 1000, (log_type, pages, self._before, now)


def done_until_ms(folder):
    """Up to which time all events are done with, by the checkpoint store. Its counts are less certain: finalizers may come out
    of order, and what a later one has committed is not counted again.
    """
    return min(Cursor.from_json(bytes(record.cursor)).position_ms for record in checkpoints(folder))


def test_a_checkpoint_while_a_job_starts_keeps_no_log_type_from_being_read(tmp_path, flink):
    # The element that starts a log type is for 3 s on its way through a bundle; ten checkpoints fall into that time.
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"auth": 10, "activity": 10})
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth", "activity"])
        flags = flink.flags("--max_bundle_time_mills=3000", checkpoint_every_ms=300)
        with RunnerProgram(tmp_path, "run", config, "--", *flags) as program:
            job = flink.running_job()
            wait_for_all(duo, siem, ["auth", "activity"], program)
            flink.next_checkpoint(job)
            flink.cancel(job)

        assert not any(repeated(siem).values())


def test_machines_that_die_under_load_lose_nothing_and_repeat_at_most_what_came_since_the_last_checkpoint(tmp_path, flink):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog(LOAD)
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=LOAD, page_pause_secs=0.2)
        with RunnerProgram(tmp_path, "run", config, "--", *flink.flags()) as program:
            job = flink.running_job()
            for blow in range(2):
                flink.next_checkpoint(job)
                at_start = siem.total()
                wait_until(lambda at_start=at_start: siem.total() > at_start, "events behind the checkpoint")
                repeats = Repeats(duo, siem, flink, job)
                flink.kill_machine()
                wait_until(lambda: not siem.connected(), "the dead workers' connections to be read to their end")
                assert sum(map(len, duo.produced(LOAD).values())) > siem.total(), "the load was over before the blow"
                flink.start_machine()
                flink.next_checkpoint(job)
                repeats.assert_bounded()
                print(f"TaskManager and workers killed ({blow + 1}): {repeated(siem)} repeated so far")
            duo.simulator.add("auth", 100)
            repeats = Repeats(duo, siem, flink, job)
            program.kill()
            flink.kill("job_manager")
            flink.start("job_manager")
        with RunnerProgram(tmp_path, "run", config, "--", *flink.flags(f"--savepoint_path={repeats.checkpoint}")) as program:
            job = flink.running_job()
            wait_for_all(duo, siem, LOAD, program)
            repeats.assert_bounded()
            print(f"JobManager killed, restarted from a retained checkpoint: 0 lost, {repeated(siem)} repeated in all")
            flink.cancel(job)


def test_a_savepoint_carries_a_job_over_to_a_new_configuration_without_loss_or_repeat(tmp_path, flink):
    with Duo(tmp_path) as duo, SiemReceiver() as siem, SiemReceiver() as second:
        duo.add_backlog({"auth": 60_000, "activity": 5_000})
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=LOAD, page_pause_secs=0.3)
        with SubmittedProgram(tmp_path, config, env=flink.submit_env()):
            flink.running_job()
            wait_until(lambda: siem.total() > 5_000, "events before the savepoint")
            savepoint = stop_with_savepoint(flink.address)
        assert siem.total() < 65_000, "all was read before the savepoint; it proves nothing"

        # A second destination, in front of the other, and a pace that only the new settings have: a restored source must follow
        # them, and one that is new must begin.
        set_destinations(config, [tcp(second.port, "second"), tcp(siem.port)], page_pause_secs=0.01)
        # The workers of the job that ended are kept for a minute; what they still read ahead is no page fetched twice.
        wait_until(lambda: time.time() - duo.simulator.calls[-1].at_secs > 1, "the old workers to have read ahead")
        duo.simulator.calls.clear()
        with SubmittedProgram(tmp_path, config, env=flink.submit_env(savepoint)) as program:
            job = flink.running_job()
            for end in (siem, second):  # the second gets all of the look-back: it had no position of its own
                wait_for_all(duo, end, LOAD, program)
            duo.simulator.add("auth", 10)
            for end in (siem, second):
                wait_for_all(duo, end, LOAD, program)
            flink.next_checkpoint(job)
            flink.cancel(job)

        assert not any(repeated(siem).values())
        assert not any(repeated(second).values())
        assert all(times == 2 for times in fetched_twice(duo).values()), "a page was fetched twice for the same destination"


def test_a_route_that_begins_to_filter_and_ends_it_again_keeps_the_position(tmp_path, flink):
    with Duo(tmp_path) as duo, SiemReceiver(keep_messages=True) as siem:
        duo.add_backlog({"auth": 2_000})
        plain = {"log_types": ["auth"], "destinations": ["siem"]}
        config = write_config(tmp_path, duo, [tcp(siem.port)], routes=[plain])
        with SubmittedProgram(tmp_path, config, env=flink.submit_env()) as program:
            flink.running_job()
            wait_for_all(duo, siem, ["auth"], program)
            savepoint = stop_with_savepoint(flink.address)

        none, before = {**plain, "where": "event.result == 'nothing of the kind'"}, siem.total()
        set_routes(config, [none])
        duo.simulator.add("auth", 50)
        added_ms = now_ms()
        with SubmittedProgram(tmp_path, config, env=flink.submit_env(savepoint)):
            flink.running_job()
            wait_until(lambda: done_until_ms(tmp_path) >= added_ms, "what is filtered to be done with")
            savepoint = stop_with_savepoint(flink.address)
        assert siem.total() == before

        set_routes(config, [plain])
        duo.simulator.add("auth", 20)
        with SubmittedProgram(tmp_path, config, env=flink.submit_env(savepoint)):
            job = flink.running_job()
            wait_until(lambda: siem.total() == before + 20, "what came when nothing was filtered any more")
            flink.next_checkpoint(job)
            flink.cancel(job)
        assert not any(repeated(siem).values())


def test_an_account_that_is_new_since_the_savepoint_is_read_and_the_others_go_on(tmp_path, flink):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"auth": 2_000})
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
        with SubmittedProgram(tmp_path, config, env=flink.submit_env()) as program:
            flink.running_job()
            wait_for_all(duo, siem, ["auth"], program)
            savepoint = stop_with_savepoint(flink.address)
        assert not any(repeated(siem).values())

        add_account(config, duo.account(name="other"))  # the same log under another name: each event comes once from each
        with SubmittedProgram(tmp_path, config, env=flink.submit_env(savepoint)):
            job = flink.running_job()
            wait_until(lambda: repeated(siem)["auth"] >= 2_000, "what the new account has")
            duo.simulator.add("auth", 10)
            wait_until(lambda: repeated(siem)["auth"] >= 2_010, "what both have now")
            flink.next_checkpoint(job, 2)
            flink.cancel(job)

        assert repeated(siem) == {"auth": 2_010}


@pytest.mark.parametrize("release", RELEASES)
def test_a_savepoint_of_an_earlier_release_leads_on_from_its_marks_without_loss_or_repeat(release, tmp_path, flink):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        frozen = thaw(release, duo, tmp_path)
        # A launch without a savepoint would begin before the marks, and deliver again what was delivered.
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=EVENTS, start_days=30)
        duo.simulator.add("activity", 30, at_ms=frozen.at_ms, spread_ms=60_000)
        due = {log_type: ids - frozen.delivered[log_type] for log_type, ids in duo.produced(EVENTS).items()}
        with SubmittedProgram(tmp_path, config, env=flink.submit_env(frozen.savepoint)) as program:
            job = flink.running_job()
            wait_until(lambda: not missing(due, siem), "all that the frozen job had not delivered")
            now = duo.simulator.add("auth", 10)
            wait_until(lambda: not missing({"auth": set(now)}, siem), "events of today")
            assert program.running
            flink.cancel(job)

        assert not any(siem.unique_ids(log_type) & ids for log_type, ids in frozen.delivered.items())
        assert not any(repeated(siem).values())


def test_a_destination_that_is_away_for_longer_than_the_checkpoint_timeout_holds_only_what_goes_there(tmp_path, flink):
    timeout_secs = 20  # far more than the failing bundle takes, which holds up a checkpoint of all; an expired one restarts all
    with Duo(tmp_path) as duo, SiemReceiver() as siem, SiemReceiver() as away:
        duo.add_backlog({"auth": 40_000, "activity": 500, "telephony": 500})
        both, all_three = ["auth", "activity"], ["auth", "activity", "telephony"]
        routes = [{"log_types": both, "destinations": ["away"]}, {"log_types": all_three, "destinations": ["siem"]}]
        destinations = [tcp(siem.port), tcp(away.port, "away", delivery_timeout_secs=4)]
        config = write_config(tmp_path, duo, destinations, routes=routes, page_pause_secs=0.15)
        flags = flink.flags(f"--checkpoint_timeout_millis={timeout_secs * 1000}", checkpoint_every_ms=1_000)
        with RunnerProgram(tmp_path, "run", config, "--", *flags) as program:
            job = flink.running_job()
            wait_for_all(duo, away, ["activity"], program)
            wait_until(lambda: away.total() > 2_000, "events at the destination that will go away")
            checkpointed = away.total()
            flink.next_checkpoint(job, 2)  # the second one is begun after the first one, and so after all of these
            away.refuse()
            away.reset_connections()
            delivered = away.total()
            duo.simulator.add("auth", 100)
            wait_until(lambda: "auth to away is not read on until away can be used" in flink.log("pool"), "the log to be held")
            flink.wait_for("the restart of its part", lambda: len(flink.failures(job)) == 1)
            away_since = time.monotonic()
            while time.monotonic() - away_since < timeout_secs:
                for log_type in all_three:
                    duo.simulator.add(log_type, 10)
                wait_for_all(duo, siem, all_three, program)
                flink.next_checkpoint(job, 4)
            assert "activity to away is not read on until away can be used" in flink.log("pool")
            assert "to siem is not read on" not in flink.log("pool")
            (failed,) = flink.failures(job)
            assert "Send auth for away" in failed, "what had no bundle under way when it went away failed with one of its own"
            away.reopen()
            wait_for_all(duo, away, both, program)
            print(f"away for {timeout_secs} s and more: {repeated(away)} repeated; {checkpointed=}, {delivered=}")
            flink.next_checkpoint(job, 4)
            assert flink.failures(job) == [failed], "it came back, and something failed"
            flink.cancel(job)

        assert not any(repeated(siem).values()), "the other destination was touched"
        # What the connections carried that were reset, and may not have been read, is sent again; and the log whose bundle
        # failed is read again from the checkpoint.
        assert repeated(away)["activity"] <= 500
        assert repeated(away)["auth"] <= delivered - checkpointed + PAGES_PER_BUNDLE * 1000


def test_a_launch_with_a_job_server_of_its_own_may_end_while_the_job_goes_on_and_leaves_no_secret_anywhere(tmp_path, flink):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"auth": 10})
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
        with RunnerProgram(tmp_path, "run", config, "--", *flink.own_server_flags()) as program:
            job = flink.running_job()
            wait_for_all(duo, siem, ["auth"], program)
            flink.next_checkpoint(job, 2)
            assert program.end() == exit_codes.OK
            duo.simulator.add("auth", 10)
            wait_for_all(duo, siem, ["auth"])
            shown = str(flink.rest(f"/jobs/{job}/config")) + str(flink.rest(f"/jobs/{job}/plan"))
            flink.cancel(job)
        files = [path for path in flink.folder.rglob("*") if path.is_file()]

        assert "The job goes on in the cluster" in program.log()
        assert duo.skey_file.name in program.log()
        assert duo.skey not in program.log()
        assert duo.skey not in shown
        assert len(files) > 5
        assert not [path for path in files if duo.skey.encode() in path.read_bytes()]
        assert not any(repeated(siem).values())
