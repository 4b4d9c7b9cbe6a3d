"""The Duo simulator: a real HTTP server that answers as Duo's log endpoints do, for demos, tests and benchmarks.

Place in the flow: it stands where ``api-….duosecurity.com`` stands. What is in a page, what is rightly signed and what goes
wrong is decided by the modules around; this one knows which request goes where and keeps the record of calls.
Contract: listens on loopback unless told otherwise; serves many connections at once, each in a thread; ``stop`` ends them all.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pipelines.demo.simulator import control, paging, signatures
from pipelines.demo.simulator.accounts import OWN, Accounts, Child
from pipelines.demo.simulator.answers import Answer, DuoError, accepted, refusal
from pipelines.demo.simulator.connections import Listener, is_loopback, tls_context
from pipelines.demo.simulator.faults import Fault, Faults
from pipelines.demo.simulator.rate import Buckets, RateLimit
from pipelines.demo.simulator.signatures import Params, Request

if TYPE_CHECKING:
    from typing_extensions import Self

ACCOUNT_LIST_PATH = "/accounts/v1/account/list"
_CALLS_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was answered, or broken off on purpose.

    Attributes:
      at_secs: when it came in. host: as it was called, without port. params: in the order of the query.
      status: of the answer; 0 where a fault let none out. scheme: how it was signed; "" where it was not rightly signed.
    """

    at_secs: float
    method: str
    host: str
    path: str
    params: tuple[tuple[str, str], ...]
    log_type: str | None
    account_id: str | None
    status: int
    scheme: str
    sent_bytes: int


