"""Whatever a row holds, a receiver reads exactly it and nothing beside it, or it is rejected by itself."""

import base64
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.destinations.http.making import STREAM, http_destination
from transforms.destinations.http.bodies import as_json, moment
from transforms.destinations.http.dialect import Outgoing
from transforms.destinations.http.generic import GenericDialect
from transforms.destinations.http.hec import HecDialect
from transforms.destinations.http.presets import PRESETS
from transforms.errors import Undeliverable
from transforms.secrets import SecretRef

VERY_DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
WIDE = b'{"a":[' + b'{"[":"\\"["},' * 2000 + b"1]}"
DEEP = b'{"a":' * 1200 + b"1" + b"}" * 1200
HOSTILE = [
    b"",
    b"{}",
    b"{",
    b'{"a":1}{"event":"forged"}',
    b'"},{"event":"forged"',
    b'{"a":NaN}',
    b'{"a":"\\ud800"}',
    b'{"a":1,"a":2}',
    b"\xff\xfe",
    '{"a":"\u2028\u0085"}'.encode(),
    b'{"a":' + b"9" * 5000 + b"}",
    b'{"isotimestamp":"9999-99-99T99:99:99","timestamp":1e400}',
    b'{"isotimestamp":"0001-01-01T00:00:00+00:00","timestamp":-99999999999}',
    WIDE,
    DEEP,
    VERY_DEEP,
    b'{"a":"' + b"x" * 2_000_000 + b'"}',
]
TOKEN = SecretRef("env", "UNUSED")


def hec() -> HecDialect:
    return HecDialect(http_destination("hec", "https://x.example.com", token=TOKEN).settings)


def preset(name: str) -> GenericDialect:
    return GenericDialect(http_destination("http", "https://x.example.com", preset=name).settings, "siem")


def messages_in(name: str, body: bytes) -> list[object]:
    """The messages that a receiver finds in a body."""
    if name == "hec":
        return [json.loads(line)["event"] for line in body.split(b"\n")[:-1]]
    if name == "elastic":
        lines = body.split(b"\n")[:-1]
        assert all(set(json.loads(action)) == {"create"} for action in lines[::2])
        return [json.loads(line)["message"] for line in lines[1::2]]
    if name == "sumo":
        return [line.decode(errors="surrogateescape") for line in body.split(b"\n")[:-1]]
    if name == "secops":
        logs = json.loads(body)["inlineSource"]["logs"]
        return [base64.b64decode(log["data"]).decode(errors="surrogateescape") for log in logs]
    if name in ("otlp", "dynatrace"):
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

        resource, *_ = ExportLogsServiceRequest.FromString(body).resource_logs
        return [record.body.string_value for scope in resource.scope_logs for record in scope.log_records]
    found = json.loads(body)
    return [each["message"] if name == "datadog" else each for each in found]


def check(name: str, messages: list[bytes]) -> None:
    dialect = hec() if name == "hec" else preset(name)
    pieces, taken, reasons = [], [], set()
    for message in messages:
        try:
            pieces.append(dialect.piece(Outgoing(STREAM, message, message)))
        except Undeliverable as error:
            reasons.add(error.reason)
        else:
            taken.append(message)
    assert reasons <= {"not_utf8", "not_json"}
    if name == "hec":
        found = messages_in(name, b"".join(pieces))
    elif pieces:
        found = messages_in(name, dialect._body.join(STREAM, pieces))
    else:
        found = []
    assert len(found) == len(taken)
    for message, arrived in zip(taken, found, strict=True):
        text = message.decode(errors="surrogateescape")
        assert arrived == text or arrived == json.loads(text)


@pytest.fixture(autouse=True)
def _python_reads_numbers_of_any_length():
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("name", ["hec", *PRESETS])
def test_hostile_messages_stay_apart(name):
    deep = [DEEP] if name != "sentinel" else []  # Python's own parser reads no such depth; it is sent as a text elsewhere
    check(name, [message for message in HOSTILE if message is not DEEP] + deep)


def test_many_objects_are_sent_as_they_are_and_too_many_inside_one_another_as_a_text():
    assert as_json(WIDE) == WIDE
    assert as_json(DEEP) == json.dumps(DEEP.decode()).encode()


@pytest.mark.parametrize("name", ["hec", "elastic", "datadog", "sentinel", "secops", "otlp"])
@given(messages=st.lists(st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b" ")), max_size=6))
def test_so_do_any_bytes(name, messages):
    check(name, messages)


@given(time_ms=st.integers(-(10**15), 10**15))
def test_a_moment_is_written_or_refused(time_ms):
    try:
        text = moment(time_ms)
    except (OverflowError, ValueError, OSError):
        return
    assert text.endswith("Z")
    assert len(text.partition(".")[2]) == 4
