"""What is handed to a runner holds references to secrets, never a secret: a job request and savepoints are kept by others."""

import base64
import bz2
import re
import zlib
from dataclasses import replace

import apache_beam as beam
import pytest
from apache_beam.coders import Coder

from pipelines.graph import build
from transforms.destinations.stream.settings import TlsSettings
from transforms.duo.source import DuoCheckpointMark, DuoLogSource, Passes
from transforms.formats.json_lines import JsonOptions
from transforms.secrets import SecretRef
from transforms.settings import Destination, Format, Job, Proxy, Reading, Route, Storage, Tls
from transforms.state.cursor import Cursor


@pytest.fixture
def secrets_in_use(skey, tmp_path, monkeypatch):
    """Three secrets by three kinds of reference, all of them resolvable here."""
    monkeypatch.setenv("PROXY_PASSWORD", skey[::-1])
    (tmp_path / "password").write_text(skey.upper())
    return (skey, skey[::-1], skey.upper())


@pytest.fixture
def job(account, secrets_in_use, tmp_path):
    tls = Tls(client_cert_file="client.pem", client_key_password=SecretRef("file", str(tmp_path / "password")))
    account = replace(account, proxy=Proxy("127.0.0.1", 3128, "sync", SecretRef("env", "PROXY_PASSWORD")))
    return Job(
        accounts=(account,),
        destinations=(Destination("siem", TlsSettings("127.0.0.1", 6514, tls=tls), Format(JsonOptions())),),
        routes=(Route(("auth", "activity"), ("siem",)),),
        storage=Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead")),
        reading=Reading(),
    )


def layers(content: bytes) -> bytes:
    """The content and what is packed inside of it: Beam writes pickles as base64 of bz2 or zlib."""
    found = [content]
    for text in re.findall(rb"[A-Za-z0-9+/]{24,}={0,2}", content):
        for offset in range(4):  # a length byte before it may look like base64, too
            for unpack in (bz2.decompress, zlib.decompress):
                try:
                    piece = text[offset:]
                    found.append(layers(unpack(base64.b64decode(piece + b"=" * (-len(piece) % 4)))))
                except (ValueError, OSError, EOFError, zlib.error):
                    continue
    return b"\n".join(found)


@pytest.mark.parametrize("passes", [None, Passes()])
def test_the_job_that_a_runner_gets_holds_references_only(job, secrets_in_use, passes):
    pipeline = beam.Pipeline()
    build(pipeline, job, passes=passes)
    seen = layers(pipeline.to_runner_api().SerializeToString())

    # The references are found, so a secret beside them would be.
    assert str(job.accounts[0].skey.locator).encode() in seen
    assert b"PROXY_PASSWORD" in seen
    assert job.destinations[0].settings.tls.client_key_password.locator.encode() in seen
    for secret in secrets_in_use:
        assert secret.encode() not in seen


def test_the_mark_that_a_runner_keeps_holds_the_cursor_only(job, secrets_in_use):
    source = DuoLogSource("auth", job.accounts[0], "siem", job.reading, job.storage)
    coder: Coder = source.get_checkpoint_mark_coder()
    encoded = coder.encode(DuoCheckpointMark(Cursor(1_700_000_000_000, seq=7), source, 5))

    assert encoded == Cursor(1_700_000_000_000, seq=7).to_json()
