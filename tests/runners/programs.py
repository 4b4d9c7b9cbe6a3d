"""The program on a runner: started like any other, and killed together with what it started, as a machine dies.

Contract: as ``tests.servers.harness.Program``, whose session it leads, so that all its children are in its process group.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from typing_extensions import Self

from pipelines.launch_files import flink
from tests.runners.flink.cluster import group_mb
from tests.servers.harness import Duo, Program

SUBMIT = Path(flink.__file__).parent / "submit.sh"


class RunnerProgram(Program):
    """Prism is a child process that outlives a parent which was killed."""

    def kill(self) -> None:
        assert self.running, f"it ended by itself:\n{self.log()[-3000:]}"
        self._kill_group()
        self._process.wait()

    def destroy(self) -> None:
        if self._process is not None:
            self._kill_group()
        super().destroy()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):  # all have ended by themselves
            os.killpg(self._process.pid, signal.SIGKILL)

    @property
    def pid(self) -> int:
        return self._process.pid

    def group_mb(self) -> float:
        """Resident memory of it and its children."""
        return group_mb(self.pid)


class SubmittedProgram(RunnerProgram):
    """The launch script for Flink, as users start it."""

    def __init__(self, folder: Path, config: Path, *flags: str, env: dict[str, str]) -> None:
        command = f"{sys.executable} -m pipelines"
        super().__init__(folder, config, *flags, env={"DUOLOGSYNC": command, **env})

    def start(self) -> Self:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", SUBMIT, *self._words], cwd=self._folder, env=self._env, stdout=log, stderr=log, start_new_session=True
            )
        return self


def add_account(config: Path, account: dict[str, Any]) -> None:
    """One more account in a configuration file."""
    content = json.loads(config.read_text())
    content["accounts"].append(account)
    config.write_text(json.dumps(content))


def set_destinations(config: Path, destinations: list[dict[str, Any]], **reading: Any) -> None:
    """Other destinations for the whole of the configuration's one route, and other settings for reading."""
    content = json.loads(config.read_text())
    content["destinations"] = destinations
    content["routes"][0]["destinations"] = [destination["name"] for destination in destinations]
    content["reading"] |= reading
    config.write_text(json.dumps(content))


def set_routes(config: Path, routes: list[dict[str, Any]]) -> None:
    """Other routes."""
    config.write_text(json.dumps(json.loads(config.read_text()) | {"routes": routes}))


def pages_since(duo: Duo, log_type: str, at_secs: float) -> int:
    """How many pages of a log were asked for since then."""
    return sum(call.log_type == log_type and call.at_secs >= at_secs for call in list(duo.simulator.calls))


def fetched_twice(duo: Duo) -> Counter:
    """Pages that were asked for more than once, by what was asked for."""
    calls = Counter((call.path, call.params) for call in duo.simulator.calls if call.status == 200)
    return Counter({call: count for call, count in calls.items() if count > 1})
