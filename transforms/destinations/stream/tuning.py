"""Times and sizes of the delivery over byte streams.

Place in the flow: the parts of ``transforms.destinations.stream`` share one value of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from transforms.destinations.waits import CONNECTING
from transforms.process.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Tuning:
    """Times and sizes that nobody configures; tests shorten them.

    Attributes:
      block_bytes: small messages are joined up to this size.
      ack_poll_min_secs, ack_poll_max_secs: pause between two looks at what is not acknowledged; it grows.
      settle_secs: between the last two looks for a FIN or reset that arrives just after the last byte.
      silence_secs: a peer that acknowledged nothing for so long, though asked, is gone.
      stall_secs: a peer that is well but takes nothing for so long is worth a warning.
      connecting: the pauses between attempts to connect.
      mend_secs: how long check() may spend on writing what may be unread again.
      replay_unknown_bytes: size of the replay buffer while the kernel does not say how much the peer takes.
      replay_floor_bytes, replay_cap_bytes: bounds of its size where it does. Kernels with a tcp_rmem of 32 MB were seen to
        acknowledge 10 MB that nobody read; less than that in the buffer is events lost when such a SIEM dies.
      read_within_secs: a connection that was reset after so long counts as a chance to read, see ``replay_buffer``.
      goodbye_idle_secs, goodbye_age_secs, goodbye_bytes: a connection is ended once it is quiet for so long, so old, or has
        carried so much. Each end costs a new connection, and makes what is repeated after a crash smaller.
      goodbye_wait_secs: how long the next bundle waits for the answer to a goodbye. While the receiver still reads the
        connection before, events on the next one may overtake what is left there.
      goodbye_watch_secs: how long after a receiver's own goodbye a reset is still looked for.
      goodbye_doubt_secs, goodbye_doubt_bytes: so much of what was confirmed so shortly before a receiver's own goodbye over TLS
        is sent again. Shorter than the idle times after which load balancers end connections, or each of those would repeat
        what came last; and some TLS records, of which a library holds one.
      goodbye_unanswered_secs: after so long without an answer to a goodbye, what the connection carried is a dead letter.
      goodbyes_at_once: so many of our goodbyes may be without an answer before the next connection is kept open instead.
      goodbye_refused_secs, goodbyes_refused: a reset so soon after a goodbye is taken for the answer to it; after so many of
        them, or of goodbyes without an answer, in a row, none is said to this receiver for a day.
    """

    block_bytes: int = 256 * 1024
    ack_poll_min_secs: float = 0.0001
    ack_poll_max_secs: float = 0.02
    settle_secs: float = 0.0003
    silence_secs: float = 30.0
    stall_secs: float = 10.0
    connecting: RetryPolicy = CONNECTING
    mend_secs: float = 5.0
    replay_unknown_bytes: int = 1024 * 1024
    replay_floor_bytes: int = 256 * 1024
    replay_cap_bytes: int = 64 * 1024 * 1024
    read_within_secs: float = 60.0
    goodbye_idle_secs: float = 10.0
    goodbye_age_secs: float = 60.0
    goodbye_bytes: int = 2 * 1024 * 1024
    goodbye_wait_secs: float = 1.0
    goodbye_watch_secs: float = 10.0
    goodbye_doubt_secs: float = 20.0
    goodbye_doubt_bytes: int = 64 * 1024
    goodbye_unanswered_secs: float = 3600.0
    goodbyes_at_once: int = 3
    goodbye_refused_secs: float = 2.0
    goodbyes_refused: int = 3
