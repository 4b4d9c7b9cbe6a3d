"""How long events take from Duo to the destination, measured at a few events of each page.

Place in the flow: the source says how long Duo itself takes to show an event; the sink takes a sample of each page that it
sends, and observes it when its bundle is confirmed.

Contract: three rows of a page are looked into, whatever its size: the first, the middle and the last one. They stand for a
quarter, a half and a quarter of it, so that a histogram counts events. What has no time is left out.
"""

from __future__ import annotations

from transforms.duo.log_types import LOG_TYPES
from transforms.metrics.catalog import DELIVERY_LATENCY
from transforms.metrics.registry import METRICS, of_stream
from transforms.process.lifetime import per_process
from transforms.records import Stream, Subscription
from transforms.settings import Reading

Sample = tuple[int, int]
"""The time of an event in milliseconds, and how many events it stands for."""

_USUAL_LAG_SECS = Reading().lag_secs
_LAGS_SECS: dict[Stream, float] = per_process("lags of Duo", dict)


def duo_takes(stream: Stream, lag_secs: float) -> None:
    """So long Duo needs to show an event of a stream, as it is configured."""
    _LAGS_SECS[stream] = lag_secs


def sample(stream: Stream, rows: list[bytes]) -> list[Sample]:
    """A few events of a page; none where the log is not one of Duo's."""
    log_type = LOG_TYPES.get(stream.log_type)
    if log_type is None:
        return []
    keys = [(log_type.row_key(rows[index]).time_ms, weight) for index, weight in _places(len(rows))]
    return [(time_ms, weight) for time_ms, weight in keys if time_ms is not None]


def delivered(subscription: Subscription, samples: list[Sample], now_ms: int) -> None:
    """The pages of which these are samples were confirmed now."""
    lag_ms = _LAGS_SECS.get(subscription.stream, _USUAL_LAG_SECS) * 1000
    METRICS.observe(
        DELIVERY_LATENCY,
        of_stream(subscription),
        [(max(0.0, now_ms - time_ms - lag_ms) / 1000, weight) for time_ms, weight in samples],
    )


def _places(rows: int) -> list[tuple[int, int]]:
    if rows <= 3:
        return [(index, 1) for index in range(rows)]
    quarter = rows // 4
    return [(0, quarter), (rows // 2, rows - 2 * quarter), (rows - 1, quarter)]
