"""What is redacted is in nothing that goes on; what is not, stays as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.events.conftest import KEY, golden_row, golden_rows, row
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import FatalError, Undeliverable
from transforms.events import redaction
from transforms.events.redact_settings import Redaction
from transforms.events.redaction import Redactor, key_of
from transforms.process import lifetime
from transforms.row_paths import parse
from transforms.secrets import SecretRef, SecretUnavailable


def redacted(raw, **ways):
    key = KEY if "hash" in ways else None
    return Redactor(Redaction(**{way: tuple(paths) for way, paths in ways.items()}, key=key)).redact(raw)


def decoded(raw, **ways):
    return json.loads(redacted(raw, **ways))


# paths: (row, what is left of it)
DROPPED = {
    "email": ({"email": "a@example.com", "x": 1}, {"x": 1}),
    "user.name": ({"user": {"name": "bob", "key": "K"}}, {"user": {"key": "K"}}),
    "user.groups": ({"user": {"groups": ["a"]}}, {"user": {}}),
    "user.groups[*]": ({"user": {"groups": ["a", "b"]}}, {"user": {"groups": []}}),
    "access_device.*": ({"access_device": {"ip": "192.0.2.1", "os": "x"}}, {"access_device": {}}),
    "explanations[*].summary": ({"explanations": [{"summary": "s", "type": "t"}, 5]}, {"explanations": [{"type": "t"}]}),
    "explanations.summary": ({"explanations": [{"summary": "s", "type": "t"}]}, {"explanations": [{"type": "t"}]}),
    "['odd name'].x": ({"odd name": {"x": 1, "y": 2}}, {"odd name": {"y": 2}}),
    "action.name": ({"action": "user_update", "x": 1}, {"x": 1}),
    "a.b.c": ({"a": {"b": "plain"}, "x": 1}, {"a": {}, "x": 1}),
    "user.key": ({"user": None}, {"user": None}),
    "missing.field": ({"x": 1}, {"x": 1}),
}


@pytest.mark.parametrize("path", DROPPED)
def test_a_dropped_field_is_gone(path):
    before, after = DROPPED[path]
    assert decoded(row(**before), drop=[path]) == after


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("192.0.2.1", "***"),
        (5, "***"),
        (True, "***"),
        ("", ""),
        (None, None),
        (["a", None, {"b": 1}], ["***", None, {"b": "***"}]),
        ({"address": "192.0.2.1", "port": 5}, {"address": "***", "port": "***"}),
    ],
)
def test_all_that_is_in_a_masked_field_is_masked(value, masked):
    assert decoded(row(ip=value), mask=["ip"]) == {"ip": masked}


def test_the_same_value_has_the_same_token_wherever_it_is():
    auth = decoded(row(user={"name": "bob", "key": "U"}), hash=["user.name"])
    activity = decoded(row(actor={"name": "bob"}, target={"name": "ada"}), hash=["actor.name", "target.name"])

    assert auth["user"]["name"] == activity["actor"]["name"] != activity["target"]["name"]
    assert auth["user"] == {"name": auth["user"]["name"], "key": "U"}
    assert len(auth["user"]["name"]) == len("hmac:") + 32


def test_a_token_is_the_hmac_of_the_text_under_the_key_as_anybody_can_compute_it():
    import hashlib
    import hmac

    expected = hmac.new(b"a key of the test's own", "Zoë".encode(), hashlib.sha256).hexdigest()[:32]
    assert decoded(row(user="Zoë"), hash=["user"]) == {"user": f"hmac:{expected}"}


def test_another_key_makes_other_tokens(monkeypatch):
    first = decoded(row(user="bob"), hash=["user"])
    monkeypatch.setenv("REDACTION_KEY", "quite another key of it")
    lifetime.reset()
    assert decoded(row(user="bob"), hash=["user"]) != first


def test_a_number_has_the_token_of_its_digits():
    assert decoded(row(phone=15555550100), hash=["phone"]) == decoded(row(phone="15555550100"), hash=["phone"])


def test_what_is_redacted_already_stays_so():
    ways = {"hash": ["user.name"], "mask": ["ip"], "drop": ["email"]}
    once = redacted(row(user={"name": "bob"}, ip="192.0.2.1", email="a@example.com"), **ways)
    assert redacted(once, **ways) == once


def test_fields_beside_it_stay_byte_for_byte():
    raw = b'{"a": 1.50, "b":"\\u00e9\\/", "user":{"name":"bob"}, "n":123456789012345678901234567890, "c":{ "d" : [1 , 2] }}'
    assert redacted(raw, mask=["user.name"]) == (
        b'{"a":1.50,"b":"\\u00e9\\/","user":{"name":"***"},"n":123456789012345678901234567890,"c":{ "d" : [1 , 2] }}'
    )


def test_of_a_field_that_is_there_twice_no_value_gets_through():
    assert b"bob" not in redacted(b'{"user":"bob","user":"ada","us\\u0065r":"bob"}', mask=["user"])
    assert b"bob" not in redacted(b'{"user":{"name":"bob","name":"ada"}}', mask=["user.name"])


@pytest.mark.parametrize(
    "odd",
    [
        b'{"user":{"name":"bob"},"x":"\\ud800"}',
        b'{"user":{"name":"bob\\ud800"},"x":1}',
        b'{"user":{"name":"bob"},"x":NaN}',
        b'{"user":{"name":"bob"},"x":1e999}',
        b'{"user":{"name":"bob"},"x":"\xff"}',
        b'{"user":{"name":"bob\xff"},"x":1}',
        b'{"user":{"name":"bob"},"x":' + b"[" * 1200 + b"]" * 1200 + b"}",
        b'{"user":{"name":{"deep":' + b"[" * 600 + b'"bob"' + b"]" * 600 + b"}}}",
        b'{"user":{"name":"bob"},"x":"a\x01b"}',
    ],
    ids=range(9),
)
@pytest.mark.parametrize("way", ["drop", "hash", "mask"])
def test_an_odd_row_is_redacted_like_any_other(odd, way):
    sent = redacted(odd, **{way: ["user.name"]})
    assert b"bob" not in sent
    assert isinstance(json.loads(sent.decode("utf-8", "replace")), dict)


@pytest.mark.parametrize("raw", [b"", b"[]", b'"bob"', b"5", b"{", b'{"user":"bob"', b"null"])
def test_what_is_no_object_is_refused_without_showing_it(raw):
    with pytest.raises(Undeliverable) as refused:
        redacted(raw, drop=["user"])
    assert refused.value.reason == "not_redactable"
    assert "bob" not in str(refused.value)


def test_ids_survive_unless_they_are_named():
    for log_type, _, raw in golden_rows():
        before = LOG_TYPES[log_type].row_key(raw).event_id
        after = redacted(raw, mask=["user", "actor", "target", "access_device.*", "phone", "username", "description"])
        assert LOG_TYPES[log_type].row_key(after).event_id == before


def test_no_text_of_a_golden_row_gets_through_under_all_its_names():
    raw = golden_row("auth", "fraud")
    sent = redacted(raw, mask=[name for name in json.loads(raw) if name not in ("txid", "timestamp", "isotimestamp")])
    kept = {value for value in json.loads(sent).values() if isinstance(value, str)}
    assert kept <= {"***", "", json.loads(raw)["txid"], json.loads(raw)["isotimestamp"]}


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["bob", "", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "a", "b"]), inner),
    max_leaves=10,
)


@given(_VALUES, st.sampled_from(["drop", "hash", "mask"]))
def test_nothing_below_a_redacted_field_gets_through_whatever_its_shape(value, way):
    raw = json.dumps({"user": value, "txid": "T"}).encode()
    sent = _BY_WAY[way].redact(raw)
    assert b"bob" not in sent
    assert json.loads(sent)["txid"] == "T"


class _Later(dict):
    def __missing__(self, way):
        import os

        os.environ.setdefault("REDACTION_KEY_OF_PROPERTIES", "k" * 32)
        key = SecretRef("env", "REDACTION_KEY_OF_PROPERTIES") if way == "hash" else None
        self[way] = Redactor(Redaction(**{way: ("user",)}, key=key))
        return self[way]


_BY_WAY = _Later()


def test_more_values_than_are_remembered_are_all_redacted():
    redactor = Redactor(Redaction(hash=("user",), key=KEY))
    tokens = {redactor.redact(row(user=f"user{n}")) for n in range(2000)}
    assert len(tokens) == 2000


def test_a_key_is_read_once_and_must_not_be_short(monkeypatch):
    assert key_of(KEY) is key_of(KEY)
    monkeypatch.setenv("SHORT_KEY", "short")
    with pytest.raises(FatalError, match=r"has 5 characters.*at least 16") as refused:
        key_of(SecretRef("env", "SHORT_KEY"))
    assert "'short'" not in str(refused.value)
    with pytest.raises(SecretUnavailable):
        Redactor(Redaction(hash=("user",), key=SecretRef("env", "NOT_THERE")))


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "[*]", "*", "a[1]", "a[*", "a b", "['a", "*.a"])
def test_what_is_no_path_is_told(path):
    assert parse(path) is None
    assert [broken.key for broken in Redaction.broken_rules({"drop": [path]})] == ["drop"]


def test_rules_between_keys():
    def broken(**given):
        return [(each.key, each.what) for each in Redaction.broken_rules(given)]

    assert broken() == [("drop", "no field is named here, in hash or in mask")]
    assert broken(hash=["a"]) == [("key", "is missing beside hash")]
    assert broken(drop=["a"], key="env:K") == [("key", "nothing is hashed with this key")]
    assert broken(drop=["a"], mask=["a"]) == [("mask", "a is named twice")]
    assert broken(hash=["a"], key="env:K", drop=["b.c"]) == []


def test_the_tokens_prefix_is_what_the_documentation_says():
    assert redaction.TOKEN_PREFIX == "hmac:"
