"""The end of a run, as far as destinations are concerned: connections are closed in good order, and what that showed is kept.

Place: called last by the local supervisor and by a launch whose workers live in this process; in any other process that sends,
it is called when the interpreter ends, see ``idle_checker``.
"""

from __future__ import annotations

import logging
from collections import Counter

from transforms.destinations import pool
from transforms.errors import DuoLogSyncError
from transforms.notices import destinations, state
from transforms.notices.notice import tell
from transforms.process.plural import counted
from transforms.process.shutdown import STOP
from transforms.state.dead_letters.write import tell_of_the_rest
from transforms.state.receipts import RECEIPTS

_LOGGER = logging.getLogger("duologsync.program")
_LONGEST_SECS = 12.0  # a goodbye of the receiver's own is watched for ten


def close_destinations() -> bool:
    """Ends every connection within what is left of the grace period; whether receivers were seen to read all of it.

    What they were not seen to read stays behind the safe position of its stream: the next start sends it again.
    """
    unread = pool.close_all(min(_LONGEST_SECS, STOP.left_secs + 1.0))
    try:
        RECEIPTS.keep_safe()
    except (OSError, DuoLogSyncError) as error:
        tell(
            _LOGGER,
            state.CHECKPOINT_NOT_WRITTEN,
            "The checkpoints could not be brought up to date: %s. The next start repeats some events.",
            error,
        )
    tell_of_the_rest()
    messages: Counter[str] = Counter()
    for some in unread:
        messages[some.destination.name] += len(some.messages)
    for name, count in messages.items():
        tell(
            _LOGGER, destinations.UNREAD_AT_END,
            "Destination %s was not seen to read the last %s of what it acknowledged: kept for the next start, which sends it "
            "again.", name, counted(count, "message"), destination=name,
        )  # fmt: skip
    return not unread
