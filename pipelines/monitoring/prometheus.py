"""What Prometheus gets when it asks: the report and the counters, as text.

Place in the flow: the endpoint ``/metrics`` calls ``exposition`` with the report of that moment; what is counted is in
``METRICS``. prometheus_client writes the text, and is loaded when somebody asks for the first time.

Contract: names and labels are those of the catalog, and nothing else is exposed, neither an event nor a secret. A gauge whose
value is not known has no series. Nothing is kept between two answers.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from pipelines.monitoring.report import BudgetReport, DestinationReport, ProcessReport, Report, StreamReport
from transforms.metrics import catalog
from transforms.metrics.catalog import CATALOG, Metric
from transforms.metrics.registry import METRICS, Histogram, Labels

Values = Mapping[Labels, float | None]


def exposition(report: Report, accept: str = "") -> tuple[bytes, str]:
    """The text and its content type: OpenMetrics where the header ``Accept`` asks for it, else Prometheus' own."""
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_ReportCollector(report))
    return encode(registry), content_type


class _ReportCollector(Collector):
    def __init__(self, report: Report) -> None:
        self._report = report

    def describe(self) -> Iterable[Family]:
        """Nothing: prometheus_client would collect everything to find out the names."""
        return ()

    def collect(self) -> Iterator[Family]:
        gauges = _gauges(self._report)
        for metric in CATALOG.values():
            if metric.kind == "histogram":
                yield _histogram(metric, METRICS.histograms(metric))
            elif metric.name in gauges:
                yield _family(metric, gauges[metric.name])
            else:
                yield _family(metric, {**_zeros(metric, self._report), **METRICS.of(metric)})


# --- values ----------------------------------------------------------------------------------------------------------------

_OfStream = Callable[[StreamReport, int], float | None]


def _secs(time_ms: int | None) -> float | None:
    return None if time_ms is None else time_ms / 1000


def _age_secs(time_ms: int | None, now_ms: int) -> float | None:
    return None if time_ms is None else max(0, now_ms - time_ms) / 1000


_OF_STREAMS: dict[Metric, _OfStream] = {
    catalog.POSITION_TIMESTAMP: lambda stream, _: _secs(stream.position_ms),
    catalog.SAFE_POSITION_TIMESTAMP: lambda stream, _: _secs(stream.safe_ms),
    catalog.POSITION_AGE: lambda stream, _: stream.lag_secs,
    catalog.BACKLOG_EVENTS: lambda stream, _: stream.backlog_events,
    catalog.OLDEST_UNDELIVERED_AGE: lambda stream, now_ms: _age_secs(stream.oldest_undelivered_ms, now_ms),
    catalog.CHECKPOINT_AGE: lambda stream, now_ms: _age_secs(stream.committed_ms, now_ms),
    catalog.MISSING_EVENTS: lambda stream, _: sum(gap.events for gap in stream.missing),
}
_OF_BUDGETS: dict[Metric, Callable[[BudgetReport], float | None]] = {
    catalog.DUO_CALL_INTERVAL: lambda budget: budget.interval_secs,
    catalog.DUO_LIMIT_INTERVAL: lambda budget: budget.limit_secs,
}
_OF_DESTINATIONS: dict[Metric, Callable[[DestinationReport], float | None]] = {
    catalog.REPLAY_BUFFER_BYTES: lambda destination: destination.held_bytes,
    catalog.DESTINATION_UP: lambda destination: destination.usable,
    catalog.CONNECTIONS: lambda destination: destination.connections,
}
_OF_THE_PROCESS: dict[Metric, Callable[[ProcessReport], float | None]] = {
    catalog.START_TIME: lambda process: _secs(process.started_ms),
    catalog.PROCESS_MEMORY: lambda process: process.memory_bytes,
    catalog.PROCESS_CPU: lambda process: process.cpu_secs,
    catalog.PROCESS_THREADS: lambda process: process.threads,
}


def _gauges(report: Report) -> dict[str, Values]:
    """Everything that the report says, by the metric's name."""
    found: dict[str, Values] = {
        metric.name: {_labels(stream): value(stream, report.time_ms) for stream in report.streams}
        for metric, value in _OF_STREAMS.items()
    }
    found |= {m.name: {(b.account, b.log_type): value(b) for b in report.budgets} for m, value in _OF_BUDGETS.items()}
    found |= {m.name: {(d.name,): value(d) for d in report.destinations} for m, value in _OF_DESTINATIONS.items()}
    process = report.process
    found |= {m.name: {(): value(process) if process is not None else None} for m, value in _OF_THE_PROCESS.items()}
    found[catalog.STREAM_STATE.name] = {(*_labels(stream), stream.state.value): 1 for stream in report.streams}
    found[catalog.CERTIFICATE_EXPIRY.name] = dict(_certificates(report.destinations))
    found[catalog.BUILD_INFO.name] = {_build(process.version): 1} if process is not None else {}
    return found


def _labels(stream: StreamReport) -> Labels:
    return stream.account, stream.log_type, stream.destination


def _certificates(destinations: Iterable[DestinationReport]) -> Iterator[tuple[Labels, float | None]]:
    for each in destinations:
        yield (each.name, "server"), _secs(each.certificate_expires_ms)
        yield (each.name, "client"), _secs(each.client_certificate_expires_ms)


@cache
def _build(program: str) -> Labels:
    return program, platform.python_version(), version("apache-beam")


def _zeros(metric: Metric, report: Report) -> Values:
    """A counter of what every stream or destination has begins at 0: else its first events would be missing in a rate."""
    if metric.labels == catalog.STREAM:
        return {_labels(stream): 0 for stream in report.streams}
    return {(each.name,): 0 for each in report.destinations} if metric.labels == ("destination",) else {}


# --- text ------------------------------------------------------------------------------------------------------------------


def _family(metric: Metric, values: Values) -> Family:
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = make(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    for labels, value in values.items():
        if value is not None:
            family.add_metric(_texts(labels), value)
    return family


def _histogram(metric: Metric, values: Mapping[Labels, Histogram]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [*(str(bound) for bound in metric.buckets), "+Inf"]
    for labels, histogram in values.items():
        family.add_metric(_texts(labels), list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.total)
    return family


def _texts(labels: Labels) -> list[str]:
    """Labels as they can be written: a name that was taken from elsewhere may hold half of a character."""
    return [each if each.isascii() else each.encode("utf-8", "backslashreplace").decode("utf-8") for each in labels]
