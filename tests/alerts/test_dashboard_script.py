"""The dashboard's script. Grafana's SDK is not for Python 3.10."""

from tests.alerts import board, dashboard


def test_the_committed_dashboard_is_current():
    assert board.FILE.read_text(encoding="utf-8") == dashboard.build(), "python -m tests.alerts.dashboard"
