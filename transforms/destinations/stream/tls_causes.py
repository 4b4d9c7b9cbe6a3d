"""Why TLS failed, in words that name the cause and the fix.

Place in the flow: ``tls`` asks it; the answers end up on the terminal or in the log.

Contract: ``BadDestination`` for what only a person can mend, ``RetryLater`` for the rest. Texts never hold a secret. OpenSSL's
reason codes are matched by name, because their numbers and wordings change between releases.
"""

from __future__ import annotations

import contextlib
import select
import ssl
import time

from transforms.destinations.stream.connection import Watch, open_socket, wait_ready
from transforms.destinations.stream.settings import TlsSettings
from transforms.errors import BadDestination, DuoLogSyncError, RetryLater
from transforms.process import strict_x509
from transforms.settings import Destination, Tls

# X509_V_ERR_* of OpenSSL.
_NOT_YET_VALID = 9
_EXPIRED = 10
# 7 is a signature that does not fit: a CA of the same name with another key, as after it was made anew.
_UNTRUSTED = {2, 7, 18, 19, 20, 21, 27}
_WRONG_NAME = {62, 63, 64}

_NOT_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"}
_TOO_OLD = {
    "UNSUPPORTED_PROTOCOL",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "NO_PROTOCOLS_AVAILABLE",
    "WRONG_SSL_VERSION",
    "VERSION_TOO_LOW",
}
_NO_COMMON_GROUND = {"SSLV3_ALERT_HANDSHAKE_FAILURE", "SSL/TLS_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_INSUFFICIENT_SECURITY"}
_WEAK = {"DH_KEY_TOO_SMALL", "EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "WRONG_SIGNATURE_TYPE"}
_CERTIFICATE_WANTED = {"TLSV13_ALERT_CERTIFICATE_REQUIRED"}
_CERTIFICATE_REFUSED = {
    "TLSV1_ALERT_UNKNOWN_CA": "the SIEM does not know the CA that signed it",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the SIEM finds it bad",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it was revoked",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the SIEM does not accept it",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "the SIEM does not support its kind",
    "TLSV1_ALERT_ACCESS_DENIED": "its name is not allowed to send",
    "TLSV1_ALERT_DECRYPT_ERROR": "its key does not fit it",
}


def reason_of(error: ssl.SSLError) -> str:
    """OpenSSL's own short word for it."""
    return error.reason or error.strerror or str(error)


def explain(destination: Destination[TlsSettings], error: ssl.SSLError, deadline: float, watch: Watch) -> DuoLogSyncError:
    """What to raise for a handshake that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _unverified(destination, error, deadline, watch)
    reason = _name(error)
    if reason in _NOT_TLS:
        return _bad(destination, "does not speak TLS on this port", "Use its TLS port, or kind tcp")
    if reason in _TOO_OLD:
        return _bad(destination, "offers no TLS 1.2 or newer", "Enable TLS 1.2 or 1.3 at the SIEM")
    if reason in _WEAK:
        return _bad(
            destination, f"has a key or signature too weak for this system ({reason})", "Give the SIEM a stronger certificate"
        )
    bad = alert(destination, error)
    return bad or RetryLater(
        f"the TLS handshake failed ({reason_of(error)}); if that stays so, it may refuse the client certificate, or want one",
        kind="network",
    )


def alert(destination: Destination[TlsSettings], error: ssl.SSLError) -> BadDestination | None:
    """What a SIEM's alert means, during the handshake or after it; None for what may pass."""
    reason = _name(error)
    own = destination.settings.tls.client_cert_file
    if reason in _CERTIFICATE_WANTED or (reason in _NO_COMMON_GROUND and own is None):
        return _bad(
            destination, "demands a client certificate (or shares no cipher with us)", "Set tls.client_cert_file and its key"
        )
    if reason in _NO_COMMON_GROUND:
        return _bad(
            destination,
            f"refused the handshake: it does not accept the client certificate {own}, or shares no cipher with us",
            "See the SIEM's log for which",
        )
    if reason in _CERTIFICATE_REFUSED:
        what = f"the client certificate {own}" if own else "the connection"
        return _bad(destination, f"refused {what}: {_CERTIFICATE_REFUSED[reason]}", "Use a certificate that the SIEM accepts")
    return None


def unusable_ca_file(name: str, tls: Tls, error: Exception) -> BadDestination:
    """The file of trusted CAs cannot be used."""
    why = (
        error.strerror
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError)
        else "it holds no PEM certificate"
    )
    return BadDestination(f"Destination {name}: the CA file {tls.ca_file} cannot be used: {why}. Correct tls.ca_file.")


