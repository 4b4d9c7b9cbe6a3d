"""Calls to Duo: signed by duo_client, carried by a connection of our own.

Place in the flow: the bottom of the source. One client per stream, made on the worker, used by the stream's feed only.

duo_client 5.7 signs well, but opens a TLS connection per call, has no total time limit, repeats the same signed request for a
minute on 429, and looks at no more of a name than its DNS form. So ``_make_request``, the one place where it speaks HTTP, is
replaced: one attempt, one kept connection, a deadline for the whole answer, a limit for its size, Python's own verification of
chain and name against Duo's pinned CA bundle (or the user's), and a tunnel with user and password.

Errors come sorted by what to do (``transforms.errors``): RetryLater, StreamUnavailable, BadCredentials; and ``PageRefused``
where Duo refuses the parameters of a call. No text holds a secret.
"""

from __future__ import annotations

import base64
import datetime as dt
import email.utils
import http.client
import socket
import ssl
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import duo_client
import msgspec
from duo_client.client import DEFAULT_CA_CERTS

from transforms.duo.answers import read_children, read_page
from transforms.duo.log_types.base import LogType
from transforms.duo.paging import Answer
from transforms.duo.windows import Call
from transforms.errors import BadCredentials, DuoLogSyncError, RetryLater, StreamUnavailable
from transforms.settings import Account

# A full page is about 1.5 MB. Anything near this is not a page of logs.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
# Duo closes idle connections after about a minute: a connection this old is not worth the attempt.
IDLE_SECS = 30.0
_READ_BYTES = 256 * 1024
_BAD_TIMESTAMP_CODES = (40104, 40105)


class PageRefused(DuoLogSyncError):
    """Duo refuses the call's parameters (400): a page cursor that expired, or a window that it does not serve."""


class _Failure(msgspec.Struct):
    code: int = 0
    message: str = ""
    message_detail: str | None = None


_decode_failure = msgspec.json.Decoder(_Failure).decode