class DuoSimulator:
    """A Duo of one's own.

    Args:
      ikey, skey: the keys that requests must be signed with.
      delay_secs: rows that are newer than this are not served yet, but for the old administrator log; real Duo withholds about
        two minutes.
      tls: ``(certificate file, key file)`` or a ready server context; None serves plain HTTP.
      host, port: where to listen; port 0 picks a free one. The control plane is there on loopback only.
      date_tolerance_secs: how far a request's Date may be off.
      rate_limit: None means no limit. cursor_on_last_page: give a cursor with the last page, too.
      row_bytes: about how long invented rows of auth and activity are, unless a call says otherwise.
      seed: another seed gives other events and other ids.
    """

    def __init__(
        self,
        ikey: str,
        skey: str,
        *,
        delay_secs: float = 120.0,
        tls: tuple[str, str] | ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        date_tolerance_secs: float = 300.0,
        rate_limit: RateLimit | None = None,
        cursor_on_last_page: bool = False,
        row_bytes: int = 1200,
        seed: int = 0,
    ) -> None:
        self.ikey = ikey
        self._skey = skey
        self.host = host
        self.delay_secs = delay_secs
        self.date_tolerance_secs = date_tolerance_secs
        self.cursor_on_last_page = cursor_on_last_page
        self.row_bytes = row_bytes
        self.accounts = Accounts(seed)
        self.faults = Faults()
        self.calls: deque[Call] = deque(maxlen=_CALLS_KEPT)
        self.calls_per_path: Counter[str] = Counter()
        self.calls_per_status: Counter[int] = Counter()
        self._recording = threading.Lock()
        self._buckets = Buckets(rate_limit) if rate_limit else None
        self._rate_limit = rate_limit
        self._listener = Listener(host, port, tls_context(tls), self)

    # Life

    @property
    def port(self) -> int:
        """The port that it listens on; known from the start."""
        return self._listener.port

    def start(self) -> Self:
        """Begins to serve; after a stop on the same port, with all that has happened before."""
        self._listener.start()
        return self

    def stop(self) -> None:
        """Ends all connections, hanging ones too, and stops listening. May be called twice."""
        self.faults.clear()
        self._listener.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # What happens in the accounts

    def add(
        self,
        log_type: str,
        what: int | Iterable[bytes | dict[str, Any]] = 1,
        *,
        at_ms: int | None = None,
        spread_ms: int = 0,
        row_bytes: int | None = None,
        account_id: str = OWN,
    ) -> list[str]:
        """Lets events happen, and returns their ids in the order of arrival.

        Args:
          what: how many invented events; or rows, as bytes or decoded, that are served as they are.
          at_ms: when they happened, now if None. Given rows: at their own time if None.
          spread_ms: invented events are spread evenly over so long from ``at_ms`` on; 0 puts all into one millisecond.
          account_id: the child in which they happen.
        """
        size = self.row_bytes if row_bytes is None else row_bytes
        return self.accounts.add(log_type, what, at_ms=at_ms, spread_ms=spread_ms, row_bytes=size, account_id=account_id)

    def add_backlog(
        self,
        log_type: str,
        count: int,
        start_ms: int,
        end_ms: int,
        *,
        row_bytes: int | None = None,
        account_id: str = OWN,
    ) -> None:
        """Adds many invented events, evenly from ``start_ms`` to ``end_ms``; each costs 16 bytes of memory."""
        size = self.row_bytes if row_bytes is None else row_bytes
        self.accounts.add_backlog(log_type, count, start_ms, end_ms, row_bytes=size, account_id=account_id)

    def add_child(self, account_id: str, name: str, api_hostname: str) -> Child:
        """Makes this an MSP parent, or gives it one child more; the child must then be called at ``api_hostname``."""
        return self.accounts.add_child(account_id, name, api_hostname)

    def produced_ids(self, log_type: str, account_id: str = OWN) -> list[str]:
        """The ids of all events of a log, in the server's order."""
        return self.accounts.log(log_type, account_id).ids()

    def produced_rows(self, log_type: str, account_id: str = OWN) -> list[bytes]:
        """The bytes of all events of a log, in the server's order."""
        return self.accounts.log(log_type, account_id).all_rows()

    def stats(self) -> dict[str, Any]:
        """What was produced and what was called."""
        with self._recording:
            calls, statuses = dict(self.calls_per_path), dict(self.calls_per_status)
        return {
            "produced": self.accounts.counts(),
            "calls": calls,
            "statuses": {str(status): count for status, count in statuses.items()},
            "rate_limited": statuses.get(429, 0),
        }

    # Requests

    def respond(self, request: Request) -> tuple[Answer, Fault | None, float]:
        """The answer to one request, the fault that it should be sent with, and the time that the server believes it is."""
        if request.path.startswith(control.PREFIX):
            return control.respond(self, request, allowed=is_loopback(self.host)), None, time.time()
        params = _params(request)
        endpoint = paging.ENDPOINTS.get(request.path)
        log_type = endpoint.log_type if endpoint else None
        account_id = next((value for name, value in params if name == "account_id"), None)
        fault = self.faults.take(request.path, log_type, account_id)
        now_secs = time.time()
        if fault is not None and fault.kind == "clock_skew":
            now_secs += fault.secs or 0.0
        scheme = ""
        answer = fault.answer() if fault is not None else None
        if answer is None:
            try:
                scheme = signatures.verify(
                    request, self.ikey, self._skey, now_secs=now_secs, tolerance_secs=self.date_tolerance_secs
                )
                answer = self._serve(request, params, account_id, empty=fault is not None and fault.kind == "empty_page")
            except DuoError as error:
                answer = refusal(error)
                if error.code == 42901 and self._rate_limit and self._rate_limit.retry_after is not None:
                    answer.headers["Retry-After"] = str(self._rate_limit.retry_after)
        answered = fault is None or fault.kind not in {"reset", "hang"}
        status, sent_bytes = (answer.status, len(answer.body)) if answered else (0, 0)
        seen = tuple(params)
        self._record(
            Call(now_secs, request.method, request.host, request.path, seen, log_type, account_id, status, scheme, sent_bytes)
        )
        return answer, fault, now_secs

    def _record(self, call: Call) -> None:
        with self._recording:
            self.calls_per_path[call.path] += 1
            self.calls_per_status[call.status] += 1
            self.calls.append(call)

    def _serve(self, request: Request, params: Params, account_id: str | None, *, empty: bool = False) -> Answer:
        if self._buckets is not None and not self._buckets.allow(account_id or OWN, request.path):
            raise DuoError(42901)
        if request.path == ACCOUNT_LIST_PATH and request.method == "POST":
            return self._account_list()
        endpoint = paging.ENDPOINTS.get(request.path)
        if endpoint is None or request.method != "GET":
            raise DuoError(40401)
        if account_id is not None:
            child = self.accounts.child(account_id)
            # A child is served by its own API host only.
            if child is None or child.api_hostname.lower() != request.host:
                raise DuoError(40301)
        now_ms = time.time_ns() // 1_000_000
        return paging.page(
            endpoint,
            self.accounts.log(endpoint.log_type, account_id or OWN),
            params,
            now_ms=now_ms,
            visible_ms=now_ms - int(self.delay_secs * 1000),
            cursor_on_last_page=self.cursor_on_last_page,
            empty=empty,
        )

    def _account_list(self) -> Answer:
        children = self.accounts.children()
        if not children:  # the keys of a plain Admin API application
            raise DuoError(40301)
        return accepted(
            [{"account_id": child.account_id, "api_hostname": child.api_hostname, "name": child.name} for child in children]
        )


def _params(request: Request) -> Params:
    if request.method.upper() in {"POST", "PUT", "PATCH"}:
        return request.signed_params()
    return signatures.parse_query(request.query)
