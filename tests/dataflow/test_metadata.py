"""The Flex Template's metadata: Google's shape for it, and that it says what the entry program and the configuration mean."""

import json
import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from pipelines.config.own_model import DestinationSection, OwnFile
from pipelines.launch_files.dataflow import flex_main
from pipelines.launch_files.dataflow.flex_main import PARAMETERS, job_of
from transforms.duo.log_types import LOG_TYPES

FILE = Path(flex_main.__file__).with_name("metadata.json")
METADATA = json.loads(FILE.read_text(encoding="utf-8"))
DESCRIBED = {parameter["name"]: parameter for parameter in METADATA["parameters"]}

GOOD = {
    "api_host": ["api-1a2b3c4d.duosecurity.com", "api-12.duofederal.com"],
    "ikey": ["DIXXXXXXXXXXXXXXXXXX", "DI1234567890ABCDEFGH"],
    "skey_secret": ["projects/acme-prod/secrets/duo_skey/versions/3", "projects/12345/secrets/a/versions/latest"],
    "msp": ["true", "false"],
    "allow_list": ["DAXXXXXXXXXXXXXXXXXX", "Customer A,DAYYYYYYYYYYYYYYYYYY"],
    "block_list": ["DAXXXXXXXXXXXXXXXXXX", "Customer A,DAYYYYYYYYYYYYYYYYYY"],
    "log_types": [*LOG_TYPES, ",".join(LOG_TYPES)],
    "start_days": ["0", "0.5", "30", "180", "179.5"],
    "poll_interval_secs": ["1", "120", "86400", "1.5"],
    "page_pause_secs": ["0", "0.25", "60"],
    "lag_secs": ["0", "120"],
    "overlap_secs": ["0", "600"],
    "siem_kind": ["tls", "tcp", "udp"],
    "siem_host": ["siem.example.com", "10.1.2.3", "siem", "fd00::1"],
    "siem_port": ["1", "514", "6514", "65535"],
    "siem_format": ["json", "cef", "leef", "ecs", "ocsf"],
    "siem_header": ["rfc5424", "rfc3164", "none"],
    "siem_envelope": ["true", "false"],
    "siem_cef_profile": ["standard", "dls"],
    "siem_log_key": ["duo_log", "@log", "log.type"],
    "siem_delimiter": ["tab", "caret"],
    "siem_namespace": ["default", "security.eu"],
    "siem_original": ["true", "false"],
    "siem_framing": ["lf", "octet"],
    "siem_server_name": ["siem.example.com"],
    "siem_ca_file": ["/etc/duologsync/siem-ca.pem"],
    "siem_max_message_bytes": ["480", "8192", "65536", "100000000"],
    "siem_delivery_timeout_secs": ["1", "60", "300.5"],
    "proxy_host": ["proxy.example.com"],
    "proxy_port": ["3128"],
    "proxy_user": ["duologsync"],
    "proxy_password_secret": ["projects/acme-prod/secrets/proxy/versions/1"],
    "state_dir": ["gs://acme-state", "gs://acme-state/duologsync", "gs://acme.example.com/a/b"],
    "sdk_container_image": ["europe-west1-docker.pkg.dev/acme-prod/duo/duologsync:1.0.0", f"gcr.io/p/d@sha256:{'0' * 64}"],
}
SECRET_BAD = [
    "",
    "s3cr3t",
    "a" * 40,
    "gcp:projects/p/secrets/s/versions/1",
    "projects/p/secrets/s",
    "projects/p/secrets/s/versions/x y",
]
BAD = {
    "api_host": ["", "https://api-1.duosecurity.com", "api-1.duosecurity.com/path", "api 1"],
    "ikey": ["", "DIXXXX", "DAXXXXXXXXXXXXXXXXXX", "DIXXXXXXXXXXXXXXXXXXX", "a" * 40],
    "skey_secret": SECRET_BAD,
    "msp": ["yes", "True", "1"],
    "allow_list": ["", ",", "a,,b"],
    "block_list": ["", ",", "a,,b"],
    "log_types": ["", "all", "auth;activity", "auth,", "auth, activity"],
    "start_days": ["-1", "181", "180.5", "a", "1000"],
    "poll_interval_secs": ["0", "-1", "a"],
    "page_pause_secs": ["-1", "10000", "a"],
    "lag_secs": ["-1", "a"],
    "overlap_secs": ["-1", "a"],
    "siem_kind": ["TLS", "http", ""],
    "siem_host": ["", "siem.example.com/x", "https://siem", "a b"],
    "siem_port": ["0", "65536", "70000", "a", "-1", ""],
    "siem_format": ["xml", "JSON", ""],
    "siem_header": ["rfc", "5424"],
    "siem_envelope": ["yes"],
    "siem_cef_profile": ["duo"],
    "siem_log_key": ["", "1st", "a key", 'a"b'],
    "siem_delimiter": ["|", "^"],
    "siem_namespace": ["", "a-b", "Default", "a b"],
    "siem_original": ["yes"],
    "siem_framing": ["crlf"],
    "siem_server_name": ["a b", "https://a"],
    "siem_ca_file": ["siem-ca.pem", "gs://b/ca.pem", ""],
    "siem_max_message_bytes": ["479", "0", "100000001", "1e6"],
    "siem_delivery_timeout_secs": ["0", "a"],
    "proxy_host": ["http://proxy", "a b"],
    "proxy_port": ["0", "65536"],
    "proxy_user": ["a b", "user:password"],
    "proxy_password_secret": SECRET_BAD,
    "state_dir": ["", "/var/lib", "s3://bucket/x", "gs://", "gs://A/x", "gs://b/x*"],
    "sdk_container_image": ["", "duologsync", "https://gcr.io/p/d", "gcr.io/p/d:a b"],
}
# Keys that have no parameter, and why.
NO_PARAMETER = {
    "version": "the entry program writes it",
    "log_file": "a worker's logs go to Cloud Logging",
    "runbook_url": "a worker's log shows the code of a line and no link",
    "monitoring.enabled": "the endpoint is of local runs; Dataflow shows Beam's metrics",
    "monitoring.host": "as enabled",
    "monitoring.port": "as enabled",
    "monitoring.token": "as enabled",
    "accounts.0.name": "part of checkpoint names, so always the same",
    "destinations.0.name": "part of step labels, so always the same",
    "routes.0.destinations": "there is one",
    "routes.0.accounts": "there is one",
    "routes.0.from": "there is one destination, and reading.start_days says it",
    "routes.0.where": "an expression is no short text for a form: use a plain launch with a configuration",
    "routes.0.function": "its module would have to be in the image: use a plain launch",
    "routes.0.redact.drop": "a list for each way and log is no short text: use a plain launch",
    "routes.0.redact.hash": "as drop",
    "routes.0.redact.mask": "as drop",
    "routes.0.redact.key": "without hash of no use",
    "storage.dead_letter_dir": "beside the checkpoints in state_dir",
    "storage.dead_letter_keep_days": "for directories of this machine; a bucket has rules of its own",
    "storage.import_dir": "Duo Log Sync's files are on another machine",
    "accounts.0.ca_file": "for test servers",
    "accounts.0.port": "for test servers",
    "reading.request_timeout_secs": "for slow test servers",
    "reading.relist_secs": "the default fits",
    "reading.overlap_max_rows": "a bound on memory that the default meets",
    "destinations.0.connect_timeout_secs": "the default fits",
    "destinations.0.max_events_per_sec": "for udp, whose default fits any receiver",
    "destinations.0.format.header.style": "siem_header is the short form",
    "destinations.0.format.header.facility": "siem_header is the short form",
    "destinations.0.format.header.hostname": "siem_header is the short form",
    "destinations.0.format.header.app_name": "siem_header is the short form",
    "destinations.0.tls.client_cert_file": "its key would have to be in the image: use a plain launch",
    "destinations.0.tls.client_key_file": "a key in an image is no secret: use a plain launch",
    "destinations.0.tls.client_key_password": "without client_key_file of no use",
}


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class EnumOption(Shape):
    value: str = Field(min_length=1)
    label: str | None = None
    description: str | None = None


