"""Log type and event id are read from every form that the product writes."""

import hashlib
from pathlib import Path

import pytest

from pipelines.demo.receiver import payload, recognise
from tests.formats import golden

ADMIN = b'{"timestamp":1,"username":"API","action":"user_update","description":"{\\"txid\\":\\"x\\"}"}'
OFFLINE = b'{"timestamp": 1,"username":"jdoe","action":"o2fa_user_provisioned"}'


def digest(row):
    return hashlib.sha256(row).hexdigest()[:40].encode()


HEADERS = [
    b"",
    b"<134>1 2023-11-14T22:13:20.123Z host.example.com duologsync - auth - ",
    b'<134>1 2023-11-14T22:13:20.123Z host duologsync - auth [x@1 a="b\\]"] ',
    b"<134>Nov 14 22:13:20 host duologsync: ",
    b"<134>Nov  4 22:13:20 host ",
    b"Nov 04 22:13:20 host ",
]
AUTH = b'{"alias":"{","txid":"T-1","user":{"name":"a \\"sekey\\":\\"S-9\\""}}'
CEF = (
    b"CEF:0|Cisco|Duo|2|auth.authentication.denied|Login {denied}|7|cnt=1 rt=1 cat=%b reason=x cat\\=y externalId=T-1 "
    b'suser={"txid"}'
)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (AUTH, ("auth", b"T-1")),
        (b'{"telephony_id":"P-1","txid":"T-1"}', ("telephony", b"P-1")),
        (b'{"txid":"T-1","telephony_id":"P-1"}', ("telephony", b"P-1")),
        (b'{"activity_id":"A-1","target":{"details":"{\\"txid\\":\\"x\\"}"}}', ("activity", b"A-1")),
        (b'{"surfaced_auth":{"txid":"T-1"},"sekey":"S-1"}', ("trustmonitor", b"S-1")),
        (b'{"log_type":"auth","account":"main","event":%b}' % AUTH, ("auth", b"T-1")),
        (ADMIN, ("admin", digest(ADMIN))),
        (OFFLINE, ("offline_enrollment", digest(OFFLINE))),
        (b'{"log_type":"admin","account":"main","event":%b}' % ADMIN, ("admin", digest(ADMIN))),
        (b'{"log_type":"new","account":"main","event":{"action":"x"}}', ("new", digest(b'{"action":"x"}'))),
        (b"CEF:0|Cisco|Duo|2|offline.x|b|3|cat=offline_enrollment externalId=ab12", ("offline_enrollment", b"ab12")),
        (CEF % b"authentication", ("auth", b"T-1")),
        (CEF % b"telephony", ("telephony", b"T-1")),
        (b"CEF:0|Cisco|Duo|2|a|b|3|cat=trustmonitor externalId=S-1", ("trustmonitor", b"S-1")),
        (b"CEF:0|Duo Security|DuoLogSync|2|authentication|authentication|3|cs1=x externalId=T-1", ("auth", b"T-1")),
        (b"CEF:0|Duo Security|DuoLog\\|Sync|2|telephony|x|3|externalId=P-1", ("telephony", b"P-1")),
        (b"CEF:0|Duo Security|DuoLogSync|2|user_update|admin|3|externalId=A-1", ("activity", b"A-1")),
        (b"LEEF:2.0|Cisco|Duo|2|auth_authentication|x09|cat=denied\tlog=authentication\teventId=T-1", ("auth", b"T-1")),
        (b'{"nothing":"known"}', ("other", None)),
        (b"hello CEF world", ("other", None)),
    ],
)
def test_forms_are_recognised_with_and_without_a_header(header, body, expected):
    assert recognise(header + body) == expected
    assert payload(header + body) == body


@pytest.mark.parametrize("variant", [name for name in golden.FORMATS if name.split(".")[0] not in {"child", "rfc3164"}])
@pytest.mark.parametrize("row", golden.rows(), ids=lambda row: f"{row.parent.name}-{row.stem}")
def test_what_any_format_makes_of_a_row_is_recognised_as_the_row_itself(row, variant):
    log_type, event_id = recognise(Path(f"{row.with_suffix('')}.{variant}").read_bytes().rstrip(b"\n"))
    if row.stem not in {"empty", "unexpected_types"}:
        assert log_type == row.parent.name
    if row.parent.name in {"auth", "activity", "telephony", "trustmonitor"} and row.stem not in {"empty", "unexpected_types"}:
        assert event_id == recognise(row.read_bytes())[1]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b'{"txid":"',
        b"CEF:0|",
        b"LEEF:2.0|",
        b'{"@timestamp":',
        b'{"class_uid":1',
        b"<1",
        b"\xff{\xff",
        b'{"log_type":"',
    ],
)
def test_broken_messages_do_not_raise(message):
    assert isinstance(recognise(message)[0], str)
