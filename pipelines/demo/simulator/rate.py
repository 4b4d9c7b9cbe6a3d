"""Duo's rate limit as one token bucket per (account, endpoint).

Place in the flow: the server asks before it answers a signed call. Contract: thread-safe; monotonic clock.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How often one endpoint may be called.

    Attributes:
      calls_per_minute: the rate at which tokens come back. burst: how many there are at most.
      retry_after: value of the Retry-After header of a 429; None sends none, as is usually reported of Duo.
    """

    calls_per_minute: float
    burst: int = 1
    retry_after: int | None = None


class Buckets:
    """All buckets of a server."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str], tuple[float, float]] = {}

    def allow(self, account_id: str, path: str) -> bool:
        """Takes a token; False when there is none."""
        now = time.monotonic()
        with self._lock:
            tokens, since = self._tokens.get((account_id, path), (float(self._limit.burst), now))
            tokens = min(self._limit.burst, tokens + (now - since) * self._limit.calls_per_minute / 60)
            allowed = tokens >= 1
            self._tokens[account_id, path] = (tokens - 1 if allowed else tokens, now)
        return allowed
