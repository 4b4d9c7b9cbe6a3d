"""How often a stream that is caught up looks for new events, where the configuration leaves that to the program.

Place in the flow: the feed asks before each look; ``windows`` says when the next window is due by the answer.

Contract: pure. As often as is of use: every ``LEAST_SECS``, unless Duo has been seen to allow less: then as often as it does,
and not less often than every ``MOST_SECS``: the rate budget itself waits for as long as it must. A process that reads many
endpoints, because an MSP has many children, looks at each less often: what a look costs, all of them pay.

Duo recommends one look a minute, and refuses what is more where it minds; which limit holds for an account it does not say. So
the first looks find out, and the budget keeps what they found.
"""

from __future__ import annotations

LEAST_SECS = 15.0
MOST_SECS = 60.0
_SECS_PER_ENDPOINT = 0.5
"""Of many endpoints each is looked at less often: so many seconds lie between two looks of the process."""


def automatic_poll_secs(allowed_interval_secs: float, endpoints: int) -> float:
    """Seconds between two looks.

    Args:
      allowed_interval_secs: between two calls of the endpoint, as learnt from Duo's refusals; 0 where there was none.
      endpoints: how many endpoints this process reads, of all accounts.
    """
    return min(max(LEAST_SECS, allowed_interval_secs, endpoints * _SECS_PER_ENDPOINT), MOST_SECS)
