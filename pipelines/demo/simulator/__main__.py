"""Runs the simulator as a process of its own: ``python -m pipelines.demo.simulator --port 8443 --skey-file KEY --rate 20``.

Place in the flow: benchmarks and tests that want Duo outside of the pipeline's process; anybody who wants to try a collector.
Contract: prints one JSON line with the port when it is ready; ends cleanly on SIGTERM or SIGINT, with one JSON line of counts.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pipelines.demo.simulator.accounts import SHARES
from pipelines.demo.simulator.ids import OLD_LOG_TYPES
from pipelines.demo.simulator.rate import RateLimit
from pipelines.demo.simulator.server import DuoSimulator

_DAY_MS = 24 * 3600 * 1000
_TICK_SECS = 0.1


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.demo.simulator", description="Simulates Duo's log endpoints.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one (default)")
    parser.add_argument("--ikey", default="DISIMULATOR000000000")
    parser.add_argument("--skey-file", type=Path, required=True, help="file that holds the secret key requests are signed with")
    parser.add_argument("--rate", type=float, default=0.0, help="new events per second, over all log types")
    parser.add_argument("--backlog", type=int, default=0, help="events that are there at the start, over all log types")
    parser.add_argument(
        "--backlog-log-type", choices=[*SHARES, *OLD_LOG_TYPES], help="put the whole backlog into this log type"
    )
    parser.add_argument("--backlog-days", type=float, default=7.0, help="the time that the backlog is spread over")
    parser.add_argument("--delay-secs", type=float, default=120.0, help="newer events are not served yet")
    parser.add_argument("--row-bytes", type=int, default=1200, help="about how long rows of auth and activity are")
    parser.add_argument("--calls-per-minute", type=float, help="rate limit of each endpoint; none if left out")
    parser.add_argument("--burst", type=int, default=1, help="calls that an endpoint takes at once where they are limited (1)")
    parser.add_argument("--retry-after", type=int, metavar="SECS", help="send this Retry-After with a 429; none if left out")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other events")
    parser.add_argument("--tls-cert", help="PEM certificate; with --tls-key: serve HTTPS")
    parser.add_argument("--tls-key")
    parsed = parser.parse_args(argv)
    if bool(parsed.tls_cert) != bool(parsed.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    return parsed


def fill_backlog(simulator: DuoSimulator, options: argparse.Namespace) -> None:
    """Adds what happened before the start, shared out over the log types."""
    end_ms = time.time_ns() // 1_000_000
    start_ms = end_ms - int(options.backlog_days * _DAY_MS)
    shares = {options.backlog_log_type: 100} if options.backlog_log_type else SHARES
    left = options.backlog
    for log_type, share in sorted(shares.items(), key=lambda item: item[1]):
        count = min(left, options.backlog * share // 100) if share != max(shares.values()) else left
        left -= count
        simulator.add_backlog(log_type, count, start_ms, end_ms)


def produce(simulator: DuoSimulator, rate: float, stopped: threading.Event) -> None:
    """Lets events happen at ``rate`` per second until stopped; what is late after a pause is caught up."""
    began, done, last_ms = time.monotonic(), 0, time.time_ns() // 1_000_000
    while not stopped.wait(_TICK_SECS):
        due, now_ms = int((time.monotonic() - began) * rate), time.time_ns() // 1_000_000
        if due > done:
            simulator.accounts.add_mixed(due - done, (min(last_ms + 1, now_ms), now_ms), simulator.row_bytes)
            done = due
        last_ms = now_ms


def main(argv: Sequence[str]) -> int:
    """Serves until it is told to end."""
    options = arguments(argv)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    simulator = DuoSimulator(
        options.ikey,
        options.skey_file.read_text(encoding="utf-8").strip(),
        delay_secs=options.delay_secs,
        tls=(options.tls_cert, options.tls_key) if options.tls_cert else None,
        host=options.host,
        port=options.port,
        rate_limit=_rate_limit(options),
        row_bytes=options.row_bytes,
        seed=options.seed,
    )
    fill_backlog(simulator, options)
    with simulator:
        _say({"event": "ready", "host": simulator.host, "port": simulator.port, "ikey": simulator.ikey})
        if options.rate > 0:
            produce(simulator, options.rate, stopped)
        else:
            stopped.wait()
    _say({"event": "stopped", **simulator.stats()})
    return 0


def _rate_limit(options: argparse.Namespace) -> RateLimit | None:
    if not options.calls_per_minute:
        return None
    return RateLimit(options.calls_per_minute, options.burst, options.retry_after)


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
