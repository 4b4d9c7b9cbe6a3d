"""What can be chosen of a destination that is the program's standard output: nothing.

Place in the flow: one of ``transforms.destinations.KINDS``; the configuration reads it. It loads no sender.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from transforms.settings import KindSettings


@dataclass(frozen=True, slots=True)
class StdoutSettings(KindSettings):
    """The program's standard output, a line for each message; what it logs goes to standard error."""

    kind: ClassVar[str] = "stdout"
    promises_delivery: ClassVar[bool] = False

    @property
    def place(self) -> str:
        return "standard output"
