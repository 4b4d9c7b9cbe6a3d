"""A submission to Dataflow, with Beam's and Google's own client libraries against a stand-in for Google's services.

What the stand-in recorded is held against what the service demands of a streaming Python job. The service itself, its workers
and the container image are not here; docs/dataflow.md says what that leaves open.
"""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

from pipelines.demo.receiver import SiemReceiver
from pipelines.launch_files.dataflow import flex_main
from tests.conftest import IKEY, now_ms
from tests.dataflow.conftest import ROOT
from tests.dataflow.fake_google import BUCKET, PROJECT, REGION, FakeGoogle
from tests.dataflow.graphs import labels, unpacked
from tests.dataflow.test_flex_main import REQUIRED, words

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

IMAGE = "europe-west1-docker.pkg.dev/acme-prod/duo/duologsync:1.0.0"
SECRET = "0123456789abcdef" * 2 + "SECRETXX"
SECRET_NAME = REQUIRED["skey_secret"]
STREAMING = (2, "JOB_TYPE_STREAMING")  # enums are sent as numbers or as names
TEMPLATE_OBJECT = "staging/template_launches/job_object"
CONFIG = f"""version: 2
accounts: [{{api_host: api-1a2b3c4d.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: "gcp:{SECRET_NAME}"}}]
destinations: [{{name: siem, kind: tls, host: siem.example.com, port: 6514, format: cef}}]
storage: {{checkpoint_dir: gs://{BUCKET}/state/checkpoints, dead_letter_dir: gs://{BUCKET}/state/dead-letters}}
"""