class ParameterMetadata(Shape):
    """Google's ``ParameterMetadata`` (Dataflow API v1b3), as JSON."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    label: str = Field(min_length=1, max_length=80)
    helpText: str = Field(min_length=1, max_length=500)  # noqa: N815 - Google's name, as all here
    isOptional: bool = False  # noqa: N815
    regexes: Annotated[list[str], Field(min_length=1, max_length=1)]
    paramType: Literal["TEXT", "NUMBER", "BOOLEAN", "ENUM", "GCS_WRITE_FOLDER"] = "TEXT"  # noqa: N815
    groupName: str | None = None  # noqa: N815
    parentName: str | None = None  # noqa: N815
    parentTriggerValues: list[str] | None = None  # noqa: N815
    enumOptions: list[EnumOption] | None = None  # noqa: N815
    defaultValue: str | None = None  # noqa: N815
    hiddenUi: bool = False  # noqa: N815
    customMetadata: dict[str, str] | None = None  # noqa: N815


class TemplateMetadata(Shape):
    """Google's ``TemplateMetadata``, as JSON."""

    name: str = Field(min_length=1, max_length=80)
    description: str = Field(min_length=1, max_length=500)
    streaming: bool
    supportsAtLeastOnce: bool  # noqa: N815
    supportsExactlyOnce: bool  # noqa: N815
    defaultStreamingMode: Literal["UNSPECIFIED", "EXACTLY_ONCE", "AT_LEAST_ONCE"]  # noqa: N815
    parameters: list[ParameterMetadata] = Field(min_length=1)


def fits(name: str, value: str) -> bool:
    """As the service decides: every regular expression must match."""
    return all(re.search(regex, value) for regex in DESCRIBED[name]["regexes"])


