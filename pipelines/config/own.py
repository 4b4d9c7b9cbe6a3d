"""Our own dialect (``version: 2``): cross-checks, and the way from the validated file to a Job.

Place in the flow: ``loading`` calls ``check_names`` on the plain data (so that they are told together with everything that the
model refuses) and ``job_of`` on the validated model.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipelines.config.explain import unknown_name
from pipelines.config.fields import days_back, other_destination
from pipelines.config.own_model import (
    AccountSection,
    AuditSection,
    DestinationSection,
    FormatSection,
    MonitoringSection,
    OwnFile,
    ProxySection,
    RouteSection,
    StorageSection,
)
from pipelines.config.problems import Findings, KeyPath, listed, shown
from pipelines.config.references import Surroundings
from pipelines.config.routes import check_routes, notice_routes
from pipelines.config.sections import secret_of, settings_of
from transforms.destinations import KINDS
from transforms.destinations.stored.registry import SEARCHES
from transforms.duo.log_types import DEFAULT_LOG_TYPES, LOG_TYPES
from transforms.events.redact_settings import Redaction
from transforms.formats import FORMATS
from transforms.notices.notice import RUNBOOK
from transforms.settings import (
    Account,
    AuditSettings,
    Destination,
    Format,
    Job,
    Monitoring,
    Proxy,
    Reading,
    Route,
    Start,
    Storage,
    SyslogHeader,
)


def check_names(data: dict[str, Any], findings: Findings) -> None:
    """Names that are given twice, and names in routes that nothing has. Takes any data, also what the model will refuse."""
    accounts = texts(data, "accounts", "*", "name")
    unnamed = [i for i, item in enumerate(_items(data.get("accounts"))) if isinstance(item, dict) and "name" not in item]
    accounts += [(("accounts", index), "main") for index in unnamed]
    destinations = texts(data, "destinations", "*", "name")
    check_unique(accounts, "account", findings)
    check_unique(destinations, "destination", findings)
    parents = [(path, name.partition("/")[0]) for path, name in texts(data, "routes", "*", "accounts", "*")]
    check_known(parents, accounts, "account", findings, of=data.get("accounts"))
    named = texts(data, "routes", "*", "destinations", "*")
    named += [(path, other) for path, begin in texts(data, "routes", "*", "from") if (other := other_destination(begin))]
    check_known(named, destinations, "destination", findings, of=data.get("destinations"))
    check_routes(data, findings)


def check_unique(named: Iterable[tuple[KeyPath, str]], thing: str, findings: Findings) -> None:
    """Adds a problem for each name that an earlier one has already."""
    seen: dict[str, KeyPath] = {}
    for path, name in named:
        if name in seen:
            place = findings.place_of(seen[name])
            where = f", first in line {place.line}" if place else ""
            findings.problem(path, f"two {thing}s have the name {shown(name)}{where}", f"Give each {thing} a name of its own.")
        seen.setdefault(name, path)


def check_known(
    used: Iterable[tuple[KeyPath, str]], named: Iterable[tuple[KeyPath, str]], thing: str, findings: Findings, *, of: Any
) -> None:
    """Adds a problem for each name that is used and that nothing has. Silent where something in the list ``of`` has no name:
    that is told already, and would be told again here for each use.
    """
    names = [name for _, name in named if name]
    complete = isinstance(of, list) and len(of) <= len(names)
    for path, name in used:
        if complete and name and name not in names:
            findings.problem(path, *unknown_name(name, names, thing))


def texts(data: Any, *pattern: str) -> list[tuple[KeyPath, str]]:
    """The texts at a path in which ``*`` stands for every item of a list; a single text passes for a list of one."""
    found: list[tuple[KeyPath, Any]] = [((), data)]
    for part in pattern:
        step: list[tuple[KeyPath, Any]] = []
        for path, value in found:
            if part == "*" and isinstance(value, list):
                step += [((*path, i), item) for i, item in enumerate(value)]
            elif part == "*" and isinstance(value, str):
                step.append((path, value))
            elif isinstance(value, dict) and part in value:
                step.append(((*path, part), value[part]))
        found = step
    return [(path, value) for path, value in found if isinstance(value, str)]


def job_of(file: OwnFile, around: Surroundings, findings: Findings) -> Job | None:
    """The Job that a validated file means. None where there is nowhere to keep state."""
    storage = _storage(file.storage, around, findings)
    if storage is None:
        return None
    accounts = tuple(_account(a, ("accounts", i), around, findings) for i, a in enumerate(file.accounts))
    routes = _routes(file.routes, tuple(d.name for d in file.destinations), around, findings)
    of_msps = {name for route in routes for name in route.destinations if any(_takes_children(route, a) for a in accounts)}
    job = Job(
        accounts=accounts,
        destinations=tuple(
            _destination(d, ("destinations", i), around, findings, of_msp=d.name in of_msps)
            for i, d in enumerate(file.destinations)
        ),
        routes=routes,
        storage=storage,
        reading=Reading(**file.reading.model_dump()),
        log_file=around.path(file.log_file) if file.log_file else None,
        runbook=file.runbook_url or RUNBOOK,
        monitoring=_monitoring(file.monitoring, around, findings),
    )
    _refuse_import_of_several(job, findings)
    notice_unused(job, findings, "accounts", "destinations")
    _notice_read_twice(job, findings)
    _notice_old_logs(job, findings)
    _notice_too_old(job, findings)
    _notice_same_place(job, findings)
    _notice_not_as_the_content_reads(job, findings)
    notice_routes(job, findings)
    return job


def notice_unused(job: Job, findings: Findings, accounts_key: str, destinations_key: str) -> None:
    """Adds a notice for each account and destination that no route uses."""
    used = {name for route in job.routes for name in route.destinations}
    for index, destination in enumerate(job.destinations):
        if destination.name not in used:
            findings.notice(
                (destinations_key, index), "nothing is sent to this destination", "Add a route to it, or remove it."
            )
    for index, account in enumerate(job.accounts):
        if not any(r.takes(account.name) or any(n.startswith(f"{account.name}/") for n in r.accounts) for r in job.routes):
            findings.notice((accounts_key, index), "no route takes anything from this account", "Add a route, or remove it.")


def _refuse_import_of_several(job: Job, findings: Findings) -> None:
    """Duo Log Sync read one account, and its files name none: another account would begin there, and miss all before it."""
    tenants = [account.name for account in job.accounts if not account.is_msp]
    if job.storage.import_dir is not None and len(tenants) > 1:
        findings.problem(
            ("storage", "import_dir"),
            f"Duo Log Sync read one account, and its files do not say which of {listed(tenants)} that was",
            "Run once with that account only; then remove import_dir, and add the others.",
        )


def _notice_read_twice(job: Job, findings: Findings) -> None:
    first: dict[str, str] = {}
    for index, account in enumerate(job.accounts):
        other = first.setdefault(account.api_host, account.name)
        if other != account.name:
            what = f"account {other} has the same API host, so its logs are read twice"
            findings.notice(("accounts", index, "api_host"), what, "Use one account and several routes.")


def _notice_old_logs(job: Job, findings: Findings) -> None:
    """Adds a notice where a route names an old log, and one where the log that has the same events is read as well."""
    accounts = {account.name for account in job.accounts} | {name for route in job.routes for name in route.accounts}
    for index, route in enumerate(job.routes):
        key: KeyPath = ("routes", index, "log_types")
        for old in (LOG_TYPES[name] for name in route.log_types if LOG_TYPES[name].opt_in):
            end = f", whose end was announced for {old.ends_on}" if old.ends_on else ""
            what = f"{old.name} is an old log of Duo's{end}; where Duo does not serve it, only its own stream is suspended"
            findings.notice(key, what, f"Better read {old.also_in}." if old.also_in else "Nothing needs to be done.")
            if any({old.name, old.also_in} <= set(job.log_types_of(account)) for account in accounts):
                what = f"{old.name} and {old.also_in} have the same events under different ids, so each arrives twice"
                findings.notice(key, what, "Enable only one of the two.")


def _notice_too_old(job: Job, findings: Findings) -> None:
    """Adds a notice for each destination that will be given events which its receiver does not take any more."""
    for index, destination in enumerate(job.destinations):
        longest_secs = destination.settings.refused_age_secs
        starts = [route.start for route in job.routes if destination.name in route.destinations]
        back = [job.reading.start_days if start.days is None else start.days for start in starts if start.checkpoint_of is None]
        if longest_secs is not None and max(back, default=0.0) * 86_400 > longest_secs:
            what = (
                f"its receiver takes no event that is older than {longest_secs / 3600:g} hours; without a checkpoint it begins "
                f"{max(back):g} days back, and what is older becomes dead letters"
            )
            findings.notice(("destinations", index), what, "Give its route from: now, or the destination too_old: send.")


def _notice_same_place(job: Job, findings: Findings) -> None:
    """Adds a notice where two destinations write to one file: their lines would be mixed, and each rotates it by itself."""
    first: dict[str, str] = {}
    for index, destination in enumerate(job.destinations):
        for key, place in destination.settings.local_places:
            other = first.setdefault(place, destination.name)
            if other != destination.name:
                what = f"destination {other} writes to {place}, too"
                findings.notice(("destinations", index, key), what, "Give each a place of its own, or use one destination.")


def _notice_not_as_the_content_reads(job: Job, findings: Findings) -> None:
    """Adds a notice where a receiver's own content for Duo will not find what it reads."""
    for index, destination in enumerate(job.destinations):
        if destination.settings.takes_bare_rows and destination.format.name != "json":
            what = f"this receiver's own content for Duo reads Duo's rows, and gets {destination.format.name}"
            findings.notice(("destinations", index, "format"), what, "Write format: json, unless you have content of your own.")


