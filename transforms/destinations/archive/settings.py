"""What can be chosen of a destination that is an archive in Avro files.

Place in the flow: one of ``transforms.destinations.KINDS``; the sender and the configuration read it. It loads no sender.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from transforms.config_keys import Broken, Doc, FilePath
from transforms.settings import KindSettings


@dataclass(frozen=True, slots=True)
class AvroSettings(KindSettings):
    """An archive: events as Duo sent them, in Avro files by account, log and day."""

    kind: ClassVar[str] = "avro"
    directory: Annotated[
        FilePath,
        Doc(
            "Directory of the archive, on this machine or on a Beam file system: gs://, s3://, hdfs://.",
            example="/var/lib/duologsync/archive",
        ),
    ]

    @property
    def place(self) -> str:
        return self.directory

    @property
    def local_places(self) -> tuple[tuple[str, str], ...]:
        return (("directory", self.directory),)

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[Broken]:
        written = given.get("format")
        name = written.get("name") if isinstance(written, Mapping) else written
        if isinstance(name, str) and name != "json":
            yield Broken(
                "format",
                "an archive keeps events as Duo sent them",
                "Write format: json. A replay may write another.",
            )