def unusable_client_certificate(name: str, tls: Tls, error: Exception, *, password_used: bool) -> BadDestination:
    """The client certificate or its key cannot be used."""
    files = f"{tls.client_cert_file}" + (f" and {tls.client_key_file}" if tls.client_key_file else "")
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        why, fix = str(error.strerror), "Correct tls.client_cert_file and tls.client_key_file"
    elif isinstance(error, ssl.SSLError) and _name(error) in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}:
        why, fix = "the key is not this certificate's", "Correct tls.client_key_file"
    elif password_used and tls.client_key_password is None:
        why, fix = "the key has a password", "Set tls.client_key_password"
    elif password_used:
        why, fix = f"the password in {tls.client_key_password} does not open the key", "Correct it"
    else:
        why, fix = "not a certificate with its key in PEM", "Correct tls.client_cert_file and tls.client_key_file"
    return BadDestination(f"Destination {name}: the client certificate {files} cannot be used: {why}. {fix}.")


def _unverified(
    destination: Destination[TlsSettings], error: ssl.SSLCertVerificationError, deadline: float, watch: Watch
) -> BadDestination:
    tls = destination.settings.tls
    code = error.verify_code
    if code in _WRONG_NAME:
        wanted = tls.server_name or destination.settings.host
        names = _names_in_certificate(destination, deadline, watch)
        has = f"it is for {', '.join(names)}" if names else "it is for other names"
        return _bad(
            destination, f"has a certificate that is not for {wanted}: {has}", "Set tls.server_name to one of its names"
        )
    if code == _EXPIRED:
        return _bad(destination, "has a certificate that has expired (or a CA certificate above it)", "Renew it at the SIEM")
    if code == _NOT_YET_VALID:
        return _bad(destination, "has a certificate that is not valid yet", "Compare the clocks of both machines")
    if code in _UNTRUSTED:
        trusted = f"the CAs in {tls.ca_file}" if tls.ca_file else "the CAs that this system trusts"
        return _bad(
            destination, f"has a certificate that does not lead to {trusted}", "Set tls.ca_file to the CA that signed it"
        )
    strict = strict_x509.fault(error)
    if strict is not None:
        return _bad(destination, f"has a chain of certificates that {strict}", strict_x509.CURE)
    return _bad(destination, f"has a certificate that is not valid: {error.verify_message}", "Correct it at the SIEM")


def _names_in_certificate(destination: Destination[TlsSettings], deadline: float, watch: Watch) -> list[str]:
    """The names in the certificate of a server that was refused for its name. Nothing is ever sent over this connection.

    The chain is verified here as well: the names of a certificate that nobody vouches for would be no help.
    """
    tls = destination.settings.tls
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.check_hostname = False  # it was checked and refused; this looks at what it is instead, and closes
    with contextlib.suppress(OSError):
        sock = open_socket(destination.settings.host, destination.settings.port, min(deadline, time.monotonic() + 2), watch)
        with context.wrap_socket(
            sock, server_hostname=tls.server_name or destination.settings.host, do_handshake_on_connect=False
        ) as wrapped:
            while True:
                try:
                    wrapped.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    wait_ready(wrapped, select.POLLIN, min(deadline, time.monotonic() + 2), watch)
            found: object = (wrapped.getpeercert() or {}).get("subjectAltName", ())
            return [str(value) for _, value in found] if isinstance(found, tuple) else []
    return []


def _bad(destination: Destination[TlsSettings], cause: str, fix: str) -> BadDestination:
    return BadDestination(f"Destination {destination.name} ({destination.place}) {cause}. {fix}.")


def _name(error: ssl.SSLError) -> str:
    return (error.reason or "").upper().replace(" ", "_")
