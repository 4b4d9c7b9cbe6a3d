"""Drives a simulator from another process: lets events happen, makes calls fail, and tells what was called.

Place in the flow: the server hands over every request under ``/_simulator/``.
Contract: JSON in and out; no keys are asked for, so it answers only while the simulator listens on loopback (403 otherwise); a
request that makes no sense is a 400 with the reason.

    POST   /_simulator/produce   {"log_type", "count", "at_ms"?, "spread_ms"?, "row_bytes"?, "account_id"?} → {"ids"}
    POST   /_simulator/backlog   {"log_type", "count", "start_ms", "end_ms", "row_bytes"?, "account_id"?} → {"added"}
    POST   /_simulator/faults    {"kind", "target"?, "times"?, …}, the arguments of ``Faults.add``
    DELETE /_simulator/faults    clears all
    POST   /_simulator/children  {"account_id", "name", "api_hostname"}
    GET    /_simulator/stats     produced events per log type, calls per endpoint, statuses, 429s
    GET    /_simulator/ids?log_type=…&account_id=…
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from pipelines.demo.simulator.answers import Answer
from pipelines.demo.simulator.faults import Faults
from pipelines.demo.simulator.signatures import Request, parse_query

PREFIX = "/_simulator/"


class Controlled(Protocol):
    """What is driven; ``DuoSimulator`` is one, and says what each of these does."""

    @property
    def faults(self) -> Faults: ...

    @property
    def add(self) -> Callable[..., list[str]]: ...

    @property
    def add_backlog(self) -> Callable[..., object]: ...

    @property
    def add_child(self) -> Callable[..., object]: ...

    @property
    def produced_ids(self) -> Callable[..., list[str]]: ...

    def stats(self) -> dict[str, Any]: ...


def respond(simulator: Controlled, request: Request, *, allowed: bool) -> Answer:
    """The answer to one request of the control plane."""
    if not allowed:
        return _json(403, {"error": "The control plane answers only while the simulator listens on loopback."})
    task = _TASKS.get(f"{request.method} {request.path.removeprefix(PREFIX)}")
    if task is None:
        return _json(404, {"error": f"There is no {request.method} {request.path}."})
    try:
        arguments = msgspec.json.decode(request.body, type=dict) if request.body else dict(parse_query(request.query))
        return _json(200, task(simulator, arguments))
    except (KeyError, TypeError, ValueError) as error:
        return _json(400, {"error": f"{type(error).__name__}: {error}"})


def _produce(simulator: Controlled, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"ids": simulator.add(arguments.pop("log_type"), int(arguments.pop("count", 1)), **arguments)}


def _backlog(simulator: Controlled, arguments: dict[str, Any]) -> dict[str, Any]:
    simulator.add_backlog(**arguments)
    return {"added": arguments["count"]}


def _add_fault(simulator: Controlled, arguments: dict[str, Any]) -> dict[str, Any]:
    simulator.faults.add(**arguments)
    return {}


def _clear_faults(simulator: Controlled, _: dict[str, Any]) -> dict[str, Any]:
    simulator.faults.clear()
    return {}


def _add_child(simulator: Controlled, arguments: dict[str, Any]) -> dict[str, Any]:
    simulator.add_child(**arguments)
    return {}


def _stats(simulator: Controlled, _: dict[str, Any]) -> dict[str, Any]:
    return simulator.stats()


def _ids(simulator: Controlled, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"ids": simulator.produced_ids(arguments["log_type"], arguments.get("account_id", ""))}


_TASKS: dict[str, Callable[[Controlled, dict[str, Any]], dict[str, Any]]] = {
    "POST produce": _produce,
    "POST backlog": _backlog,
    "POST faults": _add_fault,
    "DELETE faults": _clear_faults,
    "POST children": _add_child,
    "GET stats": _stats,
    "GET ids": _ids,
}


def _json(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, msgspec.json.encode(body))
