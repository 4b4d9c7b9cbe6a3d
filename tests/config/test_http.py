"""Destinations over HTTP in the configuration file: what is taken, what is refused with its fix, and what is told."""

import pytest

from pipelines.config import load
from tests.config.conftest import OWN, replaced
from transforms.destinations import WriteToSiem
from transforms.destinations.http.generic_settings import NamedLog
from transforms.destinations.http.settings import ProxyServer, SecretHeader
from transforms.formats.json_lines import JsonOptions
from transforms.secrets import SecretRef

TCP = "kind: tcp\n    host: siem.example.com\n    port: 6514\n    format: json"
DATADOG = "kind: http\n    preset: datadog\n    url: https://http-intake.logs.datadoghq.eu\n    token: env:DUO_SKEY"
ELASTIC = "kind: http\n    preset: elastic\n    url: https://elastic.example.com\n    token: env:DUO_SKEY"
SENTINEL = "kind: http\n    preset: sentinel\n    url: https://a.ingest.monitor.azure.com\n    identity: azure"
OAUTH = """kind: http
    url: https://siem.example.com
    oauth: {client_id: a, client_secret: env:DUO_SKEY, token_url: "https://login.example.com/token"}"""
RULE = "\n    rule_id: dcr-" + "0" * 32
HEC = "kind: hec\n    url: https://splunk.example.com:8088\n    token: env:DUO_SKEY"


def with_destination(text: str, written: str = "json") -> str:
    return replaced(OWN, TCP, f"{text}\n    format: {written}")


def test_lists_of_sections_become_values_with_references_to_secrets(write):
    text = f"""{HEC}
    index: duo
    headers: ["X-Tenant: duo"]
    secret_headers: [{{name: X-Key, secret: env:DUO_SKEY}}]
    proxy: {{host: proxy.example.com, port: 3128, user: u, password: env:DUO_SKEY}}
    logs: [{{log: auth, index: logins}}]"""
    job = load(write(with_destination(text))).job
    settings = job.destinations[0].settings

    assert settings.secret_headers == (SecretHeader(name="X-Key", secret=SecretRef("env", "DUO_SKEY")),)
    assert settings.proxy == ProxyServer(host="proxy.example.com", port=3128, user="u", password=SecretRef("env", "DUO_SKEY"))
    assert settings.named("auth").index == "logins"
    assert settings.named("telephony").index == "duo"
    assert {secret.key[2:] for secret in job.secrets() if secret.key[0] == "destinations"} == {
        ("token",), ("secret_headers", 0, "secret"), ("proxy", "password"),
    }  # fmt: skip
    assert hash(job.destinations[0])


