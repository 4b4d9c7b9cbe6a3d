"""What can be chosen of a destination over a byte stream, TCP or TLS.

Place in the flow: two of ``transforms.destinations.KINDS``; the senders and the configuration read it. It loads no sender.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal

from transforms.config_keys import Doc, Ge, Host, Le, Port
from transforms.settings import Format, KindSettings, Tls

Framing = Literal["lf", "octet"]


@dataclass(frozen=True, slots=True)
class StreamSettings(KindSettings):
    """What TCP and TLS have in common."""

    host: Annotated[Host, Doc("Host name or address of the SIEM.", example="siem.example.com")]
    port: Annotated[Port, Doc("Port that the SIEM listens on.", example=6514)]
    framing: Annotated[
        Framing | None,
        Doc(
            "What separates messages: lf (a line each) or octet (a count before each, RFC 6587). Without it, octet for tls "
            "with an rfc5424 header, lf for all else.",
            example="lf",
        ),
    ] = None
    connect_timeout_secs: Annotated[
        float, Ge(0.1), Le(600), Doc("Longest time to connect once, with the TLS handshake.", harmless=True)
    ] = 10.0

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    def completed(self, written: Format) -> StreamSettings:  # noqa: ARG002 - TLS looks at it
        return replace(self, framing=self.framing or "lf")


@dataclass(frozen=True, slots=True)
class TcpSettings(StreamSettings):
    """A TCP connection in plain text."""

    kind: ClassVar[str] = "tcp"


@dataclass(frozen=True, slots=True)
class TlsSettings(StreamSettings):
    """A TLS connection, 1.2 or newer; chain and name are always verified."""

    kind: ClassVar[str] = "tls"
    tls: Annotated[
        Tls,
        Doc(
            "Certificates of the SIEM, and ours where it asks for one.",
            elsewhere="certificates are for TLS, and the kind is not",
        ),
    ] = field(default_factory=Tls)

    def completed(self, written: Format) -> StreamSettings:
        octet = written.header is not None and written.header.style == "rfc5424"  # RFC 5425
        return replace(self, framing=self.framing or ("octet" if octet else "lf"))
