"""From our own file to the Job: every key arrives, and defaults are those that are documented."""

import pickle
from pathlib import Path
from typing import get_type_hints

import pytest
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from pipelines.config import load
from pipelines.config.own_model import ReadingSection
from pipelines.config.sections import types_in
from tests.config.conftest import OWN, replaced
from transforms.destinations.stream.settings import TcpSettings, TlsSettings
from transforms.destinations.udp.settings import UdpSettings
from transforms.formats.cef import CefOptions
from transforms.formats.json_lines import JsonOptions
from transforms.secrets import SecretRef
from transforms.settings import (
    Account,
    Destination,
    Format,
    Job,
    Monitoring,
    Proxy,
    Reading,
    Route,
    Start,
    Storage,
    SyslogHeader,
    Tls,
)

EVERYTHING = """\
version: 2
accounts:
  - name: parent
    api_host: API-1a2b3c4d.duosecurity.com
    ikey: DIXXXXXXXXXXXXXXXXXX
    skey: 'SKEY'
    msp: true
    block_list: [DA1, DA2]
    allow_list: [Customer A, da1]
    ca_file: duo-ca.pem
    port: 8443
    proxy: {host: proxy.example.com, port: 3128, user: me, password: env:PROXY_PASSWORD}
  - name: own
    api_host: api-2.duosecurity.com
    ikey: DIYYYYYYYYYYYYYYYYYY
    skey: file:secrets/skey
reading: {start_days: 1.5, poll_interval_secs: 30, page_pause_secs: 2, lag_secs: 60, request_timeout_secs: 10, relist_secs: 60}
destinations:
  - name: tls
    kind: tls
    host: 2001:db8::1
    port: 6514
    format: {name: cef, header: {style: rfc5424, facility: 4, hostname: collector, app_name: CEF}}
    tls:
      ca_file: /etc/ca.pem
      client_cert_file: client.pem
      client_key_file: client.key
      client_key_password: env:KEY_PASSWORD
      server_name: siem.example.com
    max_message_bytes: 8096
    connect_timeout_secs: 5
    delivery_timeout_secs: 300
  - name: plain
    kind: tcp
    host: siem.example.com
    port: 514
    format: {name: json, envelope: true, header: none}
    framing: octet
  - name: old
    kind: udp
    host: 192.0.2.1
    port: 514
    format: {name: cef, profile: dls}
routes:
  - {log_types: auth, destinations: [tls, old], accounts: [parent/DA9, own]}
  - {log_types: [trustmonitor, activity], destinations: plain, from: checkpoint of tls}
storage: {checkpoint_dir: gs://bucket/checkpoints, dead_letter_dir: letters, import_dir: old}
log_file: program.log
runbook_url: https://wiki.example.com/duo
monitoring: {enabled: false, host: 192.0.2.7, port: 9000, token: "file:secrets/token"}
"""


