"""A SIEM refuses some events of a bundle after it was sent: they are dead letters, and all others go their way."""

from dataclasses import replace

import pytest

from pipelines import exit_codes
from tests.conftest import FAST, now_ms
from tests.destinations import toy
from tests.pipeline.test_local_run import RunningJob
from transforms import destinations
from transforms.destinations import Kind
from transforms.destinations.stream.settings import TcpSettings
from transforms.destinations.udp.settings import UdpSettings
from transforms.formats.json_lines import JsonOptions
from transforms.settings import Destination, Format, Job, Route, Storage
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.dead_letters.letter import read_dead_letters
from transforms.state.dead_letters.write import files_in

EVENTS = 2_500


@pytest.fixture
def siem(monkeypatch):
    """It refuses every seventh message, whatever that is."""
    siem = toy.Siem(lambda message: sum(message) % 7 == 0)
    monkeypatch.setitem(destinations.KINDS, "tcp", Kind(TcpSettings, siem.make))
    return siem


@pytest.fixture
def job(account, siem, tmp_path):
    yield Job(
        accounts=(account,),
        destinations=(Destination("siem", TcpSettings("siem.example.com", 6514), Format(JsonOptions())),),
        routes=(Route(("auth",), ("siem",)),),
        storage=Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead")),
        reading=FAST,
    )
    files_in(str(tmp_path / "dead")).close()


def letters(tmp_path):
    return [letter for path in (tmp_path / "dead").glob("*.avro") for letter in read_dead_letters(path)]


def test_what_a_siem_rejects_is_kept_and_all_else_is_delivered_committed_and_goes_on(
    job, siem, simulator, tmp_path, eventually
):
    simulator.add_backlog("auth", EVENTS, now_ms() - 3_600_000, now_ms() - 1_000)
    with RunningJob(job) as running:
        eventually(lambda: len(siem.delivered) + len(siem.refused) == EVENTS, "the backlog")
        simulator.add("auth", 20)
        eventually(lambda: len(siem.delivered) + len(siem.refused) == EVENTS + 20, "what came later")
    produced = sorted(simulator.produced_rows("auth"))

    assert running.exit_code == exit_codes.OK, "a rejection is no failure"
    assert siem.refused
    assert sorted(siem.delivered + siem.refused) == produced, "each once"
    kept = letters(tmp_path)
    assert sorted(letter.raw for letter in kept) == sorted(siem.refused)
    assert {(letter.reason, letter.detail, letter.destination) for letter in kept} == {
        ("refused", "The toy does not like it.", "siem")
    }
    with RunningJob(job):
        eventually(lambda: len(simulator.calls) > 5)
    assert len(siem.delivered) + len(siem.refused) == EVENTS + 20, "a fresh launch repeats nothing"


def test_a_dead_letter_is_on_disk_before_the_checkpoint_that_leaves_its_event_behind(
    job, siem, simulator, tmp_path, monkeypatch, eventually
):
    commit, missing = CheckpointStore.commit, []

    def looked_at(self, *args, **named):
        missing.append(len(siem.refused) - len(letters(tmp_path)))
        return commit(self, *args, **named)

    monkeypatch.setattr(CheckpointStore, "commit", looked_at)
    simulator.add_backlog("auth", EVENTS, now_ms() - 3_600_000, now_ms() - 1_000)
    with RunningJob(job):
        eventually(lambda: len(siem.delivered) + len(siem.refused) == EVENTS, "the backlog")

    assert siem.refused
    assert len(missing) > 1
    assert max(missing) <= 0


def test_a_siem_that_rejects_everything_holds_nobody_up(job, siem, simulator, tmp_path, eventually):
    siem.refuses = lambda _message: True
    simulator.add_backlog("auth", 300, now_ms() - 3_600_000, now_ms() - 1_000)
    with RunningJob(job):
        eventually(lambda: len(letters(tmp_path)) == 300, "300 letters")
        siem.refuses = lambda _message: False
        simulator.add("auth", 5)
        eventually(lambda: len(siem.delivered) == 5, "what comes behind")


def test_what_one_destination_rejects_another_one_gets(job, siem, simulator, tmp_path, monkeypatch, eventually):
    other = toy.Siem(lambda _message: False)
    monkeypatch.setitem(destinations.KINDS, "udp", Kind(UdpSettings, other.make))
    both = (*job.destinations, replace(job.destinations[0], name="other", settings=UdpSettings("siem.example.com", 514)))
    simulator.add_backlog("auth", 300, now_ms() - 3_600_000, now_ms() - 1_000)
    with RunningJob(replace(job, destinations=both, routes=(Route(("auth",), ("siem", "other")),))):
        eventually(lambda: len(other.delivered) == 300, "all of it at the other")
        eventually(lambda: len(siem.delivered) + len(siem.refused) == 300, "all that it takes at the first")

    assert {letter.destination for letter in letters(tmp_path)} == {"siem"}
