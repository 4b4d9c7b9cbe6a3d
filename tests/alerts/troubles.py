"""Programs in every trouble that an alert tells of, made at once: what ``test_prometheus`` lets a real Prometheus look at.

Contract: all is on loopback and in one folder. ``troubled`` is one program whose accounts and destinations have a trouble each;
``torn`` is started again and loses its directories when it is told so.
"""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import trustme
from typing_extensions import Self

from pipelines.demo.receiver import SiemReceiver
from tests.ports import free_port
from tests.servers.harness import AT_ONCE, Duo, Program, now_ms, tcp, wait_until

_ROW = Path(__file__).parents[1] / "golden" / "auth" / "enrollment.json"
_AGE_MS = 8000


class Troubles:
    """See the module. A context.

    Attributes:
      ports: of the endpoints; at the last one nobody listens.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._life = ExitStack()
        self._ended = threading.Event()
        self.ports = {name: free_port() for name in ("troubled", "torn", "gone")}

    def __enter__(self) -> Self:
        self._duo, self._lossy = (self._life.enter_context(Duo(self._in(name))) for name in ("duo", "lossy"))
        self._siem = self._receiver()
        for duo in (self._duo, self._lossy):
            duo.simulator.faults.add("status", "telephony", status=403 if duo is self._duo else 500, times=None)
        self._duo.simulator.faults.add("status", "trustmonitor", status=429, times=None)
        # Duo counts these, and does not give them, however often it is asked.
        self._lossy.simulator.add_backlog("activity", 50, now_ms() - 7_200_000, now_ms() - 3_600_000)
        self._lossy.simulator.faults.add("empty_page", "activity", times=None)
        self._duo.simulator.add("auth", [self._row_of_tomorrow()])
        self.troubled = Program(self._in("troubled"), "run", self._troubled())
        self.troubled.started_by = AT_ONCE
        self._life.enter_context(self.troubled)
        self.torn = self._life.enter_context(Program(self._in("torn"), "run", self._torn()))
        live = threading.Thread(target=self._live, daemon=True)
        live.start()
        self._life.callback(live.join)
        self._life.callback(self._ended.set)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._life.close()

    def tear(self) -> None:
        """Starts the second program again, and puts files in the place of its directories once it runs."""
        self.torn.end()
        self.torn.start()
        place = self._folder / "torn" / "checkpoints"
        wait_until((place / ".monitoring").exists, "it runs again")
        for folder in (place, self._folder / "torn" / "dead-letters"):
            if folder.exists():
                folder.rename(folder.with_suffix(".away"))
            folder.touch()

    def _live(self) -> None:
        """Events as time goes by, each of some seconds ago, so that their delivery is slow."""
        while not self._ended.wait(0.5):
            for duo in (self._duo, self._lossy):
                duo.simulator.add("auth", 3, at_ms=now_ms() - _AGE_MS)

    def _row_of_tomorrow(self) -> dict[str, Any]:
        row: dict[str, Any] = json.loads(_ROW.read_text(encoding="utf-8"))
        seconds = (now_ms() - 60_000) // 1000
        when = datetime.fromtimestamp(seconds, timezone.utc).isoformat()
        return row | {"timestamp": seconds, "isotimestamp": when, "a_field_of_tomorrow": 1}

    # --- configurations ----------------------------------------------------------------------------------------------

    def _troubled(self) -> Path:
        accounts = [
            self._duo.account(),
            self._lossy.account(name="lossy"),
            self._lossy.account(name="revoked", ikey="DIREVOKED00000000000"),
            self._duo.account(name="unreachable", port=free_port()),
        ]
        destinations = [
            tcp(self._siem.port),
            tcp(self._siem.port, "narrow", max_message_bytes=600),
            tcp(free_port(), "dark"),
            self._tls("soon", 10),
            self._tls("very-soon", 2),
        ]
        others = [destination["name"] for destination in destinations[1:]]
        routes = [
            {"log_types": ["auth", "activity", "telephony", "trustmonitor"], "destinations": ["siem"]},
            {"log_types": ["auth"], "accounts": ["main"], "destinations": others},
        ]
        return self._config("troubled", accounts, destinations, routes)

    def _torn(self) -> Path:
        destinations = [tcp(self._siem.port), tcp(self._siem.port, "narrow", max_message_bytes=600)]
        routes = [{"log_types": ["auth"], "destinations": ["siem", "narrow"]}]
        return self._config("torn", [self._duo.account()], destinations, routes)

    def _config(self, name: str, accounts: list[Any], destinations: list[Any], routes: list[Any]) -> Path:
        folder = self._in(name)
        path = folder / "config.yml"
        config = {
            "version": 2,
            "accounts": accounts,
            "reading": {"start_days": 1, "poll_interval_secs": 1, "lag_secs": 0, "request_timeout_secs": 5},
            "destinations": destinations,
            "routes": routes,
            "storage": {"checkpoint_dir": str(folder / "checkpoints"), "dead_letter_dir": str(folder / "dead-letters")},
            "monitoring": {"port": self.ports[name]},
        }
        path.write_text(json.dumps(config, indent=1))
        return path

    def _tls(self, name: str, days: int) -> dict[str, Any]:
        """A destination whose certificate ends in so many days."""
        folder = self._in(name)
        ca = trustme.CA()
        ends = datetime.now(timezone.utc) + timedelta(days=days)
        leaf = ca.issue_cert("localhost", not_after=ends)
        ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        leaf.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
        leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
        siem = self._receiver(transport="tls", tls=(str(folder / "cert.pem"), str(folder / "key.pem")))
        where = {"name": name, "kind": "tls", "host": "localhost", "port": siem.port, "format": "json"}
        return where | {"tls": {"ca_file": str(folder / "ca.pem")}}

    def _receiver(self, **options: Any) -> SiemReceiver:
        return self._life.enter_context(SiemReceiver(**options))

    def _in(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return folder
