"""How long to wait before something that failed is tried again: the one back-off of this product.

Place in the flow: calls to Duo, connections to destinations, bundles that failed, dead letters that cannot be written. How fast
an endpoint that works may be called is not a back-off but a rate (``transforms.duo.rate_limit``).

Contract: a ``RetryPolicy`` is a value; whoever retries keeps a ``Backoff`` of it, which counts failures. Nothing waits here.
Waits double from ``first_secs`` to ``longest_secs``, and each is chosen at random between the least and that ("full jitter"):
many who fail at the same moment do not come back at the same moment. Where the other side says how long to wait, as HTTP's
Retry-After does, no wait is shorter than that.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

_MOST_DOUBLINGS = 32  # a float holds no more than a thousand, and nobody waits for longer


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """See the module.

    Attributes:
      first_secs, longest_secs: the longest that the first wait, and any wait, can be.
      least_secs: the shortest, where a try that comes too soon has a price.
      immediate_first: the first failure is not waited for: mostly the other side has just restarted.
    """

    first_secs: float
    longest_secs: float
    least_secs: float = 0.0
    immediate_first: bool = False

    def wait_secs(self, failures: int, asked_secs: float | None = None) -> float:
        """The wait behind so many failures in a row; at least as long as the other side asked for."""
        doublings = failures - 1 - self.immediate_first
        if doublings < 0:
            own_secs = 0.0
        else:
            most_secs = min(self.longest_secs, self.first_secs * 2.0 ** min(doublings, _MOST_DOUBLINGS))
            own_secs = random.uniform(min(self.least_secs, most_secs), most_secs)
        if asked_secs is None:
            return own_secs
        # All who were asked at the same moment would come back at the same moment.
        return max(own_secs, asked_secs + random.uniform(0.0, min(self.first_secs, asked_secs)))


class Backoff:
    """The failures in a row of one who retries. Not thread-safe."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy
        self.failures = 0

    def failed(self, asked_secs: float | None = None) -> float:
        """One more try has failed; the seconds until the next one."""
        self.failures += 1
        return self.policy.wait_secs(self.failures, asked_secs)

    def succeeded(self) -> None:
        """It worked: the next failure is the first one again."""
        self.failures = 0