def test_every_key_arrives(write, tmp_path):
    job = load(write(EVERYTHING), look_at_files=False).job
    assert job == Job(
        accounts=(
            Account(
                name="parent",
                api_host="api-1a2b3c4d.duosecurity.com",
                ikey="DIXXXXXXXXXXXXXXXXXX",
                skey=SecretRef("config", f"{tmp_path}/config.yml#accounts.0.skey"),
                is_msp=True,
                block_list=("DA1", "DA2"),
                allow_list=("Customer A", "da1"),
                port=8443,
                ca_file=f"{tmp_path}/duo-ca.pem",
                proxy=Proxy("proxy.example.com", 3128, "me", SecretRef("env", "PROXY_PASSWORD")),
            ),
            Account("own", "api-2.duosecurity.com", "DIYYYYYYYYYYYYYYYYYY", SecretRef("file", f"{tmp_path}/secrets/skey")),
        ),
        reading=Reading(1.5, 30, 2, 60, 10, relist_secs=60),
        destinations=(
            Destination(
                name="tls",
                format=Format(CefOptions(), SyslogHeader("rfc5424", 4, "collector", "CEF")),
                settings=TlsSettings(
                    host="2001:db8::1",
                    port=6514,
                    framing="octet",
                    tls=Tls(
                        "/etc/ca.pem",
                        f"{tmp_path}/client.pem",
                        f"{tmp_path}/client.key",
                        SecretRef("env", "KEY_PASSWORD"),
                        "siem.example.com",
                    ),
                    connect_timeout_secs=5,
                ),
                max_message_bytes=8096,
                delivery_timeout_secs=300,
            ),
            Destination("plain", TcpSettings("siem.example.com", 514, "octet"), Format(JsonOptions(envelope=True))),
            Destination("old", UdpSettings("192.0.2.1", 514), Format(CefOptions(profile="dls"), SyslogHeader("rfc5424"))),
        ),
        routes=(
            Route(("auth",), ("tls", "old"), ("parent/DA9", "own")),
            Route(("trustmonitor", "activity"), ("plain",), start=Start(checkpoint_of="tls")),
        ),
        storage=Storage("gs://bucket/checkpoints", f"{tmp_path}/letters", f"{tmp_path}/old"),
        log_file=f"{tmp_path}/program.log",
        runbook="https://wiki.example.com/duo",
        monitoring=Monitoring(False, "192.0.2.7", 9000, SecretRef("file", f"{tmp_path}/secrets/token")),
    )


def test_job_travels_without_secrets(write, secret):
    job = load(write(EVERYTHING), look_at_files=False).job
    assert pickle.loads(pickle.dumps(job)) == job
    assert secret.encode() not in pickle.dumps(job)
    assert secret not in repr(job)
    assert job.accounts[0].skey.resolve() == secret


def test_every_secret_is_listed_with_the_key_that_gives_it(write, tmp_path):
    job = load(write(EVERYTHING), look_at_files=False).job
    assert [(".".join(map(str, secret.key)), str(secret.reference)) for secret in job.secrets()] == [
        ("accounts.0.skey", f"config:{tmp_path}/config.yml#accounts.0.skey"),
        ("accounts.0.proxy.password", "env:PROXY_PASSWORD"),
        ("accounts.1.skey", f"file:{tmp_path}/secrets/skey"),
        ("destinations.0.tls.client_key_password", "env:KEY_PASSWORD"),
        ("monitoring.token", f"file:{tmp_path}/secrets/token"),
    ]


def test_the_least_that_can_be_written(write, tmp_path):
    least = """\
version: 2
accounts: [{api_host: api-1.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: env:DUO_SKEY}]
destinations: [{name: siem, kind: tls, host: siem.example.com, port: 6514, format: json}]
"""
    loaded = load(write(least))
    assert loaded.job == Job(
        accounts=(Account("main", "api-1.duosecurity.com", "DIXXXXXXXXXXXXXXXXXX", SecretRef("env", "DUO_SKEY")),),
        destinations=(Destination("siem", TlsSettings("siem.example.com", 6514, "lf"), Format(JsonOptions(envelope=False))),),
        routes=(Route(("auth", "activity", "telephony", "trustmonitor"), ("siem",)),),
        storage=Storage(f"{tmp_path}/xdg/duologsync/checkpoints", f"{tmp_path}/xdg/duologsync/dead-letters"),
        monitoring=Monitoring(),
    )
    assert loaded.notices == ()
    assert loaded.dialect == "own"


def test_relative_paths_begin_at_the_file(write, tmp_path, monkeypatch):
    path = write(OWN)
    monkeypatch.chdir("/")
    storage = load(path).job.storage
    assert (storage.checkpoint_dir, storage.dead_letter_dir) == (f"{tmp_path}/state", f"{tmp_path}/state/dead-letters")


def test_relative_file_name_becomes_absolute_in_references(write, tmp_path):
    write(replaced(OWN, "env:DUO_SKEY", "'SKEY'"))
    skey = load(Path("config.yml")).job.accounts[0].skey
    assert skey == SecretRef("config", f"{tmp_path}/config.yml#accounts.0.skey")


