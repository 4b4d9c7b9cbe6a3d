"""Connects to every destination and looks at what a run would write to on this machine. Sends no event and writes nothing.

Place in the flow: part of ``check``. Of UDP, an empty datagram shows whether the port is refused; it is no message.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines import exit_codes
from pipelines.checks.findings import Finding
from transforms.destinations import certificates
from transforms.destinations.probe import connect_once
from transforms.destinations.udp.port import refusal
from transforms.destinations.udp.settings import UdpSettings
from transforms.errors import DuoLogSyncError
from transforms.process import strict_x509
from transforms.process.files import check_own, why_not_writable
from transforms.settings import Destination, Job


def title(destination: Destination) -> str:
    """What a destination is called in the table."""
    return f"{destination.name} ({destination.kind} {destination.place})"


def check_destination(destination: Destination) -> Finding:
    """Whether it can be connected to, and is who it says."""
    try:
        connect_once(destination)
    except DuoLogSyncError as error:
        return Finding(False, title(destination), str(error), exit_codes.DELIVERY)
    if not isinstance(destination.settings, UdpSettings):
        later = f"; {strict_x509.LATER}" if certificates.refused_later(destination.name) else ""
        return Finding(True, title(destination), f"connects{later}")
    cause = refusal(destination.settings)
    if cause:
        return Finding(False, title(destination), f"{cause}. Look whether its receiver listens there.", exit_codes.DELIVERY)
    return Finding(True, title(destination), "nobody refuses the port; UDP tells no more")


def check_secrets_of_routes(job: Job) -> Iterator[Finding]:
    """Those that no connection tries; one that can be read is not worth a line."""
    for key, reference in job.secrets():
        if key[0] == "routes":
            try:
                reference.resolve()
            except DuoLogSyncError as error:
                yield Finding(False, ".".join(map(str, key)), str(error), exit_codes.CREDENTIALS)


def check_directories(job: Job) -> Iterator[Finding]:
    """What keeps files from being made that a run makes, found without making one."""
    storage = job.storage
    for what, directory in (("checkpoints", storage.checkpoint_dir), ("dead letters", storage.dead_letter_dir)):
        trouble = None if "://" in directory else why_not_writable(Path(directory))
        if trouble is not None:
            text = f"cannot be kept in {directory}: {trouble.strerror}."
            yield Finding(False, what, text, exit_codes.STATE)
        else:
            yield Finding(True, what, f"can be kept in {directory}")
    if job.log_file is not None:
        yield _check_log_file(Path(job.log_file))


def _check_log_file(path: Path) -> Finding:
    try:
        # Anybody may write beside it, so its directory is not looked at as one of ours is.
        there = next(each for each in (path.parent, *path.parent.parents) if each.exists())
        check_own(path)
        if not there.is_dir():
            return Finding(False, "log file", f"{path} cannot be written: {there} is not a directory.", exit_codes.STATE)
    except OSError as error:
        return Finding(False, "log file", f"{path} cannot be written: {error.strerror}.", exit_codes.STATE)
    return Finding(True, "log file", f"can be written to {path}")
