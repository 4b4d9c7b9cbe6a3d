"""Every way to get our own file wrong: the line, the key, the cause and the fix."""

# ruff: noqa: E501 - a table reads best with one case a line

import pytest

from pipelines.config import load
from tests.config.conftest import OWN, marked_line, replaced

# name: (replaced, by what, key, part of what is wrong, part of the fix). #! marks the line that must be named.
CASES = {
    "port out of range": ("port: 6514", "port: 70000 #!", "destinations.0.port", "70000 is out of range", "Use a port from 1 to 65535."),
    "port zero": ("port: 6514", "port: 0 #!", "destinations.0.port", "0 is out of range", "from 1 to 65535"),
    "port as text": ("port: 6514", "port: '6514' #!", "destinations.0.port", "is a text", "without quotes"),
    "port as words": ("port: 6514", "port: syslog #!", "destinations.0.port", "is a text", "digits only"),
    "port with a fraction": ("port: 6514", "port: 65.5 #!", "destinations.0.port", "has a fraction", "digits only"),
    "port base 60": ("port: 6514", "port: 10:30 #!", "destinations.0.port", "base of 60", "quotes"),
    "port octal": ("port: 6514", "port: 0514 #!", "destinations.0.port", "begins with 0", "decimal"),
    "port hexadecimal": ("port: 6514", "port: 0x10 #!", "destinations.0.port", "begins with 0", "decimal"),
    "port with underscores": ("port: 6514", "port: 6_514 #!", "destinations.0.port", "unusual", "plain digits"),
    "port empty": ("port: 6514", "port: #!", "destinations.0.port", "is empty", "Fill it in: Port that the SIEM listens on."),
    "port missing": ("  - name: splunk\n    kind: tcp\n    host: siem.example.com\n    port: 6514",
                     "  - name: splunk #!\n    kind: tcp\n    host: siem.example.com",
                     "destinations.0.port", "is missing", "Add it. Port that the SIEM listens on."),
    "port true": ("port: 6514", "port: yes #!", "destinations.0.port", "is true or false", "digits"),
    "host with scheme": ("host: siem.example.com", "host: https://siem.example.com/x #!", "destinations.0.host", "not a host", "without https://"),
    "host with port": ("host: siem.example.com", "host: siem.example.com:514 #!", "destinations.0.host", "a port is part", "under its own key"),
    "host with blanks": ("host: siem.example.com", "host: my siem #!", "destinations.0.host", "not a host name", "dots and dashes"),
    "host in brackets": ("host: siem.example.com", "host: '[2001:db8::1]' #!", "destinations.0.host", "in brackets", "without brackets"),
    "host empty": ("host: siem.example.com", "host: '' #!", "destinations.0.host", "is empty", "Host name"),
    "host a list": ("host: siem.example.com", "host: [a] #!", "destinations.0.host", "is a list", "one text"),
    "kind misspelt": ("kind: tcp", "kind: tpc #!", "destinations.0.kind", "tpc is not one of", "Did you mean tcp?"),
    "kind as the incumbent": ("kind: tcp", "kind: TCPSSL #!", "destinations.0.kind", "TCPSSL", "Did you mean tls?"),
    "kind unknown": ("kind: tcp", "kind: carrier-pigeon #!", "destinations.0.kind", "not one of", "Use tcp, tls, udp, hec, http, kafka, file, stdout or avro."),
    "format misspelt": ("format: json", "format: jsom #!", "destinations.0.format", "jsom", "Did you mean json?"),
    "format a number": ("format: json", "format: 3 #!", "destinations.0.format", "must be a mapping", "keys below it"),
    "envelope of cef": ("format: json", "format: {name: cef, envelope: true} #!", "destinations.0.format.envelope", "only json", "name: json"),
    "profile of json": ("format: json", "format: {name: json, profile: dls} #!", "destinations.0.format.profile", "only cef", "name: cef"),
    "header misspelt": ("format: json", "format: {name: json, header: rfc5242} #!", "destinations.0.format.header", "rfc5242", "rfc5424?"),
    "facility": ("format: json", "format: {name: json, header: {style: rfc5424, facility: 24}} #!",
                 "destinations.0.format.header.facility", "24 is out of range", "from 0 to 23"),
    "a log's key inside an envelope": ("format: json", "format: {name: json, envelope: true, log_key: log} #!",
                           "destinations.0.format.log_key", "names the log already", "Leave out log_key"),
    "a log's key that is none": ("format: json", "format: {name: json, log_key: a b} #!",
                           "destinations.0.format.log_key", "not a key", "letters, digits"),
    "a namespace that is none": ("format: json", "format: {name: ecs, namespace: A-b} #!",
                           "destinations.0.format.namespace", "no namespace", "small letters"),
    "a delimiter of another format": ("format: json", "format: {name: cef, delimiter: tab} #!",
                           "destinations.0.format.delimiter", "only leef", ""),
    "the row beside a format that is the row": ("format: json", "format: {name: json, original: true} #!",
                           "destinations.0.format.original", "only ecs and ocsf", ""),
    "header with blanks": ("format: json", "format: {name: json, header: {style: rfc5424, app_name: a b}} #!",
                           "destinations.0.format.header.app_name", "cannot have", "ASCII"),
    "framing of udp": ("kind: tcp", "kind: udp\n    framing: octet #!", "destinations.0.framing", "no framing", "Remove it."),
    "long datagrams": ("kind: tcp", "kind: udp\n    max_message_bytes: 70000 #!", "destinations.0.max_message_bytes",
                       "no UDP datagram", "at most 65507"),
    "tls of tcp": ("format: json", "format: json\n    tls: {} #!", "destinations.0.tls", "the kind is not", "kind: tls"),
    "key without certificate": ("kind: tcp", "kind: tls\n    tls: {client_key_file: k.pem} #!",
                                "destinations.0.tls.client_key_file", "without a client certificate", "client_cert_file"),
    "unknown key": ("port: 6514", "port: 6514\n    prot: 1 #!", "destinations.0.prot", "not known", "Did you mean port?"),
    "unknown key of nobody": ("port: 6514", "port: 6514\n    zzz: 1 #!", "destinations.0.zzz", "not known", "Use name, kind"),
    "unknown section": ("routes:", "rootes: [] #!\nroutes:", "rootes", "not known", "Did you mean routes?"),
    "runbook with an anchor": ("routes:", "runbook_url: https://wiki.example.com/duo#top #!\nroutes:", "runbook_url", "no place", "without #"),
    "ikey short": ("ikey: DIXXXXXXXXXXXXXXXXXX", "ikey: DIX #!", "accounts.0.ikey", "has 3 characters", "has 20"),
    "ikey of another kind": ("ikey: DIXXXXXXXXXXXXXXXXXX", "ikey: XXXXXXXXXXXXXXXXXXXX #!", "accounts.0.ikey", "begin with DI", "not the secret"),
    "skey short": ("skey: env:DUO_SKEY", "skey: short #!", "accounts.0.skey", "has 5 characters", "has 40"),
    "skey of one character": ("skey: env:DUO_SKEY", "skey: 'x' #!", "accounts.0.skey", "has 1 character", "has 40"),
    "skey a number": ("skey: env:DUO_SKEY", "skey: 1234567890 #!", "accounts.0.skey", "is a number", "in quotes"),
    "skey from nowhere": ("skey: env:DUO_SKEY", "skey: 'env:' #!", "accounts.0.skey", "environment variable", "env:NAME"),
    "skey from no file": ("skey: env:DUO_SKEY", "skey: 'file:' #!", "accounts.0.skey", "nothing follows", "file:PATH"),
    "skey of a place that is not known": ("skey: env:DUO_SKEY", "skey: vault:secret/duo #!", "accounts.0.skey", "before the colon",
        "env:NAME, file:PATH or gcp:"),
    "skey as long as a key, of a place that is not known": ("skey: env:DUO_SKEY", f"skey: vault:{'x' * 34} #!", "accounts.0.skey",
        "before the colon", "env:NAME"),
    "skey of a place in capitals": ("skey: env:DUO_SKEY", "skey: ENV:DUO_SKEY #!", "accounts.0.skey", "before the colon", "env:NAME"),
    "skey from nowhere behind a blank": ("skey: env:DUO_SKEY", "skey: ' env:' #!", "accounts.0.skey", "environment variable", "env:NAME"),
    "skey empty": ("skey: env:DUO_SKEY", "skey: '' #!", "accounts.0.skey", "is empty", "secret key"),
    "admin panel": ("api_host: api-", "api_host: admin-", "accounts.0.api_host", "Admin Panel", "begins with api-"),
    "name with a slash": ("- name: main", "- name: a/b #!", "accounts.0.name", "not a usable name", "64 letters"),
    "name yes": ("- name: main", "- name: yes #!", "accounts.0.name", "true or false", "Put it in quotes."),
    "name a date": ("- name: main", "- name: 2024-01-01 #!", "accounts.0.name", "reads this as a date", "quotes"),
    "block list without msp": ("skey: env:DUO_SKEY", "skey: env:DUO_SKEY\n    block_list: [DA1] #!", "accounts.0.block_list", "children", "msp: true"),
    "allow list without msp": ("skey: env:DUO_SKEY", "skey: env:DUO_SKEY\n    allow_list: [DA1] #!", "accounts.0.allow_list", "children", "msp: true"),
    "msp as text": ("skey: env:DUO_SKEY", "skey: env:DUO_SKEY\n    msp: 'yes' #!", "accounts.0.msp", "is a text", "without quotes"),
    "proxy password without user": ("skey: env:DUO_SKEY", "skey: env:DUO_SKEY\n    proxy: {host: p, port: 1, password: env:A} #!",
                                    "accounts.0.proxy.user", "missing beside password", "both or none"),
    "log type misspelt": ("log_types: [auth]", "log_types: [telefony] #!", "routes.0.log_types.0", "telefony", "Did you mean telephony?"),
    "log type dropped": ("log_types: [auth]", "log_types: [adminaction] #!", "routes.0.log_types.0", "adminaction", "Did you mean activity?"),
    "log type a boolean": ("log_types: [auth]", "log_types: [on] #!", "routes.0.log_types.0", "true or false", "in quotes"),
    "no log types": ("log_types: [auth]", "log_types: [] #!", "routes.0.log_types", "empty list", "at least one"),
    "route to nowhere": ("destinations: [splunk]", "destinations: [] #!", "routes.0.destinations", "empty list", "at least one"),
    "route to an unknown": ("destinations: [splunk]", "destinations: [splonk] #!", "routes.0.destinations.0", "no destination named splonk", "splunk?"),
    "route to a stranger": ("destinations: [splunk]", "destinations: xyz #!", "routes.0.destinations", "no destination named xyz", "Use splunk."),
    "route of an unknown": ("destinations: [splunk]", "destinations: [splunk]\n    accounts: [mian] #!", "routes.0.accounts.0",
                            "no account named mian", "Did you mean main?"),
    "begin nowhere": ("[splunk]", "[splunk]\n    from: yesterday #!", "routes.0.from", "no place to begin at", "Write now, N days back"),
    "begin too far back": ("[splunk]", "[splunk]\n    from: 181 days back #!", "routes.0.from", "no place to begin at", "at most 180"),
    "begin at an unknown": ("[splunk]", "[splunk]\n    from: checkpoint of splonk #!", "routes.0.from", "no destination named splonk", "splunk?"),
    "begin at its own": ("[splunk]", "[splunk]\n    from: checkpoint of splunk #!", "routes.0.from", "its own checkpoint", "Name another one"),
    "no routes": ("routes:\n  - log_types: [auth]\n    destinations: [splunk]", "routes: [] #!", "routes", "empty list", "at least one"),
    "start days": ("routes:", "reading: {start_days: 181} #!\nroutes:", "reading.start_days", "181 is out of range", "from 0 to 180"),
    "lag as text": ("routes:", "reading: {lag_secs: 2m} #!\nroutes:", "reading.lag_secs", "must be a number", "Write 120: it is a number of seconds."),
    "infinite lag": ("routes:", "reading: {lag_secs: .inf} #!\nroutes:", "reading.lag_secs", "unusual", "digits"),
    "reading a text": ("routes:", "reading: fast #!\nroutes:", "reading", "must be a mapping", "below it"),
    "days with a unit": ("routes:", "reading: {start_days: 30d} #!\nroutes:", "reading.start_days", "must be a number, but is a text",
                         "Write 30: it is a number of days."),
    "minutes where seconds are": ("routes:", "reading: {request_timeout_secs: 1.5 min} #!\nroutes:", "reading.request_timeout_secs", "is a text",
                                  "Write 90: it is a number of seconds."),
    "begin with a short span": ("[splunk]", "[splunk]\n    from: 30d #!", "routes.0.from", "no place to begin at", "Write 30 days back."),
    "begin with a number": ("[splunk]", "[splunk]\n    from: 30 #!", "routes.0.from", "a number alone is no place to begin at", "Write 30 days back."),
    "days in a route": ("[splunk]", "[splunk]\n    start_days: 30 #!", "routes.0.start_days", "not known here", "Did you mean from?"),
    "header beside the format": ("    format: json", "    format: json\n    header: rfc5424 #!", "destinations.0.header", "this key belongs to format",
                                 "Write it below format, indented, and not beside it."),
    "style beside the header": ("    format: json", "    format: {name: cef, style: rfc5424} #!", "destinations.0.format.style",
                                "this key belongs to header", "Write it below header, indented, and not beside it."),
    "a directory on the wrong level": ("  checkpoint_dir", "checkpoint_dir", "checkpoint_dir", "this key belongs to storage", "Write it below storage"),
    "a variable for the secret": ("env:DUO_SKEY", "${DUO_SKEY} #!", "accounts.0.skey", "variables of the shell are not put in here", "Write env:DUO_SKEY."),
    "a variable without braces": ("env:DUO_SKEY", "$DUO_SKEY #!", "accounts.0.skey", "variables of the shell are not put in here", "Write env:DUO_SKEY."),
    "a variable for the key": ("DIXXXXXXXXXXXXXXXXXX", "${DUO_IKEY} #!", "accounts.0.ikey", "variables of the shell", "Write the key itself"),
    "a variable for the host": ("host: siem.example.com", "host: ${SIEM} #!", "destinations.0.host", "variables of the shell", "Write the host name itself."),
    "the integration key as the secret": ("env:DUO_SKEY", "DIXXXXXXXXXXXXXXXXXX #!", "accounts.0.skey", "this looks like an integration key",
                                          "Write the secret key here, and the integration key under ikey."),
    "the secret as the integration key": ("DIXXXXXXXXXXXXXXXXXX", "s3cr3txxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx #!", "accounts.0.ikey",
                                          "this has the length of a secret key", "Write the integration key (DI…) here, and this under skey."),
    "version of text": ("version: 2", "version: '2' #!", "version", "not a known version", "Write version: 2"),
    "version of tomorrow": ("version: 2", "version: 3 #!", "version", "not a known version", "Write version: 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace(" ", "-"))
def test_problem_names_line_key_cause_and_fix(case, problems_of):
    old, new, key, what, fix = CASES[case]
    text = replaced(OWN, old, new)
    (problem,) = problems_of(text)
    assert problem.key == key
    assert what in problem.what
    assert fix in problem.fix
    if "#!" in text:
        assert problem.line == marked_line(text)
        assert f"config.yml:{problem.line}: {key}: {problem.what}. {problem.fix}" in str(problem)


def test_message_reads_as_documented(problems_of):
    (problem,) = problems_of(replaced(OWN, "6514", "70000"))
    assert str(problem).endswith("config.yml:11: destinations.0.port: 70000 is out of range. Use a port from 1 to 65535.")


def test_same_name_twice_names_the_first_line(problems_of):
    second = "  - {name: splunk, kind: udp, host: 192.0.2.1, port: 514, format: cef} #!\nroutes:"
    text = replaced(OWN, "routes:", second)
    (problem,) = problems_of(text)
    assert (problem.key, problem.line) == ("destinations.1.name", marked_line(text))
    assert problem.what == "two destinations have the name splunk, first in line 8"


def test_two_accounts_without_a_name_have_the_same(problems_of):
    account = "  - {api_host: api-2.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: env:DUO_SKEY}\n"
    (problem,) = problems_of(replaced(OWN, "destinations:\n", f"{account}destinations:\n"))
    assert "two accounts have the name main" in problem.what


def test_all_problems_are_told_at_once_in_the_order_of_the_file(problems_of):
    text = OWN
    for old, new in (
        ("DIXXXXXXXXXXXXXXXXXX", "DI"),
        ("tcp", "udpp"),
        ("6514", "0"),
        ("[auth]", "[aut]"),
        ("[splunk]", "[other]"),
    ):
        text = replaced(text, old, new)
    found = problems_of(text)
    assert [p.key for p in found] == [
        "accounts.0.ikey",
        "destinations.0.kind",
        "destinations.0.port",
        "routes.0.log_types.0",
        "routes.0.destinations.0",
    ]
    assert [p.line for p in found] == sorted(p.line for p in found)


def test_duo_log_sync_s_checkpoints_are_not_taken_for_two_accounts_because_the_other_one_would_miss_events(problems_of, write):
    second = (
        "  - {name: second, api_host: api-2.duosecurity.com, ikey: DIYYYYYYYYYYYYYYYYYY, skey: env:DUO_SKEY}\ndestinations:"
    )
    importing = replaced(OWN, "checkpoint_dir: state", "checkpoint_dir: state\n  import_dir: old")
    (problem,) = problems_of(replaced(importing, "destinations:\n", f"{second}\n"))

    assert problem.key == "storage.import_dir"
    assert "do not say which of main or second that was" in problem.what
    assert load(write(importing))


def test_misspelt_name_is_not_told_again_for_each_use(problems_of):
    found = problems_of(replaced(OWN, "- name: splunk", "- nam: splunk"))
    assert [p.key for p in found] == ["destinations.0.name", "destinations.0.nam"]


@pytest.mark.parametrize("key", ["sky", "skey2", "password", "s3cr3t-key"])
def test_value_of_an_unknown_key_is_never_shown(key, problems_of, secret):
    problems_of(replaced(OWN, "skey: env:DUO_SKEY", f"skey: env:DUO_SKEY\n    {key}: {secret}"))


@pytest.mark.parametrize(
    "line",
    [
        "skey {}",
        "skey: *{}",
        "skey: &{} x",
        "skey: !{}",
        "skey: '{}",
        "skey: [{}",
        "skey: {{{}: 1}}",
        "skey: env:{}-1",
        "skey: %{}",
        "skey: {}: 1",
        "{}: x",
        "ikey2: x\n    ikey: {}",
        "\tskey: {}",
        "skey: {}\n    skey: {}",
        "skey: |\n {}\n  x",
        "skey: {}1",
        "skey: vault:{}",
        "skey: '{}:x'",
        "skey:\n      - {}",
        "port: {}",
        "msp: {}",
        "name: '{} '",
        "skey: x\n    proxy: {{host: '{}', port: 1}}",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(line, problems_of, secret):
    problems_of(replaced(OWN, "skey: env:DUO_SKEY", line.replace("{}", secret).replace("{{", "{").replace("}}", "}")))


def test_without_accounts_and_destinations(problems_of):
    found = problems_of("version: 2\nrouts: []\n")
    assert [(p.key, p.what) for p in found] == [
        ("accounts", "is missing"),
        ("destinations", "is missing"),
        ("routs", "this key is not known here"),
    ]


def test_version_is_missing_and_the_rest_is_checked(problems_of):
    found = problems_of(replaced(replaced(OWN, "version: 2\n", ""), "6514", "0"))
    assert [p.key for p in found] == ["version", "destinations.0.port"]


def test_unused_things_are_notices(write):
    more = "  - {name: spare, kind: udp, host: 192.0.2.1, port: 514, format: cef}\nroutes:"
    notices = load(write(replaced(OWN, "routes:", more))).notices
    assert [(n.key, n.what) for n in notices] == [("destinations.1", "nothing is sent to this destination")]


INDENTED = {
    "a key that is too far left for its item": (
        "    port: 6514", "  port: 6514 #!", "this line is no item of the list that begins in line 8",
        "Begin it with a dash to make it one, or give it the 4 spaces of the keys of the item above.",
    ),
    "a key between two levels": (
        "checkpoint_dir: state", "checkpoint_dir: state\n log_file: x #!",
        "this line is indented by 1 space, and the block that begins in line 1 by 0", "Give it 0 spaces, or those of the block that it belongs to.",
    ),
    "a key that is too far right": (
        "    port: 6514", "     port: 6514 #!",
        "this line is indented by 5 spaces, and the one above, which has its value already, by less",
        "Give keys of one block the same number of spaces.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INDENTED, ids=lambda name: name.replace(" ", "-"))
def test_a_wrong_indentation_is_told_with_the_line_that_it_does_not_fit(case, problems_of):
    old, new, what, fix = INDENTED[case]
    text = replaced(OWN, old, new)
    (problem,) = problems_of(text)
    assert (problem.what, problem.fix, problem.line) == (what, fix, marked_line(text))


def test_a_directory_of_the_kernels_keeps_nothing_whoever_asks(problems_of):
    (problem,) = problems_of(replaced(OWN, "checkpoint_dir: state", "checkpoint_dir: /proc/duo"))
    assert (problem.key, problem.line) == ("storage.checkpoint_dir", 17)
    assert str(problem).endswith("/proc/duo cannot be kept: /proc is the kernel's, and holds no files. Name another directory.")


def test_two_destinations_that_write_to_one_file_are_noticed(write):
    one = "kind: file\n    path: out.log\n    format: json\n"
    text = replaced(OWN, "kind: tcp\n    host: siem.example.com\n    port: 6514\n    format: json\n", one)
    path = write(replaced(text, "routes:", "  - {name: other, kind: file, path: ./out.log, format: cef} #!\nroutes:"))
    notices = load(path).notices
    (notice,) = [each for each in notices if "other" not in each.what and "nothing is sent" not in each.what]
    assert notice.key == "destinations.1.path"
    assert notice.what == f"destination splunk writes to {path.parent}/out.log, too"
    assert notice.fix == "Give each a place of its own, or use one destination."


def test_a_format_that_the_receivers_content_does_not_read_is_noticed(write):
    datadog = "kind: http\n    preset: datadog\n    url: https://logs.example.com\n    token: env:DUO_SKEY\n    too_old: send\n"
    text = replaced(OWN, "kind: tcp\n    host: siem.example.com\n    port: 6514\n", datadog)
    assert load(write(text)).notices == ()

    (notice,) = load(write(replaced(text, "format: json", "format: cef"))).notices
    assert notice.key == "destinations.0.format"
    assert notice.what == "this receiver's own content for Duo reads Duo's rows, and gets cef"
    assert notice.fix == "Write format: json, unless you have content of your own."


@pytest.mark.parametrize("text", ["", "duoclient: {}\nlogs: {}\n"])
def test_who_has_to_begin_anew_is_told_with_what(text, problems_of):
    (problem,) = problems_of(text)
    assert "'duologsync init' asks for it, 'duologsync schema --sample' shows every key." in problem.fix
