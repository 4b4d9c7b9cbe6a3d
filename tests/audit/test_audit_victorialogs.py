"""The whole program to a real log server, events deleted there behind our back, and the audit that finds and mends that."""

import json

import pytest

from pipelines import exit_codes
from tests.audit.conftest import DAY, outcome
from tests.destinations.http.victorialogs import VictoriaLogs

pytestmark = pytest.mark.servers
ROUTES = "routes:\n  - {log_types: [auth, activity], destinations: [siem]}\n"
WAYS = {
    "hec": (
        "kind: hec, url: {url}/insert/splunk, token: env:ANY_TOKEN",
        "query: 'sourcetype:=\"{name}\"'",
    ),
    "http": (
        "kind: http, url: '{url}/insert/jsonline?_time_field=isotimestamp&_msg_field=action'",
        "id_field: txid",
    ),
}


@pytest.fixture
def siem(tmp_path_factory):
    served = VictoriaLogs(tmp_path_factory.mktemp("victorialogs"))
    yield served
    served.stop()


def configure(world, siem, way):
    kind, audit = WAYS[way]
    kind = kind.replace("{url}", siem.url)
    world.write(f"{{name: siem, {kind}, format: json, audit: {{kind: logsql, url: '{siem.url}', {audit}}}}}", routes=ROUTES)


def ids_there(siem):
    shown = siem.query()
    return [event.get("txid") or json.loads(event["_msg"]).get("txid") for event in shown]


@pytest.mark.parametrize("way", WAYS)
def test_exactly_what_was_deleted_behind_our_back_is_named_and_restored(world, siem, audited, monkeypatch, way):
    monkeypatch.setenv("ANY_TOKEN", "any")
    configure(world, siem, way)
    if way == "http":  # this way has no name for a log
        world.config.write_text(world.config.read_text().replace("[auth, activity]", "[auth]"))
    else:
        world.happen("activity", 70)
    world.happen("auth", 5200)
    expected = 5200 if way == "http" else 5270
    world.deliver(lambda: siem.count() == expected)
    siem.wait_for(expected)
    code, (certificate,) = audited("--wait", 5)
    assert (code, outcome(certificate)["stored"], outcome(certificate)["verdict"]) == (exit_codes.OK, 5200, "stored")

    gone = [each for each in ids_there(siem) if each][100:4000:300]
    for each in gone:
        siem.delete(f'"{each}" or txid:="{each}"')
    code, (certificate,) = audited()
    found = outcome(certificate)
    assert (code, found["verdict"], found["missing"]) == (exit_codes.INCOMPLETE, "missing", len(gone))
    assert {each["id"] for each in found["named"]} == set(gone)
    assert found["never_read"] == 0, "it was lost there, and not on the way"

    code, (certificate,) = audited("--fix", "--wait", 20)
    found = outcome(certificate)
    assert (code, found["fixed"], found["missing"], found["repeats"]) == (exit_codes.OK, len(gone), 0, 0)
    assert siem.count() == expected

    code, certificates = audited("--from", DAY)
    assert (code, outcome(certificates[0])["stored"]) == (exit_codes.OK, 5200)
    assert world.audit("--verify", "--head", certificates[-1]["sha256"]) == exit_codes.OK


def test_a_server_that_lost_all_of_it_gets_all_of_it_again(world, siem, audited, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("ANY_TOKEN", "any")
    configure(world, siem, "hec")
    world.happen("auth", 300)
    world.deliver(lambda: siem.count() == 300)

    fresh = VictoriaLogs(tmp_path_factory.mktemp("fresh"))
    try:
        configure(world, fresh, "hec")
        code, (certificate,) = audited("--fix", "--wait", 20)
        assert (code, outcome(certificate)["fixed"], outcome(certificate)["stored"]) == (exit_codes.OK, 300, 300)
    finally:
        fresh.stop()


def test_a_server_that_is_away_is_no_gap_and_nothing_is_sent_again(world, siem, audited, monkeypatch):
    from transforms.destinations.stored import search

    monkeypatch.setattr(search, "_TRIES", 2)
    monkeypatch.setenv("ANY_TOKEN", "any")
    configure(world, siem, "hec")
    world.happen("auth", 20)
    world.deliver(lambda: siem.count() == 20)
    siem.stop()

    code, (certificate,) = audited("--fix")
    found = outcome(certificate)
    assert (code, found["verdict"], found["missing"], found["stored"]) == (exit_codes.INCOMPLETE, "unknown", 0, None)
    assert "cannot be asked now" in found["why"]
