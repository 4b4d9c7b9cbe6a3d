"""What a launch on Dataflow refuses, because workers could not have it: told before anything is submitted."""

from dataclasses import replace

import pytest

from pipelines import cli, exit_codes
from pipelines.launch_files.dataflow.flex_main import job_of
from pipelines.runners.dataflow import wrong_on_dataflow
from tests.dataflow.test_flex_main import REQUIRED
from transforms.secrets import SecretRef
from transforms.settings import Storage

IMAGE = "--sdk_container_image=europe-west1-docker.pkg.dev/acme-prod/duo/duologsync:1.0.0"


@pytest.fixture
def job():
    return job_of(REQUIRED)[0]


def test_a_job_that_depends_on_nothing_of_this_machine_is_fine(job):
    assert wrong_on_dataflow(job, [IMAGE]) == []


@pytest.mark.parametrize(
    "reference",
    [SecretRef("env", "DUO_SKEY"), SecretRef("file", "/etc/skey"), SecretRef("config", "/etc/c.yml#accounts.0.skey")],
)
def test_a_secret_of_this_machine_is_refused(job, reference):
    account = job.accounts[0]
    two = replace(job, accounts=(account, replace(account, skey=reference), replace(account, name="other", skey=reference)))
    (wrong,) = wrong_on_dataflow(two, [IMAGE])
    assert str(reference) in wrong
    assert "gcp:projects/" in wrong


def test_state_on_a_worker_s_disk_is_refused(job):
    local = replace(job, storage=Storage("/var/lib/duologsync/checkpoints", "/var/lib/duologsync/dead-letters"))
    assert len(wrong_on_dataflow(local, [IMAGE])) == 2


def test_workers_without_this_program_are_refused(job):
    (wrong,) = wrong_on_dataflow(job, ["--runner=DataflowRunner"])
    assert "--sdk_container_image" in wrong


def test_the_command_line_tells_all_of_it_and_submits_nothing(tmp_path, capfd):
    secret = "5ecret" * 7
    config = tmp_path / "config.yml"
    config.touch(mode=0o600)
    config.write_text(
        f"""version: 2
accounts: [{{api_host: api-1.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: {secret[:40]}}}]
destinations: [{{name: siem, kind: tcp, host: 127.0.0.1, port: 6514, format: json}}]
storage: {{checkpoint_dir: {tmp_path}/checkpoints}}
"""
    )
    code = cli.main(
        ["run", str(config), "--", "--runner=DataflowRunner", "--project=p", "--region=r", "--temp_location=gs://b/t"]
    )
    shown = capfd.readouterr().err
    assert code == exit_codes.CONFIG
    for word in ("storage.checkpoint_dir", "storage.dead_letter_dir", "accounts.0.skey", "--sdk_container_image"):
        assert word in shown
    assert secret[:40] not in shown
