"""What the kernel knows about a TCP connection: the facts that "delivered" is decided from.

Place in the flow: below ``delivery``; asked once per written block and while waiting, never per message.

Contract: nothing here blocks, raises for a missing feature or changes the connection, except that ``look_at_peer`` throws
away bytes that the peer sent (a log receiver has nothing to say, and unread bytes would hide its FIN and turn our close into a
reset).

Measured on Linux 6.18: ``tcpi_unacked`` is 0 while megabytes wait behind a closed window, SIOCOUTQ is not; ``SO_ERROR`` does
not show a FIN, a read does; after a FIN a read goes on saying "end of file" even when a reset follows, only ``SO_ERROR`` tells.
"""

from __future__ import annotations

import enum
import fcntl
import socket
import struct
import sys
from typing import NamedTuple

_SIOCOUTQ = 0x5411  # Linux: bytes not acknowledged yet, those not sent yet included
_SO_NWRITE = 0x1024  # macOS: bytes in the send buffer; acknowledged bytes leave it
_INT = struct.Struct("i")
_ZERO = bytes(_INT.size)

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None) if sys.platform.startswith("linux") else None
_TCP_INFO_BYTES = 256
_STATE_CLOSE = 7  # tcpi_state, its first byte: the connection is over; after a mere FIN of the peer it is CLOSE_WAIT
_COUNTS = struct.Struct("=2x B B")  # struct tcp_info, linux/tcp.h: tcpi_retransmits, tcpi_probes
_U32 = struct.Struct("=I")
_LAST_ACK_RECV_AT = 56  # milliseconds
_SND_WND_AT = 228  # since Linux 5.4

_READ_BYTES = 16 * 1024
_READS_AT_MOST = 64  # a peer that talks without end must not keep us here


class Peer(enum.Enum):
    """What a look at the connection shows."""

    ALIVE = "alive, as far as known"
    CLOSED = "closed in good order"
    RESET = "reset"


class TcpFacts(NamedTuple):
    """A part of TCP_INFO.

    Attributes:
      unanswered: retransmissions or window probes since the peer last acknowledged anything.
      last_ack_ms: how long ago the peer last acknowledged anything.
      window_bytes: how much more the peer's kernel would take; None where the kernel does not say.
    """

    unanswered: int
    last_ack_ms: int
    window_bytes: int | None

    def silent_for(self, secs: float) -> bool:
        """The peer was asked, and acknowledged nothing for so long."""
        return self.unanswered >= 2 and self.last_ack_ms >= secs * 1000


def unacknowledged_bytes(sock: socket.socket) -> int | None:
    """Bytes that were written and not yet acknowledged by the peer's kernel; None where this system cannot say."""
    try:
        if sys.platform == "darwin":
            return sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
        answer: bytes = fcntl.ioctl(sock.fileno(), _SIOCOUTQ, _ZERO)
        return int(_INT.unpack(answer)[0])
    except OSError:
        return None


def look_at_peer(sock: socket.socket, *, shut: bool = False) -> Peer:
    """Whether a FIN or a reset has arrived on a non-blocking plain socket; ``shut`` when our side has ended already."""
    try:
        for _ in range(_READS_AT_MOST):
            if not sock.recv(_READ_BYTES):
                return how_it_ended(sock, shut=shut)
    except BlockingIOError:
        return Peer.ALIVE
    except OSError:
        return Peer.RESET
    return Peer.ALIVE


def how_it_ended(sock: socket.socket, *, shut: bool = False) -> Peer:
    """CLOSED or RESET, for a socket whose reading has come to its end.

    The error of a reset may have been taken off the socket by an earlier call, and Python's TLS reads hide it behind an end of
    file; the state of the connection still tells, as long as our own side has not ended.
    """
    if pending_error(sock):
        return Peer.RESET
    info = None if shut else _tcp_info(sock)
    return Peer.RESET if info is not None and info[0] == _STATE_CLOSE else Peer.CLOSED


def peek_for_reset(sock: socket.socket) -> bool:
    """Whether a reset is the next thing to be read. Works beside TLS, because it takes nothing away."""
    try:
        socket.socket.recv(sock, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def holds_bytes(sock: socket.socket) -> bool:
    """Whether something that the peer sent waits to be read. Works beside TLS, because it takes nothing away."""
    try:
        return bool(socket.socket.recv(sock, 1, socket.MSG_PEEK))
    except OSError:
        return False


def pending_error(sock: socket.socket) -> int:
    """The errno of an error that waits on the socket, which is thereby taken off it; 0 for none."""
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except OSError as error:
        return error.errno or -1


def tcp_facts(sock: socket.socket) -> TcpFacts | None:
    """What TCP_INFO says; None where this system has none."""
    info = _tcp_info(sock)
    if info is None:
        return None
    retransmits, probes = _COUNTS.unpack_from(info)
    (last_ack_ms,) = _U32.unpack_from(info, _LAST_ACK_RECV_AT)
    window = _U32.unpack_from(info, _SND_WND_AT)[0] if len(info) >= _SND_WND_AT + _U32.size else None
    return TcpFacts(max(retransmits, probes), last_ack_ms, window)


def _tcp_info(sock: socket.socket) -> bytes | None:
    if _TCP_INFO is None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None
    return info if len(info) >= _LAST_ACK_RECV_AT + _U32.size else None