@pytest.mark.parametrize(
    ("variable", "value", "uid", "expected"),
    [
        ("STATE_DIRECTORY", "/var/lib/private/dls:/other", 1000, "/var/lib/private/dls/checkpoints"),
        ("XDG_STATE_HOME", "/home/dana/.state", 1000, "/home/dana/.state/duologsync/checkpoints"),
        ("XDG_STATE_HOME", "/home/dana/.state", 0, "/var/lib/duologsync/checkpoints"),
        ("XDG_STATE_HOME", "relative", 1000, "/home/dana/.local/state/duologsync/checkpoints"),
    ],
)
def test_default_state_directory(variable, value, uid, expected, write, monkeypatch):
    monkeypatch.setenv("HOME", "/home/dana")
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr("os.geteuid", lambda: uid)
    text = replaced(OWN, "storage:\n  checkpoint_dir: state\n", "")
    assert load(write(text), look_at_files=False).job.storage.checkpoint_dir == expected


def test_without_a_home_the_directory_must_be_given(problems_of, monkeypatch):
    def no_home():
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr("pathlib.Path.home", no_home)
    (problem,) = problems_of(replaced(OWN, "storage:\n  checkpoint_dir: state\n", ""))
    assert "no home directory" in problem.what
    assert problem.fix == "Give storage.checkpoint_dir."


def test_literal_secret_is_noticed_and_a_path_with_a_hash_refused(write, tmp_path, problems_of):
    text = replaced(OWN, "env:DUO_SKEY", "'SKEY'")
    (notice,) = load(write(text)).notices
    assert (notice.key, notice.line, notice.what) == ("accounts.0.skey", 6, "the secret itself is written here")
    path = write(text, "a#b.yml")
    with pytest.raises(Exception, match="with # in its path"):
        load(path)


def test_account_that_no_route_reads_and_account_that_is_read_twice(write):
    other = "name: other, api_host: api-1a2b3c4d.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: env:DUO_SKEY"
    more = f"  - {{{other}}}\ndestinations:\n"
    text = replaced(
        replaced(OWN, "destinations:\n", more), "destinations: [splunk]", "destinations: [splunk]\n    accounts: main"
    )
    assert [(n.key, n.what[:20]) for n in load(write(text)).notices] == [
        ("accounts.1", "no route takes anyth"),
        ("accounts.1.api_host", "account main has the"),
    ]


class TestOldLogs:
    """Logs that are read only where somebody asks for them."""

    NO_ROUTES = OWN.replace("routes:\n  - log_types: [auth]\n    destinations: [splunk]\n", "")
    SECOND = "  - {name: other, api_host: api-2.duosecurity.com, ikey: DIYYYYYYYYYYYYYYYYYY, skey: env:DUO_SKEY}\n"

    def loaded(self, write, *routes, accounts=""):
        text = self.NO_ROUTES.replace("destinations:\n", f"{accounts}destinations:\n", 1)
        given = "".join(f"  - {{{route}, destinations: splunk}}\n" for route in routes)
        loaded = load(write(text + (f"routes:\n{given}" if given else "")), look_at_files=False)
        return loaded.job, [str(notice) for notice in loaded.notices]

    def test_they_are_left_out_where_there_are_no_routes(self, write):
        job, notices = self.loaded(write)

        assert job.log_types_of("main") == ("auth", "activity", "telephony", "trustmonitor")
        assert notices == []

    @pytest.mark.parametrize("name", ["admin", "offline_enrollment"])
    def test_a_route_can_name_them_and_is_told_of_their_end_and_their_successor(self, write, name):
        job, notices = self.loaded(write, f"log_types: [auth, {name}]")

        assert job.log_types_of("main") == ("auth", name)
        assert len(notices) == 1
        assert f"{name} is an old log" in notices[0]
        assert "2026-09-30" in notices[0]
        assert notices[0].endswith("Better read activity.")

    def test_who_reads_one_beside_its_successor_is_told_that_each_event_arrives_twice(self, write):
        _, notices = self.loaded(write, "log_types: admin", "log_types: [auth, activity]")

        assert len(notices) == 2
        assert notices[1].endswith("so each arrives twice. Enable only one of the two.")

    def test_one_beside_the_successor_of_another_account_is_no_repeat(self, write):
        routes = ("log_types: admin, accounts: main", "log_types: activity, accounts: other")
        _, notices = self.loaded(write, *routes, accounts=self.SECOND)

        assert not [notice for notice in notices if "twice" in notice]


