"""Looks at certificate and key files before a connection does, and says in plain words what is wrong with them.

Place in the flow: ``files`` calls it for each TLS destination and each account with a CA file of its own.

Contract: each function gives (what, fix), or None where all is well. ``ssl`` has the last word on whether a file can be used;
``cryptography`` says why not, and looks at dates and whether a key belongs to a certificate.
"""

from __future__ import annotations

import datetime as dt
import ssl
import warnings
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from transforms.process import strict_x509

Words = tuple[str, str]
_E = TypeVar("_E", bound=x509.ExtensionType)
_OF_ONE_SITE = 10
_MAX_BYTES = 4 * 1024 * 1024  # the system's bundle of all CAs is a quarter of a MiB
_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"


def wrong_with_ca(path: str) -> Words | None:
    """What is wrong with a file of CA certificates."""
    data = _content(path)
    if isinstance(data, tuple):
        return data
    wrong = _not_certificates(data)
    if wrong:
        return wrong
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError, ValueError):
        return f"{path} holds a certificate that cannot be read", "Copy the certificate again."
    return _wrong_dates(path, _certificates(data))


def lacking_in_ca(path: str) -> Words | None:
    """What Python 3.13 and later miss in a file of CA certificates, so that they trust nothing that such a CA has signed."""
    data = _content(path)
    certificates = [] if isinstance(data, tuple) else _certificates(data)
    if len(certificates) > _OF_ONE_SITE:
        return None  # a bundle of the public ones, a few of which are always old
    for certificate in certificates:
        missing = _missing(certificate)
        if missing:
            whose = certificate.subject.rfc4514_string()
            lacks = " and ".join(missing)
            what = f"the certificate of {whose} in {path} lacks {lacks}: Python 3.13 and later refuse what it signed"
            return what, f"{strict_x509.CURE}."
    return None


def wrong_with_client_cert(path: str) -> Words | None:
    """What is wrong with the file of our own certificate."""
    data = _content(path)
    if isinstance(data, tuple):
        return data
    wrong = _not_certificates(data)
    if wrong:
        return wrong
    certificates = _certificates(data)
    if not certificates:
        return f"{path} holds a certificate that cannot be read", "Copy the certificate again."
    return _wrong_dates(path, certificates[:1])


def wrong_with_client_key(path: str, cert_path: str, password: str | None) -> Words | None:
    """What is wrong with the file of our own key. The certificate's file itself is looked at elsewhere."""
    data = _content(path)
    if isinstance(data, tuple):
        return data
    if b"PRIVATE KEY-----" not in data:
        return f"{path} holds no PEM private key", "Name the key's file in client_key_file."
    key = _key(path, data, password)
    if isinstance(key, tuple):
        return key
    cert_data = _content(cert_path)
    certificates = [] if isinstance(cert_data, tuple) else _certificates(cert_data)
    if certificates and _public(key) != _public(certificates[0]):
        return (
            f"the key in {path} does not belong to the certificate in {cert_path}",
            "Name the key that the certificate was made for.",
        )
    return None


def _content(path: str) -> bytes | Words:
    file = Path(path)
    try:
        if file.is_dir():
            return f"{path} is a directory", "Name a PEM file."
        if not file.exists():
            return f"{path} does not exist", "Check the path."
        if not file.is_file():
            return f"{path} is not a regular file", "Name a PEM file."
        if file.stat().st_size > _MAX_BYTES:
            return f"{path} is too large for a PEM file", "Name a PEM file."
        return file.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no path"
        return f"{path} cannot be read: {reason}", "Let the user that runs duologsync read it."


def _not_certificates(data: bytes) -> Words | None:
    if _BEGIN in data:
        return None
    if data[:1] == b"\x30":
        return "the certificate is in binary form (DER)", "Convert it: openssl x509 -inform der -in FILE -out FILE.pem."
    if b"PRIVATE KEY-----" in data:
        return "the file holds a key and no certificate", "Name the certificate's file."
    return "the file holds no PEM certificate", "Name a file with a line -----BEGIN CERTIFICATE-----."


def _certificates(data: bytes) -> list[x509.Certificate]:
    """The certificates that can be read; one by one, because one odd CA in a bundle must not hide the others."""
    found = []
    for block in data.split(_BEGIN)[1:]:
        pem = _BEGIN + block.partition(_END)[0] + _END + b"\n"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old CAs have odd serial numbers; that is not the user's business
            try:
                found.append(x509.load_pem_x509_certificate(pem))
            except ValueError:
                continue
    return found


def _wrong_dates(path: str, certificates: list[x509.Certificate]) -> Words | None:
    """Says that a file is out of date where all of its certificates are: in a bundle, some always are."""
    now = dt.datetime.now(dt.timezone.utc)
    if not certificates:
        return None
    if all(c.not_valid_after_utc < now for c in certificates):
        last = max(c.not_valid_after_utc for c in certificates)
        return f"the certificate in {path} has expired on {last:%Y-%m-%d}", "Get a new one."
    if all(c.not_valid_before_utc > now for c in certificates):
        first = min(c.not_valid_before_utc for c in certificates)
        return f"the certificate in {path} is not valid before {first:%Y-%m-%d}", "Check this machine's clock, or wait."
    return None


def _missing(certificate: x509.Certificate) -> list[str]:
    """What RFC 5280 demands of a CA's certificate and is not there; nothing for one that is no CA's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as where they are read
        try:
            extensions = certificate.extensions
        except ValueError:
            return []  # OpenSSL has taken it
    authority = _extension(extensions, x509.BasicConstraints)
    if authority is None:
        signs_as_before = certificate.version == x509.Version.v1 or _extension(extensions, x509.KeyUsage) is not None
        return ["basicConstraints=critical,CA:TRUE"] if signs_as_before else []
    if not authority.value.ca:
        return []
    is_root = certificate.issuer == certificate.subject
    there = {
        "the word critical before basicConstraints": authority.critical,
        "keyUsage=critical,keyCertSign": _extension(extensions, x509.KeyUsage) is not None,
        "subjectKeyIdentifier": _extension(extensions, x509.SubjectKeyIdentifier) is not None,
        "authorityKeyIdentifier": is_root or _extension(extensions, x509.AuthorityKeyIdentifier) is not None,
    }
    return [name for name, is_there in there.items() if not is_there]


def _extension(extensions: x509.Extensions, kind: type[_E]) -> x509.Extension[_E] | None:
    try:
        return extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _key(path: str, data: bytes, password: str | None) -> PrivateKeyTypes | Words:
    begin = data.find(b"-----BEGIN", max(0, data.find(b"PRIVATE KEY-----") - 32))
    try:
        return load_pem_private_key(data[begin:], password.encode() if password else None)
    except TypeError:
        if password:
            return f"a password is given, and the key in {path} has none", "Remove client_key_password."
        return f"the key in {path} is protected by a password", "Give client_key_password, such as env:NAME."
    except (ValueError, UnsupportedAlgorithm):
        if password:
            return f"the key in {path} cannot be read with this password", "Check client_key_password."
        return f"the key in {path} cannot be read", "Copy the key again."


def _public(owner: PrivateKeyTypes | x509.Certificate) -> bytes:
    return owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
