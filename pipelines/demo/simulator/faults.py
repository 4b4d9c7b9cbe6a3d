"""Makes the simulator fail on purpose: which calls, how often, and in which way.

Place in the flow: the server asks ``Faults.take`` once per call; what it gets decides how that call goes wrong.
Contract: a fault hits the next ``times`` calls that match it (None: all, until it is cleared), after letting ``skip`` of them
pass; of several that match, the one that was added first. A call that hangs ends when its fault is cleared or the server stops.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from pipelines.demo.simulator.answers import CODE_OF_STATUS, Answer, DuoError, html_page, refusal

KINDS = {
    "status": "answer with ``status`` (a Duo JSON body below 500, HTML from 500 on) and ``retry_after`` where given",
    "html": "answer 200 with an HTML page",
    "proxy": "answer ``status`` with an HTML page, as something does that stands in front of Duo",
    "malformed_json": "answer 200 with a body that breaks off in the middle, although its length is right",
    "reset": "reset the connection before any byte of the answer",
    "reset_mid_body": "reset the connection in the middle of the body",
    "cut_body": "close the connection in the middle of the body",
    "hang": "take the request and never answer, for ``secs`` where given",
    "slow": "send the answer in 20 pieces over ``secs``",
    "empty_page": "answer 200 with no rows and no cursor, but with the count of the whole window",
    "clock_skew": "this call meets a server whose clock is ``secs`` ahead: in its check of Date and in its own Date header",
}


@dataclass(slots=True)
class Fault:
    """One way to fail.

    Attributes:
      kind: a key of ``KINDS``.
      target: a log type or a path; "" means every call.
      account_id: only calls for this child account; None means any.
      times: how many calls; None means until cleared. skip: how many matching calls pass before.
      status, code, retry_after, secs: see ``KINDS``; ``code`` is Duo's code where it is not the usual one of the status.
      hits: how many calls it has hit.
    """

    kind: str
    target: str = ""
    account_id: str | None = None
    times: int | None = 1
    skip: int = 0
    status: int = 500
    code: int | None = None
    retry_after: int | str | None = None
    secs: float | None = None
    hits: int = 0
    released: threading.Event = field(default_factory=threading.Event, repr=False)

    def answer(self) -> Answer | None:
        """What is answered instead of the real thing; None where the real answer is made."""
        if self.kind == "html":
            return html_page(200)
        if self.kind == "proxy":
            return html_page(self.status)
        if self.kind != "status":
            return None
        if self.code is None and (self.status >= 500 or self.status not in CODE_OF_STATUS):
            answer = html_page(self.status)
        else:
            answer = refusal(DuoError(self.code or CODE_OF_STATUS[self.status]))
        if self.retry_after is not None:
            answer.headers["Retry-After"] = str(self.retry_after)
        return answer


class Faults:
    """The faults that are to come, in the order in which they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(
        self,
        kind: str,
        target: str = "",
        *,
        account_id: str | None = None,
        times: int | None = 1,
        skip: int = 0,
        status: int = 500,
        code: int | None = None,
        retry_after: int | str | None = None,
        secs: float | None = None,
    ) -> Fault:
        """Adds one fault; see ``Fault`` and ``KINDS``. The value that it returns counts its hits."""
        if kind not in KINDS:
            raise ValueError(f"Unknown fault {kind!r}; there are {', '.join(KINDS)}.")
        fault = Fault(kind, target, account_id, times, skip, status, code, retry_after, secs)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self, fault: Fault | None = None) -> None:
        """Removes one fault, or all; calls that hang go on."""
        with self._lock:
            removed = [f for f in self._faults if fault is None or f is fault]
            self._faults = [f for f in self._faults if f not in removed]
        for each in removed if fault is None else [*removed, fault]:
            each.released.set()

    def take(self, path: str, log_type: str | None, account_id: str | None) -> Fault | None:
        """The fault that hits this call."""
        with self._lock:
            for fault in self._faults:
                if not _matches(fault, path, log_type, account_id):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.times is not None and fault.hits >= fault.times:
                    continue
                fault.hits += 1
                return fault
        return None


def _matches(fault: Fault, path: str, log_type: str | None, account_id: str | None) -> bool:
    return fault.target in {"", path, log_type} and fault.account_id in {None, account_id}
