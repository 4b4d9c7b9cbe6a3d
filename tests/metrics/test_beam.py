"""Beam's metrics of a run: what both sides of a page have counted, the thread that fetches included."""

from apache_beam.metrics.execution import MetricsEnvironment

from pipelines.demo.receiver import SiemReceiver
from tests.metrics import graph
from transforms.metrics.beam import tell_age, tell_beam
from transforms.metrics.catalog import CATALOG, EVENTS_READ
from transforms.metrics.registry import METRICS, of_stream
from transforms.records import Stream, Subscription

AUTH = Subscription(Stream("main", "auth"), "siem")


def test_they_say_what_happened_under_the_names_of_the_catalog(authority, skey, tmp_path):
    with graph.limited_duo(authority, skey, tmp_path) as duo, SiemReceiver() as siem:
        metrics = graph.metrics_of([], duo, siem, authority, str(tmp_path))
        graph.assert_true(metrics, duo)
    assert 0 <= metrics["position_age_seconds_main"].value <= 24 * 3_600
    in_beam = tuple(metric.beam_name for metric in CATALOG.values() if metric.beam)
    assert [name for name in metrics if not name.startswith(in_beam)] == ["cumulativeThrottlingSeconds"]


def test_outside_of_a_bundle_nothing_is_lost():
    METRICS.add(EVENTS_READ, of_stream(AUTH), 3)
    assert MetricsEnvironment.current_container() is None
    tell_beam("read", [AUTH])
    assert METRICS.take_untold("read", AUTH) == ({"events_read": 3}, {})


def test_gauges_are_bounded(monkeypatch):
    made = []
    monkeypatch.setattr("transforms.metrics.beam._gauge", lambda name: made.append(name) or _Nothing())
    for number in range(150):
        tell_age(Subscription(Stream(f"msp/{number}", "auth"), "siem"), 5.0)
    assert len(made) == 100


class _Nothing:
    def set(self, value: int) -> None:
        assert value == 5
