"""Calls to Duo: signed by duo_client, carried by a connection of our own.

Place in the flow: the bottom of the source. One client per stream, made on the worker, used by the stream's feed only.

duo_client signs (``duo_client_internals`` says why it does no more). A call is one attempt, on a connection that is kept and
shared (``connections``), with a deadline for the whole call, a limit for the size of an answer, Python's own verification of
chain and name against Duo's pinned CA bundle (or the user's), and a tunnel with user and password.

Errors come sorted by what to do (``transforms.errors``): RetryLater, StreamUnavailable, BadCredentials; and ``PageRefused``
where Duo refuses the parameters of a call. A refusal counts as Duo's only where it is written like Duo's: what a proxy or a
gateway answers in its place passes. No text holds a secret.
"""

from __future__ import annotations

import datetime as dt
import http.client
import socket
import ssl
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import msgspec
from typing_extensions import override

from transforms.duo.client.answers import read_children, read_page
from transforms.duo.client.connections import CONNECTIONS, Connections, DuoConnection, Place
from transforms.duo.client.duo_client_internals import SignedCalls
from transforms.duo.log_types.base import LogType
from transforms.duo.position.paging import Answer
from transforms.duo.position.windows import Call
from transforms.errors import BadCredentials, DuoLogSyncError, RetryLater, StreamUnavailable
from transforms.process import descriptors, strict_x509
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.proxies import ProxyRefused
from transforms.process.retry_after import retry_after_secs, served_at
from transforms.settings import Account

# A full page is about 1.5 MB. Anything near this is not a page of logs.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
# For the marks between the pieces of an answer, and for trailers.
_BESIDE_BODY_BYTES = 16 * 1024 * 1024
_READ_BYTES = 256 * 1024
_BAD_TIMESTAMP_CODES = (40104, 40105)


class PageRefused(DuoLogSyncError):
    """Duo refuses the call's parameters (400): a page cursor that expired, or a window that it does not serve."""


class PageClient(Protocol):
    """What a feed asks of Duo; ``DuoClient`` is one.

    Attributes:
      skew_secs: how far this machine's time was ahead of Duo's, as the last answer had it; None where it had no time.
    """

    skew_secs: float | None

    def fetch_page(self, log_type: LogType, call: Call) -> Answer:
        """One page. Raises the errors of the module."""
        ...

    def close(self) -> None:
        """Nothing is to be asked for a while. May be used again afterwards."""
        ...


class _Failure(msgspec.Struct):
    stat: str = ""
    code: int = 0
    message: str = ""
    message_detail: str | None = None


_decode_failure = msgspec.json.Decoder(_Failure).decode


