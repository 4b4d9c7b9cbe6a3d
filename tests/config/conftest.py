"""What the configuration tests share: a directory of their own, a user who is not root, and secrets made at run time."""

import os
import re

import pytest

from pipelines.config import ConfigProblems, load

OWN = """\
version: 2
accounts:
  - name: main
    api_host: api-1a2b3c4d.duosecurity.com
    ikey: DIXXXXXXXXXXXXXXXXXX
    skey: env:DUO_SKEY
destinations:
  - name: splunk
    kind: tcp
    host: siem.example.com
    port: 6514
    format: json
routes:
  - log_types: [auth]
    destinations: [splunk]
storage:
  checkpoint_dir: state
"""

DLS = """\
version: '1.0.0'
dls_settings:
  log_filepath: 'dls.log'
  log_format: 'JSON'
  api:
    offset: 180
    timeout: 120
  checkpointing:
    enabled: True
    directory: 'checkpoints'
  proxy:
    proxy_server: ''
    proxy_port: 0
servers:
  - id: 'main server'
    hostname: 'siem.example.com'
    port: 8888
    protocol: 'TCP'
    cert_filepath: ''
account:
  ikey: 'DIXXXXXXXXXXXXXXXXXX'
  skey: 'SKEY'
  hostname: 'api-1a2b3c4d.duosecurity.com'
  endpoint_server_mappings:
    - endpoints: ['auth', 'telephony']
      server: 'main server'
  is_msp: False
  block_list: []
"""


@pytest.fixture
def secret():
    return "s3cr3t" + "x" * 34


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch, secret):
    """A working directory, a state directory and an environment of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("DUO_SKEY", secret)


@pytest.fixture
def write(tmp_path, secret):
    """Writes a configuration file; SKEY in it becomes a secret of the right length."""

    def write_file(text, name="config.yml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.replace("SKEY'", f"{secret}'").encode())
        path.chmod(0o600)
        return path

    return write_file


@pytest.fixture
def problems_of(write, secret):
    """The problems of a text; none of them may hold the secret."""

    def problems(text, **options):
        with pytest.raises(ConfigProblems) as caught:
            load(write(text), **options)
        told = str(caught.value)
        assert secret not in told
        assert "Traceback" not in told
        assert told.splitlines() == [str(p) for p in caught.value.problems]
        return caught.value.problems

    return problems


def marked_line(text):
    """The line with the mark #!, counted from 1; None where there is none."""
    found = re.search(r"#!", text)
    return text.count("\n", 0, found.start()) + 1 if found else None


def replaced(text, old, new):
    """The text with a part of it replaced, which must be there once."""
    assert text.count(old) == 1, old
    return text.replace(old, new)
