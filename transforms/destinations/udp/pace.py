"""How fast datagrams are sent: slowly enough that a receiver at its defaults has room for each of them.

Place in the flow: all UDP senders of a destination share one ``Pace``, because the receiver has one buffer for them.

Why: nothing tells a UDP sender that the receiver's buffer is full; what comes then is dropped. Linux gives a socket 212,992
bytes unless it is asked for more, counts whole memory blocks against it (about 2,304 bytes for a short datagram from a network
card, 1,280 over loopback), and gives a quarter back late. So there is room for about 70 datagrams. They come in bursts of at
most 16; the rest is for the moments in which the receiver does not get to read, 50 ms of them at the default rate. At twice the
rate and burst rsyslog lost none on a busy machine, but syslog-ng did, and so did an OpenTelemetry Collector, which reads with
the one thread that also parses.

Contract: a token bucket, thread-safe. A datagram takes one token for each packet that the network makes of it (1,480 bytes); a
larger one than the bucket takes what there is and leaves a debt.
"""

from __future__ import annotations

import threading

from transforms.destinations.udp.settings import UdpSettings
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.lifetime import OnePerKey, per_process
from transforms.settings import Destination

_PACKET_BYTES = 1480
_BURST_PACKETS = 16
_REFILL_PACKETS = 4  # a pause is long enough for so many: one pause per datagram would cost more than sending it


class Pace:
    """The bucket of one destination in this process."""

    def __init__(self, packets_per_sec: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._packets_per_sec = packets_per_sec
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(_BURST_PACKETS)
        self._at_secs = clock.monotonic_secs()
        self._open_at_secs = self._at_secs

    def take(self, size_bytes: int) -> float:
        """Takes a datagram's tokens; the seconds to wait before it is sent."""
        with self._lock:
            now = self._clock.monotonic_secs()
            gained = (now - self._at_secs) * self._packets_per_sec
            self._tokens = min(float(_BURST_PACKETS), self._tokens + gained) - (1 + size_bytes // _PACKET_BYTES)
            self._at_secs = now
            if self._tokens < 0:
                # All who come before then wait until the same moment: what has gathered by it is sent in one go.
                self._open_at_secs = max(self._open_at_secs, now + (_REFILL_PACKETS - self._tokens) / self._packets_per_sec)
            return max(0.0, self._open_at_secs - now)


_PACES: OnePerKey[Destination[UdpSettings], Pace] = per_process("paces of UDP destinations", OnePerKey)


def pace_of(destination: Destination[UdpSettings]) -> Pace:
    """The one Pace of a destination."""
    return _PACES.of(destination, lambda: Pace(destination.settings.max_events_per_sec))
