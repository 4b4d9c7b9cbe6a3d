"""TLS 1.2 and 1.3 over TCP. Chain and name are always verified; there is no switch.

Place in the flow: one of the kinds; delivery is in ``delivery``, the meaning of failures in ``tls_causes``.

Contract: secrets (a key's password) are resolved when a connection is made and kept nowhere. Failures that only a person can
mend raise ``BadDestination``; the delivery decides whether the program stops for it (only before anything was ever delivered).

With TLS 1.3 a server refuses a client certificate only after the client thinks the handshake is over, and first writes seem to
succeed. So a fresh connection is trusted only after the server said something that was no alert, which is a session ticket that
it sends when it is content, or after a short wait without an alert.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Iterator

from transforms.destinations import certificates
from transforms.destinations.stream import socket_probe, tls_causes
from transforms.destinations.stream.connection import (
    Connection,
    ConnectionLost,
    PlainConnection,
    Watch,
    open_socket,
    poll,
    wait_ready,
)
from transforms.destinations.stream.delivery import StreamSender
from transforms.destinations.stream.settings import TlsSettings
from transforms.destinations.stream.socket_probe import Peer
from transforms.destinations.stream.tuning import Tuning
from transforms.errors import BadDestination, RetryLater
from transforms.process import descriptors
from transforms.settings import Destination, Tls

_TRUST_SECS = 0.1  # at least so long an alert may take to come after the handshake, and twice the way there and back
_TRUST_AT_MOST_SECS = 1.0
_READ_BYTES = 16 * 1024
_READS_AT_MOST = 64


def make(destination: Destination[TlsSettings], tuning: Tuning | None = None) -> StreamSender:
    """A sender that connects when the first block is written."""

    def connect(deadline: float, watch: Watch) -> Connection:
        return _connect(destination, deadline, watch)

    return StreamSender(destination, connect, tuning)


def context_for(tls: Tls, name: str) -> ssl.SSLContext:
    """The TLS context of a destination. Raises BadDestination or SecretUnavailable where its files cannot be used, and
    RetryLater where there is no descriptor to read them with.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except (OSError, ssl.SSLError) as error:
        if descriptors.ran_out(error):
            raise descriptors.shortage(f"the CA file of {name}") from error
        raise tls_causes.unusable_ca_file(name, tls, error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.client_cert_file is not None:
        _load_client_certificate(context, tls, name)
    return context


def _load_client_certificate(context: ssl.SSLContext, tls: Tls, name: str) -> None:
    asked = False

    def password() -> str:
        # Without a callback OpenSSL would ask at the terminal and wait there for ever.
        nonlocal asked
        asked = True
        return tls.client_key_password.resolve() if tls.client_key_password is not None else ""

    try:
        context.load_cert_chain(tls.client_cert_file or "", tls.client_key_file, password)
    except (OSError, ssl.SSLError) as error:
        if descriptors.ran_out(error):
            raise descriptors.shortage(f"the client certificate of {name}") from error
        raise tls_causes.unusable_client_certificate(name, tls, error, password_used=asked) from error


def _connect(destination: Destination[TlsSettings], deadline: float, watch: Watch) -> Connection:
    context = context_for(destination.settings.tls, destination.name)
    began = time.monotonic()
    sock = open_socket(destination.settings.host, destination.settings.port, deadline, watch)
    way_secs = time.monotonic() - began
    wrapped = _wrapped(sock, destination, context)
    with _explained(wrapped, destination, deadline, watch):
        _shake_hands(wrapped, deadline, watch)
        certificates.note(destination.name, destination.settings.tls, destination.place, wrapped)
        connection = TlsConnection(wrapped, destination)
        _wait_for_trust(connection, wrapped, min(_TRUST_SECS + 2 * way_secs, _TRUST_AT_MOST_SECS), watch)
    return connection


def secured(
    sock: socket.socket, destination: Destination[TlsSettings], context: ssl.SSLContext, deadline: float, watch: Watch
) -> ssl.SSLSocket:
    """TLS over a connected non-blocking socket, which is closed where that fails. Raises BadDestination and RetryLater.

    For protocols whose receiver answers: a refusal that comes behind the handshake shows in place of the answer.
    """
    wrapped = _wrapped(sock, destination, context)
    with _explained(wrapped, destination, deadline, watch):
        _shake_hands(wrapped, deadline, watch)
        certificates.note(destination.name, destination.settings.tls, destination.place, wrapped)
    return wrapped


def _wrapped(sock: socket.socket, destination: Destination[TlsSettings], context: ssl.SSLContext) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(
            sock,
            server_hostname=destination.settings.tls.server_name or destination.settings.host,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=True,
        )
    except BaseException:
        sock.close()
        raise


@contextlib.contextmanager
def _explained(wrapped: ssl.SSLSocket, destination: Destination[TlsSettings], deadline: float, watch: Watch) -> Iterator[None]:
    """Closes the socket where the handshake fails, and says why it did."""
    try:
        yield
    except ssl.SSLError as error:
        wrapped.close()
        raise tls_causes.explain(destination, error, deadline, watch) from error
    except TimeoutError as error:
        wrapped.close()
        raise RetryLater(
            "the TLS handshake was not answered in time; if that stays so, the port may expect plain text", kind="network"
        ) from error
    except ConnectionLost as error:
        wrapped.close()
        raise RetryLater(
            f"{error} right after the TLS handshake; if that stays so, it may refuse the client certificate, or want one",
            kind="network",
        ) from error
    except BaseException:
        wrapped.close()
        raise


def _shake_hands(wrapped: ssl.SSLSocket, deadline: float, watch: Watch) -> None:
    while True:
        try:
            wrapped.do_handshake()
        except ssl.SSLWantReadError:
            wait_ready(wrapped, select.POLLIN, deadline, watch)
        except ssl.SSLWantWriteError:
            wait_ready(wrapped, select.POLLOUT, deadline, watch)
        else:
            return


def _wait_for_trust(connection: TlsConnection, wrapped: ssl.SSLSocket, secs: float, watch: Watch) -> None:
    if wrapped.version() != "TLSv1.3":
        return  # before 1.3 a server judges the client certificate within the handshake
    end = time.monotonic() + secs
    while True:
        # What a server says first after the handshake is a ticket or an alert, and ``look`` raises where it was an alert. To
        # look for a ticket in the session would be plainer, but each look at a session leaks one in Python's ssl module.
        answered = socket_probe.holds_bytes(wrapped)
        connection.look()
        left = end - time.monotonic()
        if answered or left <= 0:
            return
        watch()
        poll(wrapped, select.POLLIN, min(left, 0.2))


class TlsConnection(PlainConnection):
    """A connection over a TLS socket. What the kernel says about acknowledgement is as true of encrypted bytes."""

    tells_unread = False  # a TLS library that ends its side may read what is left, and nobody gets it

    def __init__(self, sock: ssl.SSLSocket, destination: Destination[TlsSettings]) -> None:
        super().__init__(sock)
        self._tls = sock
        self._destination = destination

    def write(self, frames: memoryview) -> int:
        try:
            return self._tls.send(frames)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0
        except ssl.SSLError as error:
            raise self._over(error) from error
        except OSError as error:
            raise ConnectionLost(str(error.strerror or error)) from error

    def look(self) -> None:
        if socket_probe.peek_for_reset(self._tls):
            raise self._ended(Peer.RESET)
        # Reading through TLS, not beside it: session tickets must be taken in, and alerts understood.
        try:
            for _ in range(_READS_AT_MOST):
                if not self._tls.recv(_READ_BYTES):
                    raise self._ended(socket_probe.how_it_ended(self._tls))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except ssl.SSLError as error:
            raise self._over(error) from error
        except OSError as error:
            raise self._ended(Peer.RESET) from error

    def _over(self, error: ssl.SSLError) -> ConnectionLost | BadDestination:
        bad = tls_causes.alert(self._destination, error)
        return bad or ConnectionLost(f"TLS failed: {tls_causes.reason_of(error)}")

    def shut(self) -> bool:
        try:
            self._tls.unwrap()  # sends close_notify
        except ssl.SSLWantWriteError:
            return False
        except (OSError, ValueError):
            pass  # sent, and the answer is not there yet; or the connection is broken, which ``end`` says
        # From here on the socket is read beside TLS: only its end matters, and many servers answer a FIN but no close_notify.
        return super().shut()

    def end(self) -> Peer:
        if self._shut:
            return super().end()
        # The receiver has said close_notify, and TLS has nothing more to say; only below it a reset can still come.
        if socket_probe.peek_for_reset(self._tls):
            return Peer.RESET
        return socket_probe.how_it_ended(self._tls)