TWO_PARENTS = """\
version: 2
accounts:
  - {name: msp, msp: true, api_host: api-1.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: env:DUO_SKEY}
  - {name: own, api_host: api-2.duosecurity.com, ikey: DIYYYYYYYYYYYYYYYYYY, skey: env:DUO_SKEY}
destinations:
  - {name: both, kind: tcp, host: siem.example.com, port: 1, format: json}
  - {name: own, kind: tcp, host: siem.example.com, port: 2, format: json}
  - {name: child, kind: tcp, host: siem.example.com, port: 3, format: json}
  - {name: cef, kind: tcp, host: siem.example.com, port: 4, format: cef}
  - {name: bare, kind: tcp, host: siem.example.com, port: 5, format: {name: json, envelope: false}}
routes:
  - {log_types: auth, destinations: [both, cef, bare]}
  - {log_types: auth, destinations: own, accounts: own}
  - {log_types: auth, destinations: child, accounts: msp/DA1}
"""


def test_json_says_whose_events_they_are_where_children_of_an_msp_are_among_them(write):
    job = load(write(TWO_PARENTS)).job
    envelopes = {d.name: getattr(d.format.options, "envelope", False) for d in job.destinations}
    assert envelopes == {"both": True, "own": False, "child": True, "cef": False, "bare": False}


def test_the_pace_of_udp_can_be_chosen_and_is_noticed_where_it_has_no_effect(write):
    slow = replaced(OWN, "kind: tcp", "kind: udp\n    max_events_per_sec: 500")
    loaded = load(write(slow))
    assert loaded.job.destinations[0].settings.max_events_per_sec == 500
    assert loaded.notices == ()
    (notice,) = load(write(replaced(slow, "kind: udp", "kind: tcp"))).notices
    assert notice.key == "destinations.0.max_events_per_sec"
    assert "is for udp" in notice.what
    assert UdpSettings("siem.example.com", 514).max_events_per_sec == 1000


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ("now", Start(days=0.0)),
        ("1 day back", Start(days=1.0)),
        ("0.5 days back", Start(days=0.5)),
        ("checkpoint of siem", Start(checkpoint_of="siem")),
    ],
)
def test_where_a_destination_begins_that_is_added_later_is_said_by_its_route(write, words, start):
    second = "  - {name: siem, kind: udp, host: 192.0.2.1, port: 514, format: cef}\nroutes:"
    text = replaced(replaced(OWN, "routes:", second), "[splunk]", f"[splunk]\n    from: {words}")
    job = load(write(text), look_at_files=False).job

    assert job.start_of("main", "auth", "splunk") == start
    assert job.start_of("main", "activity", "splunk") == job.start_of("main", "auth", "siem") == Start()


@pytest.mark.parametrize("key", [key for key in ReadingSection.model_fields if key != "start_days"])
def test_the_public_transforms_take_the_same_numbers_as_the_file(key):
    in_code = types_in(get_type_hints(Reading, include_extras=True)[key])
    field = ReadingSection.model_fields[key]
    in_file = [*field.metadata, *types_in(field.annotation)]
    in_file += [mark for each in in_file if isinstance(each, FieldInfo) for mark in each.metadata]
    assert [mark for mark in in_code if isinstance(mark, (Ge, Le))] == [m for m in in_file if isinstance(m, (Ge, Le))]
