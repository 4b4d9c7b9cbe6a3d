"""Duo Log Sync's dialect (``version: '1.0.0'``): cross-checks, and the way from the file to a Job of the same meaning.

Place in the flow: as ``own``, for the other dialect.

Contract: where a meaning is not kept, a notice says so. What is kept on purpose: CEF as Duo Log Sync wrote it, bare JSON lines,
the poll interval's lower bound, ``offset``, relative paths that begin in the working directory.
"""

from __future__ import annotations

from typing import Any

from pipelines.config.dls_model import MIN_TIMEOUT_SECS, ApiSection, DlsFile, MappingSection, ServerSection, SettingsSection
from pipelines.config.own import check_known, check_unique, notice_unused, texts
from pipelines.config.problems import Findings, KeyPath
from pipelines.config.references import Surroundings
from transforms.destinations.stream.settings import TcpSettings, TlsSettings
from transforms.destinations.udp.settings import UdpSettings
from transforms.formats.cef import CefOptions
from transforms.formats.json_lines import CHILD_ACCOUNT_KEY, JsonOptions
from transforms.settings import (
    Account,
    Destination,
    Format,
    Job,
    KindSettings,
    Monitoring,
    Proxy,
    Reading,
    Route,
    Storage,
    SyslogHeader,
    Tls,
)

ACCOUNT_NAME = "main"
DEFAULT_DIR = "/tmp"  # noqa: S108 - Duo Log Sync's default, which we recognise in order to avoid it
DEFAULT_LOG_FILE = f"{DEFAULT_DIR}/duologsync.log"
_SETTINGS: KeyPath = ("dls_settings",)
_MAPPINGS: KeyPath = ("account", "endpoint_server_mappings")


def check_names(data: dict[str, Any], findings: Findings) -> None:
    """Ids that are given twice, and mappings to servers that are not there. Takes any data, also what the model will refuse."""
    servers = texts(data, "servers", "*", "id")
    check_unique([(path, name) for path, name in servers if name], "server", findings)
    for key in ("server", "servers"):
        check_known(texts(data, *map(str, _MAPPINGS), "*", key, "*"), servers, "server", findings, of=data.get("servers"))


def job_of(file: DlsFile, around: Surroundings, findings: Findings) -> Job | None:
    """The Job that a validated file means. None where there is nowhere to keep state."""
    settings = file.dls_settings
    storage = _storage(settings, around, findings)
    if storage is None:
        return None
    job = Job(
        accounts=(_account(file, around, findings),),
        destinations=tuple(_destination(s, i, file, around, findings) for i, s in enumerate(file.servers)),
        routes=tuple(_route(m, i, findings) for i, m in enumerate(file.account.endpoint_server_mappings)),
        storage=storage,
        reading=_reading(settings.api, findings),
        log_file=around.path(settings.log_filepath or DEFAULT_LOG_FILE),
        monitoring=Monitoring(),
    )
    notice_unused(job, findings, "account", "servers")
    _notice_improvements(file, findings)
    return job


def key_in_file(path: KeyPath) -> KeyPath:
    """Where a part of the Job comes from in Duo Log Sync's file."""
    if path[:1] == ("destinations",) and path[2:3] == ("tls",):
        return ("servers", path[1], "cert_filepath")
    if path[:1] == ("accounts",) and path[2:] == ("ca_file",):
        return (*_SETTINGS, "api", "ca_file")
    if path[:1] == ("accounts",):
        return ("account", *path[2:])
    if path[:1] == ("storage",):
        return (*_SETTINGS, "checkpointing", "directory")
    return (*_SETTINGS, "log_filepath") if path == ("log_file",) else path


def _account(file: DlsFile, around: Surroundings, findings: Findings) -> Account:
    section, settings = file.account, file.dls_settings
    proxy = Proxy(settings.proxy.proxy_server, settings.proxy.proxy_port) if settings.proxy.proxy_server else None
    return Account(
        name=ACCOUNT_NAME,
        api_host=section.hostname,
        ikey=section.ikey,
        skey=around.secret(section.skey, ("account", "skey"), findings),
        is_msp=section.is_msp,
        block_list=tuple(section.block_list) if section.is_msp else (),
        port=settings.api.port,
        ca_file=around.path(settings.api.ca_file) if settings.api.ca_file else None,
        proxy=proxy,
    )


