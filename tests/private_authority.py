"""A private authority and a server certificate of it, with or without what RFC 5280 demands."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# What a chain may lack, in the words of our messages.
LACKS = {
    "keyUsage": "keyUsage=critical,keyCertSign",
    "subjectKeyIdentifier": "subjectKeyIdentifier",
    "critical": "the word critical before basicConstraints",
    "authorityKeyIdentifier": "authorityKeyIdentifier",
    "basicConstraints": "basicConstraints=critical,CA:TRUE",
}
OF_THE_AUTHORITY = sorted(LACKS.keys() - {"authorityKeyIdentifier"})
_DAY = dt.timedelta(days=1)
_SIGNS_ONLY = x509.KeyUsage(False, False, False, False, False, True, True, False, False)


@dataclass(frozen=True)
class Chain:
    """The files of a server and of who trusts it."""

    ca_file: str
    cert_file: str
    key_file: str

    def configure_cert(self, context: ssl.SSLContext) -> None:
        """As ``trustme`` names it."""
        context.load_cert_chain(self.cert_file, self.key_file)


def make_chain(folder: Path, *, lacking: str = "") -> Chain:
    """A chain that is complete but for one of ``LACKS``; the server is localhost and 127.0.0.1."""
    assert lacking in {"", *LACKS}
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _builder("Example authority", "Example authority", ca_key)
    if lacking != "basicConstraints":
        authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=lacking != "critical")
    if lacking != "keyUsage":
        authority = authority.add_extension(_SIGNS_ONLY, critical=True)
    if lacking != "subjectKeyIdentifier":
        authority = authority.add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    server = _builder("localhost", "Example authority", key).add_extension(x509.SubjectAlternativeName(names), critical=False)
    if lacking != "authorityKeyIdentifier":
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        server = server.add_extension(signer, critical=False)
    chain = Chain(*(str(folder / name) for name in ("private-ca.pem", "private-server.pem", "private-server.key")))
    pem = serialization.Encoding.PEM
    Path(chain.ca_file).write_bytes(authority.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    Path(chain.cert_file).write_bytes(server.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    Path(chain.key_file).write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return chain


def verify_as_python_3_13_does(monkeypatch) -> None:
    """On an older Python too."""
    made = ssl.create_default_context

    def create(*args, **kwargs):
        context = made(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.timezone.utc)
    return x509.CertificateBuilder(
        _name(issuer), _name(subject), key.public_key(), x509.random_serial_number(), now - _DAY, now + _DAY
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