@pytest.mark.parametrize(
    ("text", "key", "what", "fix"),
    [
        ("kind: hec\n    token: env:DUO_SKEY", "url", "missing", ""),
        (HEC.replace("https://", ""), "url", "not an address of HTTP", "https://"),
        (HEC.replace("https://", "https://u:s3cret@"), "url", "a password is part of the address", "key of its own"),
        (HEC.replace("https://", "ftp://"), "url", "not an address of HTTP", "https://"),
        (HEC.replace("https", "http"), "url", "a secret would be sent in plain text", "plain_text: true"),
        (HEC.replace("https://", "http://127.0.0.1."), "url", "a secret would be sent in plain text", "https://"),
        (HEC.replace("https://splunk", "http://localhost"), "url", "a secret would be sent in plain text", "https://"),
        (OAUTH.replace("https://login", "http://login"), "oauth", "a secret would be sent in plain text", "https://"),
        (HEC + "\n    headers: ['authorization: Bearer s3cret']", "headers.0", "is a secret", "secret_headers"),
        (HEC + "\n    headers: ['X-A']", "headers.0", "no header", "NAME: VALUE"),
        (HEC + "\n    headers: ['Authorization: s3cret']", "headers.0", "value of this header is a secret", "secret_headers"),
        (HEC + "\n    headers: ['Host: x']", "headers.0", "set by the program", "Remove it"),
        (HEC + '\n    headers: ["X: a\\nY: b"]', "headers.0", "a header cannot have", "ASCII"),
        (HEC + "\n    logs: [{log: atuh}]", "logs.0.log", "no such log", "auth"),
        (HEC + "\n    logs: [{index: a}]", "logs.0.log", "missing", ""),
        (HEC + "\n    proxy: {host: p, port: 1, user: u}", "proxy.password", "missing beside user", "both"),
        (HEC + "\n    framing: lf", "framing", "for kind tcp or tls", "Remove it"),
        ("kind: http", "url", "the receiver's address is missing", "url or secret_url"),
        ("kind: http\n    preset: datadgo", "preset", "not one of the known words", "datadog"),
        (DATADOG.replace("\n    token: env:DUO_SKEY", ""), "token", "preset datadog needs it", "Add token"),
        (SENTINEL, "rule_id", "preset sentinel needs it", "Add rule_id"),
        (SENTINEL + "\n    rule_id: mine", "rule_id", "no immutable id of a rule", "dcr-"),
        (SENTINEL + RULE + "\n    namespace: x", "namespace", "preset sentinel has no use for it", "Remove it"),
        (SENTINEL + RULE + "\n    oauth: {client_id: a, client_secret: env:DUO_SKEY}", "identity", "other credentials", "one"),
        (SENTINEL.replace("identity: azure", "oauth: {client_id: a, client_secret: env:DUO_SKEY}") + RULE, "oauth",
         "the tenant is missing", "oauth.tenant_id"),
        ("kind: http\n    url: https://x.example.com\n    user: me", "password", "missing beside user", "both"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_key_with_the_fix(problems_of, text, key, what, fix):
    found = [problem for problem in problems_of(with_destination(text)) if problem.key == f"destinations.0.{key}"]
    assert found, [str(problem) for problem in problems_of(with_destination(text))]
    assert what in found[0].what
    assert fix in found[0].fix
    assert "s3cret" not in str(found[0])


@pytest.mark.parametrize(
    ("text", "written", "what"),
    [
        (SENTINEL + RULE, "cef", "preset sentinel takes JSON only"),
        (ELASTIC, "{name: json, envelope: true}", "wants Duo's rows as they are"),
        (DATADOG, "{name: json, header: rfc5424}", "wants Duo's rows as they are"),
    ],
)
def test_a_format_that_the_vendor_s_content_cannot_read_is_refused(problems_of, text, written, what):
    (problem,) = problems_of(with_destination(text, written))
    assert problem.key == "destinations.0.format"
    assert what in problem.what


def test_plain_text_is_fine_to_this_machine_and_where_the_user_says_so(write):
    assert load(write(with_destination(HEC.replace("https://splunk.example.com", "http://127.0.0.1"))))
    assert load(write(with_destination(HEC.replace("https://splunk.example.com", "http://[::1]"))))
    assert load(write(with_destination(HEC.replace("https", "http") + "\n    plain_text: true")))


def test_events_of_an_msp_s_children_have_no_envelope_where_the_vendor_reads_duo_s_rows(write):
    text = replaced(with_destination(ELASTIC), "skey: env:DUO_SKEY", "skey: env:DUO_SKEY\n    msp: true")
    (destination,) = load(write(text)).job.destinations
    assert destination.format.options == JsonOptions(envelope=False)


class TestAge:
    def test_what_a_receiver_will_not_take_any_more_is_told_before_it_is_read(self, write):
        (notice,) = load(write(with_destination(DATADOG))).notices
        assert notice.key == "destinations.0"
        assert "no event that is older than 18 hours" in notice.what
        assert "begins 180 days back" in notice.what
        assert "from: now" in notice.fix

    @pytest.mark.parametrize(
        "change",
        [("destinations: [splunk]", "destinations: [splunk]\n    from: now"), (DATADOG, f"{DATADOG}\n    too_old: send")],
    )
    def test_and_not_where_it_will_not_happen(self, write, change):
        assert load(write(replaced(with_destination(DATADOG), *change))).notices == ()


class TestInPipelinesOfOnesOwn:
    def test_sections_are_mappings_and_lists_of_them(self):
        made = WriteToSiem(
            "http",
            url="https://siem.example.com",
            token="env:TOKEN",
            logs=[{"log": "auth", "name": "a"}],
            dead_letter_dir="/tmp/d",
        )
        settings = made._destination.settings
        assert settings.logs == (NamedLog(log="auth", name="a"),)
        assert settings.token == SecretRef("env", "TOKEN")

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"logs": [{"log": "nothing", "name": "a"}]}, "logs: 1: log: there is no such log"),
            ({"token": "s3cret"}, "takes a reference to a secret"),
            ({"secret_headers": [{"name": "X", "secret": "s3cret"}]}, "takes a reference to a secret"),
            ({"preset": "sentinel"}, "preset sentinel needs it"),
        ],
    )
    def test_what_is_wrong_is_told(self, given, told):
        with pytest.raises(ValueError, match=told) as error:
            WriteToSiem("http", url="https://siem.example.com", dead_letter_dir="/tmp/d", **given)
        assert "s3cret" not in str(error.value)
