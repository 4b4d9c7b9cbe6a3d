"""The Flex Template's entry program: what becomes of its parameters, and what it hands to the launch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import exit_codes
from pipelines.launch_files.dataflow import flex_main
from pipelines.launch_files.dataflow.flex_main import job_of, main, split
from pipelines.runners import launch
from transforms.formats.cef import CefOptions
from transforms.formats.json_lines import JsonOptions
from transforms.secrets import SecretRef
from transforms.settings import Format, Proxy, Storage, SyslogHeader

REQUIRED = {
    "api_host": "api-1a2b3c4d.duosecurity.com",
    "ikey": "DIXXXXXXXXXXXXXXXXXX",
    "skey_secret": "projects/acme-prod/secrets/duo_skey/versions/3",
    "siem_kind": "tls",
    "siem_host": "siem.example.com",
    "siem_port": "6514",
    "siem_format": "cef",
    "state_dir": "gs://acme-state/duologsync/",
}
FROM_THE_LAUNCHER = ["--runner=DataflowRunner", "--project=acme-prod", "--template_location=gs://b/job_object"]


def words(parameters: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in parameters.items()]


@pytest.fixture
def launched(monkeypatch) -> list[tuple]:
    calls: list[tuple] = []
    monkeypatch.setattr(launch, "launch", lambda job, flags: calls.append((job, flags)) or exit_codes.OK)
    return calls


def test_the_required_parameters_make_a_whole_job():
    job, problems = job_of(REQUIRED)
    assert problems == []
    (account,), (destination,), (route,) = job.accounts, job.destinations, job.routes
    assert (account.name, account.ikey) == ("main", "DIXXXXXXXXXXXXXXXXXX")
    assert account.skey == SecretRef("gcp", "projects/acme-prod/secrets/duo_skey/versions/3")
    assert (destination.name, destination.kind, destination.place) == ("siem", "tls", "siem.example.com:6514")
    assert destination.format == Format(CefOptions(), SyslogHeader("rfc5424"))
    assert route.log_types == ("auth", "activity", "telephony", "trustmonitor")
    assert job.storage == Storage("gs://acme-state/duologsync/checkpoints", "gs://acme-state/duologsync/dead-letters")


def test_the_optional_parameters_set_what_their_names_say():
    optional = {
        "msp": "true", "block_list": "DAXXXXXXXXXXXXXXXXXX,DAYYYYYYYYYYYYYYYYYY", "log_types": "auth,telephony",
        "start_days": "7", "poll_interval_secs": "60.5", "page_pause_secs": "1", "lag_secs": "90", "overlap_secs": "0",
        "siem_format": "json", "siem_envelope": "true", "siem_header": "rfc5424", "siem_framing": "lf",
        "siem_server_name": "other.example.com",
        "siem_ca_file": "/etc/ca.pem", "siem_max_message_bytes": "8192", "siem_delivery_timeout_secs": "30",
        "proxy_host": "proxy", "proxy_port": "3128", "proxy_user": "me",
        "proxy_password_secret": "projects/p/secrets/s/versions/1",
    }  # fmt: skip
    job, problems = job_of({**REQUIRED, **optional})
    assert problems == []
    (account,), (destination,) = job.accounts, job.destinations
    assert account.is_msp
    assert account.block_list == ("DAXXXXXXXXXXXXXXXXXX", "DAYYYYYYYYYYYYYYYYYY")
    assert account.proxy == Proxy("proxy", 3128, "me", SecretRef("gcp", "projects/p/secrets/s/versions/1"))
    assert job.log_types_of("main") == ("auth", "telephony")
    reading = job.reading
    assert (reading.start_days, reading.poll_interval_secs, reading.page_pause_secs, reading.lag_secs) == (7, 60.5, 1, 90)
    assert reading.overlap_secs == 0
    assert destination.format == Format(JsonOptions(envelope=True), SyslogHeader("rfc5424"))
    assert (destination.settings.framing, destination.max_message_bytes, destination.delivery_timeout_secs) == ("lf", 8192, 30)
    assert (destination.settings.tls.server_name, destination.settings.tls.ca_file) == ("other.example.com", "/etc/ca.pem")


def test_an_empty_value_is_as_none():
    assert job_of(split(words({**REQUIRED, "log_types": "", "proxy_host": ""}))[0])[1] == []


def test_all_problems_are_told_at_once_and_by_the_parameters_names():
    bad = {
        "siem_port": "x",
        "siem_format": "xml",
        "log_types": "auth,foo",
        "start_days": "999",
        "state_dir": "/tmp",
        "ikey": "DI",
    }
    job, problems = job_of({**REQUIRED, **bad, "skey_secret": "x" * 40})
    assert job is None
    assert sorted(problem.partition(":")[0] for problem in problems) == sorted([*bad, "skey_secret"])


def test_a_secret_in_the_place_of_its_name_is_refused_and_never_shown(capfd, launched):
    secret = "5ecret" * 7
    given = {
        **REQUIRED,
        "skey_secret": secret,
        "proxy_host": "p",
        "proxy_port": "1",
        "proxy_user": "u",
        "proxy_password_secret": secret,
    }
    assert main(words(given)) == exit_codes.CONFIG
    shown = capfd.readouterr()
    assert "skey_secret" in shown.err
    assert secret not in shown.out + shown.err
    assert not launched


def test_without_parameters_nothing_is_launched(launched):
    assert main([]) == exit_codes.CONFIG
    assert not launched


def test_the_launcher_s_flags_reach_beam_and_it_is_not_waited_for(launched):
    assert main([*words(REQUIRED), *FROM_THE_LAUNCHER]) == exit_codes.OK
    ((_, flags),) = launched
    assert flags == [*FROM_THE_LAUNCHER, "--no_wait_until_finish"]


def test_the_runner_is_dataflow_where_none_is_named(launched):
    assert main(words(REQUIRED)) == exit_codes.OK
    assert "--runner=DataflowRunner" in launched[0][1]


def test_a_flag_that_only_a_later_launcher_has_stops_nothing(launched, capfd):
    assert main([*words(REQUIRED), *FROM_THE_LAUNCHER, "--brand_new=1"]) == exit_codes.OK
    assert "--brand_new=1" not in launched[0][1]
    assert "brand_new" in capfd.readouterr().err


def test_bad_parameters_are_told_without_loading_beam():
    code = (
        "import sys; from pipelines.launch_files.dataflow import flex_main; code = flex_main.main([])\n"
        "assert 'apache_beam' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == exit_codes.CONFIG, done.stderr
    assert [json.loads(line)["level"] for line in done.stderr.splitlines()][-1] == "ERROR"


def test_it_runs_as_a_file_of_its_own_as_the_image_has_it(tmp_path):
    copy = tmp_path / "flex_main.py"
    copy.write_text(Path(flex_main.__file__).read_text())
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, copy], capture_output=True, text=True, check=False, cwd=tmp_path, env={"PYTHONPATH": str(root)}
    )
    assert done.returncode == exit_codes.CONFIG, done.stderr
