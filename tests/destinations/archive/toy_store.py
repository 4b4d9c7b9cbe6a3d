"""A Beam file system on a directory of this machine that fails as a test tells it. Beam finds it by its scheme, ``toy://``.

Each call that would change something asks ``FAULTS`` first; what is in the list is raised, or done, once.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from apache_beam.io.filesystem import FileMetadata, FileSystem
from apache_beam.io.localfilesystem import LocalFileSystem

FAULTS: list[Exception | Callable[[str], None]] = []
PUTS: list[str] = []
"""The names under which something was written, in order."""


def _here(path: str) -> str:
    return path.removeprefix("toy:/")


class _Put(io.BytesIO):
    """There once it is closed, as an object is."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            Path(self._path).write_bytes(self.getvalue())
            PUTS.append(self._path)
            super().close()
            if FAULTS:
                fault = FAULTS.pop(0)
                if isinstance(fault, Exception):
                    raise fault  # it is there, and nobody says so
                fault(self._path)


class ToyStore(FileSystem):
    """See the module. Reading is that of the local file system."""

    def __init__(self, pipeline_options: Any) -> None:
        super().__init__(pipeline_options)
        self._local = LocalFileSystem(pipeline_options)

    @classmethod
    def scheme(cls) -> str:
        return "toy"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join((basepath.rstrip("/"), *paths))

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def has_dirs(self) -> bool:
        return True

    def mkdirs(self, path: str) -> None:
        self._local.mkdirs(_here(path))

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for found in self._local._list(_here(dir_or_prefix)):
            yield FileMetadata(f"toy:/{found.path}", found.size_in_bytes, found.last_updated_in_seconds)

    def create(self, path: str, mime_type: str = "", compression_type: str = "") -> Any:
        return _Put(_here(path))

    def open(self, path: str, mime_type: str = "", compression_type: str = "") -> Any:
        return Path(_here(path)).open("rb")

    def exists(self, path: str) -> bool:
        return Path(_here(path)).exists()

    def size(self, path: str) -> int:
        return Path(_here(path)).stat().st_size

    def last_updated(self, path: str) -> float:
        return Path(_here(path)).stat().st_mtime

    def checksum(self, path: str) -> str:
        return str(self.size(path))

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path))

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        self._local.copy(list(map(_here, source_file_names)), list(map(_here, destination_file_names)))

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, to in zip(source_file_names, destination_file_names, strict=True):
            if self.exists(to):
                raise FileExistsError(to)  # as HDFS does
            Path(_here(source)).rename(_here(to))

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            Path(_here(path)).unlink()
