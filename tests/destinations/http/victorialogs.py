"""VictoriaLogs: a log server that nobody here wrote, which takes five of the protocols that we send by.

``get_victorialogs.sh`` builds it. It answers before it has stored: events of the last second or so are in its memory only, so
that a ``kill -9`` of it can lose what it answered 200 to; stopped in good order it loses nothing.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

BUILD = Path(__file__).with_name("get_victorialogs.sh")


class VictoriaLogs:
    """See the module.

    Attributes:
      url: where it listens.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = subprocess.run([str(BUILD)], capture_output=True, text=True, check=True, timeout=170).stdout.strip()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen | None = None
        self.start()

    def start(self) -> None:
        """On the same port and the same data."""
        flags = {
            "storageDataPath": self._folder / "data",
            "httpListenAddr": f"127.0.0.1:{self._port}",
            "retentionPeriod": "100y",  # what is older is dropped without a word
            "splunk.preserveJSONKeys": "event",  # else it takes objects apart
            "delete.enable": "true",
        }
        with (self._folder / "victorialogs.log").open("ab") as log:
            words = [self._program, *(f"-{name}={value}" for name, value in flags.items())]
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < end, "VictoriaLogs does not start"
            time.sleep(0.02)

    def stop(self) -> None:
        """In good order: what it has taken is on its disk."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            self._process = None

    @property
    def port(self) -> int:
        return self._port

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"{self.url}/health", timeout=1).status == 200
        return False

    def query(self, logsql: str = "*") -> list[dict]:
        """The events that a query finds, as it has them, oldest first."""
        data = urllib.parse.urlencode({"query": f"{logsql} | sort by (_time)"}).encode()
        with urllib.request.urlopen(f"{self.url}/select/logsql/query", data=data, timeout=30) as answer:
            return [json.loads(line) for line in answer]

    def count(self, logsql: str = "*") -> int:
        """How many it has."""
        data = urllib.parse.urlencode({"query": f"{logsql} | stats count() events"}).encode()
        with urllib.request.urlopen(f"{self.url}/select/logsql/query", data=data, timeout=30) as answer:
            return int(json.loads(answer.read())["events"])

    def delete(self, logsql: str, secs: float = 30.0) -> None:
        """Deletes what a query finds, as its administrator may."""
        data = urllib.parse.urlencode({"filter": logsql}).encode()
        urllib.request.urlopen(f"{self.url}/delete/run_task", data=data, timeout=30).close()
        end = time.monotonic() + secs
        while self.count(logsql):
            assert time.monotonic() < end, "VictoriaLogs does not delete"
            time.sleep(0.1)

    def wait_for(self, events: int, secs: float = 10.0) -> None:
        """Until it finds so many: it counts them at once, and shows them a second later."""
        end = time.monotonic() + secs
        while len(self.query()) < events and time.monotonic() < end:
            time.sleep(0.2)
