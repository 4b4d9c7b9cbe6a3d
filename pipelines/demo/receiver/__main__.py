"""Runs the receiver as a process of its own: ``python -m pipelines.demo.receiver --port 5514 --report-secs 2``.

Place in the flow: benchmarks and tests that want the SIEM outside of the pipeline's process; whoever wants to see what is sent.
Contract: prints one JSON line when it is ready, one per report, and a final one with all counts on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from pipelines.demo.receiver.receiver import SiemReceiver


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.demo.receiver", description="Counts what is sent to it as a SIEM."
    )
    parser.add_argument("--transport", choices=("tcp", "tls", "udp"), default="tcp")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one (default)")
    parser.add_argument("--tls-cert", help="PEM certificate, for --transport tls")
    parser.add_argument("--tls-key")
    parser.add_argument("--client-ca", help="ask for client certificates of this CA")
    parser.add_argument("--report-secs", type=float, default=0.0, help="print counts so often; 0 only at the end")
    parser.add_argument("--ids", choices=("full", "hashed", "none"), default="hashed", help="how repeated events are told")
    parser.add_argument("--out", type=Path, help="append every message to this file, one a line")
    parsed = parser.parse_args(argv)
    if (parsed.transport == "tls") != bool(parsed.tls_cert and parsed.tls_key):
        parser.error("--transport tls needs --tls-cert and --tls-key, and they need it")
    return parsed


def tls_context(options: argparse.Namespace) -> ssl.SSLContext | None:
    """The server context of the options."""
    if options.transport != "tls":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(options.tls_cert, options.tls_key)
    if options.client_ca:
        context.load_verify_locations(options.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def writer(out: BinaryIO) -> Callable[[list[bytes]], None]:
    """Writes batches of messages as lines; connections write at the same time."""
    lock = threading.Lock()

    def write(messages: list[bytes]) -> None:
        with lock:
            out.write(b"\n".join(messages) + b"\n")

    return write


def main(argv: Sequence[str]) -> int:
    """Receives until it is told to end."""
    options = arguments(argv)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(options.out.open("ab")) if options.out else None
        receiver = SiemReceiver(
            options.transport,
            tls=tls_context(options),
            host=options.host,
            port=options.port,
            ids=options.ids,
            on_messages=writer(out) if out else None,
        )
        stack.enter_context(receiver)
        _say("ready", {"host": receiver.host, "port": receiver.port, "transport": options.transport})
        while not stopped.wait(options.report_secs or None):
            _say("report", _counts(receiver))
    _say("stopped", _counts(receiver))
    return 0


def _counts(receiver: SiemReceiver) -> dict[str, Any]:
    happened = receiver.happenings
    return {
        "messages": receiver.total(),
        "log_types": {name: counts.as_dict() for name, counts in receiver.counts().items()},
        "connections": {"accepted": happened.accepted, "open": receiver.connected(), "incomplete": happened.incomplete},
        "framing_errors": happened.framing_errors,
        "handshake_failures": len(happened.handshake_failures),
    }


def _say(event: str, line: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode({"event": event, **line}).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
