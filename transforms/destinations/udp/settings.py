"""What can be chosen of a destination that takes datagrams.

Place in the flow: one of ``transforms.destinations.KINDS``; the sender and the configuration read it. It loads no sender.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from transforms.config_keys import Broken, Doc, Ge, Host, Le, Port
from transforms.settings import KindSettings

MAX_BYTES = 65_507


@dataclass(frozen=True, slots=True)
class UdpSettings(KindSettings):
    """Datagrams, one message each. What is lost on the way is lost."""

    kind: ClassVar[str] = "udp"
    promises_delivery: ClassVar[bool] = False
    host: Annotated[Host, Doc("Host name or address of the SIEM.", example="siem.example.com")]
    port: Annotated[Port, Doc("Port that the SIEM listens on.", example=514)]
    max_events_per_sec: Annotated[
        float,
        Ge(1),
        Le(1_000_000),
        Doc(
            "The pace, all logs together. A receiver drops without a word what its buffer has no room for; raise this where "
            "that was enlarged. A long event counts once for each 1,480 bytes.",
            elsewhere="max_events_per_sec is for udp, whose receivers cannot say that it is too fast",
            harmless=True,
        ),
    ] = 1000.0

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[Broken]:
        longest = given.get("max_message_bytes")
        if "framing" in given:
            yield Broken("framing", "UDP has no framing: each message is a datagram", "Remove it.")
        if isinstance(longest, int) and longest > MAX_BYTES:
            yield Broken("max_message_bytes", "no UDP datagram is that long", f"Use at most {MAX_BYTES}.")
