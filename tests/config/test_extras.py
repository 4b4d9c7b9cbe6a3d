"""What is kept in a cloud needs libraries that come with an extra: a file that needs them is refused without them."""

import pytest

from pipelines.config import extras, load
from tests.config.conftest import DLS, OWN, replaced

REFERENCE = "gcp:projects/acme/secrets/skey/versions/1"


@pytest.fixture
def installed(monkeypatch):
    """Which of the libraries are there: none, until a test says so."""
    there = set()
    monkeypatch.setattr(extras, "find_spec", lambda name: name if name in there else None)
    return there


@pytest.mark.parametrize(
    ("old", "new", "key", "what"),
    [
        ("skey: env:DUO_SKEY", f"skey: {REFERENCE}", "accounts.0.skey", "Secret Manager is not installed"),
        ("skey: env:DUO_SKEY", f"skey: env:DUO_SKEY\n    proxy: {{host: p, port: 1, user: u, password: '{REFERENCE}'}}",
         "accounts.0.proxy.password", "Secret Manager is not installed"),
        ("checkpoint_dir: state", "checkpoint_dir: gs://bucket/a\n  dead_letter_dir: letters", "storage.checkpoint_dir", "gs://"),
        ("checkpoint_dir: state", "checkpoint_dir: state\n  dead_letter_dir: gs://bucket/b", "storage.dead_letter_dir", "gs://"),
    ],
)  # fmt: skip
def test_what_needs_google_s_libraries_is_refused_without_them_and_the_fix_is_the_documented_command(
    installed, problems_of, write, old, new, key, what
):
    text = replaced(OWN, old, new)
    (problem,) = problems_of(text)
    assert problem.key == key
    assert problem.line
    assert what in problem.what
    assert 'pip install --constraint constraints-gcp.txt ".[gcp]"' in problem.fix

    installed |= {"google.cloud.secretmanager", "google.cloud.storage"}
    assert load(write(text))


@pytest.mark.parametrize(("scheme", "library"), [("s3", "boto3"), ("hdfs", "hdfs"), ("azfs", "azure.storage.blob")])
def test_other_file_systems_need_their_own_libraries(installed, problems_of, write, scheme, library):
    text = replaced(OWN, "checkpoint_dir: state", f"checkpoint_dir: {scheme}://bucket/a")
    (problem,) = problems_of(text)
    assert "pip install" in problem.fix

    installed.add(library)
    assert load(write(text))


def test_duo_log_sync_s_own_layout_is_looked_at_too(installed, problems_of):
    text = replaced(replaced(DLS, "skey: 'SKEY'", f"skey: '{REFERENCE}'"), "directory: 'checkpoints'", "directory: 'gs://b/c'")
    keys = [problem.key for problem in problems_of(text)]
    assert keys == ["dls_settings.checkpointing.directory", "account.skey"]


def test_it_is_told_together_with_what_the_model_refuses(installed, problems_of):
    text = replaced(replaced(OWN, "skey: env:DUO_SKEY", f"skey: {REFERENCE}"), "port: 6514", "port: many")
    assert [problem.key for problem in problems_of(text)] == ["accounts.0.skey", "destinations.0.port"]


def test_a_package_that_is_not_there_at_all_is_no_error_of_ours(problems_of, monkeypatch):
    def find_spec(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(extras, "find_spec", find_spec)
    (problem,) = problems_of(replaced(OWN, "checkpoint_dir: state", "checkpoint_dir: gs://b/c\n  dead_letter_dir: letters"))
    assert problem.key == "storage.checkpoint_dir"


def test_a_job_that_runs_elsewhere_is_not_asked_for_what_is_installed_here(installed, write):
    assert load(write(replaced(OWN, "skey: env:DUO_SKEY", f"skey: {REFERENCE}")), look_at_files=False)
    assert load(write(replaced(OWN, "skey: env:DUO_SKEY", f"skey: {REFERENCE}")), runs_here=False)


def test_a_kind_that_needs_a_library_is_refused_without_it(installed, problems_of, write):
    there = "kind: kafka\n    brokers: [kafka-1.example.com:9093]\n    topic: duo"
    text = replaced(OWN, "kind: tcp\n    host: siem.example.com\n    port: 6514", there)
    (problem,) = problems_of(text)
    assert problem.key == "destinations.0.kind"
    assert 'pip install --constraint constraints.txt ".[kafka]"' in problem.fix

    installed.add("confluent_kafka")
    assert load(write(text))


def test_an_archive_is_looked_at_as_other_directories_are(installed, problems_of):
    there = "kind: avro\n    directory: gs://bucket/archive"
    (problem,) = problems_of(replaced(OWN, "kind: tcp\n    host: siem.example.com\n    port: 6514", there))
    assert problem.key == "destinations.0.directory"


def test_a_preset_that_needs_opentelemetry_s_classes_is_refused_without_them(installed, problems_of, write):
    there = "kind: http\n    preset: otlp\n    url: https://otel.example.com"
    text = replaced(OWN, "kind: tcp\n    host: siem.example.com\n    port: 6514", there)
    (problem,) = problems_of(text)
    assert problem.key == "destinations.0.preset"
    assert 'pip install --constraint constraints.txt ".[otlp]"' in problem.fix

    installed.add("opentelemetry.proto")
    assert load(write(text))


@pytest.mark.parametrize("scheme", ["file", "nosuch", ""])
def test_a_file_system_that_beam_does_not_have_is_refused(installed, problems_of, scheme):
    (problem,) = problems_of(replaced(OWN, "checkpoint_dir: state", f"checkpoint_dir: '{scheme}:///var/lib/state'"))
    assert problem.key == "storage.checkpoint_dir"
    assert "no such file system is known" in problem.what
    assert "gs://" in problem.fix
