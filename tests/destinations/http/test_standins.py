"""Each stand-in of a vendor, used by the vendor's own client: what the stand-in believes of requests is not only our belief."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone

import pytest

from tests.destinations.http.standins.hec import TOKEN, Hec
from tests.destinations.http.standins.tokens import CLIENT_ID, CLIENT_SECRET, TENANT
from tests.destinations.http.standins.vendors import INSTANCE, RULE_ID, Chronicle, Datadog, Elastic, Sentinel


def test_microsoft_s_client_for_the_logs_ingestion_api(serve):
    from azure.core.credentials import AccessToken
    from azure.core.exceptions import HttpResponseError
    from azure.monitor.ingestion import LogsIngestionClient

    standin = serve(Sentinel())
    standin.receiver.tokens.valid.add("a-token")

    class Credential:
        def get_token(self, *scopes, **_more):
            assert scopes == ("https://monitor.azure.com/.default",)
            return AccessToken("a-token", int(time.time()) + 3600)

    loopback = {"enforce_https": False}
    client = LogsIngestionClient(standin.url, Credential(), retry_total=0)
    client.upload(RULE_ID, "Custom-DuoAuthentication_CL", [{"txid": str(number)} for number in range(3)], **loopback)
    assert standin.receiver.by_stream == {"Custom-DuoAuthentication_CL": [{"txid": "0"}, {"txid": "1"}, {"txid": "2"}]}
    assert standin.asked[-1].headers["content-encoding"] == "gzip"

    with pytest.raises(HttpResponseError, match="InvalidStream"):
        client.upload(RULE_ID, "Custom-Other_CL", [{"txid": "3"}], **loopback)
    with pytest.raises(HttpResponseError, match="InvalidRequestBody"):
        client.upload(RULE_ID, "Custom-DuoAuthentication_CL", [{"txid": "poison"}], **loopback)


def test_entra_s_client_credentials_as_azure_identity_s_form_has_them(serve):
    import requests

    standin = serve(Sentinel())
    form = {
        "grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "scope": "https://monitor.azure.com/.default",
    }  # fmt: skip
    answer = requests.post(f"{standin.url}/{TENANT}/oauth2/v2.0/token", data=form, timeout=5)
    assert answer.json()["token_type"] == "Bearer"
    refused = requests.post(f"{standin.url}/{TENANT}/oauth2/v2.0/token", data={**form, "client_secret": "x"}, timeout=5)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_datadog_s_client(serve):
    from datadog_api_client import ApiClient, Configuration
    from datadog_api_client.exceptions import ApiException
    from datadog_api_client.v2.api.logs_api import LogsApi
    from datadog_api_client.v2.model.content_encoding import ContentEncoding
    from datadog_api_client.v2.model.http_log import HTTPLog
    from datadog_api_client.v2.model.http_log_item import HTTPLogItem

    standin = serve(Datadog())

    def submit(key: str, text: str) -> None:
        configuration = Configuration(api_key={"apiKeyAuth": key}, enable_retry=False)
        # The client chooses among its sites; the stand-in is none of them.
        with ApiClient(configuration) as client:
            api = LogsApi(client)
            api._submit_log_endpoint.settings["servers"] = [{"url": standin.url, "description": "the stand-in"}]
            items = [HTTPLogItem(ddsource="cisco-duo", ddtags="env:test", hostname="h", message=text, service="authentication")]
            api.submit_log(content_encoding=ContentEncoding.GZIP, body=HTTPLog(items))

    submit(Datadog.KEY, '{"txid":"1"}')
    assert standin.received == [b'{"txid":"1"}']
    assert standin.asked[0].headers["content-encoding"] == "gzip"
    with pytest.raises(ApiException, match="403"):
        submit("wrong", "x")
    with pytest.raises(ApiException, match="400"):
        submit(Datadog.KEY, "poison")


def test_elastic_s_client(serve):
    from elasticsearch import Elasticsearch, helpers

    standin = serve(Elastic())
    client = Elasticsearch(standin.url, api_key=Elastic.KEY, max_retries=0)
    assert client.info()["version"]["number"] == "9.5.1"
    actions = [
        {"_op_type": "create", "_index": "logs-cisco_duo.auth-default", "_id": each, "_source": {"message": each}}
        for each in ("1", "2", "poison", "1")
    ]
    taken, errors = helpers.bulk(client, actions, raise_on_error=False)

    assert (taken, standin.received) == (2, [b"1", b"2"])
    assert [error["create"]["status"] for error in errors] == [400, 409]


def test_google_s_client_for_secops_with_a_service_account(serve):
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2 import service_account
    from secops.chronicle.client import ChronicleClient
    from secops.exceptions import APIError

    standin = serve(Chronicle())
    key = standin.receiver.tokens.service_account(f"{standin.url}/token")
    scope = "https://www.googleapis.com/auth/cloud-platform"
    credentials = service_account.Credentials.from_service_account_info(key, scopes=[scope])
    customer = INSTANCE.rpartition("/")[2]
    client = ChronicleClient("p", customer, "eu", session=AuthorizedSession(credentials))
    client.base_url = f"{standin.url}/v1alpha"
    now = datetime.now(timezone.utc)
    more = {"forwarder_id": "f1", "force_log_type": True, "log_entry_time": now, "collection_time": now}
    client.ingest_log("DUO_AUTH", ['{"txid":"1"}', '{"txid":"2"}'], **more)

    assert [json.loads(each)["txid"] for each in standin.received] == ["1", "2"]
    assert list(standin.receiver.by_type) == ["DUO_AUTH"]
    assert standin.receiver.tokens.given == 1
    with pytest.raises(APIError):
        client.ingest_log("DUO_AUTH", ["poison"], **more)


def test_the_collector_answers_as_splunk_s_documentation_says(serve):
    """Of a collector with acknowledgements there is no client that is kept: these are the exchanges that Splunk documents."""
    import requests

    standin = serve(Hec())
    standin.receiver.acknowledges = True
    standin.receiver.indexes_late = 1
    token = {"Authorization": f"Splunk {TOKEN}"}
    channel = {"X-Splunk-Request-Channel": "FE0ECFAD-13D5-401B-847D-77833BD77131"}

    def post(path: str, data: str, **headers: str) -> tuple[int, dict]:
        answer = requests.post(f"{standin.url}/services/collector{path}", data=data, headers=headers, timeout=5)
        return answer.status_code, answer.json()

    assert requests.get(f"{standin.url}/services/collector/health", timeout=5).json()["code"] == 17
    assert post("/event", '{"event":"a"}') == (401, {"text": "Something", "code": 2})
    assert post("/event", '{"event":"a"}', Authorization="Splunk wrong") == (403, {"text": "Invalid token", "code": 4})
    assert post("/event", '{"event":"a"}', **token)[1]["code"] == 10, "acknowledgement wants a channel"
    assert post("/event", "", **token, **channel)[1]["code"] == 5
    assert post("/event", '{"event":"a"}{"event":""}'.replace("}{", "}\n{"), **token, **channel) == (
        400,
        {"text": "Something", "code": 13, "invalid-event-number": 1},
    )
    assert post("/event", '{"event":"b"}', **token, **channel) == (200, {"text": "Success", "code": 0, "ackId": 0})
    asked = [post("/ack?channel=FE0ECFAD-13D5-401B-847D-77833BD77131", '{"acks":[0]}', **token)[1] for _ in range(3)]
    assert [each["acks"]["0"] for each in asked] == [False, True, False], "true once, and then forgotten"