def test_it_has_googles_shape_and_no_key_that_google_does_not_know():
    TemplateMetadata.model_validate(METADATA)
    assert METADATA["streaming"] is True


def test_it_describes_every_parameter_of_the_entry_program_once_and_the_image_that_workers_need():
    assert sorted(p["name"] for p in METADATA["parameters"]) == sorted([*(p.name for p in PARAMETERS), "sdk_container_image"])


@pytest.mark.parametrize("name", DESCRIBED)
def test_its_expression_is_anchored_and_one_that_every_engine_reads_alike(name):
    (regex,) = DESCRIBED[name]["regexes"]
    re.compile(regex)
    assert regex.startswith("^")
    assert regex.endswith("$")
    assert not re.search(r"\(\?|\\[1-9]|[*+?}][+?]", regex), (
        "no look-around, back-reference or lazy repetition: RE2 and JavaScript differ"
    )


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in DESCRIBED for value in GOOD[name]])
def test_a_good_value_is_taken(name, value):
    assert fits(name, value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in DESCRIBED for value in BAD[name]])
def test_a_bad_value_is_refused(name, value):
    assert not fits(name, value)


@pytest.mark.parametrize("name", [name for name in DESCRIBED if name != "sdk_container_image"])
def test_what_it_takes_the_configuration_takes_too(name):
    base = {each: GOOD[each][0] for each, described in DESCRIBED.items() if not described["isOptional"]}
    beside = {
        "allow_list": {"msp": "true"},
        "block_list": {"msp": "true"},
        "siem_cef_profile": {"siem_format": "cef"},
        "siem_delimiter": {"siem_format": "leef"},
        "siem_namespace": {"siem_format": "ecs"},
        "siem_original": {"siem_format": "ocsf"},
        "proxy_host": {"proxy_port": "3128"},
        "proxy_port": {"proxy_host": "p"},
        "proxy_user": {"proxy_host": "p", "proxy_port": "1", "proxy_password_secret": GOOD["skey_secret"][0]},
        "proxy_password_secret": {"proxy_host": "p", "proxy_port": "1", "proxy_user": "u"},
    }
    for value in GOOD[name]:
        job, problems = job_of({**base, **beside.get(name, {}), name: value})
        assert problems == []
        assert job is not None


def test_exactly_what_cannot_be_left_out_is_required():
    required = {name for name, described in DESCRIBED.items() if not described["isOptional"]}
    base = {name: GOOD[name][0] for name in required if name != "sdk_container_image"}
    for name in base:
        assert job_of({key: value for key, value in base.items() if key != name})[0] is None, name
    assert job_of(base)[1] == []


def test_choices_and_expressions_say_the_same():
    for name, described in DESCRIBED.items():
        if described["paramType"] == "ENUM":
            assert sorted(option["value"] for option in described["enumOptions"]) == sorted(GOOD[name])
            assert all(fits(name, option["value"]) for option in described["enumOptions"])
        else:
            assert "enumOptions" not in described


def test_what_stands_in_the_form_for_what_is_optional_is_what_the_configuration_does_without_it():
    properties = leaves(OwnFile)
    for parameter in PARAMETERS:
        described = DESCRIBED[parameter.name]
        if "defaultValue" in described:
            assert fits(parameter.name, described["defaultValue"])
            if described["isOptional"]:
                assert parameter.read(described["defaultValue"]) == properties[parameter.key], parameter.name


def test_every_key_of_the_configuration_has_a_parameter_or_a_reason_to_have_none():
    keys, covered = set(leaves(OwnFile)), {parameter.key for parameter in PARAMETERS}
    for section in DestinationSection.siblings:
        if section.tag in flex_main.LEFT_OUT_KINDS:
            keys -= {f"destinations.0.{key}" for key in leaves(section)} - covered - NO_PARAMETER.keys()
    open_ones = {key for key in keys if key not in covered and not any(key.startswith(f"{other}.") for other in covered)}
    assert open_ones - NO_PARAMETER.keys() == set(), "give the template a parameter for it, or say in NO_PARAMETER why not"
    assert covered <= keys | {"destinations.0.format.header"}


def test_no_parameter_takes_a_secret():
    for name, described in DESCRIBED.items():
        if re.search("secret|password|skey", name):
            assert name.endswith("_secret")
            assert "projects/PROJECT/secrets/NAME/versions/NUMBER" in described["helpText"]


def leaves(model: type[BaseModel], before: str = "") -> dict[str, object]:
    """Keys of a section and of those in it, dotted, with their defaults; a list of sections counts as its first, of
    sections that can be chosen all."""
    found: dict[str, object] = {}
    for key, field in model.by_key().items():
        sections = sections_in(field.annotation)
        path = f"{before}{key}"
        if sections:
            is_list = "list[" in str(field.annotation)
            for section in sections:
                found = leaves(section, f"{path}.0." if is_list else f"{path}.") | found
        else:
            found[path] = None if field.is_required() else field.get_default(call_default_factory=True)
    return found


def sections_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for inner in getattr(annotation, "__args__", ()) for section in sections_in(inner)]