@dataclass
class Machine:
    """Where a job is submitted from: an environment with Google's clients, credentials for the stand-in, and nothing else."""

    python: Path
    google: FakeGoogle
    folder: Path
    to_the_stand_in: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(ROOT), **self.to_the_stand_in,
        }  # fmt: skip

    def run(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        words = [self.python, *map(str, arguments)]
        environment = {**self.environment, **variables}
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        words = [self.python, *map(str, arguments)]
        return subprocess.Popen(words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def submit(self, *flags: str) -> None:
        config = self.folder / "config.yml"
        config.write_text(CONFIG)
        done = self.run(
            "-m", "pipelines", "run", config, "--", "--runner=DataflowRunner", f"--project={PROJECT}", f"--region={REGION}",
            "--job_name=duologsync", f"--temp_location=gs://{BUCKET}/tmp", f"--staging_location=gs://{BUCKET}/staging",
            f"--sdk_container_image={IMAGE}", f"--dataflow_endpoint={self.google.url}", "--no_wait_until_finish", *flags,
            DUO_SKEY=SECRET,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def launch_template(self) -> subprocess.CompletedProcess[str]:
        """As the Flex Template launcher calls the entry program."""
        done = self.run(
            flex_main.__file__,
            "--runner=DataflowRunner", f"--project={PROJECT}", f"--region={REGION}", "--job_name=duologsync",
            f"--template_location=gs://{BUCKET}/{TEMPLATE_OBJECT}", f"--staging_location=gs://{BUCKET}/staging",
            f"--temp_location=gs://{BUCKET}/tmp", f"--sdk_container_image={IMAGE}", "--a_flag_of_a_later_launcher=1",
            *words(REQUIRED),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="module")
def google():
    with FakeGoogle(secrets={SECRET_NAME: SECRET.encode() + b"\n"}) as google:
        yield google


@pytest.fixture(scope="module")
def machine(gcp_python, google, tmp_path_factory) -> Machine:
    folder = tmp_path_factory.mktemp("machine")
    return Machine(gcp_python, google, folder, google.environment(folder))


@dataclass
class Submitted:
    job: dict
    graph: beam_runner_api_pb2.Pipeline
    objects: dict[str, bytes]
    calls: list[str]


def read_graph(google: FakeGoogle, job: dict) -> beam_runner_api_pb2.Pipeline:
    url = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
    assert url.startswith(f"gs://{BUCKET}/staging/")
    return beam_runner_api_pb2.Pipeline.FromString(google.objects[url.removeprefix(f"gs://{BUCKET}/")])


@pytest.fixture(scope="module")
def submitted(machine, google) -> Submitted:
    """A plain launch: ``duologsync run CONFIG -- --runner=DataflowRunner …``."""
    machine.submit()
    (job,) = google.jobs
    return Submitted(job, read_graph(google, job), dict(google.objects), list(google.calls))


@pytest.fixture(scope="module")
def template_job(submitted, machine, google) -> dict:
    """What the template's launcher leaves for the service to start; after the plain launch, so that both are told apart."""
    before = len(google.jobs)
    machine.launch_template()
    assert len(google.jobs) == before, "the launcher's service submits the job, not the program"
    return json.loads(google.objects[TEMPLATE_OBJECT])


def test_one_streaming_job_is_asked_for_in_the_project_and_region_that_were_named(submitted):
    job = submitted.job
    assert (job["project"], job["region"], job["name"]) == (PROJECT, REGION, "duologsync")
    assert job["type"] in STREAMING
    assert job["environment"]["version"]["job_type"] == "FNAPI_STREAMING"
    assert job["clientRequestId"]
    assert job["token"].startswith("Bearer ")


def test_the_job_runs_on_runner_v2_with_the_streaming_engine(submitted):
    assert {"use_runner_v2", "use_portable_job_submission", "enable_streaming_engine"} <= set(
        submitted.job["environment"]["experiments"]
    )


def test_workers_run_our_image_and_nothing_else(submitted):
    (pool,) = submitted.job["environment"]["workerPools"]
    assert pool["workerHarnessContainerImage"] == IMAGE
    assert [image["containerImage"] for image in pool["sdkHarnessContainerImages"]] == [IMAGE]
    for environment in submitted.graph.components.environments.values():
        assert environment.urn == common_urns.environments.DOCKER.urn
        assert beam_runner_api_pb2.DockerPayload.FromString(environment.payload).container_image == IMAGE


def test_every_staged_artifact_is_there_and_none_is_code_or_a_pickled_session(submitted):
    (pool,) = submitted.job["environment"]["workerPools"]
    packages = {package["name"]: package["location"] for package in pool["packages"]}
    assert set(packages) == {"submission_environment_dependencies.txt"}
    for location in packages.values():
        assert location.removeprefix(f"storage.googleapis.com/{BUCKET}/") in submitted.objects


def test_the_staged_graph_is_that_of_the_test_of_labels(submitted):
    assert labels(submitted.graph) == (ROOT / "tests" / "dataflow" / "step_labels.txt").read_text().splitlines()


def test_the_graph_says_that_it_reads_without_an_end_and_wants_its_bundles_finalized(submitted):
    bounds = {collection.is_bounded for collection in submitted.graph.components.pcollections.values()}
    assert beam_runner_api_pb2.IsBounded.UNBOUNDED in bounds
    requirements = set(submitted.graph.requirements)
    assert common_urns.requirements.REQUIRES_SPLITTABLE_DOFN.urn in requirements
    assert common_urns.requirements.REQUIRES_BUNDLE_FINALIZATION.urn in requirements
    reads = [beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload) for step in reading_steps(submitted.graph)]
    assert len(reads) == 4
    assert all(read.requests_finalization and read.restriction_coder_id for read in reads)


def reading_steps(graph):
    return [
        step
        for step in graph.components.transforms.values()
        if step.unique_name.endswith("/ReadUnbounded") and step.spec.payload
    ]


def test_only_the_name_of_the_secret_is_in_what_was_sent_and_staged(submitted, google, template_job):
    everything = [submitted.job["raw"], *google.objects.values(), json.dumps(template_job).encode(), *unpacked(submitted.graph)]
    everything += unpacked(read_graph(google, template_job))
    assert any(SECRET_NAME.encode() in each for each in unpacked(submitted.graph)), (
        "the pickled source must have been looked into"
    )
    assert not [each for each in everything if SECRET.encode() in each]
    assert google.asked_for == [], "who submits needs the name only"


def test_an_update_replaces_the_running_job_and_keeps_every_label(submitted, machine, google):
    machine.submit("--update")
    replacement = google.jobs[-1]
    assert replacement["replaceJobId"].startswith("2026-11-24_")
    assert replacement["name"] == submitted.job["name"]
    assert labels(read_graph(google, replacement)) == labels(submitted.graph)


def test_the_template_leaves_the_same_job_for_the_service_to_start(template_job, submitted, google):
    assert template_job["type"] in STREAMING
    assert labels(read_graph(google, template_job)) == labels(submitted.graph)
    (pool,) = template_job["environment"]["workerPools"]
    assert pool["workerHarnessContainerImage"] == IMAGE


def test_google_reads_the_template_s_metadata(machine):
    path = Path(flex_main.__file__).with_name("metadata.json")
    done = machine.run(ROOT / "tests" / "dataflow" / "in_the_cloud.py", "metadata", path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [parameter["name"] for parameter in json.loads(path.read_text())["parameters"]]


def test_a_worker_gets_the_secret_from_secret_manager(machine, google):
    missing = SECRET_NAME.replace("duo_skey", "other")
    done = machine.run(ROOT / "tests" / "dataflow" / "in_the_cloud.py", "secrets", google.url, SECRET_NAME, missing)
    assert done.returncode == 0, done.stderr
    found, refused = json.loads(done.stdout)
    assert found == SECRET
    assert re.match(r"SecretUnavailable: Secret Manager does not give \S+/other/\S+: NotFound \(404\)", refused)
    google.asked_for.clear()


def test_a_worker_keeps_checkpoints_and_dead_letters_in_the_bucket(machine, google):
    done = machine.run(ROOT / "tests" / "dataflow" / "in_the_cloud.py", "state", f"gs://{BUCKET}/state")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["empty"], seen["loaded"], seen["delivered"]) == (True, True, [20])
    assert "state/checkpoints/main.auth.siem.json" in google.objects
    assert [google.objects[path.removeprefix(f"gs://{BUCKET}/")][:4] for path in seen["letters"]] == [b"Obj\x01"]


def finished(running: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return running.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        running.kill()
        raise


def test_the_whole_program_goes_on_from_a_bucket_on_another_machine(machine, google, simulator, authority, skey, tmp_path):
    name = "projects/acme-prod/secrets/simulator/versions/1"
    google.secrets[name] = skey.encode()
    simulator.add("auth", 700, at_ms=now_ms() - 60_000)
    with SiemReceiver(keep_messages=True) as receiver:
        config = tmp_path / "config.yml"
        config.write_text(
            f"""version: 2
accounts: [{{api_host: localhost, port: {simulator.port}, ca_file: {authority.ca_file}, ikey: {IKEY}, skey: "gcp:{name}"}}]
reading: {{start_days: 1, poll_interval_secs: 1, lag_secs: 0}}
destinations: [{{name: siem, kind: tcp, host: 127.0.0.1, port: {receiver.port}, format: json}}]
routes: [{{log_types: auth, destinations: siem}}]
storage: {{checkpoint_dir: gs://{BUCKET}/moved/checkpoints, dead_letter_dir: gs://{BUCKET}/moved/dead-letters}}
"""
        )
        for expected, more in ((700, 300), (1000, 0)):
            running = machine.start(ROOT / "tests" / "dataflow" / "in_the_cloud.py", "program", google.url, "run", config)
            arrived = receiver.wait_for(expected, 40)
            running.terminate()
            out, said = finished(running)
            assert arrived, said
            assert json.loads(out) == 0, said
            simulator.add("auth", more)
        assert len(receiver.messages) == len(set(receiver.messages)) == 1000
    record = json.loads(google.objects["moved/checkpoints/main.auth.siem.json"])
    assert record["delivered"] == 1000
    google.asked_for.clear()


def test_the_stand_in_knew_every_call(google, submitted, template_job):
    assert google.unknown == []
