"""An archive on S3, through Beam's own client, on a server that is not ours (moto's)."""

from collections import Counter
from urllib.request import Request, urlopen

import boto3
import pytest
from apache_beam.io.filesystems import FileSystems
from moto.server import ThreadedMotoServer

from tests.destinations.archive.test_archive import AUTH, deliver, kept, rows, sender_to
from tests.destinations.peers import eventually
from transforms.destinations.archive import reader
from transforms.destinations.archive.reader import Window
from transforms.errors import DeliveryTimeout
from transforms.state.dead_letters.files import letter_files
from transforms.state.dead_letters.letter import DeadLetter
from transforms.state.dead_letters.write import files_in

DIRECTORY = "s3://acme/duo/archive"
LETTER = DeadLetter(time_ms=1, account="main", log_type="auth", reason="oversize", detail="", raw=b"{}")


@pytest.fixture
def s3(monkeypatch):
    """A server, and a process in which no pipeline was ever made, as that of ``replay`` is."""
    settings = {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "DEFAULT_REGION": "us-east-1", "MAX_ATTEMPTS": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr(FileSystems, "_pipeline_options", None)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()  # its state is this process's
    boto3.client("s3").create_bucket(Bucket="acme")
    yield server
    server.stop()


def test_every_event_is_there_once_however_often_its_bundle_is_sent(s3):
    sender = sender_to(DIRECTORY)
    sender.test_connection()
    for _ in range(2):
        deliver(sender, rows(30, every_secs=3600))
    assert kept(DIRECTORY) == rows(30, every_secs=3600)
    assert [file.day for file in reader.files_of(DIRECTORY, Window())] == ["2026-11-19", "2026-11-20"]
    assert {file.size_bytes > 0 for file in reader.files_of(DIRECTORY, Window())} == {True}


def test_a_bucket_that_is_not_there_is_waited_for(s3, caplog):
    sender = sender_to("s3://missing/archive", delivery_timeout_secs=0.3)
    with pytest.raises(DeliveryTimeout):
        deliver(sender, rows(3))
    eventually(lambda: "s3://missing/archive" in caplog.text)
    boto3.client("s3").create_bucket(Bucket="missing")
    deliver(sender, rows(3))
    assert Counter(kept("s3://missing/archive")) == Counter(rows(3))


def test_dead_letters_there_can_be_taken_read_and_set_aside(s3):
    files_in("s3://acme/dead").write([LETTER])
    (file,) = letter_files("s3://acme/dead")
    file.take()
    assert list(file.letters()) == [LETTER]
    file.set_aside()
    assert file.name.endswith(".avro.replayed")
    assert letter_files("s3://acme/dead") == []


def test_the_stream_s_place_is_below_the_directory(s3):
    deliver(sender_to(DIRECTORY), rows(1))
    (file,) = reader.files_of(DIRECTORY, Window())
    assert file.below.startswith(f"{AUTH.account}/{AUTH.log_type}/2026-11-19/")
