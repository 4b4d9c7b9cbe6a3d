"""The demo's certificates are good for every Python."""

import ssl

from pipelines.demo.certificates import make_certificates
from transforms.process import strict_x509


def test_they_are_as_rfc_5280_demands(tmp_path):
    files = make_certificates(tmp_path)
    context = ssl.create_default_context(cafile=files.ca_file)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(files.cert_file, files.key_file)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(back, there, server_hostname="localhost")
    theirs = server.wrap_bio(there, back, server_side=True)
    for side in (ours, theirs, ours):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert ours.getpeercert()["subject"] == ((("commonName", "localhost"),),)
    assert not strict_x509.refused_later(ours)
