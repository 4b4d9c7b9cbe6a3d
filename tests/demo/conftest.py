"""A simulated Duo over plain HTTP, and the real duo_client in front of it."""

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import duo_client
import pytest

from pipelines.demo.simulator import DuoSimulator

IKEY = "DISIMULATOR000000000"
PATHS = {
    "auth": "/admin/v2/logs/authentication",
    "activity": "/admin/v2/logs/activity",
    "telephony": "/admin/v2/logs/telephony",
    "trustmonitor": "/admin/v1/trust_monitor/events",
}
ROWS_KEYS = {"auth": "authlogs", "activity": "items", "telephony": "items", "trustmonitor": "events"}


class Asker:
    """Asks a simulator through duo_client: whole logs, single pages, or the error that it answers with."""

    def __init__(self, simulator: DuoSimulator, skey: str, host: str = "127.0.0.1", **options: Any) -> None:
        self.client = duo_client.Admin(
            IKEY, skey, host, port=simulator.port, ca_certs=options.pop("ca_certs", "HTTP"), timeout=5, **options
        )
        self.client._MAX_BACKOFF_WAIT_SECS = 0

    def page(self, log_type: str = "auth", **params: Any) -> dict[str, Any]:
        now_ms = int(time.time() * 1000)
        defaults = {"mintime": now_ms - 86_400_000, "maxtime": now_ms + 60_000}
        if log_type != "trustmonitor":
            defaults["sort"] = "ts:asc"
        asked = {name: value if isinstance(value, list) else str(value) for name, value in (defaults | params).items()}
        return self.client.json_api_call("GET", PATHS[log_type], {k: v for k, v in asked.items() if v != "None"})

    def pages(self, log_type: str = "auth", **params: Any) -> Iterator[list[dict[str, Any]]]:
        now_ms = int(time.time() * 1000)
        params = {"mintime": now_ms - 86_400_000, "maxtime": now_ms + 60_000, **params}
        cursor_param = "offset" if log_type == "trustmonitor" else "next_offset"
        while True:
            answer = self.page(log_type, **params)
            yield answer[ROWS_KEYS[log_type]]
            cursor = answer["metadata"].get("next_offset")
            if cursor is None:
                return
            params[cursor_param] = cursor

    def error(self, log_type: str = "auth", **params: Any) -> tuple[int, Any]:
        """Status and body of the refusal of a page."""
        with pytest.raises(RuntimeError) as caught:
            self.page(log_type, **params)
        return caught.value.status, caught.value.data


@pytest.fixture
def duo(skey: str) -> Iterator[DuoSimulator]:
    with DuoSimulator(IKEY, skey, delay_secs=0) as simulator:
        yield simulator


@pytest.fixture
def skey() -> str:
    return secrets.token_hex(20)


@pytest.fixture
def ask(duo: DuoSimulator, skey: str) -> Asker:
    return Asker(duo, skey)


@pytest.fixture
def asker_for() -> Callable[..., Asker]:
    return Asker


@pytest.fixture
def now_ms() -> int:
    return int(time.time() * 1000)
