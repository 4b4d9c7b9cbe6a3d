"""What is worth knowing of the certificates of destinations: when they end, and whether a newer Python will refuse them.

Place in the flow: noted whenever TLS is made over a connection; read by whoever shows how a destination is.

Contract: thread-safe, and never in the way of a delivery: a certificate that cannot be read is not known. Of a destination that
is made of several places, such as one with a server for its tokens, the certificate that ends first counts.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal

from transforms.process import strict_x509
from transforms.process.lifetime import per_process
from transforms.settings import Tls

Whose = Literal["server", "client"]

_ENDS_MS: dict[tuple[str, Whose, str], int] = per_process("certificates", dict)
_REFUSED_LATER: set[tuple[str, str]] = per_process("certificates that a newer Python refuses", set)


def note(name: str, tls: Tls, place: str, sock: ssl.SSLSocket | None = None) -> None:
    """A destination was connected to at a place.

    Args:
      sock: over which TLS was made; None where a library makes it, and the receiver's certificate is not seen.
    """
    theirs_ms = _end_of_shown_ms(sock) if sock is not None else None
    if theirs_ms is not None:
        _ENDS_MS[name, "server", place] = theirs_ms
    if sock is not None and strict_x509.refused_later(sock):
        _REFUSED_LATER.add((name, place))
    ours_ms = _end_of_file_ms(tls.client_cert_file) if tls.client_cert_file is not None else None
    if ours_ms is not None:
        _ENDS_MS[name, "client", place] = ours_ms


def expires_ms(name: str, whose: Whose) -> int | None:
    """When the certificate of a destination ends; None where none was seen."""
    found = [ends_ms for (of, which, _), ends_ms in list(_ENDS_MS.items()) if (of, which) == (name, whose)]
    return min(found, default=None)


def refused_later(name: str) -> bool:
    """Whether a receiver has shown a certificate that Python 3.13 and later refuse."""
    return any(of == name for of, _ in list(_REFUSED_LATER))


def _end_of_shown_ms(sock: ssl.SSLSocket) -> int | None:
    try:
        shown = sock.getpeercert() or {}
        return int(ssl.cert_time_to_seconds(str(shown.get("notAfter", ""))) * 1000)
    except ValueError:
        return None


def _end_of_file_ms(path: str) -> int | None:
    # Heavy, and only for who has a certificate.
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
        return int(certificate.not_valid_after_utc.timestamp() * 1000)
    except (OSError, ValueError):
        return None
