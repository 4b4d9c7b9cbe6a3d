"""The shape of Duo Log Sync's configuration file (``version: '1.0.0'``), with the bounds and defaults that Duo Log Sync has.

Place in the flow: plain dicts from ``reading`` are validated against ``DlsFile``; ``incumbent`` turns it into a Job.

What is accepted beyond Duo Log Sync 2.4: spellings of its older templates (``checkpoint_dir``, ``daysinpast``, ``servers`` and
lists in a mapping, ``adminaction``), an empty ``cert_filepath`` where none is needed, and our ``ca_file``, ``port``,
``page_pause`` and ``lag`` in ``dls_settings.api``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines.config.fields import ApiHost, FilePath, Host, Ikey, OneOrMany, Section, Skey
from transforms.config_keys import Broken, Port, Text

Endpoint = Literal["auth", "telephony", "trustmonitor", "activity", "adminaction"]
MIN_TIMEOUT_SECS = 120


class ApiSection(Section):
    """Calls to Duo's API."""

    offset: float | None = Field(
        None, ge=0, le=180, description="Days to go back where there is no checkpoint; 180 without it."
    )
    daysinpast: float | None = Field(None, ge=0, le=180, description="Older spelling of offset.")
    days_in_past: float | None = Field(None, ge=0, le=180, description="Older spelling of offset.")
    timeout: float = Field(MIN_TIMEOUT_SECS, ge=0, le=86_400, description="Seconds between two rounds; at least 120.")
    ca_file: FilePath | None = Field(None, description="CA file (PEM) for Duo, instead of Duo's own CAs.")
    port: Port | None = Field(None, description="Port of the API, where it is not 443.")
    page_pause: float = Field(0.0, ge=0, le=3600, description="Least seconds between two pages while catching up.")
    lag: float = Field(120.0, ge=0, le=86_400, description="Seconds to stay behind now.")


class CheckpointingSection(Section):
    """Where reading goes on after a restart."""

    enabled: bool = Field(True, description="Go on where the last run stopped.")
    directory: FilePath | None = Field(None, description="Directory of the checkpoints.")
    checkpoint_dir: FilePath | None = Field(None, description="Older spelling of directory.")


class ProxySection(Section):
    """An HTTP proxy on the way to Duo."""

    proxy_server: str = Field("", description="Host name of the proxy.")
    proxy_port: int = Field(0, ge=0, le=65535, description="Port of the proxy.")

    @classmethod
    def broken_rules(cls, given: dict[str, Any]) -> Iterator[Broken]:
        if given.get("proxy_server") and not given.get("proxy_port"):
            yield Broken("proxy_port", "a proxy is named without its port", "Give proxy_port, or remove proxy_server.")


class SettingsSection(Section):
    """How the program works."""

    log_filepath: FilePath | None = Field(None, description="File for the program's own messages.")
    log_format: Literal["CEF", "JSON"] = Field("JSON", description="CEF or JSON, for all servers.")
    api: ApiSection = Field(default_factory=lambda: ApiSection.model_validate({}), description="Calls to Duo's API.")
    checkpointing: CheckpointingSection = Field(
        default_factory=lambda: CheckpointingSection.model_validate({}), description="Where reading goes on after a restart."
    )
    proxy: ProxySection = Field(
        default_factory=lambda: ProxySection.model_validate({}), description="An HTTP proxy on the way to Duo."
    )


class ServerSection(Section):
    """One SIEM endpoint."""

    id: Text = Field(description="Your name for the server; mappings use it.")
    hostname: Host = Field(description="Host name or address of the server.")
    port: Port = Field(description="Port that the server listens on.")
    protocol: Literal["TCP", "UDP", "TCPSSL"] = Field(description="TCP, UDP or TCPSSL.")
    cert_filepath: str = Field("", description="CA file (PEM) of the server; needed for TCPSSL.")

    @classmethod
    def broken_rules(cls, given: dict[str, Any]) -> Iterator[Broken]:
        if given.get("protocol") == "TCPSSL" and not given.get("cert_filepath"):
            yield Broken("cert_filepath", "TCPSSL needs the CA file of the server", "Name a PEM file in cert_filepath.")


class MappingSection(Section):
    """Which logs go to which server."""

    endpoints: Annotated[list[Endpoint], Field(min_length=1), OneOrMany] = Field(
        description="Any of auth, telephony, trustmonitor, activity."
    )
    server: Annotated[list[Text], Field(min_length=1), OneOrMany] | None = Field(
        None, description="Id of a server, or several."
    )
    servers: Annotated[list[Text], Field(min_length=1), OneOrMany] | None = Field(None, description="Older spelling of server.")

    @classmethod
    def broken_rules(cls, given: dict[str, Any]) -> Iterator[Broken]:
        if "server" not in given and "servers" not in given:
            yield Broken("server", "is missing", "Name the id of a server.")


class AccountSection(Section):
    """The Duo account."""

    ikey: Ikey = Field(description="Integration key: 20 characters.")
    skey: Skey = Field(description="Secret key: 40 characters, or env:NAME, or file:PATH.")
    hostname: ApiHost = Field(description="API hostname: api-….duosecurity.com.")
    endpoint_server_mappings: list[MappingSection] = Field(min_length=1, description="Which logs go to which server.")
    is_msp: bool = Field(False, description="This is the parent of an MSP: its children are read.")
    block_list: list[Text] = Field(default_factory=list, description="Account ids or names of children that are left out.")


class DlsFile(Section):
    """Configuration of Duo Log Sync."""

    version: Text = Field(description="Version of this file's layout.")
    dls_settings: SettingsSection = Field(
        default_factory=lambda: SettingsSection.model_validate({}), description="How the program works."
    )
    servers: list[ServerSection] = Field(min_length=1, description="The servers to write to.")
    account: AccountSection = Field(description="The Duo account to read.")
