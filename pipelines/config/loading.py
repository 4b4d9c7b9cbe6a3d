"""From a file to a Job: which dialect it is, and the order of the checks.

Place in the flow: the command line → ``load`` → everything else sees only the Job.

Contract: ``load`` gives a ``Loaded``, or raises ``ConfigProblems`` with everything that is wrong; it never raises anything
else, reads local files only, and writes nothing. Other files than the configuration are looked at (``check_files``) once the
configuration itself is sound; what is not installed is told in any case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipelines.config import extras, files, incumbent, own, routes
from pipelines.config.dls_model import DlsFile
from pipelines.config.explain import validated
from pipelines.config.own_model import OwnFile
from pipelines.config.problems import ConfigProblems, Findings, KeyPath, Notice, Problem, in_order
from pipelines.config.references import Surroundings, default_state_dir
from pipelines.config.yaml_file import read
from transforms.settings import Job

Dialect = Literal["duologsync-1.0.0", "own"]

_DLS_KEYS = {"dls_settings", "servers", "account"}
_OWN_KEYS = {"accounts", "destinations", "routes", "reading", "storage", "log_file"}
_OLDEST_KEYS = {"duoclient", "logs", "transport", "recoverFromCheckpoint"}
_WHICH = "Write version: 2 (the layout that 'duologsync schema --sample' shows); version: '1.0.0' is Duo Log Sync's."


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be run.

    Attributes:
      job: what it means.
      notices: what the user should know about it.
      dialect: whose layout the file has.
    """

    job: Job
    notices: tuple[Notice, ...]
    dialect: Dialect


def load(path: Path, *, look_at_files: bool = True, runs_here: bool = True, needs_secrets: bool = True) -> Loaded:
    """The configuration in a file.

    Args:
      look_at_files: whether certificates, key files and directories of this machine are looked at.
      runs_here: whether this machine must have the libraries that the file needs; elsewhere the workers must.
      needs_secrets: whether what is done then needs the secrets; else one that this user or this process cannot see, and the
        service may, is a notice (``Unseen``).
    """
    findings = Findings(path)
    data = read(path, findings)
    dialect = None if data is None else _dialect(data, findings)
    job = None if data is None or dialect is None else _JOBS[dialect](data, path, findings)
    if data is not None and look_at_files and runs_here:
        extras.check_installed(DlsFile if dialect == "duologsync-1.0.0" else OwnFile, data, findings)
        routes.check_usable(data, findings)
    if job is None or dialect is None:
        raise ConfigProblems(in_order(findings.problems))
    if look_at_files:
        files.inspect(job, findings, _KEYS[dialect], needs_secrets=needs_secrets)
    findings.raise_if_any()
    return Loaded(job, in_order(findings.notices), dialect)


def check_files(job: Job) -> tuple[Problem, ...]:
    """Problems with the certificates, keys, secret files and directories that a Job names. Touches local files only."""
    findings = Findings()
    files.inspect(job, findings, _same)
    return tuple(findings.problems)


def _dialect(data: dict[str, Any], findings: Findings) -> Dialect | None:
    """Whose layout this is. Where the version does not say, what the keys look like, so that the rest can be checked, too."""
    version, keys = data.get("version"), set(data)
    looks_own = len(keys & _OWN_KEYS) > len(keys & _DLS_KEYS)
    if version == 2 and isinstance(version, int):
        return "own"
    if isinstance(version, str) and version and not version.startswith("2") and not looks_own:
        return "duologsync-1.0.0"
    if version is None and keys & _OLDEST_KEYS:
        what = "this is the layout that Duo Log Sync had in 2020, before version 1.0.0"
        findings.problem(
            (), what, "Write it anew: 'duologsync init' asks for it, 'duologsync schema --sample' shows every key."
        )
        return None
    what = "is missing" if version is None else "this is not a known version"
    findings.problem(("version",), what, _WHICH)
    if not keys & (_OWN_KEYS | _DLS_KEYS):
        return None
    return "own" if looks_own else "duologsync-1.0.0"


def _own_job(data: dict[str, Any], path: Path, findings: Findings) -> Job | None:
    own.check_names(data, findings)
    file = validated(OwnFile, data, findings)
    full = _working_dir() / path
    return own.job_of(file, Surroundings(full, full.parent, default_state_dir()), findings) if file else None


def _incumbent_job(data: dict[str, Any], path: Path, findings: Findings) -> Job | None:
    incumbent.check_names(data, findings)
    file = validated(DlsFile, data, findings)
    here = _working_dir()
    return incumbent.job_of(file, Surroundings(here / path, here, default_state_dir()), findings) if file else None


def _working_dir() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was removed under us
        return Path("/")


def _same(path: KeyPath) -> KeyPath:
    return path


_JOBS: dict[Dialect, Callable[[dict[str, Any], Path, Findings], Job | None]] = {
    "own": _own_job,
    "duologsync-1.0.0": _incumbent_job,
}
_KEYS: dict[Dialect, Callable[[KeyPath], KeyPath]] = {"own": _same, "duologsync-1.0.0": incumbent.key_in_file}
