"""What Dataflow's Flex Template launcher runs: template parameters become a configuration, and the job is launched.

Place: the container image names this file in ``FLEX_TEMPLATE_PYTHON_PY_FILE``. The launcher calls it with the parameters that
``metadata.json`` describes and with Beam's own flags, all as ``--name=value``; ``pipelines.runners.launch`` gets the latter.

Contract: it returns when the job is handed over and never waits for its end: the launcher's machine goes away. A parameter that
cannot be used ends it with exit code 2 before anything was started, all problems told at once and by the parameters' names. No
parameter is a secret: those that stand for one are names in Secret Manager, and what is not such a name is refused unseen.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from pipelines import __version__, exit_codes, logs
from pipelines.config import ConfigProblems, Problem, load
from pipelines.config.own_model import DestinationSection, FormatSection
from pipelines.config.sections import types_in
from pipelines.importing import importing
from transforms.notices import configuration as wrong
from transforms.notices import runners
from transforms.notices.notice import tell
from transforms.process.plural import counted
from transforms.secrets import GCP_SECRET_VERSION
from transforms.settings import Job

_LOGGER = logging.getLogger("duologsync.runners")


class BadParameter(Exception):
    """A parameter that cannot be part of a configuration. Its text never holds the value."""


def _secret(text: str) -> str:
    if not GCP_SECRET_VERSION.fullmatch(text):
        raise BadParameter("this is not projects/PROJECT/secrets/NAME/versions/NUMBER. Put the secret into Secret Manager.")
    return f"gcp:{text}"


def _number(text: str) -> int | float | str:
    """The number; the text itself where it is none, for the configuration's own words about it."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _switch(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text.lower(), text)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _bucket_folder(text: str) -> str:
    if not text.startswith("gs://"):
        raise BadParameter("this is not a folder in Cloud Storage. Write gs://BUCKET/FOLDER.")
    return text.rstrip("/")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One template parameter.

    Attributes:
      name: as the user gives it and as ``metadata.json`` describes it.
      key: the key of the configuration that it sets.
      read: makes the key's value from the text. Raises BadParameter.
    """

    name: str
    key: str
    read: Callable[[str], Any] = str


_FIXED = (
    Parameter("api_host", "accounts.0.api_host"),
    Parameter("ikey", "accounts.0.ikey"),
    Parameter("skey_secret", "accounts.0.skey", _secret),
    Parameter("msp", "accounts.0.msp", _switch),
    Parameter("allow_list", "accounts.0.allow_list", _list),
    Parameter("block_list", "accounts.0.block_list", _list),
    Parameter("log_types", "routes.0.log_types", _list),
    Parameter("start_days", "reading.start_days", _number),
    Parameter("poll_interval_secs", "reading.poll_interval_secs", _number),
    Parameter("page_pause_secs", "reading.page_pause_secs", _number),
    Parameter("lag_secs", "reading.lag_secs", _number),
    Parameter("overlap_secs", "reading.overlap_secs", _number),
    Parameter("siem_kind", "destinations.0.kind"),
    Parameter("siem_host", "destinations.0.host"),
    Parameter("siem_port", "destinations.0.port", _number),
    Parameter("siem_format", "destinations.0.format.name"),
    Parameter("siem_envelope", "destinations.0.format.envelope", _switch),
    Parameter("siem_header", "destinations.0.format.header"),
    Parameter("siem_cef_profile", "destinations.0.format.profile"),
    Parameter("siem_framing", "destinations.0.framing"),
    Parameter("siem_server_name", "destinations.0.tls.server_name"),
    Parameter("siem_ca_file", "destinations.0.tls.ca_file"),
    Parameter("siem_max_message_bytes", "destinations.0.max_message_bytes", _number),
    Parameter("siem_delivery_timeout_secs", "destinations.0.delivery_timeout_secs", _number),
    Parameter("proxy_host", "accounts.0.proxy.host"),
    Parameter("proxy_port", "accounts.0.proxy.port", _number),
    Parameter("proxy_user", "accounts.0.proxy.user"),
    Parameter("proxy_password_secret", "accounts.0.proxy.password", _secret),
    Parameter("state_dir", "storage.checkpoint_dir", _bucket_folder),
)
# Kinds that a template has no parameters for: what they need is no short list, or what they write goes away with a worker. A
# plain launch takes a whole configuration.
LEFT_OUT_KINDS = ("hec", "http", "kafka", "file", "stdout", "avro")
# Keys of kinds that a template has no parameter for: the defaults fit, or what they need cannot be in an image.
_LEFT_OUT = (
    "destinations.0.connect_timeout_secs",
    "destinations.0.max_events_per_sec",
    "destinations.0.tls.client_cert_file",
    "destinations.0.tls.client_key_file",
    "destinations.0.tls.client_key_password",
)


def _of_kinds() -> Iterator[Parameter]:
    """A parameter for each key that a kind of destination or a format has of its own and none above sets."""
    known = {parameter.key for parameter in _FIXED}.union(_LEFT_OUT)
    for place, section in (("destinations.0", DestinationSection), ("destinations.0.format", FormatSection)):
        for key, field in section.leaves(but=LEFT_OUT_KINDS):
            whole = f"{place}.{key}"
            if whole not in known:
                known.add(whole)
                yield _parameter(whole, set(types_in(field.annotation)))


def _parameter(key: str, types: set[Any]) -> Parameter:
    name = f"siem_{key.rpartition('.')[2]}"
    if SecretStr in types:
        return Parameter(f"{name}_secret", key, _secret)
    readers: tuple[tuple[type, Callable[[str], Any]], ...] = ((list, _list), (bool, _switch), (int, _number), (float, _number))
    return Parameter(name, key, next((read for kind, read in readers if kind in types), str))


PARAMETERS = (*_FIXED, *_of_kinds())
# Part of step labels and of checkpoint names, so never another one.
_DESTINATION = "siem"
# Passes as a reference and as a path, so that what else is wrong is found in the same go.
_STAND_IN = "env:UNUSABLE"


def main(argv: Sequence[str] | None = None) -> int:
    """Launches the job that the parameters describe; the exit code."""
    logs.set_up()
    given, flags = split(list(sys.argv[1:] if argv is None else argv))
    job, problems = job_of(given)
    if job is None:
        for problem in problems:
            tell(_LOGGER, wrong.WRONG_PARAMETERS, "%s", problem)
        tell(_LOGGER, wrong.WRONG_PARAMETERS, "%s. Nothing was started.", counted(len(problems), "problem"))
        return exit_codes.CONFIG
    with importing():
        from pipelines.runners.launch import launch, unknown_flags  # Beam takes its time to load; bad parameters come first
    # What a later launcher adds and this Beam does not know must not stop the job; what users write, the service has checked.
    unknown = unknown_flags(flags)
    if unknown:
        tell(
            _LOGGER,
            runners.FLAG_LEFT_OUT,
            "Left out, because this Beam does not know it: %s.",
            ", ".join(f.partition("=")[0] for f in unknown),
        )
    _LOGGER.info("duologsync %s hands the job over.", __version__)
    return launch(job, [*(flag for flag in flags if flag not in unknown), "--no_wait_until_finish"])


def split(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The parameters that were given, and everything else. An empty value, which forms send, means not given."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for parameter in PARAMETERS:
        parser.add_argument(f"--{parameter.name}")
    known, flags = parser.parse_known_args(words)
    if not any(flag.partition("=")[0] == "--runner" for flag in flags):
        flags.append("--runner=DataflowRunner")
    return {name: value for name, value in vars(known).items() if value}, flags


def job_of(given: dict[str, str]) -> tuple[Job | None, list[str]]:
    """The job; or None, and every problem."""
    config, problems = configuration(given)
    with tempfile.TemporaryDirectory(prefix="duologsync-") as folder:
        path = Path(folder) / "config.yml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        try:
            # What a path names is in the image of the workers, and need not be here.
            job = load(path, look_at_files=False).job
        except ConfigProblems as error:
            return None, problems + [_by_parameter(problem) for problem in error.problems]
    return (None, problems) if problems else (job, [])


def configuration(given: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The configuration that the parameters mean, and what cannot be part of one; a word of ours stands in its place."""
    config: dict[str, Any] = {"version": 2, "accounts": [{}], "destinations": [{"name": _DESTINATION}]}
    problems = []
    for parameter in PARAMETERS:
        if parameter.name not in given:
            continue
        try:
            _put(config, parameter.key.split("."), parameter.read(given[parameter.name]))
        except BadParameter as error:
            problems.append(f"{parameter.name}: {error}")
            _put(config, parameter.key.split("."), _STAND_IN)
    if "storage" not in config:
        # Otherwise the default would be used: a directory of a worker, which goes away with all that is in it.
        problems.append("state_dir: is missing. Write gs://BUCKET/FOLDER.")
    else:
        state = config["storage"]["checkpoint_dir"]
        config["storage"] = {"checkpoint_dir": f"{state}/checkpoints", "dead_letter_dir": f"{state}/dead-letters"}
    for route in config.get("routes", ()):
        route["destinations"] = [_DESTINATION]
    return config, problems


def _put(config: dict[str, Any], key: list[str], value: Any) -> None:
    """Sets a key, making the sections on the way to it."""
    place: Any = config
    for part, following in zip(key, [*key[1:], None], strict=True):
        if following is None:
            place[part] = value
        elif isinstance(place, list):
            place = place[int(part)]
        else:
            place = place.setdefault(part, [{}] if following == "0" else {})


def _by_parameter(problem: Problem) -> str:
    """The problem as one of the parameter that sets its key. In the file it has a place; the user has never seen that file."""
    names = {parameter.key: parameter.name for parameter in PARAMETERS}
    key = problem.key
    while key and key not in names:
        key = key.rpartition(".")[0]
    return f"{names.get(key, problem.key)}: {problem.what}. {problem.fix}"


if __name__ == "__main__":
    sys.exit(main())
