"""What Python 3.13 and later demand of certificates, and older ones let pass, in words that name what is missing.

Place in the flow: asked by whoever explains a TLS handshake that failed, and by what looks at certificates before.

Contract: Python 3.13 verifies as RFC 5280 demands (OpenSSL's X509_STRICT); nothing here or elsewhere loosens that. OpenSSL
tells one fault at a time and not in whose certificate it is. Its numbers (x509_vfy.h) do not change.
"""

from __future__ import annotations

import ssl
import sys

HERE = sys.version_info >= (3, 13)
CURE = (
    "Issue it anew with what is missing (docs/install.md, 'Private authorities'), or run duologsync on Python 3.12 until then"
)
LATER = f"its certificate lacks authorityKeyIdentifier, and Python 3.13 and later refuse it. {CURE}."

_OF_AN_AUTHORITY = "in the certificate of an authority"
_MISSING = {
    79: f"basicConstraints=critical,CA:TRUE {_OF_AN_AUTHORITY}",
    85: "authorityKeyIdentifier in a certificate that an authority signed",
    86: f"subjectKeyIdentifier {_OF_AN_AUTHORITY}",
    89: f"the word critical before basicConstraints {_OF_AN_AUTHORITY}",
    92: f"keyUsage=critical,keyCertSign {_OF_AN_AUTHORITY}",
}
# Faults that no usual tool makes: OpenSSL's own words must do.
_ODD = {78, 80, 81, 82, 83, 84, 87, 88, 90, 91, 93, 94}

# authorityKeyIdentifier, as an object identifier is encoded in a certificate.
_AUTHORITY_KEY_ID = bytes.fromhex("0603551d23")


def fault(error: ssl.SSLCertVerificationError) -> str | None:
    """What a chain of certificates has that is refused by this strictness, as the end of a sentence; None for other causes."""
    missing = _MISSING.get(error.verify_code)
    if missing is not None:
        return f"lacks {missing}, which RFC 5280 demands, and Python since 3.13"
    if error.verify_code in _ODD:
        return f"is not as RFC 5280 demands, and Python since 3.13: {error.verify_message}"
    return None


def refused_later(sock: ssl.SSLSocket) -> bool:
    """Whether what a server has shown is good for this Python and will be refused by a newer one.

    What can be seen of it is the server's own certificate; ``fault`` tells of the others when they are refused.
    """
    if HERE:
        return False
    shown, names = sock.getpeercert(binary_form=True), sock.getpeercert()
    if not shown or not names or names.get("issuer") == names.get("subject"):
        return False
    return _AUTHORITY_KEY_ID not in shown
