"""The section ``monitoring``: what it means, and what is refused of it."""

import pytest

from pipelines.config import ConfigProblems, load
from transforms.secrets import SecretRef
from transforms.settings import Monitoring

LEAST = """\
version: 2
accounts: [{api_host: api-1.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: env:DUO_SKEY}]
destinations: [{name: siem, kind: tls, host: siem.example.com, port: 6514, format: json}]
"""


@pytest.fixture
def meant(write):
    return lambda section: load(write(f"{LEAST}monitoring: {section}\n"), look_at_files=False).job.monitoring


@pytest.fixture
def refused(write):
    def problems(section):
        with pytest.raises(ConfigProblems) as caught:
            load(write(f"{LEAST}monitoring: {section}\n"), look_at_files=False)
        return [str(problem) for problem in caught.value.problems]

    return problems


def test_without_it_the_page_is_on_loopback_and_nothing_is_asked_of_whoever_looks(meant):
    assert meant("{}") == Monitoring(enabled=True, host="127.0.0.1", port=None, token=None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost."])
def test_loopback_has_many_names(meant, host):
    assert meant(f"{{host: '{host}'}}").host == host


def test_another_address_is_taken_with_a_token(meant):
    monitoring = meant("{host: 0.0.0.0, port: 80, token: env:TOKEN}")
    assert monitoring == Monitoring(True, "0.0.0.0", 80, SecretRef("env", "TOKEN"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "siem.example.com", "127.0.0.1.example.com"])
def test_another_address_is_refused_without_one(refused, host):
    (problem,) = refused(f"{{host: '{host}'}}")
    assert "monitoring.host" in problem
    assert "others can reach this address, and nothing would be asked of them" in problem
    assert "Add token: env:NAME or file:PATH, or leave host out." in problem


@pytest.mark.parametrize(
    "section", ["{port: 0}", "{port: 65536}", "{port: '9437'}", "{enabled: 'yes'}", "{host: ''}", "{token: ''}"]
)
def test_each_key_says_what_it_takes(refused, section):
    key = section[1:].partition(":")[0]
    (problem,) = refused(section)
    assert f"monitoring.{key}" in problem


def test_a_key_that_does_not_exist_is_told_with_one_that_does(refused):
    (problem,) = refused("{prot: 9437}")
    assert "monitoring.prot" in problem
    assert "port" in problem
