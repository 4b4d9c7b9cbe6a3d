"""What the tests with real runners share: the runners themselves, from the cache, and a program that dies with its children."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runners.flink.cluster import FlinkCluster

HERE = Path(__file__).parent


def from_cache(script: str) -> str:
    """The path that a script prints, which builds or copies what it names where the cache lacks it."""
    env = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run([HERE / script], stdout=subprocess.PIPE, env=env, check=False, text=True)
    assert done.returncode == 0, f"{script} failed; its message is above"
    return done.stdout.strip()


@pytest.fixture(scope="session")
def prism() -> list[str]:
    """Beam's flags for a run on Prism."""
    # Every run outlives the job server's timeout, which Beam would give to the whole job.
    return ["--runner=PrismRunner", f"--prism_location={from_cache('get_prism.sh')}", "--job_server_timeout=2"]


@pytest.fixture
def flink(flink_cluster: FlinkCluster) -> Iterator[FlinkCluster]:
    """The cluster, for one test: the job of one that fails must not keep the slots from the next."""
    yield flink_cluster
    flink_cluster.cancel_all()


@pytest.fixture(scope="session")
def flink_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """One Flink cluster for all tests."""
    with FlinkCluster(tmp_path_factory.mktemp("flink"), from_cache("flink/get_flink.sh")) as cluster:
        yield cluster
