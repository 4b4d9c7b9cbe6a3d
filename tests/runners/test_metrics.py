"""Metrics on Beam's portable local runner: they come through its job service, those of the thread that fetches included."""

import pytest

from pipelines.demo.receiver import SiemReceiver
from tests.metrics import graph

pytestmark = pytest.mark.servers


def test_prism_says_what_happened(authority, skey, monkeypatch, tmp_path, prism):
    monkeypatch.setenv("DUO_SKEY", skey)
    with graph.limited_duo(authority, skey) as duo, SiemReceiver() as siem:
        metrics = graph.metrics_of([*prism, "--job_server_timeout=60", "--streaming"], duo, siem, authority, str(tmp_path))
        graph.assert_true(metrics, duo)
