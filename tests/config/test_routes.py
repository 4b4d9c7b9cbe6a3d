"""What a route says of events: filters, redactions and functions, from the file to the job."""

# ruff: noqa: E501 - a table reads best with one case a line

import pytest

from pipelines import cli, graph
from pipelines.config import load
from tests.config.conftest import OWN
from transforms.events.redact_settings import Redaction
from transforms.secrets import SecretRef
from transforms.settings import Route

ROUTE = "  - log_types: [auth]\n    destinations: [splunk]\n"

# name: (what the route has more, key, part of what is wrong, part of the fix). #! marks the line that must be named.
CASES = {
    "unknown field": ("    where: event.reslt == 'x' #!", "routes.0.where", "character 7: auth has no field reslt", "event.result?"),
    "wrong type": ("    where: event.timestamp == 'x' #!", "routes.0.where", "character 17: == does not go", "one type"),
    "no CEL": ("    where: event.result = 'x' #!", "routes.0.where", "character 14: this is not CEL", "Check quotes"),
    "no truth": ("    where: event.result #!", "routes.0.where", "gives a text", "Compare"),
    "second line": (
        "    where: > #!\n      true &&\n      event.reslt == 'x'", "routes.0.where", "character 15: auth has no field", "event.result?",
    ),
    "block of lines": (
        "    where: | #!\n      true &&\n      event.reslt == 'x'", "routes.0.where", "line 2, character 7: auth has no", "event.result?",
    ),
    "where a number": ("    where: 5 #!", "routes.0.where", "must be a text", "quotes"),
    "field misspelt": ("    redact: {drop: [emial]} #!", "routes.0.redact.drop.0", "auth has no field emial", "Did you mean email?"),
    "field of another log": ("    redact: {mask: [actor.name]} #!", "routes.0.redact.mask.0", "auth has no field actor.name", "['actor']['name']"),
    "inside a text": ("    redact: {mask: [email.domain]} #!", "routes.0.redact.mask.0", "email is a text", "the whole of email"),
    "no path": ("    redact: {drop: [a..b]} #!", "routes.0.redact.drop", "no path of a field", "user.groups[*]"),
    "no key": ("    redact: #!\n      hash: [email]", "routes.0.redact.key", "is missing beside hash", "key: env:"),
    "key for nothing": ("    redact: {drop: [email], key: env:K} #!", "routes.0.redact.key", "nothing is hashed", "Remove it"),
    "nothing redacted": ("    redact: {} #!", "routes.0.redact.drop", "no field is named", "at least one"),
    "unknown way": ("    redact: {hush: [email]} #!", "routes.0.redact.hush", "not known", "hash?"),
    "named twice": ("    redact: {drop: [email], mask: [email]} #!", "routes.0.redact.mask", "named twice", "once"),
    "no function": ("    function: my_siem #!", "routes.0.function", "not the name of a function", "module:function"),
    "no module": ("    function: no_such_module:f #!", "routes.0.function", "the module no_such_module cannot be found", "PYTHONPATH"),
    "not in the module": ("    function: json:no_such #!", "routes.0.function", "no function no_such", "behind the colon"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_told_with_line_key_cause_and_fix(name, write, problems_of):
    more, key, what, fix = CASES[name]
    text = OWN.replace(ROUTE, f"{ROUTE}{more}\n")
    line = text[: text.index("#!")].count("\n") + 1
    found = problems_of(text.replace(" #!", ""))

    assert [(p.line, p.key) for p in found if what in p.what and fix in p.fix] == [(line, key)], [str(p) for p in found]


def test_everything_is_told_at_once(problems_of):
    more = "    where: evnt == 1\n    redact: {drop: [emial], hash: [user.name]}\n    function: no_such_module:f\n"
    keys = [p.key for p in problems_of(OWN.replace(ROUTE, ROUTE + more).replace("port: 6514", "port: 0"))]
    assert keys == [
        "destinations.0.port", "routes.0.where", "routes.0.redact.key", "routes.0.redact.drop.0", "routes.0.function",
    ]  # fmt: skip


def test_the_job_has_what_the_route_says(write, monkeypatch):
    monkeypatch.setenv("REDACTION_KEY", "k" * 16)
    more = "    where: event.result == 'denied'\n    redact: {drop: [email], hash: [user.name], key: env:REDACTION_KEY}\n"
    job = load(write(OWN.replace(ROUTE, f"{ROUTE}{more}    function: json:dumps\n"))).job

    redact = Redaction(drop=("email",), hash=("user.name",), key=SecretRef("env", "REDACTION_KEY"))
    [route] = job.routes
    assert route == Route(("auth",), ("splunk",), where="event.result == 'denied'", redact=redact, function="json:dumps")
    assert ("routes", 0, "redact", "key") in [used.key for used in job.secrets()]
    assert job.selection("auth", "splunk") == (route,)
    assert job.selection("activity", "splunk") == ()


def test_without_the_library_a_filter_is_a_problem_with_its_fix(problems_of, monkeypatch):
    from transforms.events import filters

    monkeypatch.setattr(filters, "LIBRARY", "no_such_library")
    [problem] = problems_of(OWN.replace(ROUTE, f"{ROUTE}    where: event.result == 'x'\n"))
    assert (problem.key, "library for filters is not installed" in problem.what) == ("routes.0.where", True)
    assert '".[filters]"' in problem.fix


def test_a_function_need_not_be_here_where_the_job_runs_elsewhere(write):
    path = write(OWN.replace(ROUTE, f"{ROUTE}    function: no_such_module:f\n"))
    assert load(path, runs_here=False).job.routes[0].function == "no_such_module:f"


def test_a_short_key_is_told_without_being_shown(problems_of, monkeypatch):
    monkeypatch.setenv("REDACTION_KEY", "tooshort")
    [problem] = problems_of(OWN.replace(ROUTE, f"{ROUTE}    redact: {{hash: [email], key: env:REDACTION_KEY}}\n"))
    assert (problem.key, problem.what) == ("routes.0.redact.key", "the key has 8 characters")
    assert "tooshort" not in str(problem)


def test_one_subscription_keeps_the_order_of_routes_and_what_they_do(write):
    routes = f"{ROUTE}    where: event.result == 'fraud'\n{ROUTE}    redact: {{drop: [email]}}\n"
    job = load(write(OWN.replace(ROUTE, routes))).job
    part = graph.one_subscription(job, job.accounts[0], "auth", job.destinations[0])
    assert [(route.where, route.redact) for route in part.routes] == [
        ("event.result == 'fraud'", None), (None, Redaction(drop=("email",))),
    ]  # fmt: skip


def notices(write, *routes):
    text = OWN.replace(
        ROUTE, "".join(f"  - {{log_types: [auth, activity], destinations: [splunk]{more}}}\n" for more in routes)
    )
    return [(notice.key, notice.what) for notice in load(write(text)).notices if notice.key.startswith("routes")]


def test_a_notice_says_that_an_id_is_redacted(write):
    [(key, what)] = notices(write, ", redact: {drop: [txid]}")
    assert (key, "txid is the id of auth's events" in what) == ("routes.0.redact", True)


def test_a_notice_says_that_a_route_is_never_asked(write):
    [*found] = notices(
        write, ", redact: {drop: [email]}", ", redact: {mask: [email]}", ", accounts: [main], function: 'json:dumps'"
    )
    assert [key for key, _ in found] == ["routes.1", "routes.1", "routes.2", "routes.2"]
    assert "an earlier route takes every event of auth to splunk" in found[0][1]


@pytest.mark.parametrize(
    "routes",
    [
        (", where: 'true', redact: {drop: [email]}", ", redact: {mask: [email]}"),
        (", accounts: [main], redact: {drop: [email]}", ", redact: {mask: [email]}"),
        ("", ", accounts: [main]"),
    ],
)
def test_no_notice_where_a_later_route_is_asked_or_makes_no_difference(write, routes):
    assert notices(write, *routes) == []


def test_validate_tells_what_is_done_with_events(write, capsys):
    more = "    where: 'true'\n    redact: {drop: [email]}\n    function: json:dumps\n"
    assert cli.main(["validate", str(write(OWN.replace(ROUTE, ROUTE + more)))]) == 0
    assert "splunk (tcp siem.example.com:6514, json; filtered, redacted, by json:dumps)" in capsys.readouterr().out
