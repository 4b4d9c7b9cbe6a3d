"""When certificates end, as it is seen at a connection."""

import datetime as dt

import pytest

from tests.destinations.peers import messages
from tests.destinations.test_tls import Authority, at, deliver, server
from transforms.destinations import certificates
from transforms.settings import Tls

END = dt.datetime(2030, 5, 6, 7, 8, 9, tzinfo=dt.timezone.utc)
END_MS = int(END.timestamp() * 1000)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def test_a_receivers_is_known_once_it_was_connected_to(authority):
    sender = at(server(authority.issue("127.0.0.1", not_after=END)), authority, name="siem")
    assert certificates.expires_ms("siem", "server") is None
    deliver(sender, messages(3))
    sender.close(2)
    assert certificates.expires_ms("siem", "server") == END_MS
    assert certificates.expires_ms("siem", "client") is None


def test_ours_is_known_too(authority):
    cert_file, key_file = authority.client_files()
    peer = server(authority.issue("127.0.0.1", not_after=END), clients=authority.ca)
    sender = at(peer, authority, name="siem", client_cert_file=cert_file, client_key_file=key_file)
    deliver(sender, messages(3))
    sender.close(2)
    ours_ms = certificates.expires_ms("siem", "client")
    assert ours_ms is not None
    assert ours_ms != END_MS


def test_of_several_places_of_one_destination_the_certificate_that_ends_first_counts(authority):
    for year in (2032, 2031, 2033):
        sender = at(server(authority.issue("127.0.0.1", not_after=END.replace(year=year))), authority, name="siem")
        deliver(sender, messages(1))
        sender.close(2)
    assert certificates.expires_ms("siem", "server") == int(END.replace(year=2031).timestamp() * 1000)


@pytest.mark.parametrize("content", [b"", b"no certificate", None])
def test_a_file_that_cannot_be_read_is_not_known_and_in_nobodys_way(tmp_path, content):
    path = tmp_path / "client.pem"
    if content is not None:
        path.write_bytes(content)
    certificates.note("siem", Tls(client_cert_file=str(path)), "siem.example.com:6514")
    assert certificates.expires_ms("siem", "client") is None
