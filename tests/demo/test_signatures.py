"""A request is served when it is signed as Duo's documentation says, and only then."""

import base64
import email.utils
import hashlib
import secrets
import time

import duo_client
import pytest

from pipelines.demo.simulator import signatures
from pipelines.demo.simulator.answers import DuoError
from pipelines.demo.simulator.signatures import Request

PATH = "/admin/v2/logs/authentication"
GOLDEN_QUERY = (
    "sort=ts%3Aasc&limit=1000&next_offset=1700000000123%2C5bea1c1e-612c-4f1d-b310-75fd31385b15"
    "&mintime=1700000000000&maxtime=1700003600000"
)
GOLDEN_DATE = "Tue, 21 Aug 2026 17:29:18 -0000"
GOLDEN = {
    "v5/sha512": "17a7e3a2131160c93a9d73a2b825f7bd372f85f836021505820289102ed729b9"
    "4aa8b4d8271cee7230b51fddbfd658fd3d14e3c322d22affe379868062ebf715",
    "v2/sha1": "86a268c82b2cb51c1bab0b430d01eeb40e5f71d9",
    "v2/sha512": "7f0d235cc89e83f3a11c38a9ca0465d11ccf4b43c5579892e2f82e8760320b4a"
    "e758c525ac776a2d1c58f902f9fda6dd534c065ce5075de9086254c99e79f76e",
}


def signed(ikey, signature, query="", date=None, **headers):
    credentials = base64.b64encode(f"{ikey}:{signature}".encode()).decode()
    lines = {"host": "API-abcdef12.duosecurity.com:8443", "authorization": f"Basic {credentials}"} | headers
    if date is not None:
        lines["date"] = date
    return Request("GET", PATH, query, lines)


@pytest.mark.parametrize("scheme", GOLDEN)
def test_the_golden_vector_of_every_scheme_is_accepted(scheme):
    request = signed("DIXXXXXXXXXXXXXXXXXX", GOLDEN[scheme], GOLDEN_QUERY, GOLDEN_DATE)
    at = email.utils.mktime_tz(email.utils.parsedate_tz(GOLDEN_DATE))
    assert signatures.verify(request, "DIXXXXXXXXXXXXXXXXXX", "a" * 40, now_secs=at) == scheme


def test_one_changed_parameter_breaks_the_golden_vector():
    request = signed("DIX", GOLDEN["v5/sha512"], GOLDEN_QUERY.replace("limit=1000", "limit=999"), GOLDEN_DATE)
    at = email.utils.mktime_tz(email.utils.parsedate_tz(GOLDEN_DATE))
    with pytest.raises(DuoError) as caught:
        signatures.verify(request, "DIX", "a" * 40, now_secs=at)
    assert caught.value.code == 40103


def test_a_space_is_signed_as_percent_20_however_it_was_sent():
    assert signatures.canonical_params(signatures.parse_query("b=x+y&a=x%20y&b=%7E%2C")) == "a=x%20y&b=x%20y&b=~%2C"


def test_repeated_parameters_are_sorted_by_value():
    assert signatures.canonical_params([("n", "5b"), ("n", "17")]) == "n=17&n=5b"


def test_the_date_may_be_in_x_duo_date_and_is_then_signed_as_a_header_too():
    date = email.utils.formatdate()
    unsigned = signed("DIX", "?", **{"x-duo-date": date})
    right = signatures.signatures("k", unsigned, date)["v5/sha512"]
    assert signatures.verify(signed("DIX", right, **{"x-duo-date": date}), "DIX", "k", now_secs=time.time()) == "v5/sha512"


def dated(secs_ago: int = 0) -> str:
    """Now or a while ago, as HTTP has it. Asked by the test, because tests that are collected now may run in half an hour."""
    return email.utils.formatdate(time.time() - secs_ago)


@pytest.mark.parametrize(
    ("make_request", "code"),
    [
        (lambda: Request("GET", PATH, "", {"host": "h", "date": dated()}), 40101),
        (lambda: Request("GET", PATH, "", {"host": "h", "date": dated(), "authorization": "Basic ???"}), 40101),
        (lambda: Request("GET", PATH, "", {"host": "h", "date": dated(), "authorization": "Bearer YTpi"}), 40101),
        (lambda: signed("DIX", "00", date=None), 40104),
        (lambda: signed("DIX", "00", date="yesterday"), 40105),
        (lambda: signed("DIX", "00", date=dated(secs_ago=301)), 40105),
        (lambda: signed("DIOTHER", "00", date=dated()), 40102),
        (lambda: signed("DIX", "00", date=dated()), 40103),
    ],
    ids=["unsigned", "not base64", "no basic", "no date", "no such date", "old", "another key", "wrongly signed"],
)
def test_each_mistake_has_duos_code(make_request, code):
    with pytest.raises(DuoError) as caught:
        signatures.verify(make_request(), "DIX", "k", now_secs=time.time())
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("options", "scheme"),
    [
        ({}, "v5/sha512"),
        ({"sig_version": 4}, "v4/sha512"),
        ({"sig_version": 2, "digestmod": hashlib.sha512}, "v2/sha512"),
        ({"sig_version": 2, "digestmod": hashlib.sha1}, "v2/sha1"),
    ],
)
def test_the_real_client_is_understood_in_every_scheme(duo, skey, asker_for, options, scheme):
    duo.add("auth", 3)
    assert len(asker_for(duo, skey, **options).page(users="a b,c~d/ü")["authlogs"]) == 3
    assert duo.calls[-1].scheme == scheme


def test_a_request_without_parameters_ends_in_a_question_mark_and_is_signed_rightly(duo, ask):
    with pytest.raises(RuntimeError) as caught:
        ask.client.json_api_call("GET", PATH, {})
    assert caught.value.data["code"] == 40001  # past the signature


def test_wrong_keys_are_refused_over_the_wire_in_duos_json(duo, skey, asker_for):
    status, body = asker_for(duo, secrets.token_hex(20)).error()
    assert (status, body) == (401, {"code": 40103, "message": "Invalid signature in request credentials", "stat": "FAIL"})


def test_the_real_client_reads_over_tls_and_checks_the_certificate(simulator, skey, asker_for, authority, now_ms):
    ids = simulator.add("activity", 5)
    asker = asker_for(simulator, skey, "localhost", ca_certs=authority.ca_file)
    read = asker.client.get_activity_logs(sort="ts:asc", mintime=now_ms - 60_000)
    assert [row["activity_id"] for row in read["items"]] == ids
    unknown_ca = asker_for(simulator, skey, "localhost", ca_certs=duo_client.client.DEFAULT_CA_CERTS)
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        unknown_ca.page()
    assert len(asker.page("activity")["items"]) == 5  # the failed handshake has hurt nobody else
