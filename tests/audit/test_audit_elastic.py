"""The whole program to Elasticsearch's bulk API, and the audit by its search: what one writes, the other finds."""

import json

import pytest

from pipelines import exit_codes
from tests.audit.conftest import outcome
from tests.audit.standins import ElasticSearch, Stored
from tests.destinations.http.conftest import serve  # noqa: F401 - a fixture
from tests.destinations.http.standins.vendors import Elastic
from transforms.destinations.http.bodies import moment
from transforms.duo.log_types import LOG_TYPES

ROUTES = "routes:\n  - {log_types: [auth, telephony], destinations: [siem]}\n"


class Index(Elastic):
    """What is sent to it can be searched, an answer later."""

    def __init__(self):
        super().__init__()
        self.search = ElasticSearch()

    def answer(self, asked):
        if not asked.path.endswith("/_search"):
            return super().answer(asked)
        self.search.events = [Stored(self._time_of(name, document), document, name) for name, document in self.documents]
        return self.search.answer(asked)

    @staticmethod
    def _time_of(name, document):
        log = name.partition("cisco_duo.")[2].partition("-")[0].removesuffix("_v2")
        time_ms = LOG_TYPES[log].row_key(document["message"].encode()).time_ms
        assert document["@timestamp"] == moment(time_ms)
        return time_ms


@pytest.fixture
def index(world, serve, monkeypatch):  # noqa: F811
    standin = serve(Index())
    monkeypatch.setenv("ELASTIC_KEY", Elastic.KEY)
    world.write(
        f"{{name: siem, kind: http, preset: elastic, url: '{standin.url}', token: env:ELASTIC_KEY, format: json, "
        f"audit: {{kind: elastic, url: '{standin.url}', token: env:ELASTIC_KEY, index: '{{name}}'}}}}",
        routes=ROUTES,
    )
    return standin.receiver


def test_what_the_preset_writes_is_found_and_what_was_deleted_is_written_again(world, index, audited):
    world.happen("auth", 120)
    world.happen("telephony", 7)
    world.deliver(lambda: len(index.documents) == 127)

    code, (certificate,) = audited("--wait", 0)
    assert code == exit_codes.OK
    assert [(each["log_type"], each["stored"], each["repeats"]) for each in certificate["streams"]] == [
        ("auth", 120, 0),
        ("telephony", 7, 0),
    ]

    taken = index.documents[10:14]
    index.documents = [each for each in index.documents if each not in taken]
    index.seen.clear()  # a deleted document's id can be created again
    code, (certificate,) = audited("--wait", 0)
    assert (code, outcome(certificate)["missing"]) == (exit_codes.INCOMPLETE, 4)
    named = {each["id"] for each in outcome(certificate)["named"]}
    assert named == {json.loads(document["message"])["txid"] for _, document in taken}

    index.search.hides = 1  # an index that is not refreshed yet
    code, (certificate,) = audited("--fix", "--wait", 6)
    assert (code, outcome(certificate)["fixed"], outcome(certificate)["stored"]) == (exit_codes.OK, 4, 120)
    assert len(index.documents) == 127