class DuoClient(duo_client.Admin):
    """Reads pages of logs of one account. Not thread-safe."""

    def __init__(self, account: Account, *, user_agent: str, timeout_secs: float) -> None:
        super().__init__(
            account.ikey,
            account.skey.resolve(),
            account.api_host,
            ca_certs=account.ca_file,
            user_agent=user_agent,
            timeout=timeout_secs,
            port=account.port,
        )
        self.account_id = account.account_id
        self._account = account
        self._timeout_secs = timeout_secs
        self._tls = _trust(account.ca_file or DEFAULT_CA_CERTS)
        self._connection: http.client.HTTPSConnection | None = None
        self._last_used = 0.0
        self.skew_secs: float | None = None

    def __reduce__(self) -> Any:
        raise TypeError("A DuoClient holds a secret and a connection; make it where it is used.")

    def fetch_page(self, log_type: LogType, call: Call) -> Answer:
        """One page. Raises the errors of the module."""
        params = _params(log_type, call)
        status, headers, body = self._call_once_more_if_stale("GET", log_type.path, params)
        if status != 200:
            raise self._failure(status, headers, body, log_type.path, log_type.ends_on)
        return read_page(body, log_type)

    def fetch_children(self) -> list[dict[str, Any]]:
        """The child accounts of an Accounts API parent, as Duo lists them."""
        path = "/accounts/v1/account/list"
        status, headers, body = self._call_once_more_if_stale("POST", path, {})
        if status != 200:
            raise self._failure(status, headers, body, path)
        return read_children(body)

    def close(self) -> None:
        """Ends the kept connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # --- one attempt -------------------------------------------------------------------------------------------------

    def _call_once_more_if_stale(self, method: str, path: str, params: dict[str, str]) -> tuple[int, Any, bytes]:
        """One signed call; a second one, signed anew, where a kept connection turned out to be closed already."""
        kept = self._connection is not None
        try:
            return self._attempt(method, path, params)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            if not kept:
                raise self._transport_failure(error) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._transport_failure(error) from None
        try:
            return self._attempt(method, path, params)
        except (OSError, http.client.HTTPException) as error:
            raise self._transport_failure(error) from None

    def _attempt(self, method: str, path: str, params: dict[str, str]) -> tuple[int, Any, bytes]:
        try:
            response, body = self.api_call(method, path, dict(params))
        except BaseException:
            self.close()
            raise
        return response.status, response.headers, body

    def _make_request(
        self, method: str, uri: str, body: str | None, headers: dict[bytes, bytes]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """duo_client's one place of HTTP: sends a signed request and gives the answer, whatever its status."""
        deadline = time.monotonic() + self._timeout_secs
        connection = self._connected(deadline)
        connection.request(method, uri, body, headers)  # type: ignore[arg-type] # bytes are fine
        response = connection.getresponse()
        content = self._read_body(response, connection.sock, deadline)
        self._note_skew(response)
        if response.will_close:
            self.close()
        self._last_used = time.monotonic()
        return response, content

    def _connected(self, deadline: float) -> http.client.HTTPSConnection:
        if self._connection is not None and time.monotonic() - self._last_used > IDLE_SECS:
            self.close()
        if self._connection is None:
            self._connection = self._new_connection()
            self._connection.timeout = max(0.1, deadline - time.monotonic())
            self._connection.connect()
            # Small requests should not wait for the last answer's acknowledgement.
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.sock.settimeout(max(0.1, deadline - time.monotonic()))
        return self._connection

    def _new_connection(self) -> http.client.HTTPSConnection:
        port = self.port or http.client.HTTPS_PORT
        proxy = self._account.proxy
        if proxy is None:
            return http.client.HTTPSConnection(self.host, port, context=self._tls)
        connection = http.client.HTTPSConnection(proxy.host, proxy.port, context=self._tls)
        connection.set_tunnel(self.host, port, _proxy_headers(proxy.user, proxy.password.resolve() if proxy.password else ""))
        return connection

    def _read_body(self, response: http.client.HTTPResponse, sock: socket.socket | None, deadline: float) -> bytes:
        """The whole body, within the deadline and the size limit, however slowly it drips."""
        expected = response.length
        if expected is not None and expected > MAX_ANSWER_BYTES:
            raise http.client.HTTPException(f"an answer of {expected} bytes, over the limit of {MAX_ANSWER_BYTES}")
        chunks: list[bytes] = []
        size = 0
        while chunk := response.read1(_READ_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise http.client.HTTPException(f"an answer over the limit of {MAX_ANSWER_BYTES} bytes")
            left_secs = deadline - time.monotonic()
            if left_secs <= 0:
                raise TimeoutError(f"the answer was not complete after {self._timeout_secs:g} s")
            if sock is not None:
                sock.settimeout(left_secs)
        # read1 leaves a complete answer open, and an open answer keeps the connection from being used again.
        response.close()
        if expected is not None and size != expected:
            raise http.client.IncompleteRead(b"", expected - size)
        return b"".join(chunks)

    def _note_skew(self, response: http.client.HTTPResponse) -> None:
        try:
            served_at = email.utils.parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (TypeError, ValueError):
            return
        self.skew_secs = time.time() - served_at

    # --- errors ------------------------------------------------------------------------------------------------------

    def _failure(self, status: int, headers: Any, body: bytes, path: str, ends_on: dt.date | None = None) -> DuoLogSyncError:
        """A status other than 200 as the error that says what to do."""
        try:
            failure = _decode_failure(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            failure = _Failure()
        said = f"{path} answered {status}" + (f" (code {failure.code}: {failure.message})" if failure.code else "")
        if status == 400:
            return PageRefused(f"{said}, {failure.message_detail or 'without saying which parameter'}")
        if status == 401:
            return self._unauthorised(failure.code, said)
        if status == 403:
            return StreamUnavailable(
                f"{said}. Grant 'read log' to the application in Duo's Admin Panel, and look at its allowed networks and at "
                "whether the account's edition has this log.",
                kind="forbidden",
            )
        if status in (404, 410):
            end = f" Its end was announced for {ends_on}." if ends_on else ""
            return StreamUnavailable(f"{said}. Duo does not serve this log for this account.{end}", kind="not_found")
        if status == 429:
            return RetryLater(f"{said}.", kind="rate_limited", wait_secs=_retry_after_secs(headers))
        kind = "server_error" if status >= 500 else "unexpected_status"
        return RetryLater(f"{said}.", kind=kind, wait_secs=_retry_after_secs(headers))

    def _unauthorised(self, code: int, said: str) -> DuoLogSyncError:
        if code in _BAD_TIMESTAMP_CODES:
            skew = f"{self.skew_secs:+.0f} s" if self.skew_secs is not None else "an unknown time"
            return RetryLater(f"{said}. This machine's clock is off by {skew} against Duo's: run NTP.", kind="clock_skew")
        return BadCredentials(
            f"{said}. Check ikey, skey and api_host of account '{self._account.name}': all three belong to one application."
        )

    def _transport_failure(self, error: Exception) -> RetryLater:
        where = f"{self.host}:{self.port or http.client.HTTPS_PORT}"
        if self._account.proxy is not None:
            where += f" (through the proxy {self._account.proxy.host}:{self._account.proxy.port})"
        if isinstance(error, ssl.SSLCertVerificationError):
            return RetryLater(
                f"The certificate of {where} is not trusted: {error.verify_message}. Where a proxy inspects TLS, or a test "
                "server is meant, set ca_file to its CA.",
                kind="tls",
            )
        if isinstance(error, ssl.SSLError):
            return RetryLater(
                f"TLS with {where} failed: {error.reason or error}. "
                "Check api_host and port, and whether a proxy answers in its place.",
                kind="tls",
            )
        if isinstance(error, socket.gaierror):
            return RetryLater(f"The name of {where} cannot be resolved: {error.strerror}.", kind="network")
        if isinstance(error, http.client.IncompleteRead):
            return RetryLater(f"The answer of {where} was cut short by {error.expected} bytes.", kind="cut_body")
        if isinstance(error, TimeoutError):
            return RetryLater(f"{where} did not answer within {self._timeout_secs:g} s.", kind="timeout")
        return RetryLater(f"Calling {where} failed: {error or type(error).__name__}.", kind="network")


def _trust(ca_file: str) -> ssl.SSLContext:
    """One context for all clients that trust the same file, as it is now: each holds some hundred kilobytes."""
    return _trust_as_of(ca_file, Path(ca_file).stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _trust_as_of(ca_file: str, _changed_ns: int) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _params(log_type: LogType, call: Call) -> dict[str, str]:
    if log_type.pages_by_time:
        return {"mintime": str(call.mintime_ms // 1000)}
    params = {"mintime": str(call.mintime_ms), "maxtime": str(call.maxtime_ms), "limit": str(log_type.page_limit)}
    if log_type.sort:
        params["sort"] = log_type.sort
    if call.next_offset:
        params[log_type.cursor_param] = call.next_offset
    return params


def _proxy_headers(user: str | None, password: str) -> dict[str, str]:
    if not user:
        return {}
    token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return {"Proxy-Authorization": f"Basic {token}"}


def _retry_after_secs(headers: Any) -> float | None:
    """Retry-After as seconds; it may be a number or a date."""
    value = headers.get("Retry-After") if headers is not None else None
    if not value:
        return None
    if value.strip().isdigit():
        return min(float(value), 3600.0)
    try:
        return min(max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time()), 3600.0)
    except (TypeError, ValueError):
        return None
