"""Tells where a file needs libraries that an installation without extras does not have.

Place in the flow: ``load`` asks it about the plain data, also where the model refuses that, so that all problems are told at
once. Where a Job is launched from here and runs elsewhere, nobody asks.

Contract: nothing of Beam or of a cloud is loaded, and no network is used: it is only looked up whether a library is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from pydantic import SecretStr

from pipelines.config.fields import Section
from pipelines.config.own import texts
from pipelines.config.problems import Findings, listed
from pipelines.config.sections import sections_in, types_in
from transforms.destinations import KINDS
from transforms.destinations.http.presets import PRESETS

_DIRECTORIES = (
    ("storage", "checkpoint_dir"),
    ("storage", "dead_letter_dir"),
    ("dls_settings", "checkpointing", "directory"),
    ("dls_settings", "checkpointing", "checkpoint_dir"),
    ("destinations", "*", "directory"),
)
_GCP = 'In the repository\'s root run: pip install --constraint constraints-gcp.txt ".[gcp]" (see docs/install.md).'
_EXTRA = 'In the repository\'s root run: pip install --constraint constraints.txt ".[{extra}]" (see docs/install.md).'
_OTLP = _EXTRA.format(extra="otlp")
_PROTOBUF_PRESETS = {name for name, preset in PRESETS.items() if preset.body == "otlp"}
_GOOGLES_CLIENT = "google.cloud.secretmanager"
_FILE_SYSTEMS = {
    "gs": ("google.cloud.storage", _GCP),
    "s3": ("boto3", 'Run: pip install "apache-beam[aws]".'),
    "hdfs": ("hdfs", 'Run: pip install "apache-beam[hadoop]".'),
    "azfs": ("azure.storage.blob", 'Run: pip install "apache-beam[azure]".'),
}


def fix_of_extra(extra: str) -> str:
    """How to install an extra."""
    return _EXTRA.format(extra=extra)


def check_installed(model: type[Section], data: dict[str, Any], findings: Findings) -> None:
    """Adds a problem for each kind of destination, and each place of a secret or directory, that no installed library can
    speak to. Takes any data.
    """
    for path, kind in texts(data, "destinations", "*", "kind"):
        needed = KINDS[kind].settings.library if kind in KINDS else None
        if needed is not None and not _is_installed(needed.module):
            findings.problem(path, f"what speaks to {kind} is not installed", fix_of_extra(needed.extra))
    for pattern in dict.fromkeys(_secrets_in(model)):
        for path, text in texts(data, *pattern):
            if text.strip().startswith("gcp:") and not _is_installed(_GOOGLES_CLIENT):
                findings.problem(path, "Google's client for secrets in Secret Manager is not installed", _GCP)
    for path, preset in texts(data, "destinations", "*", "preset"):
        if preset in _PROTOBUF_PRESETS and not _is_installed("opentelemetry.proto"):
            findings.problem(path, f"the classes of OpenTelemetry that preset {preset} needs are not installed", _OTLP)
    for pattern in _DIRECTORIES:
        for path, text in texts(data, *pattern):
            scheme, separator, _ = text.partition("://")
            if not separator:
                continue
            library, fix = _FILE_SYSTEMS.get(scheme, ("", ""))
            if not library:
                known = listed(f"{name}://" for name in _FILE_SYSTEMS)
                findings.problem(path, "no such file system is known", f"Write a directory, or a URL that begins with {known}.")
            elif not _is_installed(library):
                findings.problem(path, f"what reads and writes {scheme}:// is not installed", fix)


def _secrets_in(model: type[Section]) -> Iterator[tuple[str, ...]]:
    """The keys of a model that hold secrets, as patterns for ``texts``."""
    for key, field in model.model_fields.items():
        if SecretStr in types_in(field.annotation):
            yield (key,)
        rest = ("*",) if list in types_in(field.annotation) else ()
        for inner in sections_in(field.annotation):
            yield from ((key, *rest, *pattern) for pattern in _secrets_in(inner))


def _is_installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False
