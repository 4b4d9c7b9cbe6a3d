"""Metrics on Beam's portable runners: they come through the job service, those of the thread that fetches included."""

import pytest

from pipelines.demo.receiver import SiemReceiver
from tests.metrics import graph

pytestmark = [pytest.mark.servers, pytest.mark.timeout(400)]


def test_prism_says_what_happened(authority, skey, tmp_path, prism):
    # Else Beam keeps the job server of the first pipeline of a process, also one that it could not start.
    flags = [*prism, "--job_server_timeout=120", "--streaming", "--experiments=disable_prism_server_singleton"]
    with graph.limited_duo(authority, skey, tmp_path) as duo, SiemReceiver() as siem:
        metrics = graph.metrics_of(flags, duo, siem, authority, str(tmp_path))
        graph.assert_true(metrics, duo)


def test_flink_says_what_happened_on_workers_of_its_own(authority, skey, tmp_path, flink):
    flags = flink.flags("--streaming", "--job_server_timeout=300", "--shutdown_sources_after_idle_ms=1000")
    with graph.limited_duo(authority, skey, tmp_path) as duo, SiemReceiver() as siem:
        metrics = graph.metrics_of(flags, duo, siem, authority, str(tmp_path))
        graph.assert_true(metrics, duo)
