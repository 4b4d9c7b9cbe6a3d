"""Ends a job on Flink with a savepoint and prints its address, for the next launch: ``--savepoint_path=ADDRESS``.

    python -m pipelines.launch_files.flink.savepoint [--rest http://localhost:8081] [--to DIRECTORY] [--job ID]

Place: between two launches; see docs/flink.md. Beam's job server has no such call, so Flink's REST API is asked.
Contract: exits 0 and prints one line once the job has ended and the savepoint is complete; else exits 1 and says why on
standard error, and the job goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

_PATIENCE_SECS = 600.0


class Failed(Exception):
    """There is no savepoint; the text says why."""


def stop_with_savepoint(rest: str, directory: str | None = None, job: str | None = None) -> str:
    """The address of the savepoint with which the job has ended. Raises Failed."""
    try:
        job = job or _only_running(rest)
        body: dict[str, Any] = {"drain": False}  # a drain would end the streams for good
        if directory:
            body["targetDirectory"] = directory
        request = _call(rest, f"/jobs/{job}/stop", body)["request-id"]
        return _await(rest, f"/jobs/{job}/savepoints/{request}")
    except urllib.error.HTTPError as error:
        raise Failed(f"Flink refused: {error.read().decode('utf-8', 'replace')[:1000]}") from None
    except OSError as error:
        raise Failed(f"{rest} cannot be asked: {error}") from None


def _only_running(rest: str) -> str:
    running = [job["jid"] for job in _call(rest, "/jobs/overview")["jobs"] if job["state"] == "RUNNING"]
    if len(running) != 1:
        raise Failed(f"{len(running)} jobs are running; name one with --job.")
    return str(running[0])


def _await(rest: str, path: str) -> str:
    deadline = time.monotonic() + _PATIENCE_SECS
    while time.monotonic() < deadline:
        answer = _call(rest, path)
        if answer["status"]["id"] == "COMPLETED":
            operation = answer["operation"]
            if "location" not in operation:
                cause = str(operation.get("failure-cause", {}).get("stack-trace", operation))
                raise Failed(f"The savepoint failed, the job goes on: {cause.strip().splitlines()[0]}")
            return str(operation["location"])
        time.sleep(0.2)
    raise Failed(f"No savepoint within {_PATIENCE_SECS:g} s.")


def _call(rest: str, path: str, body: dict[str, Any] | None = None) -> Any:
    if not rest.startswith(("http://", "https://")):
        raise Failed(f"{rest} is no address of a REST API; it begins with http:// or https://.")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{rest}{path}", data, {"Content-Type": "application/json"})  # noqa: S310 - checked above
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def main(words: list[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="savepoint", description="Ends a job on Flink with a savepoint and prints its address."
    )
    parser.add_argument("--rest", default="http://localhost:8081", help="Flink's REST API (http://localhost:8081)")
    parser.add_argument("--to", help="where the savepoint goes; Flink's state.savepoints.dir where left out")
    parser.add_argument("--job", help="the job's id; may be left out where one runs")
    arguments = parser.parse_args(words)
    try:
        print(stop_with_savepoint(arguments.rest.rstrip("/"), arguments.to, arguments.job))
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
