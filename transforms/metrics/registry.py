"""The one place where a process counts: every number that a metric of the catalog has.

Place in the flow: counted by whoever does the work, per page or bundle and never per event; read by what shows a run, and taken
by ``transforms.metrics.beam`` as what has come since it last took.

Contract: thread-safe. The lock is a leaf, and it is one that a signal handler that logs may take again. What is counted stays
until the process ends or ``lifetime.reset``. Labels are given as values, in the order that the metric names.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from transforms.metrics.catalog import LOG, STREAM, Metric, Step
from transforms.process.lifetime import per_process
from transforms.records import Stream, Subscription

Labels = tuple[str, ...]


def of_stream(subscription: Subscription) -> Labels:
    """The labels of a metric that is told by stream and destination."""
    return subscription.stream.account, subscription.stream.log_type, subscription.destination


def of_log(stream: Stream) -> Labels:
    """The labels of a metric that all destinations of a stream share."""
    return stream.account, stream.log_type


@dataclass
class Histogram:
    """How values are spread.

    Attributes:
      counts: of the values up to each upper bound of the metric and above the one before; the last one of those above all.
    """

    counts: list[float]
    total: float = 0.0

    @property
    def count(self) -> float:
        return sum(self.counts)


@dataclass
class _Untold:
    """What Beam was not told of yet. Values are those that a distribution gets, one by one."""

    counts: dict[str, float] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)


_Owner = tuple[Step, Labels]
_MOST_UNTOLD_VALUES = 300


class MetricsRegistry:
    """See the module."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._counts: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}
        self._untold: dict[_Owner, _Untold] = {}
        self._firsts: dict[str, set[str]] = {}

    # --- counting ----------------------------------------------------------------------------------------------------

    def add(self, metric: Metric, labels: Labels, amount: float = 1) -> None:
        """So much more of a counter."""
        if not amount:
            return
        with self._lock:
            self._add(metric, labels, amount)

    def add_each(self, metric: Metric, labels: Labels, amounts: Mapping[str, float]) -> None:
        """The same for several values of the metric's last label, which ``labels`` leaves out."""
        if not amounts:
            return
        with self._lock:
            for last, amount in amounts.items():
                if amount:
                    self._add(metric, (*labels, last), amount)

    def observe(self, metric: Metric, labels: Labels, values: Iterable[tuple[float, int]]) -> None:
        """Values of a histogram, and how many events each stands for."""
        with self._lock:
            by_labels = self._histograms.setdefault(metric.name, {})
            histogram = by_labels.get(labels)
            if histogram is None:
                histogram = by_labels[labels] = Histogram([0.0] * (len(metric.buckets) + 1))
            for value, weight in values:
                histogram.counts[bisect_left(metric.buckets, value)] += weight
                histogram.total += value * weight
                self._tell_value(metric, labels, value)

    def is_among_first(self, what: str, one: str, most: int) -> bool:
        """Whether ``one`` is among the first that were asked for: what bounds a label whose values come from outside."""
        with self._lock:
            first = self._firsts.setdefault(what, set())
            if len(first) < most:
                first.add(one)
            return one in first

    def _add(self, metric: Metric, labels: Labels, amount: float) -> None:
        by_labels = self._counts.setdefault(metric.name, {})
        by_labels[labels] = by_labels.get(labels, 0) + amount
        if metric.beam is not None:
            owner, name = _in_beam(metric, labels)
            counts = self._untold.setdefault((metric.beam, owner), _Untold()).counts
            counts[name] = counts.get(name, 0) + amount

    def _tell_value(self, metric: Metric, labels: Labels, value: float) -> None:
        if metric.beam is not None:
            owner, name = _in_beam(metric, labels)
            values = self._untold.setdefault((metric.beam, owner), _Untold()).values.setdefault(name, [])
            if len(values) < _MOST_UNTOLD_VALUES:
                values.append(value)

    # --- reading -----------------------------------------------------------------------------------------------------

    def of(self, metric: Metric) -> dict[Labels, float]:
        """All values of a counter, by their labels."""
        with self._lock:
            return dict(self._counts.get(metric.name, {}))

    def total(self, metric: Metric, labels: Labels = ()) -> float:
        """The sum of a counter's values whose labels begin so."""
        return self.sums(metric, len(labels)).get(labels, 0)

    def sums(self, metric: Metric, by: int) -> dict[Labels, float]:
        """The sums of a counter's values that have the first labels in common, so many of them."""
        sums: dict[Labels, float] = {}
        for labels, value in self.of(metric).items():
            sums[labels[:by]] = sums.get(labels[:by], 0) + value
        return sums

    def histograms(self, metric: Metric) -> dict[Labels, Histogram]:
        """All values of a histogram, by their labels."""
        with self._lock:
            found = self._histograms.get(metric.name, {})
            return {labels: Histogram(list(each.counts), each.total) for labels, each in found.items()}

    def take_untold(self, step: Step, subscription: Subscription) -> tuple[dict[str, int], dict[str, list[float]]]:
        """What came since the last time for Beam's counters and distributions, by Beam's names, of one step and stream.

        Of a counter that is no whole number, the rest stays for the next time.
        """
        stream = of_stream(subscription)
        counts: dict[str, int] = {}
        values: dict[str, list[float]] = {}
        with self._lock:
            for owner in (stream, stream[: len(LOG)], stream[-1:]):
                untold = self._untold.pop((step, owner), None)
                if untold is None:
                    continue
                values.update(untold.values)
                counts.update({name: int(count) for name, count in untold.counts.items() if count >= 1})
                rest = {name: count % 1 for name, count in untold.counts.items() if count % 1}
                if rest:
                    self._untold[step, owner] = _Untold(rest)
        return counts, values


def _in_beam(metric: Metric, labels: Labels) -> tuple[Labels, str]:
    """Whose stream's bundle tells Beam of it, and under which name: what says more than the stream is in the name."""
    told_by = len(next((by for by in (STREAM, LOG) if metric.labels[: len(by)] == by), ("destination",)))
    return labels[:told_by], "_".join((metric.beam_name, *labels[told_by:]))


METRICS = per_process("metrics", MetricsRegistry)
