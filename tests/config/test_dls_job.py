"""Duo Log Sync's own file means what it meant; where it does not, a notice says so."""

import pytest

from pipelines.config import load
from tests.config.conftest import DLS, marked_line, replaced
from transforms.destinations.stream.settings import TcpSettings
from transforms.formats.cef import CefOptions
from transforms.formats.json_lines import JsonOptions
from transforms.secrets import SecretRef
from transforms.settings import Account, Destination, Format, Job, Monitoring, Proxy, Reading, Route, Storage, SyslogHeader, Tls

# The shape of the example that comes with Duo Log Sync, with keys of the right length.
EXAMPLE = """\
version: "1.0.0"

dls_settings:
  log_filepath: "dls.log"
  log_format: "JSON"

  api:
    offset: 180
    timeout: 120

  checkpointing:
    enabled: True
    directory: "/tmp"

servers:
  - id: "test"
    hostname: "127.0.0.1"
    port: 8888
    protocol: "TCP"

account:
  ikey: "DIXXXXXXXXXXXXXXXXXX"
  skey: 'SKEY'
  hostname: "host.name.com"

  endpoint_server_mappings:
    - endpoints:
        ["adminaction", "auth", "telephony", "trustmonitor", "activity"]
      server: "test"
  is_msp: False
"""

# The least that Duo Log Sync takes.
LEAST = """\
version: '1.0.0'
dls_settings:
servers:
  - {id: siem, hostname: siem.example.com, port: 514, protocol: UDP}
account:
  ikey: DIXXXXXXXXXXXXXXXXXX
  skey: 'SKEY'
  hostname: api-1a2b3c4d.duosecurity.com
  endpoint_server_mappings: [{server: siem, endpoints: [auth]}]
"""


def job_of(path):
    return load(path).job


def notices_of(path):
    return [(n.key, n.what) for n in load(path).notices]


def test_template_means_what_it_meant(write, tmp_path):
    loaded = load(write(DLS))
    assert loaded.dialect == "duologsync-1.0.0"
    assert loaded.notices == ()
    assert loaded.job == Job(
        accounts=(
            Account(
                "main",
                "api-1a2b3c4d.duosecurity.com",
                "DIXXXXXXXXXXXXXXXXXX",
                SecretRef("config", f"{tmp_path}/config.yml#account.skey"),
            ),
        ),
        destinations=(Destination("main server", TcpSettings("siem.example.com", 8888, framing="lf"), Format(JsonOptions())),),
        routes=(Route(("auth", "telephony"), ("main server",)),),
        storage=Storage(f"{tmp_path}/checkpoints", f"{tmp_path}/checkpoints/dead-letters", f"{tmp_path}/checkpoints"),
        reading=Reading(poll_interval_secs=120),
        log_file=f"{tmp_path}/dls.log",
        monitoring=Monitoring(),
    )


def test_skey_resolves_to_what_is_in_the_file(write, secret):
    assert job_of(write(DLS)).accounts[0].skey.resolve() == secret


def test_skey_resolves_where_the_editor_wrote_a_byte_order_mark(write, secret):
    path = write(DLS.replace("SKEY'", f"{secret}'").encode("utf-8-sig"))
    assert job_of(path).accounts[0].skey.resolve() == secret


def test_example_of_the_incumbent(write, tmp_path):
    path = write(EXAMPLE)
    job = job_of(path)
    assert job.routes == (Route(("activity", "auth", "telephony", "trustmonitor"), ("test",)),)
    assert job.storage == Storage(f"{tmp_path}/xdg/duologsync/checkpoints", f"{tmp_path}/xdg/duologsync/dead-letters", "/tmp")
    (moved_key, moved), (dropped_key, dropped) = notices_of(path)
    assert moved_key == "dls_settings.checkpointing.directory"
    assert f"checkpoints are kept in {tmp_path}/xdg/duologsync/checkpoints" in moved
    assert dropped_key == "account.endpoint_server_mappings.0.endpoints.0"
    assert "activity is read instead" in dropped


def test_defaults_are_the_incumbents(write, tmp_path):
    job = load(write(LEAST), look_at_files=False).job
    assert job.reading == Reading(start_days=180, poll_interval_secs=120, page_pause_secs=0, lag_secs=120)
    assert job.log_file == "/tmp/duologsync.log"
    assert job.storage.import_dir == "/tmp"
    assert job.storage.checkpoint_dir.startswith(str(tmp_path))
    assert job.storage.resume
    assert job.destinations[0].format == Format(JsonOptions())
    assert not job.accounts[0].is_msp
    assert job.accounts[0].proxy is None


def test_log_file_in_a_world_writable_directory_is_noticed(write):
    (key, what), *_rest = [n for n in notices_of(write(LEAST)) if "log_filepath" in n[0]]
    assert key == "dls_settings.log_filepath"
    assert what == "every user of this machine can write to /tmp"


def test_cef_is_written_as_it_was(write):
    destination = job_of(write(replaced(DLS, "'JSON'", "'CEF'"))).destinations[0]
    assert destination.format == Format(CefOptions(profile="dls"), SyslogHeader("dls"))
    assert destination.settings.framing == "lf"


