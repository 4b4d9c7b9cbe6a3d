"""A Flink standalone cluster with Beam's job server and a worker pool: five processes on loopback, each of which can be killed.

Place: the tests beside it and ``benchmarks/flink.py`` start one and share it. ``get_flink.sh`` builds their jar.

Contract: everything listens on loopback, on ports that were free; logs and checkpoints are in one folder; leaving the ``with``
ends all that was started, and the workers that the pool started.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from typing_extensions import Self

from tests.ports import free_ports

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PATIENCE_SECS = 120.0
_OPENS = (
    "java.lang", "java.lang.reflect", "java.net", "java.nio", "java.text", "java.time", "java.util", "java.util.concurrent",
    "java.util.concurrent.atomic", "sun.nio.ch",
)  # fmt: skip
# What Flink's shell scripts would work out.
_TASK_MANAGER_MEMORY = {
    "taskmanager.cpu.cores": "1",
    "taskmanager.memory.task.heap.size": "256m",
    "taskmanager.memory.task.off-heap.size": "64m",
    "taskmanager.memory.managed.size": "64m",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "64m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
}


class FlinkCluster:
    """Job manager, task manager, job server, worker pool.

    ``heap_mb`` of the task manager: each chain needs about 20 MB a minute more, for as long as it lives, because job servers
    older than 2.76 keep a state behind for each bundle of an endless read.
    """

    def __init__(self, folder: Path, jar: str, *, heap_mb: int = 384, **settings: str) -> None:
        self.folder = folder
        self._heap_mb = heap_mb
        self._jar = jar
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        names = ("rest", "job_manager", "blobs", "jobs", "artifacts", "pool")
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._settings = settings

    def __enter__(self) -> Self:
        try:
            self._write_settings()
            self.start("job_manager", "task_manager", "pool")
            self.wait_for("a task manager", lambda: self.rest("/taskmanagers")["taskmanagers"])
            self.start("job_server")
            self.wait_for("the job server", lambda: _listens(self._ports["jobs"]))
        except BaseException:
            self._kill_all()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self._kill_all()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _kill_all(self) -> None:
        for name in list(self._processes):
            self.kill(name)

    # --- processes ---------------------------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        for name in names:
            with (self.folder / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    self._command(name), cwd=self.folder, env=self._env(), stdout=log, stderr=log, start_new_session=True
                )

    def kill(self, name: str) -> None:
        """kill -9, of the process and of what it started."""
        process = self._processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_machine(self) -> None:
        """The task manager and its workers at once, as a machine dies."""
        self.kill("task_manager")
        self.kill("pool")

    def start_machine(self) -> None:
        self.start("pool", "task_manager")

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def rss_mb(self, name: str) -> float:
        """Memory of a process and of what it started."""
        return group_mb(self._processes[name].pid)

    def _command(self, name: str) -> list[str]:
        entrypoint = "org.apache.flink.runtime"
        if name == "pool":
            return [sys.executable, str(HERE / "worker_pool.py"), str(self._ports["pool"])]
        if name == "job_manager":
            main = [f"{entrypoint}.entrypoint.StandaloneSessionClusterEntrypoint", "--configDir", "conf"]
            return self._java("-Xmx512m", *main)
        if name == "task_manager":
            memory = [part for key, value in _TASK_MANAGER_MEMORY.items() for part in ("-D", f"{key}={value}")]
            main = [f"{entrypoint}.taskexecutor.TaskManagerRunner", "--configDir", "conf", *memory]
            return self._java(f"-Xmx{self._heap_mb}m", "-XX:MaxMetaspaceSize=256m", *main)
        ports = ["--job-port", str(self._ports["jobs"]), "--artifact-port", str(self._ports["artifacts"])]
        main = ["org.apache.beam.runners.flink.FlinkJobServerDriver", "--job-host", "localhost", *ports]
        more = ["--expansion-port", "-1", "--flink-master", f"localhost:{self._ports['rest']}"]
        more += ["--artifacts-dir", str(self.folder / "artifacts")]
        return self._java("-Xmx512m", *main, *more)

    def _java(self, *arguments: str) -> list[str]:
        opens = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENS]
        log = ["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"]
        return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *log, *opens, "-cp", self._jar, *arguments]

    @staticmethod
    def _env() -> dict[str, str]:
        # The pool starts "python", which must be this one, with this code.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "FLINK_CONF_DIR": "conf"}

    def _write_settings(self) -> None:
        (self.folder / "conf").mkdir(parents=True)
        self._scratch.mkdir()
        settings = {
            "jobmanager.rpc.address": "localhost",
            "jobmanager.bind-host": "localhost",
            "jobmanager.rpc.port": self._ports["job_manager"],
            "jobmanager.memory.heap.size": "384m",
            "blob.server.port": self._ports["blobs"],
            "rest.address": "localhost",
            "rest.bind-address": "localhost",
            "rest.port": self._ports["rest"],
            "taskmanager.host": "localhost",
            "taskmanager.bind-host": "localhost",
            # Others at each start, as on another machine: the job manager may not talk for a while to an address that died.
            "taskmanager.rpc.port": "0",
            "taskmanager.data.port": "0",
            "taskmanager.numberOfTaskSlots": 2,
            "state.checkpoints.dir": self.checkpoints.as_uri(),
            "state.savepoints.dir": self.savepoints.as_uri(),
            "state.checkpoints.num-retained": 3,
            # Beside all else: a TaskManager that is killed leaves gigabytes behind, and nobody would find them in /tmp.
            "io.tmp.dirs": str(self._scratch),
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": 1_000_000,
            "restart-strategy.fixed-delay.delay": "1 s",
            # The cluster's own classes serve for the job, too: it starts sooner, and each job needs less memory.
            "classloader.resolve-order": "parent-first",
            "heartbeat.interval": 1_000,
            "heartbeat.timeout": 10_000,
            **self._settings,
        }
        (self.folder / "conf" / "flink-conf.yaml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))

    # --- what a client of the cluster asks ---------------------------------------------------------------------------

    @property
    def _scratch(self) -> Path:
        return self.folder / "scratch"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "flink-checkpoints"

    @property
    def savepoints(self) -> Path:
        return self.folder / "flink-savepoints"

    def flags(self, *more: str, checkpoint_every_ms: int = 2_000) -> list[str]:
        """Beam's flags for a launch on this cluster."""
        return [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{self._ports['jobs']}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{self._ports['pool']}",
            "--parallelism=1",
            "--job_server_timeout=20",
            f"--checkpointing_interval={checkpoint_every_ms}",
            "--externalized_checkpoints_enabled",
            "--retain_externalized_checkpoints_on_cancellation",
            *more,
        ]

    def own_server_flags(self) -> list[str]:
        """Beam's flags for a launch that starts a job server of its own, with ``--runner=FlinkRunner``."""
        others = [flag for flag in self.flags() if not flag.startswith(("--runner", "--job_endpoint"))]
        return [
            "--runner=FlinkRunner",
            f"--flink_master=localhost:{self._ports['rest']}",
            "--flink_version=1.19",
            f"--flink_job_server_jar={self._jar}",
            *others,
        ]

    @property
    def address(self) -> str:
        """Of its REST API."""
        return f"http://localhost:{self._ports['rest']}"

    def submit_env(self, savepoint: str = "") -> dict[str, str]:
        """What the launch script wants to know."""
        return {
            "JOB_ENDPOINT": f"localhost:{self._ports['jobs']}",
            "WORKER_POOL": f"localhost:{self._ports['pool']}",
            "SAVEPOINT": savepoint,
        }

    def rest(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """One call of Flink's REST API."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}{path}", data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"{}")

    def running_job(self) -> str:
        """The id of the one job that runs, once it does."""
        found: list[str] = []

        def look() -> bool:
            jobs = self.rest("/jobs/overview")["jobs"]
            found[:] = [job["jid"] for job in jobs if job["state"] == "RUNNING"]
            return len(found) == 1

        self.wait_for("a running job", look)
        return found[0]

    def checkpoints_of(self, job: str) -> dict[str, Any]:
        """``counts`` and ``latest`` of a job's checkpoints."""
        return self.rest(f"/jobs/{job}/checkpoints")

    def completed(self, job: str) -> int:
        return self.checkpoints_of(job)["counts"]["completed"]

    def next_checkpoint(self, job: str, more: int = 1) -> None:
        """Returns when so many more checkpoints have been completed."""
        before = self.completed(job)
        self.wait_for(f"{more} more checkpoints", lambda: self.completed(job) >= before + more)

    def failures(self, job: str) -> list[str]:
        """The step that failed, for each time that the job or a part of it was started again; empty for the job as a whole.

        Flink shows what it knew up to three seconds ago.
        """
        entries = self.rest(f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"]
        return [entry.get("taskName") or "" for entry in entries]

    def last_checkpoint(self, job: str) -> tuple[float, str]:
        """When the last completed checkpoint was begun (seconds since the epoch), and its address."""
        latest = self.checkpoints_of(job)["latest"]["completed"]
        return latest["trigger_timestamp"] / 1000, latest["external_path"]

    def cancel(self, job: str) -> None:
        self.rest(f"/jobs/{job}?mode=cancel", method="PATCH")
        self.wait_for("the job's end", lambda: self.rest(f"/jobs/{job}")["state"] in ("CANCELED", "FAILED", "FINISHED"))

    def cancel_all(self) -> None:
        """Ends every job that has not ended."""
        for job in self.rest("/jobs/overview")["jobs"]:
            if job["state"] not in ("CANCELED", "FAILED", "FINISHED"):
                self.cancel(job["jid"])

    def wait_for(self, what: str, condition: Any, within_secs: float = PATIENCE_SECS) -> None:
        """Returns when the condition holds; while the cluster does not answer, it does not hold."""
        deadline = time.monotonic() + within_secs
        while True:
            with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                if condition():
                    return
            dead = [name for name, process in self._processes.items() if process.poll() is not None]
            assert not dead, f"{dead} ended by themselves:\n{self.log(dead[0])[-3000:]}"
            assert time.monotonic() < deadline, f"not within {within_secs:g} s: {what}"
            time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _group_of(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[2])
    except (OSError, IndexError):
        return -1


def group_mb(group: int) -> float:
    """Resident memory of a process group."""
    return sum(memory_mb(int(p.name)) for p in Path("/proc").iterdir() if p.name.isdigit() and _group_of(p) == group)


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    try:
        return int((Path("/proc") / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0
