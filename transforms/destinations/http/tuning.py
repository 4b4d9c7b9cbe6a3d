"""Times and sizes of the delivery over HTTP.

Place in the flow: the parts of ``transforms.destinations.http`` share one value of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from transforms.destinations.waits import CONNECTING
from transforms.process.retry import RetryPolicy

_SLOWING = RetryPolicy(first_secs=1.0, longest_secs=15.0, least_secs=0.25)


@dataclass(frozen=True, slots=True)
class Tuning:
    """Times and sizes that nobody configures; tests shorten them.

    Attributes:
      retrying: the pauses between attempts.
      slowing: those behind each answer that asks to slow down.
      least_pause_secs: who answers that it takes nothing now is not asked again at once.
      least_bytes: requests are not made smaller than this because the receiver found some too large.
      most_unanswered: a request that was sent so many times in a row without an answer is halved.
      most_unanswered_alone: one event of which that is so, while others are answered, is given up after so many more.
      answered_before_larger: after so many answers in a row, requests may become twice as large again.
      most_refused_at_first: of a receiver that never took anything: so many refused events in a row are no refused events.
      ack_first_poll_secs, ack_longest_poll_secs: the pause between two questions for acknowledgements; it doubles.
      ack_secs: a request that is not acknowledged for so long is sent again.
      most_unacknowledged: requests.
    """

    retrying: RetryPolicy = CONNECTING
    slowing: RetryPolicy = _SLOWING
    least_pause_secs: float = 1.0
    least_bytes: int = 16 * 1024
    most_unanswered: int = 3
    most_unanswered_alone: int = 8
    answered_before_larger: int = 50
    most_refused_at_first: int = 25
    ack_first_poll_secs: float = 0.5
    ack_longest_poll_secs: float = 10.0
    ack_secs: float = 300.0
    most_unacknowledged: int = 100
