"""What the tests of the command line share: a receiver, and a configuration file for it and the simulator."""

import logging

import pytest

from pipelines.demo.receiver import SiemReceiver
from tests.conftest import IKEY


@pytest.fixture
def receiver():
    with SiemReceiver() as receiver:
        yield receiver


@pytest.fixture
def config(simulator, authority, skey, receiver, tmp_path):
    """A configuration file for the simulator and the receiver."""
    key_file = tmp_path / "skey"
    key_file.touch(mode=0o600)
    key_file.write_text(skey)
    path = tmp_path / "config.yml"
    path.write_text(
        f"""version: 2
accounts:
  - {{api_host: localhost, port: {simulator.port}, ca_file: {authority.ca_file}, ikey: {IKEY}, skey: "file:{key_file}"}}
reading: {{start_days: 1, poll_interval_secs: 1, lag_secs: 0}}
destinations:
  - {{name: siem, kind: tcp, host: 127.0.0.1, port: {receiver.port}, format: json}}
storage: {{checkpoint_dir: {tmp_path}/checkpoints, dead_letter_dir: {tmp_path}/dead}}
"""
    )
    return path


@pytest.fixture(autouse=True)
def logging_as_before():
    """Commands set logging up for a process of their own."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.disable(logging.NOTSET)
    root.handlers[:], root.level = handlers, level