class DuoClient(SignedCalls):
    """Reads pages of logs of one account. Not thread-safe."""

    def __init__(
        self,
        account: Account,
        *,
        user_agent: str,
        timeout_secs: float,
        clock: Clock = SYSTEM_CLOCK,
        connections: Connections = CONNECTIONS,
    ) -> None:
        super().__init__(account, user_agent=user_agent, timeout_secs=timeout_secs)
        self.account_id = account.account_id
        self.skew_secs: float | None = None
        self._account = account
        self._timeout_secs = timeout_secs
        self._clock = clock
        self._connections = connections
        self.place = Place(*self.host_and_port, account.proxy, _trust(self.ca_file))
        self._was_kept = False  # the present call's connection had served another one

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
        """Nothing is to be asked for a while: closes the idle connections to this account's host. The client stays usable."""
        self._connections.close_idle(self.place)

    # --- one attempt -------------------------------------------------------------------------------------------------

    def _call_once_more_if_stale(self, method: str, path: str, params: dict[str, str]) -> tuple[int, Any, bytes]:
        """One signed call; a second one, signed anew, where a kept connection turned out to be closed already, and where there
        was no descriptor until idle connections were closed.
        """
        try:
            return self._attempt(method, path, params)
        except (OSError, http.client.HTTPException) as error:
            stale = isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError))
            ran_out = descriptors.ran_out(error)
            if ran_out:
                self._connections.descriptors_ran_out()
            if not ran_out and not (stale and self._was_kept):
                raise self._transport_failure(error) from None
        try:
            return self._attempt(method, path, params)
        except (OSError, http.client.HTTPException) as error:
            raise self._transport_failure(error) from None

    def _attempt(self, method: str, path: str, params: dict[str, str]) -> tuple[int, Any, bytes]:
        response, body = self.call(method, path, params)
        return response.status, response.headers, body

    @override
    def exchange(
        self, method: str, uri: str, body: str | None, headers: dict[bytes, bytes]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Once, on a connection that is kept where it can be."""
        with self._connections.lent(self.place, self._timeout_secs) as connection:
            self._was_kept = connection.sock is not None
            response = connection.call(method, uri, body, headers, time.monotonic() + self._timeout_secs)
            content = _read_body(connection, response)
            if response.status < 200:
                # Nobody asked for one, and its answer is still to come.
                connection.close()
        self._note_skew(response)
        return response, content

    def _note_skew(self, response: http.client.HTTPResponse) -> None:
        made_at = served_at(response.headers)
        if made_at is not None:
            self.skew_secs = self._clock.wall_secs() - made_at

    # --- errors ------------------------------------------------------------------------------------------------------

    def _failure(self, status: int, headers: Any, body: bytes, path: str, ends_on: dt.date | None = None) -> DuoLogSyncError:
        """A status other than 200 as the error that says what to do."""
        try:
            failure = _decode_failure(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            failure = _Failure()
        said = f"{path} answered {status}" + (f" (code {failure.code}: {failure.message})" if failure.code else "")
        if status == 429:
            return RetryLater(f"{said}.", kind="rate_limited", wait_secs=retry_after_secs(headers, self._clock))
        if status >= 500 or status not in (400, 401, 403, 404, 410):
            kind = "server_error" if status >= 500 else "unexpected_status"
            return RetryLater(f"{said}.", kind=kind, wait_secs=retry_after_secs(headers, self._clock))
        if status != 410 and not _is_duos(status, failure):  # nobody but Duo says that a log is gone
            return RetryLater(
                f"{said} with {len(body)} bytes that are not Duo's: something between here and {self.place} answers in its "
                "place, a proxy or a gateway.",
                kind="not_duo",
                wait_secs=retry_after_secs(headers, self._clock),
            )
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
        end = f" Its end was announced for {ends_on}." if ends_on else ""
        return StreamUnavailable(f"{said}. Duo does not serve this log for this account.{end}", kind="not_found")

    def _unauthorised(self, code: int, said: str) -> DuoLogSyncError:
        if code in _BAD_TIMESTAMP_CODES:
            skew = f"{self.skew_secs:+.0f} s" if self.skew_secs is not None else "an unknown time"
            return RetryLater(f"{said}. This machine's clock is off by {skew} against Duo's: run NTP.", kind="clock_skew")
        return BadCredentials(
            f"{said}. Check ikey, skey and api_host of account '{self._account.name}': all three belong to one application."
        )

    def _transport_failure(self, error: Exception) -> RetryLater:
        where = str(self.place)
        if descriptors.ran_out(error):
            return descriptors.shortage(f"a connection to {where}")
        if isinstance(error, ProxyRefused):
            return RetryLater(f"Calling {where} failed: {error}.", kind="proxy")
        if isinstance(error, ssl.SSLCertVerificationError):
            strict = strict_x509.fault(error)
            if strict is not None:
                return RetryLater(f"The chain of certificates of {where} {strict}. {strict_x509.CURE}.", kind="tls")
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


def _read_body(connection: DuoConnection, response: http.client.HTTPResponse) -> bytes:
    """The whole body, within the connection's deadline and the size limit, however slowly it drips."""
    expected = response.length
    if expected is not None and expected > MAX_ANSWER_BYTES:
        raise http.client.HTTPException(f"an answer of {expected} bytes, over the limit of {MAX_ANSWER_BYTES}")
    connection.allow_body(MAX_ANSWER_BYTES + _BESIDE_BODY_BYTES)
    chunks: list[bytes] = []
    size = 0
    try:
        while chunk := response.read1(_READ_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise http.client.HTTPException(f"an answer over the limit of {MAX_ANSWER_BYTES} bytes")
    except ConnectionResetError:
        # Over TLS, Python 3.12 and older take a reset for an end; an answer is cut short on each of them.
        if expected is None:
            raise
        raise http.client.IncompleteRead(b"", expected - size) from None
    # read1 leaves a complete answer open, and an open answer keeps the connection from being used again.
    response.close()
    if expected is not None and size != expected:
        raise http.client.IncompleteRead(b"", expected - size)
    return b"".join(chunks)


def _trust(ca_file: str) -> ssl.SSLContext:
    """One context for all clients that trust the same file, as it is now: each holds some hundred kilobytes."""
    try:
        return _trust_as_of(ca_file, Path(ca_file).stat().st_mtime_ns)
    except OSError as error:  # ssl.SSLError is one
        if descriptors.ran_out(error):
            raise descriptors.shortage(f"reading {ca_file}") from None
        raise RetryLater(f"The CA file {ca_file} cannot be used: {error.strerror or error}.", kind="tls") from None


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


def _is_duos(status: int, failure: _Failure) -> bool:
    """Whether a refusal is written like Duo's, whose codes begin with the status."""
    return failure.stat == "FAIL" and failure.code // 100 == status
