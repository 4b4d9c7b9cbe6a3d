"""OpenTelemetry's log records, as protobuf.

Place in the flow: one of ``bodies``. OpenTelemetry's classes come with the extra [otlp], and are loaded where they are used.

A request that is taken in part must not be sent again, says the protocol, and the answer tells only how many records were
rejected. So every event of such a request is kept as a dead letter (``partly_rejected``): those that were taken are in two
places then, and none is lost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from transforms.destinations.http.dialect import Outgoing
from transforms.destinations.http.generic_settings import GenericSettings
from transforms.errors import Undeliverable
from transforms.records import Stream

_MOST_NANOS = (1 << 63) - 1


class OtlpLogs:
    """A ``Body``. A piece is a part of ``ScopeLogs``: parts that stand one behind the other are one message."""

    content_type = "application/x-protobuf"

    def __init__(self, _settings: GenericSettings) -> None:
        from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
        from opentelemetry.proto.common.v1 import common_pb2
        from opentelemetry.proto.logs.v1 import logs_pb2
        from opentelemetry.proto.resource.v1 import resource_pb2

        self._logs, self._service, self._common, self._resource = logs_pb2, logs_service_pb2, common_pb2, resource_pb2

    def piece(self, event: Outgoing) -> bytes:
        information = self._logs.SeverityNumber.SEVERITY_NUMBER_INFO
        now = time.time_ns()
        record = self._logs.LogRecord(observed_time_unix_nano=now, severity_number=information, severity_text="INFO")
        time_ms = event.time_ms
        if time_ms is not None and 0 <= time_ms * 1_000_000 <= _MOST_NANOS:
            record.time_unix_nano = time_ms * 1_000_000
        try:
            record.body.string_value = event.message.decode()
        except UnicodeDecodeError:
            raise Undeliverable("The message is not UTF-8.", reason="not_utf8") from None
        return bytes(self._logs.ScopeLogs(log_records=[record]).SerializeToString())

    def join(self, stream: Stream, pieces: Sequence[bytes]) -> bytes:
        logs = self._logs.ScopeLogs(scope=self._common.InstrumentationScope(name="duologsync"))
        logs.MergeFromString(b"".join(pieces))
        resource = self._resource.Resource(attributes=[self._pair(key, text) for key, text in _about(stream).items()])
        request = self._service.ExportLogsServiceRequest(
            resource_logs=[self._logs.ResourceLogs(resource=resource, scope_logs=[logs])]
        )
        return bytes(request.SerializeToString())

    def _pair(self, key: str, text: str) -> Any:
        return self._common.KeyValue(key=key, value=self._common.AnyValue(string_value=text))


def _about(stream: Stream) -> dict[str, str]:
    about = {"service.name": "cisco-duo", "duo.log": stream.log_type, "duo.account": stream.account}
    if stream.api_host:
        about["host.name"] = stream.api_host
    if stream.account_id:
        about["duo.account_id"] = stream.account_id
    return about


def rejected_records(body: bytes) -> int | None:
    """How many records an answer says were rejected; None where it is no such answer."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

    try:
        said = ExportLogsServiceResponse.FromString(body)
    except DecodeError:
        return None
    return max(0, int(said.partial_success.rejected_log_records))
