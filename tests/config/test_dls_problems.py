"""Every way to get Duo Log Sync's file wrong, among them those that end Duo Log Sync with a traceback."""

# ruff: noqa: E501 - a table reads best with one case a line

import pytest

from tests.config.conftest import DLS, marked_line, replaced

MAPPING = "    - endpoints: ['auth', 'telephony']\n      server: 'main server'"

CASES = {
    "unknown server": ("server: 'main server'", "server: 'other' #!", "account.endpoint_server_mappings.0.server", "no server named other", "Use main server."),
    "misspelt server": ("server: 'main server'", "server: 'mein server' #!", "account.endpoint_server_mappings.0.server", "no server named", "main server?"),
    "two servers of one id": ("account:", "  - {id: main server, hostname: b, port: 1, protocol: UDP} #!\naccount:", "servers.1.id", "first in line 15", "its own"),
    "mapping to nowhere": (MAPPING, "    - endpoints: ['auth'] #!", "account.endpoint_server_mappings.0.server", "is missing", "id of a server"),
    "no mappings": (f"endpoint_server_mappings:\n{MAPPING}", "endpoint_server_mappings: [] #!", "account.endpoint_server_mappings", "empty list", "at least one"),
    "no endpoints": ("['auth', 'telephony']", "[] #!", "account.endpoint_server_mappings.0.endpoints", "empty list", "at least one"),
    "unknown endpoint": ("['auth', 'telephony']", "[authlog] #!", "account.endpoint_server_mappings.0.endpoints.0", "authlog", "Did you mean auth?"),
    "TCPSSL without certificate": ("protocol: 'TCP'", "protocol: 'TCPSSL'", "servers.0.cert_filepath", "needs the CA file", "Name a PEM file"),
    "protocol in lower case": ("protocol: 'TCP'", "protocol: tcp #!", "servers.0.protocol", "tcp is not", "Did you mean TCP?"),
    "protocol of its own": ("protocol: 'TCP'", "protocol: HTTP #!", "servers.0.protocol", "HTTP is not", "TCP"),
    "format in lower case": ("log_format: 'JSON'", "log_format: json #!", "dls_settings.log_format", "json is not", "Did you mean JSON?"),
    "port as text": ("port: 8888", "port: '8888' #!", "servers.0.port", "is a text", "without quotes"),
    "port too high": ("port: 8888", "port: 65536 #!", "servers.0.port", "65536 is out of range", "Use a port from 1 to 65535."),
    "port empty": ("port: 8888", "port: '' #!", "servers.0.port", "is a text", "digits only"),
    "offset too high": ("offset: 180", "offset: 181 #!", "dls_settings.api.offset", "out of range", "from 0 to 180"),
    "enabled as text": ("enabled: True", "enabled: 'True' #!", "dls_settings.checkpointing.enabled", "is a text", "without quotes"),
    "empty directory": ("directory: 'checkpoints'", "directory: '' #!", "dls_settings.checkpointing.directory", "is empty", "Directory"),
    "proxy without port": ("proxy_server: ''\n    proxy_port: 0", "proxy_server: 'p'\n    proxy_port: 0 #!", "dls_settings.proxy.proxy_port", "without its port", "proxy_port"),
    "unknown key": ("timeout: 120", "timeot: 120 #!", "dls_settings.api.timeot", "not known", "Did you mean timeout?"),
    "unknown section": ("account:", "acount: {} #!\naccount:", "acount", "not known", "Did you mean account?"),
    "id empty": ("id: 'main server'", "id: '' #!", "servers.0.id", "is empty", "Your name"),
    "ikey empty": ("ikey: 'DIXXXXXXXXXXXXXXXXXX'", "ikey: '' #!", "account.ikey", "is empty", "Integration key"),
    "skey short": ("skey: 'SKEY'", "skey: 'abc' #!", "account.skey", "has 3 characters", "has 40"),
    "skey of a place that is not known": ("skey: 'SKEY'", "skey: 'vault:x' #!", "account.skey", "before the colon", "env:NAME"),
    "hostname with scheme": ("hostname: 'api-1", "hostname: 'https://api-1", "account.hostname", "not a host", "without https://"),
    "is_msp as text": ("is_msp: False", "is_msp: nope #!", "account.is_msp", "is a text", "true or false"),
    "block list of numbers": ("block_list: []", "block_list: [1] #!", "account.block_list.0", "is a number", "in quotes"),
    "version without quotes": ("version: '1.0.0'", "version: 1.0 #!", "version", "not a known version", "version: '1.0.0'"),
    "no version": ("version: '1.0.0'", "", "version", "is missing", "version: '1.0.0'"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace(" ", "-"))
def test_problem_names_line_key_cause_and_fix(case, problems_of):
    old, new, key, what, fix = CASES[case]
    text = replaced(DLS, old, new)
    (problem,) = problems_of(text)
    assert problem.key == key
    assert what in problem.what
    assert fix in problem.fix
    assert problem.line == marked_line(text) or "#!" not in text


def test_layout_of_2020_is_told_apart(problems_of):
    (problem,) = problems_of(
        "duoclient: {skey: '', ikey: '', host: ''}\nlogs: {logDir: /var/log}\ntransport: {protocol: TCP}\n"
    )
    assert "layout that Duo Log Sync had in 2020" in problem.what


def test_template_that_was_not_filled_in_is_told_key_by_key(problems_of):
    text = DLS
    for old in (
        "'main server'\n    hostname",
        "'siem.example.com'",
        "'DIXXXXXXXXXXXXXXXXXX'",
        "'SKEY'",
        "'api-1a2b3c4d.duosecurity.com'",
    ):
        text = replaced(text, old, "''\n    hostname" if "hostname" in old else "''")
    assert [p.key for p in problems_of(text) if p.what == "is empty"] == [
        "servers.0.id",
        "servers.0.hostname",
        "account.ikey",
        "account.skey",
        "account.hostname",
    ]


def test_list_of_accounts_points_to_the_right_key(problems_of):
    found = problems_of(replaced(DLS, "account:\n", "accounts:\n"))
    assert [(p.key, p.fix) for p in found if "not known" in p.what] == [("accounts", "Did you mean account?")]