def _destination(section: ServerSection, index: int, file: DlsFile, around: Surroundings, findings: Findings) -> Destination:
    tls = section.protocol == "TCPSSL"
    if section.cert_filepath and not tls:
        fix = "Use TCPSSL, or remove it."
        findings.notice(("servers", index, "cert_filepath"), f"a certificate is not used with {section.protocol}", fix)
    if file.dls_settings.log_format == "CEF":
        written = Format(CefOptions(profile="dls"), SyslogHeader("dls"))
    else:
        written = Format(JsonOptions(account_key=CHILD_ACCOUNT_KEY if file.account.is_msp else None))
    return Destination(section.id, _settings(section, around), written)


def _settings(section: ServerSection, around: Surroundings) -> KindSettings:
    if section.protocol == "UDP":
        return UdpSettings(section.hostname, section.port)
    if section.protocol == "TCP":
        return TcpSettings(section.hostname, section.port, "lf")
    return TlsSettings(section.hostname, section.port, "lf", tls=Tls(ca_file=around.path(section.cert_filepath)))


def _route(section: MappingSection, index: int, findings: Findings) -> Route:
    log_types = []
    for position, endpoint in enumerate(section.endpoints):
        if endpoint == "adminaction":
            what = "Duo has replaced administrator logs, and Duo Log Sync has dropped them; activity is read instead"
            findings.notice((*_MAPPINGS, index, "endpoints", position), what, "Write activity.")
        log_types.append("activity" if endpoint == "adminaction" else str(endpoint))
    servers = [*(section.server or ()), *(section.servers or ())]
    return Route(tuple(dict.fromkeys(log_types)), tuple(dict.fromkeys(servers)))


def _reading(section: ApiSection, findings: Findings) -> Reading:
    given = [days for days in (section.offset, section.daysinpast, section.days_in_past) if days is not None]
    if section.timeout < MIN_TIMEOUT_SECS:
        what = f"{section.timeout:g} seconds are raised to {MIN_TIMEOUT_SECS}, as Duo Log Sync does"
        findings.notice((*_SETTINGS, "api", "timeout"), what, f"Write {MIN_TIMEOUT_SECS} or more.")
    return Reading(
        start_days=given[0] if given else 180.0,
        poll_interval_secs=max(section.timeout, MIN_TIMEOUT_SECS),
        page_pause_secs=section.page_pause,
        lag_secs=section.lag,
    )


def _storage(settings: SettingsSection, around: Surroundings, findings: Findings) -> Storage | None:
    section = settings.checkpointing
    theirs = around.path(section.directory or section.checkpoint_dir or DEFAULT_DIR)
    key = (*_SETTINGS, "checkpointing", "directory" if section.directory or not section.checkpoint_dir else "checkpoint_dir")
    resume = section.enabled
    if theirs != DEFAULT_DIR:
        return Storage(theirs, f"{theirs.rstrip('/')}/dead-letters", import_dir=theirs, resume=resume)
    if around.state is None:
        findings.problem(
            key, "this user has no home directory to keep checkpoints in", "Name a directory that only this user can write to."
        )
        return None
    ours = str(around.state / "checkpoints")
    what = f"anyone can write to {DEFAULT_DIR}, so checkpoints are kept in {ours}; Duo Log Sync's are still read there"
    findings.notice(key, what, "Name a directory that only this user can write to.")
    return Storage(ours, str(around.state / "dead-letters"), import_dir=theirs, resume=resume)


def _notice_improvements(file: DlsFile, findings: Findings) -> None:
    if file.account.is_msp:
        what = "every log type is read for every child account; Duo Log Sync read auth only"
        if file.dls_settings.log_format == "JSON":
            what += f". {CHILD_ACCOUNT_KEY} is in the events of all logs; Duo Log Sync left it out of telephony"
        findings.notice(("account", "is_msp"), what, "Nothing needs to be done; expect more events.")
    if file.account.block_list:
        key: KeyPath = ("account", "block_list")
        if file.account.is_msp:
            what = "these child accounts are left out; Duo Log Sync ignored the list"
            findings.notice(key, what, "Remove those that you want to be read.")
        else:
            findings.notice(key, "a block list means nothing without is_msp", "Remove it, or set is_msp: True.")
    if file.version != "1.0.0":
        findings.notice(("version",), "this version is read as 1.0.0", "Write version: '1.0.0'.")
