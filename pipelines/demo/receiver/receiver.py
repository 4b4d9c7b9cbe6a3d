"""A SIEM's receiver that counts instead of indexing, and that fails in all the ways in which real ones do when it is told to.

Place in the flow: it stands where the SIEM stands, in the demo, the tests and the benchmark.
Contract: listens on loopback unless told otherwise; takes what a syslog receiver takes (lines or counted octets, told apart
per frame); never answers a byte.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from pipelines.demo.receiver.ends import DatagramEnd, Happenings, StreamEnd
from pipelines.demo.receiver.tally import IdKeeping, LogCounts, Tally

if TYPE_CHECKING:
    from typing_extensions import Self


class SiemReceiver:
    """One listening end.

    Args:
      transport: ``tcp``, ``tls`` (the same as ``tcp`` with ``tls`` given) or ``udp``.
      tls: ``(certificate file, key file)``, or a ready server context, for one that asks for client certificates.
      keep_messages, ids, on_messages: see ``Tally``.
    """

    def __init__(
        self,
        transport: str = "tcp",
        *,
        tls: tuple[str, str] | ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_messages: bool = False,
        ids: IdKeeping = "full",
        on_messages: Callable[[list[bytes]], None] | None = None,
    ) -> None:
        if transport not in {"tcp", "tls", "udp"}:
            raise ValueError(f"Unknown transport {transport!r}; there are tcp, tls, udp.")
        if (transport == "tls" and tls is None) or (transport == "udp" and tls is not None):
            raise ValueError(f"Transport {transport} and tls={tls!r} do not go together.")
        self._tally = Tally(keep_messages=keep_messages, ids=ids, on_messages=on_messages)
        self.happenings = Happenings()
        self._reading = threading.Event()
        self._reading.set()
        self._end: StreamEnd | DatagramEnd
        if transport == "udp":
            self._end = DatagramEnd(host, port, self._reading, self._tally)
        else:
            self._end = StreamEnd(host, port, _context(tls), self._reading, self._tally, self.happenings)
        self.host = host

    # Life

    @property
    def port(self) -> int:
        """The port that it listens on; known once it has started."""
        return self._end.port

    def start(self) -> Self:
        """Begins to listen."""
        self._end.open()
        return self

    def stop(self) -> None:
        """Stops listening, reads what has come by then, and closes all connections. May be called twice.

        What a sender's kernel holds as acknowledged is so in the final counts; while it is stalled, nothing more is read.
        """
        self._end.refuse()
        self._end.end_connections("drain")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # What arrived

    @property
    def messages(self) -> list[bytes]:
        """Every message so far; only with ``keep_messages``."""
        return self._tally.messages()

    def counts(self) -> dict[str, LogCounts]:
        """What arrived so far, per log type."""
        return self._tally.counts()

    def total(self) -> int:
        """Messages so far, of all log types."""
        return self._tally.total()

    def unique_ids(self, log_type: str) -> set[str]:
        """The different event ids of a log type."""
        return self._tally.unique_ids(log_type)

    def wait_for(self, count: int, timeout_secs: float = 10.0, *, log_type: str | None = None, unique: bool = False) -> bool:
        """Waits until so many messages (or different events) have arrived; whether they have."""
        return self._tally.wait_for(count, timeout_secs, log_type=log_type, unique=unique)

    def forget(self) -> None:
        """Begins to count anew."""
        self._tally.forget()

    def connected(self) -> int:
        """Connections that are open."""
        return self._end.connected()

    # How it misbehaves

    def stall(self) -> None:
        """Stops reading, also from connections that are yet to come; they are taken, and their buffers fill."""
        self._reading.clear()

    def resume(self) -> None:
        """Reads again."""
        self._reading.set()

    def close_connections(self) -> None:
        """Closes every connection with a FIN. What was not read of it by then makes the kernel send a RST behind it."""
        self._end.end_connections("close")

    def reset_connections(self) -> None:
        """Closes every connection with a RST."""
        self._end.end_connections("reset")

    def refuse(self) -> None:
        """Closes the listening socket; open connections go on."""
        self._end.refuse()

    def reopen(self) -> None:
        """Listens again, on the same port."""
        self._end.open()


def _context(tls: tuple[str, str] | ssl.SSLContext | None) -> ssl.SSLContext | None:
    if tls is None or isinstance(tls, ssl.SSLContext):
        return tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*tls)
    return context
