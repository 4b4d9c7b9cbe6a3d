"""What is shipped for Flink: a compose file that fits the program, and a savepoint command that tells what went wrong."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import apache_beam
import pytest
import yaml

from pipelines.launch_files.flink import savepoint
from pipelines.runners import launch

FILES = Path(savepoint.__file__).parent


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((FILES / "compose.yml").read_text())["services"]


def test_job_server_and_workers_have_the_version_of_beam_that_is_installed(services):
    assert services["jobserver"]["image"].endswith(f":{apache_beam.__version__}")


def test_job_server_and_cluster_have_one_version_of_flink(services):
    (of_server,) = re.findall(r"beam_flink([\d.]+)_job_server", services["jobserver"]["image"])
    assert all(re.match(rf"flink:{of_server}\b", services[name]["image"]) for name in ("volumes", "jobmanager", "taskmanager"))


def test_only_flinks_web_page_is_reachable_and_only_from_this_machine(services):
    assert [port for service in services.values() for port in service.get("ports", [])] == ["127.0.0.1:8081:8081"]


def test_workers_and_task_manager_find_each_other_on_localhost(services):
    assert services["workers"]["network_mode"] == "service:taskmanager"
    assert services["workers"]["command"] == ["--worker_pool"]


def test_every_flag_of_the_launch_is_known():
    script = (FILES / "submit.sh").read_text()
    flags = re.findall(r"^ +(--[a-z_]+\S*) \\$", script, re.MULTILINE)

    assert len(flags) >= 10
    assert launch.unknown_flags(["--runner=PortableRunner", *flags]) == []
    assert launch.complete_flags(flags) == flags, "the script leaves out what the program has to add"


@pytest.fixture
def flink_rest():
    """A REST API that answers what it is told to: path → (status, body)."""
    answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = answers[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def do_POST(self):
            answers["asked"] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.do_GET()

        def log_message(self, *_arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    answers["address"] = f"http://127.0.0.1:{server.server_port}"
    answers["/jobs/overview"] = (200, {"jobs": [{"jid": "old", "state": "CANCELED"}, {"jid": "now", "state": "RUNNING"}]})
    answers["/jobs/now/stop"] = (202, {"request-id": "7"})
    yield answers
    server.shutdown()
    server.server_close()


def test_the_address_of_the_savepoint_is_all_that_is_printed_and_nothing_is_drained(flink_rest, capsys):
    flink_rest["/jobs/now/savepoints/7"] = (200, {"status": {"id": "COMPLETED"}, "operation": {"location": "file:/s/1"}})

    assert savepoint.main(["--rest", flink_rest["address"], "--to", "file:///s"]) == 0
    assert capsys.readouterr().out == "file:/s/1\n"
    assert flink_rest["asked"] == {"drain": False, "targetDirectory": "file:///s"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"/jobs/overview": (200, {"jobs": []})}, "0 jobs are running"),
        ({"/jobs/now/stop": (409, {"errors": ["no directory for savepoints"]})}, "no directory for savepoints"),
        (
            {
                "/jobs/now/savepoints/7": (
                    200,
                    {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"stack-trace": "it expired\n  at …"}}},
                )
            },
            "the job goes on: it expired",
        ),
    ],
)
def test_a_savepoint_that_fails_is_told_on_standard_error_with_exit_code_1(flink_rest, capsys, changes, said):
    flink_rest.update(changes)

    assert savepoint.main(["--rest", flink_rest["address"]]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


@pytest.mark.parametrize("rest", ["http://127.0.0.1:1", "localhost:8081"])
def test_an_address_where_no_flink_is_is_told(capsys, rest):
    assert savepoint.main(["--rest", rest]) == 1
    assert rest in capsys.readouterr().err