def test_tcpssl_verifies_with_the_file(write, tmp_path):
    text = replaced(replaced(DLS, "'TCP'", "'TCPSSL'"), "cert_filepath: ''", "cert_filepath: 'ca.pem'")
    destination = load(write(text), look_at_files=False).job.destinations[0]
    assert (destination.kind, destination.settings.tls) == ("tls", Tls(ca_file=f"{tmp_path}/ca.pem"))


def test_relative_paths_begin_in_the_working_directory(write, monkeypatch):
    path = write(DLS)
    monkeypatch.chdir("/")
    assert load(path, look_at_files=False).job.storage.checkpoint_dir == "/checkpoints"


@pytest.mark.parametrize(
    ("old", "new", "attribute", "expected"),
    [
        ("offset: 180", "offset: 0.5", "start_days", 0.5),
        ("offset: 180", "daysinpast: 7", "start_days", 7),
        ("offset: 180", "days_in_past: 7", "start_days", 7),
        ("timeout: 120", "timeout: 600", "poll_interval_secs", 600),
        ("timeout: 120", "timeout: 1", "poll_interval_secs", 120),
        ("timeout: 120", "page_pause: 1.5", "page_pause_secs", 1.5),
        ("timeout: 120", "lag: 30", "lag_secs", 30),
    ],
)
def test_reading(old, new, attribute, expected, write):
    assert getattr(job_of(write(replaced(DLS, old, new))).reading, attribute) == expected


def test_api_port_and_ca_file(write, tmp_path):
    text = replaced(DLS, "timeout: 120", "port: 8443\n    ca_file: ca.pem")
    account = load(write(text), look_at_files=False).job.accounts[0]
    assert (account.port, account.ca_file) == (8443, f"{tmp_path}/ca.pem")


def test_proxy(write):
    text = replaced(replaced(DLS, "proxy_server: ''", "proxy_server: 'proxy.example.com'"), "proxy_port: 0", "proxy_port: 3128")
    assert job_of(write(text)).accounts[0].proxy == Proxy("proxy.example.com", 3128)


def test_checkpointing_off_begins_anew(write):
    assert not job_of(write(replaced(DLS, "enabled: True", "enabled: no"))).storage.resume


def test_older_spelling_of_the_directory(write, tmp_path):
    assert job_of(write(replaced(DLS, "directory:", "checkpoint_dir:"))).storage.checkpoint_dir == f"{tmp_path}/checkpoints"


def test_one_endpoint_to_two_servers_is_one_stream(write):
    text = replaced(DLS, "account:", "  - {id: b, hostname: 192.0.2.1, port: 514, protocol: UDP}\naccount:")
    text = replaced(text, "  is_msp", "    - {endpoints: auth, server: b}\n  is_msp")
    job = job_of(write(text))
    assert [d.name for d in job.destinations_of("main", "auth")] == ["main server", "b"]
    assert job.log_types_of("main") == ("auth", "telephony")
    both = job_of(write(replaced(DLS, "server: 'main server'", "servers: ['main server']")))
    assert both.routes[0].destinations == ("main server",)


def test_msp_and_its_block_list(write):
    text = replaced(replaced(DLS, "is_msp: False", "is_msp: True"), "block_list: []", "block_list: [DA1]")
    path = write(replaced(text, "['auth', 'telephony']", "[trustmonitor]"))
    assert job_of(path).accounts[0].block_list == ("DA1",)
    assert [d.format.options.account_key for d in job_of(path).destinations] == ["child_account_id"]
    assert [key for key, _ in notices_of(path)] == ["account.is_msp", "account.block_list"]


@pytest.mark.parametrize("reference", ["env:DUO_SKEY", "file:skey"])
def test_skey_by_reference(reference, write, tmp_path, secret):
    (tmp_path / "skey").write_text(f"{secret}\n")
    (tmp_path / "skey").chmod(0o600)
    path = write(replaced(DLS, "'SKEY'", reference))
    assert job_of(path).accounts[0].skey.resolve() == secret


NOTICES = {
    "timeout": ("timeout: 120", "timeout: 5 #!", "dls_settings.api.timeout", "5 seconds are raised to 120"),
    "unused certificate": ("cert_filepath: ''", "cert_filepath: '/' #!", "servers.0.cert_filepath", "not used with TCP"),
    "block list without MSP": ("block_list: []", "block_list: [DA1] #!", "account.block_list", "nothing without is_msp"),
    "another version": ("version: '1.0.0'", "version: '1.1' #!", "version", "read as 1.0.0"),
    "unused server": (
        "account:",
        "  - {id: b, hostname: b, port: 1, protocol: UDP} #!\naccount:",
        "servers.1",
        "nothing is sent",
    ),
}


@pytest.mark.parametrize("case", NOTICES)
def test_notice(case, write):
    old, new, key, what = NOTICES[case]
    text = replaced(DLS, old, new)
    (notice,) = load(write(text)).notices
    assert (notice.key, notice.line) == (key, marked_line(text))
    assert what in notice.what
