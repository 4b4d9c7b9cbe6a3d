"""What Duo answers when it refuses: the codes, their words, and the JSON bodies that carry them.

Place in the flow: every other module of the simulator raises ``DuoError``; the server turns it into an HTTP answer.
Contract: the HTTP status is the first three digits of the code; the body is ``{"code":…,"message":…,"stat":"FAIL"}`` with an
optional ``message_detail``, as real Duo sends it.
"""

from __future__ import annotations

import http
import http.client
from dataclasses import dataclass, field

import msgspec

MESSAGES = {
    40001: "Missing required request parameters",
    40002: "Invalid request parameters",
    40101: "Missing request credentials",
    40102: "Invalid integration key in request credentials",
    40103: "Invalid signature in request credentials",
    40104: "Missing request timestamp",
    40105: "Bad request timestamp",
    40301: "Access forbidden",
    40401: "Resource not found",
    42901: "Too many requests",
    50001: "Internal server error",
}

# A refusal without a code of its own is told by status alone.
CODE_OF_STATUS = {400: 40002, 401: 40103, 403: 40301, 404: 40401, 429: 42901, 500: 50001}


class DuoError(Exception):
    """A refusal in Duo's own words."""

    def __init__(self, code: int, detail: str | None = None) -> None:
        super().__init__(f"{code} {MESSAGES.get(code, 'Unknown error')}" + (f": {detail}" if detail else ""))
        self.code = code
        self.detail = detail

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return self.code // 100


@dataclass(slots=True)
class Answer:
    """One HTTP answer before it is written to the connection."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def head(self, date: str, *, keep_alive: bool) -> bytes:
        """Status line and headers, up to and with the empty line."""
        reason = http.client.responses.get(self.status, "Unknown")
        lines = [
            f"HTTP/1.1 {self.status} {reason}",
            "Server: Duo/1.0",
            f"Date: {date}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            "Cache-Control: no-store",
            f"Connection: {'keep-alive' if keep_alive else 'close'}",
        ]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def refusal(error: DuoError) -> Answer:
    """The answer for a refusal."""
    body: dict[str, object] = {"code": error.code, "message": MESSAGES.get(error.code, "Unknown error"), "stat": "FAIL"}
    if error.detail:
        body["message_detail"] = error.detail
    return Answer(error.status, msgspec.json.encode(body))


def accepted(response: object) -> Answer:
    """A good answer that holds ``response``."""
    return Answer(200, msgspec.json.encode({"stat": "OK", "response": response}))


def html_page(status: int) -> Answer:
    """What a load balancer in front of Duo says: HTML, whatever was asked."""
    phrase = http.HTTPStatus(status).phrase
    body = f"<html>\r\n<head><title>{status} {phrase}</title></head>\r\n<body><h1>{status} {phrase}</h1></body>\r\n</html>\r\n"
    return Answer(status, body.encode(), content_type="text/html; charset=utf-8")
