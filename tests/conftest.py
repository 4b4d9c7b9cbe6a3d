"""What most tests share: a private CA, a simulated Duo over HTTPS, and settings that point at it."""

import secrets
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from pipelines.demo.simulator import DuoSimulator
from transforms.process import lifetime
from transforms.secrets import SecretRef
from transforms.settings import Account, Reading

# There is no CEL for Python 3.10: filters are not for it, and neither are their tests.
_OF_FILTERS = [
    "audit/test_audit_filters.py",
    "events/*",
    "config/test_routes.py",
    "cli/test_explain.py",
    "cli/test_replay_redacted.py",
    "pipeline/test_routes.py",
]
# Nor are there Grafana's SDK, by which the dashboard is made, and what makes the site.
_OF_DOCUMENTS = ["alerts/test_dashboard_script.py", "packaging/test_site.py", "packaging/test_site_in_a_browser.py"]
collect_ignore_glob = [] if sys.version_info >= (3, 11) else [*_OF_FILTERS, *_OF_DOCUMENTS]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was written meanwhile may hold what no encoding can; a report travels between processes as UTF-8."""
    report = yield
    report.sections = [(title, _encodable(text)) for title, text in report.sections]
    if report.longrepr is not None and _encodable(text := str(report.longrepr)) != text:
        report.longrepr = _encodable(text)
    return report


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


IKEY = "DISIMULATOR000000000"
FAST = Reading(start_days=1, poll_interval_secs=0.2, lag_secs=0, request_timeout_secs=10)


@dataclass(frozen=True)
class Authority:
    """A private CA and a server certificate of it for localhost, as files."""

    ca: trustme.CA
    ca_file: str
    cert_file: str
    key_file: str


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder: Path = tmp_path_factory.mktemp("authority")
    ca = trustme.CA()
    server = ca.issue_cert("localhost", "127.0.0.1")
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    server.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    server.private_key_pem.write_to_path(str(folder / "server.key"))
    return Authority(ca, str(folder / "ca.pem"), str(folder / "server.pem"), str(folder / "server.key"))


@pytest.fixture
def skey() -> str:
    """A secret key that exists for one test only."""
    return secrets.token_hex(20)


@pytest.fixture
def simulator(authority: Authority, skey: str) -> Iterator[DuoSimulator]:
    """A Duo over HTTPS that publishes at once."""
    with DuoSimulator(IKEY, skey, delay_secs=0, tls=(authority.cert_file, authority.key_file)) as duo:
        yield duo


@pytest.fixture
def account(simulator: DuoSimulator, authority: Authority, skey: str, tmp_path: Path) -> Account:
    """The simulator's account, its secret key in a file."""
    key_file = tmp_path / "skey"
    key_file.write_text(skey)
    return Account("main", "localhost", IKEY, SecretRef("file", str(key_file)), port=simulator.port, ca_file=authority.ca_file)


@pytest.fixture(autouse=True)
def each_test_leaves_a_process_that_has_just_begun() -> Iterator[None]:
    yield
    lifetime.reset()


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Waits for something to become true, and says what did not."""

    def wait(condition: Callable[[], object], what: str = "", within_secs: float = 20.0) -> None:
        deadline = time.monotonic() + within_secs
        while not condition():
            assert time.monotonic() < deadline, f"not within {within_secs:g} s: {what or condition}"
            time.sleep(0.01)

    return wait


def now_ms() -> int:
    return int(time.time() * 1000)
