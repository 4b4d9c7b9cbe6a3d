"""The way of the metrics to Beam, on every runner.

Place in the flow: called on the thread of a bundle, where Beam lets metrics be told: by the source when it gives its mark, by
the steps when their bundle finishes. What other threads have counted since, such as the one that fetches, goes with it.

Contract: ``tell_beam`` hands over what has come since the last time and loses nothing: where no bundle is at work, it stays
for the next time.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from apache_beam.metrics import Metrics, execution

from transforms.metrics.catalog import DUO_THROTTLED_SECONDS, NAMESPACE, POSITION_AGE, Step
from transforms.metrics.registry import METRICS
from transforms.records import Subscription

# Beam's own name for it: by this, Dataflow knows that a reader waits for a rate limit, and that more workers would not help.
_THROTTLED = "cumulativeThrottlingSeconds"
_MOST_ACCOUNTS = 100


def tell_beam(step: Step, subscriptions: Iterable[Subscription]) -> None:
    """Adds to Beam's metrics what was counted of these streams, or of what they share, and that this step tells."""
    if execution.MetricsEnvironment.current_container() is None:
        return
    for subscription in subscriptions:
        counts, values = METRICS.take_untold(step, subscription)
        for name, count in counts.items():
            _counter(name).inc(count)
            if name == DUO_THROTTLED_SECONDS.beam_name:
                _counter(_THROTTLED).inc(count)
        for name, each in values.items():
            for value in each:
                _distribution(name).update(round(value))


def tell_age(subscription: Subscription, age_secs: float) -> None:
    """How old a position is. Values of several accounts cannot be put together, so each has a gauge, up to a number."""
    account = subscription.stream.account
    if METRICS.is_among_first(POSITION_AGE.name, account, _MOST_ACCOUNTS):
        _gauge(f"{POSITION_AGE.beam_name}_{account}").set(round(age_secs))


@lru_cache(maxsize=512)
def _counter(name: str) -> Any:
    return Metrics.counter(NAMESPACE, name)


@lru_cache(maxsize=16)
def _distribution(name: str) -> Any:
    return Metrics.distribution(NAMESPACE, name)


@lru_cache(maxsize=_MOST_ACCOUNTS)
def _gauge(name: str) -> Any:
    return Metrics.gauge(NAMESPACE, name)
