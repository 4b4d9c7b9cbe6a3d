"""What a launch hands to a runner: no secret, in no layer of it; and flags, completed or refused."""

import base64
import binascii
import bz2
import logging
import pickle
import re
import zlib
from contextlib import suppress
from dataclasses import replace

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import JobServiceHandle, PortableRunner
from google.protobuf.message import Message

from pipelines import exit_codes
from pipelines.graph import build
from pipelines.runners import launch
from transforms.destinations.stream.settings import TlsSettings
from transforms.formats.cef import CefOptions
from transforms.secrets import SecretRef
from transforms.settings import Account, Destination, Format, Job, Proxy, Route, Storage, Tls

SKEY = "Sk3yOfDuo4567890abcdefGHIJklmnopqrstuvwx"
PROXY_PASSWORD = "Pr0xyPassw0rd"
KEY_PASSWORD = "K3yPassw0rd"
FLAGS = ["--runner=FlinkRunner", "--checkpointing_interval=500", "--savepoint_path=file:///nowhere"]


@pytest.fixture
def job(tmp_path, monkeypatch):
    """One secret of each kind of place: a file, an environment variable, a configuration file."""
    (tmp_path / "skey").write_text(SKEY)
    (tmp_path / "config.yml").write_text(f"proxy: {{password: {PROXY_PASSWORD}}}")
    monkeypatch.setenv("KEY_PASSWORD", KEY_PASSWORD)
    proxy = Proxy("proxy", 3128, "me", SecretRef("config", f"{tmp_path / 'config.yml'}#proxy.password"))
    tls = Tls(client_cert_file="/c.pem", client_key_password=SecretRef("env", "KEY_PASSWORD"))
    return Job(
        accounts=(Account("main", "api-1.duosecurity.com", "DIXXX", SecretRef("file", str(tmp_path / "skey")), proxy=proxy),),
        destinations=(Destination("siem", TlsSettings("siem.example.com", 6514, tls=tls), Format(CefOptions())),),
        routes=(Route(("auth", "activity"), ("siem",)),),
        storage=Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead")),
    )


COMPRESSED = re.compile(rb"x[\x01\x5e\x9c\xda]|BZh")
BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}={0,2}")


