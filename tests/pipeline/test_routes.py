"""Whole local runs whose routes filter, redact and change: what arrives, what is committed, and what a second run repeats."""

import json

import pytest

from pipelines import exit_codes
from tests.conftest import FAST, now_ms
from tests.destinations import toy
from tests.pipeline.test_local_run import RunningJob
from transforms import destinations
from transforms.destinations import Kind
from transforms.destinations.stream.settings import TcpSettings
from transforms.events.redact_settings import Redaction
from transforms.formats.json_lines import JsonOptions
from transforms.secrets import SecretRef
from transforms.settings import Destination, Format, Job, Route, Storage
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.dead_letters.letter import read_dead_letters
from transforms.state.dead_letters.write import files_in

EVENTS = 2_500
KEY = SecretRef("env", "REDACTION_KEY")
REDACTION = Redaction(drop=("email",), hash=("user.name",), key=KEY)


@pytest.fixture
def siem(monkeypatch):
    monkeypatch.setenv("REDACTION_KEY", "k" * 16)
    siem = toy.Siem(lambda message: False)
    monkeypatch.setitem(destinations.KINDS, "tcp", Kind(TcpSettings, siem.make))
    return siem


@pytest.fixture
def job_of(account, siem, tmp_path):
    def make(*routes):
        return Job(
            accounts=(account,),
            destinations=(Destination("siem", TcpSettings("siem.example.com", 6514), Format(JsonOptions())),),
            routes=routes,
            storage=Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead")),
            reading=FAST,
        )

    yield make
    files_in(str(tmp_path / "dead")).close()


def backlog(simulator):
    simulator.add_backlog("auth", EVENTS, now_ms() - 3_600_000, now_ms() - 1_000)


def test_what_a_filter_takes_arrives_redacted_once_and_in_order_and_a_second_run_repeats_nothing(
    job_of, siem, simulator, eventually
):
    backlog(simulator)
    denied = sum(b'"denied"' in row for row in simulator.produced_rows("auth"))
    job = job_of(Route(("auth",), ("siem",), where="event.result == 'denied'", redact=REDACTION))
    with RunningJob(job) as running:
        eventually(lambda: len(siem.delivered) == denied, "what was denied")
    assert running.exit_code == exit_codes.OK
    with RunningJob(job):
        eventually(lambda: len(simulator.calls) > 5)

    rows = [json.loads(row) for row in simulator.produced_rows("auth")]
    arrived = [json.loads(message) for message in siem.delivered]
    assert [each["txid"] for each in arrived] == [row["txid"] for row in rows if row["result"] == "denied"]
    assert 0 < len(arrived) < EVENTS
    assert not any("email" in each for each in arrived)
    names = {row["txid"]: row["user"]["name"] for row in rows}
    tokens = {(names[each["txid"]], each["user"]["name"]) for each in arrived}
    assert all(token.startswith("hmac:") or not name for name, token in tokens)
    assert len(tokens) == len({name for name, _ in tokens}), "one token for each name"


def test_what_is_left_out_is_done_with(job_of, siem, simulator, tmp_path, eventually):
    backlog(simulator)
    job = job_of(Route(("auth",), ("siem",), where="false"))
    store = CheckpointStore(str(tmp_path / "checkpoints"))
    with RunningJob(job) as running:
        eventually(lambda: [record.delivered for record in store.records()] == [EVENTS], "the end of the backlog")
    assert running.exit_code == exit_codes.OK
    assert siem.delivered == []
    assert not list((tmp_path / "dead").glob("*.avro"))


def test_a_function_that_fails_now_and_then_holds_nothing_up(job_of, siem, simulator, tmp_path, eventually):
    backlog(simulator)
    odd = {json.loads(row)["txid"] for row in simulator.produced_rows("auth")[::100]}
    _refused.clear()
    _refused.update(odd)
    with RunningJob(job_of(Route(("auth",), ("siem",), function=f"{__name__}:refuses_some"))) as running:
        eventually(lambda: len(siem.delivered) == EVENTS - len(odd), "all others")
    assert running.exit_code == exit_codes.OK
    letters = [letter for path in (tmp_path / "dead").glob("*.avro") for letter in read_dead_letters(path)]
    assert {json.loads(letter.raw)["txid"] for letter in letters} == odd
    assert {(letter.reason, letter.format, letter.destination) for letter in letters} == {("function_failed", "", "siem")}


_refused: set[str] = set()


def refuses_some(row, stream):
    if row["txid"] in _refused:
        raise LookupError(row["user"])
    return row


def test_without_its_key_nothing_is_sent_and_the_run_ends(job_of, siem, simulator, monkeypatch):
    monkeypatch.delenv("REDACTION_KEY")
    backlog(simulator)
    with RunningJob(job_of(Route(("auth",), ("siem",), redact=REDACTION))) as running:
        running.join(30)
    assert siem.delivered == []
    assert running.exit_code == exit_codes.CREDENTIALS