def _account(section: AccountSection, key: KeyPath, around: Surroundings, findings: Findings) -> Account:
    return Account(
        name=section.name,
        api_host=section.api_host,
        ikey=section.ikey,
        skey=secret_of(section.skey, (*key, "skey"), around, findings),
        is_msp=section.msp,
        block_list=tuple(section.block_list),
        allow_list=tuple(section.allow_list),
        port=section.port,
        ca_file=around.path(section.ca_file) if section.ca_file else None,
        proxy=_proxy(section.proxy, (*key, "proxy"), around, findings) if section.proxy else None,
    )


def _proxy(section: ProxySection, key: KeyPath, around: Surroundings, findings: Findings) -> Proxy:
    password = secret_of(section.password, (*key, "password"), around, findings) if section.password else None
    return Proxy(section.host, section.port, section.user, password)


def _takes_children(route: Route, account: Account) -> bool:
    """Whether events of children of this account go along a route, which may name single children."""
    return account.is_msp and (route.takes(account.name) or any(name.startswith(f"{account.name}/") for name in route.accounts))


def _destination(
    section: DestinationSection, key: KeyPath, around: Surroundings, findings: Findings, *, of_msp: bool
) -> Destination:
    settings = settings_of(KINDS[section.kind].settings, section, key, around, findings)
    of_msp = of_msp and not settings.takes_bare_rows
    written = _format(section.format, (*key, "format"), around, findings, of_msp=of_msp)
    return Destination(
        name=section.name,
        settings=settings.completed(written),
        format=written,
        max_message_bytes=section.max_message_bytes,
        delivery_timeout_secs=section.delivery_timeout_secs,
        audit=_audit(section.audit, (*key, "audit"), around, findings),
    )