def layers(data: bytes, depth: int = 0):
    """Some bytes, and whatever is packed in them: Beam packs pickles as base64 of compressed bytes, and puts them anywhere."""
    yield data
    if depth == 4:
        return
    for begin in COMPRESSED.finditer(data):
        unpack = (bz2.BZ2Decompressor() if begin.group().startswith(b"BZ") else zlib.decompressobj()).decompress
        with suppress(zlib.error, OSError, ValueError, EOFError):
            yield from layers(unpack(data[begin.start() :]), depth + 1)
    for found in BASE64.finditer(data):
        text = found.group()
        # Where the run begins by chance a little earlier, its first characters belong to something else.
        for start in range(4):
            part = text[start:]
            with suppress(binascii.Error, ValueError):
                yield from layers(base64.b64decode(part[: len(part) // 4 * 4]), depth + 1)


def fields(message: Message):
    """Every text and every bytes field in a protocol buffer, and in those inside of it."""
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            values = [*value.keys(), *value.values()]
        else:
            values = value if hasattr(value, "append") or hasattr(value, "add") else [value]
        for item in values:
            if isinstance(item, Message):
                yield from fields(item)
            elif isinstance(item, (str, bytes)):
                yield item.encode() if isinstance(item, str) else item


def test_no_secret_is_in_the_job_request_or_in_anything_pickled_in_it(job):
    options = PipelineOptions([*launch.complete_flags(FLAGS), "--environment_type=EXTERNAL", "--environment_config=x:1"])
    pipeline = beam.Pipeline(options=options)
    build(pipeline, launch.for_runner(job, FLAGS))
    proto = PortableRunner.get_proto_pipeline(pipeline, options)
    request = JobServiceHandle.encode_pipeline_options(options.get_all_options(retain_unknown_options=True))
    everything = [layer for field in (*fields(proto), *fields(request)) for layer in layers(field)]

    # The references are there, in the innermost layer, so it has been looked into.
    assert any(b"skey" in layer and b'"scheme"' in layer for layer in everything)
    assert any(b"KEY_PASSWORD" in layer for layer in everything)
    for secret in (SKEY, PROXY_PASSWORD, KEY_PASSWORD):
        for form in (secret.encode(), base64.b64encode(secret.encode()).rstrip(b"="), secret.encode("utf-16-le")):
            assert not any(form in layer for layer in everything)


def test_the_search_finds_a_secret_that_is_packed_as_beam_packs():
    packed = b"\x12\x07payload" + base64.b64encode(zlib.compress(pickle.dumps({"skey": SKEY}))) + b"\x1a"
    assert any(SKEY.encode() in layer for layer in layers(packed))


def test_no_secret_is_in_what_a_launch_logs(job, caplog):
    with caplog.at_level(logging.DEBUG):
        launch.complete_flags(FLAGS)
        launch._tell_what_workers_need(launch.for_runner(job, FLAGS))

    assert "env:KEY_PASSWORD" in caplog.text
    for secret in (SKEY, PROXY_PASSWORD, KEY_PASSWORD):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    "flag", ["--chekpointing_interval=1000", "--stream", "--savepoint-path=x", "--prism_locaton=x", "--parallelsm=1"]
)
def test_a_flag_that_nobody_knows_is_an_error_and_nothing_is_started(job, flag, caplog):
    assert launch.launch(job, ["--runner=FlinkRunner", flag]) == exit_codes.CONFIG
    assert flag.partition("=")[0] in caplog.text


@pytest.mark.parametrize(
    "flags",
    [
        ["--runner=PrismRunner", "--prism_location=/x", "--prism_log_level=debug"],
        ["--runner=FlinkRunner", "--flink_version=1.20", "--flink_master=a:8081", "--parallelism", "1", "--job_name=x"],
        ["--runner=PortableRunner", "--job_endpoint=a:1", "--environment_type=EXTERNAL", "--environment_config=a:2"],
        ["--runner=FlinkRunner", *(f"--{name}=1" for name in launch._FLINK_OPTIONS)],
        ["--runner=FlinkRunner", "--checkpointing_interval", "1000", "--externalized_checkpoints_enabled"],
        ["--runner=DataflowRunner", "--project=p", "--region=r", "--temp_location=gs://x", "--sdk_container_image=i"],
    ],
)
def test_flags_of_beam_and_of_flink_are_known(flags):
    assert launch.unknown_flags(flags) == []


def test_a_streaming_job_with_checkpoints_is_asked_for_where_beam_would_make_none_and_the_log_says_so(caplog):
    with caplog.at_level(logging.INFO):
        flags = launch.complete_flags(["--runner=FlinkRunner"])

    assert "--streaming" in flags
    assert "--checkpointing_interval=10000" in flags
    assert "--streaming is added" in caplog.text
    assert "--checkpointing_interval=10000 is added" in caplog.text


def test_what_the_user_chose_is_left_alone():
    given = ["--runner=PortableRunner", "--streaming", "--checkpointing_interval", "500", "--max_bundle_time_mills=1000",
             "--finish_bundle_before_checkpointing=true", "--environment_cache_millis=1"]  # fmt: skip
    assert launch.complete_flags(given) == given


@pytest.mark.parametrize(
    "given", [["--finish_bundle_before_checkpointing=false"], ["--finish_bundle_before_checkpointing", "False"]]
)
def test_a_flag_with_which_flink_would_keep_elements_back_is_refused(job, given, caplog):
    assert launch.launch(job, ["--runner=FlinkRunner", *given]) == exit_codes.CONFIG
    assert "Leave it out" in caplog.text


def test_prism_gets_no_flags_of_flink():
    assert launch.complete_flags(["--runner=PrismRunner"]) == ["--runner=PrismRunner", "--streaming"]


def test_on_flink_a_destination_is_waited_for_for_less_time_than_a_checkpoint(job):
    (destination,) = launch.for_runner(job, ["--runner=FlinkRunner"]).destinations
    assert destination.delivery_timeout_secs == 60
    (destination,) = launch.for_runner(job, ["--runner=FlinkRunner", "--checkpoint_timeout_millis", "20000"]).destinations
    assert destination.delivery_timeout_secs == 10


def test_on_prism_a_destination_is_waited_for_for_ever_because_a_failed_bundle_would_end_the_job(job):
    assert launch.for_runner(job, ["--runner=PrismRunner"]) == job


def test_a_delivery_timeout_that_no_checkpoint_survives_is_kept_and_told(job, caplog):
    destination = replace(job.destinations[0], delivery_timeout_secs=900.0)
    kept = launch.for_runner(replace(job, destinations=(destination,)), ["--runner=FlinkRunner"])

    assert kept.destinations == (destination,)
    assert "not below the checkpoint timeout" in caplog.text


def test_a_runner_that_cannot_be_started_is_told_in_one_line(job, caplog):
    flags = ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--job_server_timeout=1"]

    assert launch.launch(job, flags) == exit_codes.UNREACHABLE
    assert "The runner did not take the job" in caplog.text
