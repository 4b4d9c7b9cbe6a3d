"""Receivers of vendors, as their documentation has them, and as their own clients use them (``test_standins``).

Each refuses an event that holds ``poison`` in the way in which the vendor refuses a bad one, and takes a batch in whole or not
at all where the vendor does.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from tests.destinations.http.standins.server import Asked, Reply
from tests.destinations.http.standins.tokens import Tokens

POISON = b"poison"
RULE_ID = "dcr-" + "0" * 32
INSTANCE = "projects/p/locations/eu/instances/00000000-0000-0000-0000-000000000000"
JSON = {"Content-Type": "application/json"}


def said(status: int, body: object) -> Reply:
    return Reply(status, json.dumps(body).encode(), JSON)


class Plain:
    """Any receiver: a message in each line, all of a request or none."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def answer(self, asked: Asked) -> Reply:
        lines = asked.body.splitlines()
        if any(POISON in line for line in lines):
            return Reply(400, b"one of them is bad")
        self.received += lines
        return Reply(200)


class Sentinel:
    """Logs Ingestion API: an array of at most 1 MB into a stream of a rule, all or none."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.by_stream: dict[str, list[dict]] = {}
        self.streams = {"Custom-DuoAuthentication_CL", "Custom-DuoActivity_CL", "Custom-DuoTelephony_CL"}
        self.tokens = Tokens("https://monitor.azure.com/.default")

    def answer(self, asked: Asked) -> Reply:
        if asked.path.endswith("/oauth2/v2.0/token"):
            return self.tokens.answer(asked)
        if not self.tokens.takes(asked):
            return said(401, {"error": {"code": "InvalidToken", "message": "…"}})
        rule = re.fullmatch(r"/dataCollectionRules/(dcr-[0-9a-f]{32})/streams/([A-Za-z0-9_-]+)", asked.path)
        if rule is None or rule[1] != RULE_ID or asked.query.get("api-version") != "2023-01-01":
            return said(404, {"error": {"code": "NotFound", "message": "…"}})
        if rule[2] not in self.streams:
            return said(400, {"error": {"code": "InvalidStream", "message": "…"}})
        if len(asked.body) > 1_000_000:
            return said(413, {"error": {"code": "ContentLengthLimitExceeded", "message": "…"}})
        try:
            rows = json.loads(asked.body)
        except ValueError:
            rows = None
        if not isinstance(rows, list) or POISON in asked.body or not all(isinstance(row, dict) for row in rows):
            return said(400, {"error": {"code": "InvalidRequestBody", "message": "…"}})
        self.by_stream.setdefault(rule[2], []).extend(rows)
        self.received += [json.dumps(row).encode() for row in rows]
        return Reply(204)


class Datadog:
    """Logs API v2: an array of at most 1,000 logs and 5 MB, all or none; what is too old is dropped without a word."""

    KEY = "0123456789abcdef0123456789abcdef"

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.logs: list[dict] = []

    def answer(self, asked: Asked) -> Reply:
        if asked.path != "/api/v2/logs":
            return Reply(404)
        if asked.headers.get("dd-api-key") != self.KEY:
            return said(403, {"errors": [{"status": "403", "title": "Forbidden"}]})
        if len(asked.body) > 5_000_000:
            return said(413, {"errors": [{"status": "413", "title": "Payload Too Large"}]})
        logs = json.loads(asked.body)
        if len(logs) > 1000 or POISON in asked.body or not all("message" in log for log in logs):
            return said(400, {"errors": [{"status": "400", "title": "Bad Request"}]})
        self.logs += logs
        self.received += [log["message"].encode() for log in logs]
        return said(202, {})


class Elastic:
    """Bulk API: a result for each event; data streams take only ``create``, and an id that is there once."""

    KEY = "aWQ6a2V5"

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.documents: list[tuple[str, dict]] = []
        self.seen: set[tuple[str, str]] = set()
        self.faults: list[Callable[[int], tuple[int, str] | None]] = []  # each for the items of one request
        self.keeps_ids = True

    def answer(self, asked: Asked) -> Reply:
        headers = {**JSON, "X-Elastic-Product": "Elasticsearch"}
        if asked.headers.get("authorization") != f"ApiKey {self.KEY}":
            return Reply(401, json.dumps({"error": {"type": "security_exception"}, "status": 401}).encode(), headers)
        if asked.method == "GET":
            return Reply(200, json.dumps({"version": {"number": "9.5.1"}, "tagline": "…"}).encode(), headers)
        if asked.path != "/_bulk":
            return Reply(405, json.dumps({"error": "…"}).encode(), headers)
        lines = asked.body.split(b"\n")
        if lines.pop() != b"":
            return Reply(400, json.dumps({"error": {"type": "illegal_argument_exception"}}).encode(), headers)
        fault = self.faults.pop(0) if self.faults else (lambda _number: None)
        items = [
            self._create(json.loads(action)["create"], document, fault(number))
            for number, (action, document) in enumerate(zip(lines[::2], lines[1::2], strict=True))
        ]
        errors = any("error" in item for item in items)
        body = {"errors": errors, "items": [{"create": item} for item in items]}
        return Reply(200, json.dumps(body).encode(), headers)

    def _create(self, action: dict, document: bytes, fault: tuple[int, str] | None) -> dict:
        if fault is not None:
            return {"status": fault[0], "error": {"type": fault[1], "reason": f"…{document!r}"}}
        if POISON in document:
            return {"status": 400, "error": {"type": "document_parsing_exception", "reason": f"…{document!r}"}}
        key = (action["_index"], action.get("_id", ""))
        if self.keeps_ids and key[1] and key in self.seen:
            return {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "…"}}
        self.seen.add(key)
        self.documents.append((action["_index"], json.loads(document)))
        self.received.append(self.documents[-1][1]["message"].encode())
        return {"status": 201}


class Chronicle:
    """Google SecOps: logs of one type in base64, all or none."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.by_type: dict[str, list[dict]] = {}
        self.tokens = Tokens("https://www.googleapis.com/auth/cloud-platform")

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/token":
            return self.tokens.answer(asked)
        if not self.tokens.takes(asked):
            return said(401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}})
        found = re.fullmatch(rf"/v1alpha/{INSTANCE}/logTypes/([A-Z_]+)/logs:import", asked.path)
        if found is None:
            return said(404, {"error": {"code": 404, "status": "NOT_FOUND"}})
        source = _camel(json.loads(asked.body))["inlineSource"]
        logs = [_camel(log) for log in source["logs"]]
        data = [base64.b64decode(log["data"]) for log in logs]
        in_order = all(log["logEntryTime"] <= log["collectionTime"] for log in logs)
        if (
            not source["forwarder"].startswith(f"{INSTANCE}/forwarders/")
            or not in_order
            or any(POISON in each for each in data)
        ):
            return said(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT"}})
        self.by_type.setdefault(found[1], []).extend(logs)
        self.received += data
        return said(200, {})


def _camel(body: dict) -> dict:
    """Google takes both spellings of a name."""
    return {re.sub(r"_([a-z])", lambda match: match[1].upper(), key): value for key, value in body.items()}


class Otlp:
    """An OpenTelemetry receiver, which may take a request in part."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.requests: list[ExportLogsServiceRequest] = []

    def answer(self, asked: Asked) -> Reply:
        if asked.path != "/v1/logs" or asked.headers.get("content-type") != "application/x-protobuf":
            return Reply(404)
        request = ExportLogsServiceRequest.FromString(asked.body)
        records = [r for res in request.resource_logs for scope in res.scope_logs for r in scope.log_records]
        good = [r for r in records if POISON not in r.body.string_value.encode()]
        self.requests.append(request)
        self.received += [r.body.string_value.encode() for r in good]
        bad = len(records) - len(good)
        partial = ExportLogsPartialSuccess(rejected_log_records=bad, error_message="…") if bad else None
        body = ExportLogsServiceResponse(partial_success=partial).SerializeToString()
        return Reply(200, body, {"Content-Type": "application/x-protobuf"})
