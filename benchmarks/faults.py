"""What each fault of Duo's API costs: events lost and repeated, calls made, seconds until all was delivered.

Place: beside ``recovery.py``, which does the same for crashes and SIEM troubles. Each row is one run of the whole pipeline in
this process: simulated Duo over HTTPS → graph in passes → receiver. The fault hits two calls in the middle of a backlog of four
pages, or, where it says so, all calls of one log type for as long as the run lasts.

    python -m benchmarks.faults
"""

from __future__ import annotations

import logging
import secrets
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from pipelines.demo.certificates import make_certificates
from pipelines.demo.receiver import SiemReceiver
from pipelines.demo.simulator import DuoSimulator
from pipelines.local.supervisor import run_local
from transforms.destinations.stream.settings import TcpSettings
from transforms.formats.json_lines import JsonOptions
from transforms.process import lifetime
from transforms.process.shutdown import STOP
from transforms.secrets import SecretRef
from transforms.settings import Account, Destination, Format, Job, Reading, Route, Storage

_IKEY = "DISIMULATOR000000000"
_EVENTS = 3_500
_WITHIN_SECS = 90.0
_FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "429 with Retry-After (seconds)": {"kind": "status", "status": 429, "retry_after": 2},
    "429 without Retry-After": {"kind": "status", "status": 429, "times": 1},
    "500, HTML": {"kind": "status", "status": 500},
    "502, HTML": {"kind": "status", "status": 502},
    "503, HTML": {"kind": "status", "status": 503},
    "504, HTML": {"kind": "status", "status": 504},
    "200 with HTML": {"kind": "html"},
    "truncated JSON": {"kind": "malformed_json"},
    "reset before the answer": {"kind": "reset"},
    "reset in the body": {"kind": "reset_mid_body"},
    "cut body": {"kind": "cut_body"},
    "no answer (deadline 3 s)": {"kind": "hang", "times": 1},
    "slow drip (deadline 3 s)": {"kind": "slow", "secs": 60, "times": 1},
    "clock skew of 15 min": {"kind": "clock_skew", "secs": 900},
    "page cursor expired (400)": {"kind": "status", "status": 400, "code": 40002, "times": 1},
    "403 on another log, always": {"kind": "status", "status": 403, "target": "telephony", "times": None, "skip": 0},
    "404 on another log, always": {"kind": "status", "status": 404, "target": "telephony", "times": None, "skip": 0},
    "another log never answers": {"kind": "hang", "target": "telephony", "times": None, "skip": 0},
}


def main() -> None:
    """Prints the table."""
    logging.disable(logging.CRITICAL)
    print("| fault | produced | lost | repeated | calls | seconds |\n|---|---|---|---|---|---|")
    for name, fault in _FAULTS.items():
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {name} | {' | '.join(_run(fault, Path(folder)))} |", flush=True)


def _run(fault: dict[str, Any], folder: Path) -> tuple[str, ...]:
    skey, files = secrets.token_hex(20), make_certificates(folder)
    (folder / "skey").write_text(skey, encoding="utf-8")
    now_ms = time.time_ns() // 1_000_000
    duo = DuoSimulator(_IKEY, skey, delay_secs=0, tls=(files.cert_file, files.key_file))
    with duo, SiemReceiver() as siem:
        duo.add_backlog("auth", _EVENTS, now_ms - 3_600_000, now_ms - 1_000)
        if fault:
            duo.faults.add(**{"target": "auth", "times": 2, "skip": 2, **fault})
        began = time.monotonic()
        _deliver(_job(folder, duo, siem, files.ca_file), siem)
        took_secs = time.monotonic() - began
        produced = set(duo.produced_ids("auth"))
        counts = siem.counts().get("auth")
        lost = len(produced - siem.unique_ids("auth"))
        repeated = counts.repeated if counts else 0
        calls = sum(1 for call in duo.calls if call.log_type == "auth")
    return f"{len(produced):,}", str(lost), str(repeated), str(calls), f"{took_secs:.1f}"


def _deliver(job: Job, siem: SiemReceiver) -> None:
    lifetime.reset()
    thread = threading.Thread(target=run_local, args=(job,), kwargs={"grace_secs": 5.0}, daemon=True)
    thread.start()
    siem.wait_for(_EVENTS, _WITHIN_SECS, log_type="auth", unique=True)
    STOP.request(5.0)
    thread.join()


def _job(folder: Path, duo: DuoSimulator, siem: SiemReceiver, ca_file: str) -> Job:
    account = Account("main", "localhost", _IKEY, SecretRef("file", str(folder / "skey")), port=duo.port, ca_file=ca_file)
    return Job(
        accounts=(account,),
        destinations=(Destination("siem", TcpSettings("127.0.0.1", siem.port), Format(JsonOptions())),),
        routes=(Route(("auth", "telephony"), ("siem",)),),
        storage=Storage(str(folder / "checkpoints"), str(folder / "dead-letters")),
        reading=Reading(start_days=1, poll_interval_secs=1, lag_secs=0, request_timeout_secs=3),
    )


if __name__ == "__main__":
    main()
