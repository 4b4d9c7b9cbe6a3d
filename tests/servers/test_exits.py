"""What ends the program by itself: it says why in words, with the exit code that is documented for it, and keeps secrets."""

import base64
import secrets
import signal
import socketserver
import threading
import time

import pytest

from pipelines import exit_codes
from pipelines.demo.certificates import make_certificates
from pipelines.demo.receiver import SiemReceiver
from tests.servers.harness import AT_ONCE, LOG_TYPES, Duo, Program, dead_letters, tcp, wait_for_all, wait_until, write_config

pytestmark = pytest.mark.servers


def test_a_second_copy_on_the_same_checkpoints_is_refused_and_the_first_goes_on(tmp_path):
    second_folder = tmp_path / "second"
    second_folder.mkdir()
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"auth": 100})
        config = write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"])
        with Program(tmp_path, "run", config) as first:
            wait_for_all(duo, siem, ["auth"], first)
            second = Program(second_folder, "run", config)
            code = second.run()
            duo.simulator.add("auth", 5)
            wait_for_all(duo, siem, ["auth"], first)
            assert first.end() == exit_codes.OK

    assert code == exit_codes.STATE
    assert any("Another duologsync" in line for line in second.lines("ERROR"))
    assert "Traceback" not in second.log()


def test_a_wrong_secret_key_ends_with_its_own_exit_code(tmp_path):
    wrong = secrets.token_hex(20)
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.skey_file.write_text(wrong)
        program = Program(tmp_path, "run", write_config(tmp_path, duo, [tcp(siem.port)]))
        program.started_by = AT_ONCE
        code = program.run()

    assert code == exit_codes.CREDENTIALS
    told = [line for line in program.lines("ERROR") if "Check ikey, skey and api_host" in line]
    assert len(told) == len(set(told)) == 4  # one for each log type
    assert not any("Check ikey" in line for line in program.lines("WARNING"))
    assert "Traceback" not in program.log()
    _assert_nowhere(tmp_path, wrong, duo.skey)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_by_something_in_front_of_duo_is_waited_out_and_ends_nothing(tmp_path, status):
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog({"auth": 100})
        duo.simulator.faults.add("proxy", times=None, status=status)
        program = Program(tmp_path, "run", write_config(tmp_path, duo, [tcp(siem.port)], log_types=["auth"]))
        program.started_by = AT_ONCE  # two seconds would be enough for a refusal of Duo's own
        with program:
            wait_until(lambda: sum("Duo" in line for line in program.lines("WARNING")), "the first refusal in the log")
            time.sleep(5)
            assert program.running
            duo.simulator.faults.clear()
            wait_for_all(duo, siem, ["auth"], program)
            assert program.end() == exit_codes.OK

    assert not program.lines("ERROR")
    assert "Traceback" not in program.log()


def test_a_siem_that_the_configured_ca_does_not_vouch_for_ends_with_the_cause(tmp_path):
    strangers = tmp_path / "strangers"
    strangers.mkdir()
    other = make_certificates(strangers)
    with Duo(tmp_path) as duo, SiemReceiver("tls", tls=(duo.files.cert_file, duo.files.key_file)) as siem:
        duo.add_backlog({"auth": 100})
        destination = tcp(siem.port, kind="tls", host="localhost", tls={"ca_file": other.ca_file})
        program = Program(tmp_path, "run", write_config(tmp_path, duo, [destination]))
        code = program.run()

    assert code == exit_codes.DELIVERY
    assert any(f"does not lead to the CAs in {other.ca_file}" in line for line in program.lines("ERROR"))
    assert "Traceback" not in program.log()
    assert siem.total() == 0


def test_a_wrong_configuration_ends_before_anything_is_started(tmp_path):
    with Duo(tmp_path) as duo:
        config = write_config(tmp_path, duo, [tcp(514, kind="smoke")], routes=[{"log_types": "auth", "destinations": "sime"}])
        program = Program(tmp_path, "run", config)
        code = program.run()

    assert code == exit_codes.CONFIG
    assert "smoke" in program.log()
    assert "sime" in program.log()
    assert "Traceback" not in program.log()
    assert not (tmp_path / "checkpoints").exists()
    assert duo.simulator.stats()["calls"] == {}


def test_no_secret_is_in_logs_checkpoints_or_dead_letters(tmp_path):
    with Duo(tmp_path) as duo, SiemReceiver() as siem, _Proxy() as proxy:
        duo.add_backlog({"auth": 1_200, "activity": 300})
        # Too long for the destination on purpose: there are dead letters to look into.
        small = tcp(siem.port, max_message_bytes=480)
        password = secrets.token_hex(12)
        account = duo.account(proxy={"host": "127.0.0.1", "port": proxy.port, "user": "sync", "password": "env:PROXY_PASSWORD"})
        through_proxy = write_config(tmp_path, duo, [small], log_types=["auth", "activity"], account=account)
        with Program(tmp_path, "run", "--verbose", through_proxy, env={"PROXY_PASSWORD": password}) as program:
            wait_until(lambda: "through the proxy" in program.log(), "the proxy's refusal in the log")
            program.end()
        assert proxy.heard(f"sync:{password}")
        directly = write_config(tmp_path, duo, [small], log_types=["auth", "activity"])
        with Program(tmp_path, "run", "--verbose", directly) as program:
            wait_until(lambda: len(dead_letters(tmp_path)) >= 1_500, "the dead letters")
            assert program.end() == exit_codes.OK

    assert b'"cursor"' in b"".join(path.read_bytes() for path in (tmp_path / "checkpoints").glob("*.json"))
    _assert_nowhere(tmp_path, duo.skey, password, f"sync:{password}")


def _assert_nowhere(folder, *those):
    """In no file but the one that holds the secret key, neither as it is nor as Basic authentication writes it."""
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "skey":
            content = path.read_bytes()
            for secret in those:
                assert secret.encode() not in content, path
                assert base64.b64encode(secret.encode()).rstrip(b"=")[:-1] not in content, path


class _Proxy:
    """A proxy that wants other credentials, and keeps what it was told."""

    def __init__(self):
        self._told = []
        told = self._told

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while (line := self.rfile.readline().strip()) != b"":
                    told.append(line)
                self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def heard(self, credentials):
        return any(base64.b64encode(credentials.encode()) in line for line in self._told)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exc):
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_leaves_nothing_in_the_temporary_directory(tmp_path, number):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog(dict.fromkeys(LOG_TYPES, 50))
        config = write_config(tmp_path, duo, [tcp(siem.port)])
        with Program(tmp_path, "run", config, env={"TMPDIR": str(temporary)}) as program:
            wait_for_all(duo, siem, LOG_TYPES, program)
            program.send(number)
            program.wait()

    assert list(temporary.iterdir()) == []
