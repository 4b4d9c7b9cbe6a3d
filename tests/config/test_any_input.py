"""Whatever the file holds, loading it gives a Loaded or ConfigProblems, and no secret is shown."""

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.config import ConfigProblems, Loaded, load
from tests.config.conftest import DLS, OWN

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SECRET = "s3cr3t" + "z" * 30
KEYS = sorted(
    set(yaml.safe_load(DLS.replace("SKEY", "x" * 40))) | set(yaml.safe_load(OWN)) | {"name", "port", "skey", "tls", "proxy"}
)


def outcome(data):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "config.yml"
        path.write_bytes(data)
        try:
            found = load(path)
        except ConfigProblems as refused:
            return str(refused) or pytest.fail("no problem is told")
        assert isinstance(found, Loaded)
        return "".join(str(n) for n in found.notices)


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes(data):
    outcome(data)


@QUICK
@given(st.text(st.sampled_from(list("ab:-?*&!|>'\"%@`#[]{},. \n\t0192eE+~<=\\Uxu\x85\u2028\ud7ff")), max_size=80))
def test_any_text_of_yaml_characters(text):
    outcome(text.encode())


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.sampled_from(["", SECRET, "cef", "tcp"]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
)


def paths_in(node, path=()):
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from paths_in(child, (*path, key))


def names_in(node):
    if isinstance(node, dict):
        return {str(node.get("name"))}.union(*map(names_in, node.values()))
    return set().union(*map(names_in, node)) if isinstance(node, list) else set()


def with_value(node, path, value):
    if not path:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = with_value(node[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("base", [OWN, DLS], ids=["own", "dls"])
@QUICK
@given(data=st.data())
def test_any_value_at_any_key(base, data):
    good = yaml.safe_load(base.replace("SKEY", "x" * 40))
    path = data.draw(st.sampled_from(list(paths_in(good))))
    bad = with_value(good, path, data.draw(values))
    told = outcome(yaml.safe_dump(bad, sort_keys=False).encode("utf-8", "surrogatepass"))
    # What somebody calls an account or a destination is there to be told.
    assert SECRET not in told or SECRET in names_in(bad)


@pytest.mark.parametrize("base", [OWN, DLS], ids=["own", "dls"])
@QUICK
@given(data=st.data())
def test_any_damage_to_a_good_file(base, data):
    at = data.draw(st.integers(0, len(base)))
    text = base[:at] + data.draw(st.text(max_size=5)) + base[at + data.draw(st.integers(0, 10)) :]
    outcome(text.encode("utf-8", "surrogatepass"))