def _audit(section: AuditSection | None, key: KeyPath, around: Surroundings, findings: Findings) -> AuditSettings | None:
    return None if section is None else settings_of(SEARCHES[section.kind], section, key, around, findings)


def _format(section: FormatSection, key: KeyPath, around: Surroundings, findings: Findings, *, of_msp: bool) -> Format:
    options = settings_of(FORMATS[section.name].options, section, key, around, findings)
    header = section.header
    if header is None:
        made = SyslogHeader(options.default_header) if options.default_header else None
    elif header.style == "none":
        made = None
    else:
        made = SyslogHeader(header.style, header.facility, header.hostname, header.app_name)
    return Format(options.completed(of_msp=of_msp), made)


def _routes(
    sections: list[RouteSection] | None, destinations: tuple[str, ...], around: Surroundings, findings: Findings
) -> tuple[Route, ...]:
    if sections is None:
        return (Route(DEFAULT_LOG_TYPES, destinations),)
    return tuple(_route(section, ("routes", index), around, findings) for index, section in enumerate(sections))


def _route(section: RouteSection, key: KeyPath, around: Surroundings, findings: Findings) -> Route:
    redacted = section.redact
    redact = settings_of(Redaction, redacted, (*key, "redact"), around, findings) if redacted is not None else None
    return Route(
        log_types=tuple(section.log_types),
        destinations=tuple(section.destinations),
        accounts=tuple(section.accounts or ()),
        start=_start(section),
        where=section.where,
        redact=redact,
        function=section.function,
    )


def _start(section: RouteSection) -> Start:
    return Start() if section.begin is None else Start(days_back(section.begin), other_destination(section.begin))


def _storage(section: StorageSection, around: Surroundings, findings: Findings) -> Storage | None:
    if section.checkpoint_dir:
        checkpoints = around.path(section.checkpoint_dir)
        letters = f"{checkpoints.rstrip('/')}/dead-letters"
    elif around.state:
        checkpoints, letters = str(around.state / "checkpoints"), str(around.state / "dead-letters")
    else:
        findings.problem(("storage",), "this user has no home directory to keep checkpoints in", "Give storage.checkpoint_dir.")
        return None
    return Storage(
        checkpoint_dir=checkpoints,
        dead_letter_dir=around.path(section.dead_letter_dir) if section.dead_letter_dir else letters,
        import_dir=around.path(section.import_dir) if section.import_dir else None,
        dead_letter_keep_days=section.dead_letter_keep_days,
    )


def _monitoring(section: MonitoringSection, around: Surroundings, findings: Findings) -> Monitoring:
    token = secret_of(section.token, ("monitoring", "token"), around, findings) if section.token else None
    return Monitoring(section.enabled, section.host, section.port, token)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
