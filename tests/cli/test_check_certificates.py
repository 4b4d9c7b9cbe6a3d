"""``check`` tells of a SIEM's certificate that a newer Python will refuse, while this one takes it."""

import sys

import pytest

from pipelines.checks.destinations import check_destination
from tests.destinations.peers import destination
from tests.destinations.test_tls import server
from tests.private_authority import make_chain
from transforms.settings import Tls


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="not on Python 3.13 and later: it refuses such a certificate")
@pytest.mark.parametrize(("lacking", "told"), [("authorityKeyIdentifier", True), ("", False)])
def test_a_certificate_that_python_3_13_refuses_is_told(lacking, told, tmp_path):
    chain = make_chain(tmp_path, lacking=lacking)
    siem = destination(server(chain).port, "tls", tls=Tls(ca_file=chain.ca_file))
    finding = check_destination(siem)
    assert finding.good
    assert ("Python 3.13 and later refuse it" in finding.text) == told
