"""OpenTelemetry's log records, as protobuf.

Place in the flow: one of ``bodies``; loaded only where it is used, because protobuf's classes come with the extra [otlp].

A request that is taken in part must not be sent again, says the protocol, and the answer tells only how many records were
rejected. So every event of such a request is kept as a dead letter (``partly_rejected``): those that were taken are in two
places then, and none is lost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from transforms.destinations.http.dialect import Outgoing
from transforms.destinations.http.generic_settings import GenericSettings
from transforms.errors import Undeliverable
from transforms.records import Stream

_MOST_NANOS = (1 << 63) - 1


class OtlpLogs:
    """A ``Body``. A piece is a part of ``ScopeLogs``: parts that stand one behind the other are one message."""

    content_type = "application/x-protobuf"

    def __init__(self, _settings: GenericSettings) -> None:
        """Nothing can be chosen."""

    def piece(self, event: Outgoing) -> bytes:
        record = LogRecord(
            observed_time_unix_nano=time.time_ns(), severity_number=SeverityNumber.SEVERITY_NUMBER_INFO, severity_text="INFO"
        )
        time_ms = event.time_ms
        if time_ms is not None and 0 <= time_ms * 1_000_000 <= _MOST_NANOS:
            record.time_unix_nano = time_ms * 1_000_000
        try:
            record.body.string_value = event.message.decode()
        except UnicodeDecodeError:
            raise Undeliverable("The message is not UTF-8.", reason="not_utf8") from None
        return bytes(ScopeLogs(log_records=[record]).SerializeToString())

    def join(self, stream: Stream, pieces: Sequence[bytes]) -> bytes:
        logs = ScopeLogs(scope=InstrumentationScope(name="duologsync"))
        logs.MergeFromString(b"".join(pieces))
        about = {"service.name": "cisco-duo", "duo.log": stream.log_type, "duo.account": stream.account}
        if stream.api_host:
            about["host.name"] = stream.api_host
        if stream.account_id:
            about["duo.account_id"] = stream.account_id
        resource = Resource(attributes=[KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in about.items()])
        request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=resource, scope_logs=[logs])])
        return bytes(request.SerializeToString())


def rejected_records(body: bytes) -> int | None:
    """How many records an answer says were rejected; None where it is no such answer."""
    try:
        said = ExportLogsServiceResponse.FromString(body)
    except DecodeError:
        return None
    return max(0, int(said.partial_success.rejected_log_records))
