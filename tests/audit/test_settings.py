"""The section ``audit`` of a destination: what it means, and what is said where it is wrong."""

import pickle

import pytest

from pipelines.config import ConfigProblems, load
from transforms.destinations.stored.registry import reader_of
from transforms.secrets import SecretRef

BASE = """version: 2
accounts:
  - {{api_host: api-1a2b3c4d.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: "env:DUO_SKEY"}}
destinations:
  - name: siem
    kind: hec
    url: https://splunk.example.com:8088
    token: env:HEC_TOKEN
    format: json
    audit:
{audit}
storage: {{checkpoint_dir: checkpoints}}
"""


@pytest.fixture
def loaded(tmp_path):
    def load_it(*lines):
        path = tmp_path / "config.yml"
        path.write_text(BASE.format(audit="\n".join(f"      {line}" for line in lines)))
        return load(path, look_at_files=False).job

    return load_it


SPLUNK = ("kind: splunk", "url: https://splunk.example.com:8089", "query: index=duo sourcetype={name}")


def test_a_section_is_read_and_its_secrets_are_references_that_check_knows(loaded):
    job = loaded(*SPLUNK, "token: env:SEARCH_TOKEN", "tls: {ca_file: /etc/ca.pem}")
    audit = job.destinations[0].audit
    assert (audit.kind, audit.place, audit.token) == (
        "splunk",
        "https://splunk.example.com:8089",
        SecretRef("env", "SEARCH_TOKEN"),
    )
    assert audit.tls.ca_file == "/etc/ca.pem"
    assert ("destinations", 0, "audit", "token") in {used.key for used in job.secrets()}
    assert reader_of(job.destinations[0]) is not None
    assert pickle.loads(pickle.dumps(job.destinations[0])) == job.destinations[0]


def test_a_destination_without_the_section_cannot_be_asked(loaded):
    job = loaded(*SPLUNK)
    assert reader_of(type(job.destinations[0])("siem", job.destinations[0].settings, job.destinations[0].format)) is None


@pytest.mark.parametrize(
    ("lines", "place", "what"),
    [
        (("kind: grep", "url: https://x.example.com"), "audit.kind", "splunk, elastic, opensearch or logsql"),
        (SPLUNK[:2], "audit.query", "is missing"),
        ((*SPLUNK, "index: duo"), "audit.index", "this key is for kind elastic or opensearch"),
        ((*SPLUNK, "user: a"), "audit.password", "is missing beside user"),
        ((*SPLUNK, "token: env:T", "user: a", "password: env:P"), "audit.user", "other credentials already"),
        ((SPLUNK[0], "url: http://siem.example.com", SPLUNK[2], "token: env:T"), "audit.url", "in plain text"),
        ((*SPLUNK[:2], "query: index={sourcetype}"), "audit.query", "nothing stands for {sourcetype}"),
        (("kind: logsql", "url: siem.example.com:9428"), "audit.url", "not an address"),
        ((*SPLUNK, "margin_secs: -1"), "audit.margin_secs", "0"),
    ],
)
def test_what_is_wrong_is_told_at_its_key(loaded, lines, place, what):
    with pytest.raises(ConfigProblems) as told:
        loaded(*lines)
    text = "\n".join(map(str, told.value.problems))
    assert f"destinations.0.{place}" in text
    assert what in text, text
