"""A disk that can be full, broken or cut off from its power: the real one, with a hand on what is written to it.

Place: wraps the functions of ``os`` through which the program writes, for paths below one directory; reading is not touched.

Contract: what was written is there for every process. A power cut takes what was not made durable: the content of a file since
its last fsync, and names since the last fsync of their directory, of which any first part may have become durable by itself.
"""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.proof.simulation import Died, Simulation


@dataclass(eq=False)
class _File:
    synced: bytes | None = None


@dataclass
class _Folder:
    durable: dict[str, _File] = field(default_factory=dict)
    since: list[Callable[[dict[str, _File]], object]] = field(default_factory=list)


class Disk:
    """See the module. ``trouble`` is what every write meets from now on; "" for none."""

    def __init__(self, simulation: Simulation, root: Path) -> None:
        self.simulation = simulation
        self.root = str(root)
        self.trouble = ""
        self.counts: Counter[str] = Counter()
        self._rng = random.Random(simulation.rng.random())
        self._names: dict[str, _File] = {}
        self._folders: dict[str, _Folder] = {}
        self._files: dict[int, tuple[str, object]] = {}  # descriptors, with their process
        self._gone: set[int] = set()  # descriptors that were closed with their process
        self._os: dict[str, Any] = {}

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While it lasts, ``os`` writes through this."""
        names = ("open", "write", "fsync", "close", "replace", "rename", "link", "unlink", "ftruncate", "fdopen")
        self._os = {name: getattr(os, name) for name in names}
        try:
            for name in names:
                setattr(os, name, getattr(self, f"_{name}"))
            yield
        finally:
            for name, function in self._os.items():
                setattr(os, name, function)

    def close_all(self, group: object) -> None:
        """A process has ended: the kernel closes what it had open."""
        for descriptor in [d for d, (_, of) in self._files.items() if of is group]:
            del self._files[descriptor]
            self._gone.add(descriptor)
            self._os["close"](descriptor)

    def _is_of_the_dead(self, descriptor: int) -> bool:
        """A thread that was killed has a last hand on it; by now it may be somebody else's."""
        return self.simulation.current.group.dead and (descriptor in self._gone or descriptor in self._files)

    # --- the functions of os -----------------------------------------------------------------------------------------

    def _mine(self, path: Any) -> str | None:
        text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else ""
        return text if isinstance(text, str) and text.startswith(self.root) else None

    def _reach(self, path: str, *, space: bool = True) -> None:
        self.simulation.operation(self._rng.uniform(0.0, 0.002))
        if self.trouble in ("ENOSPC", "EIO") and (space or self.trouble == "EIO"):
            self.counts[self.trouble] += 1
            code = getattr(errno, self.trouble)
            raise OSError(code, os.strerror(code), path)

    def _open_new(self, path: str) -> None:
        folder, name = os.path.split(path)
        if path not in self._names:
            self._names[path] = _File()
            self._note(folder, lambda names, file=self._names[path]: names.__setitem__(name, file))

    def _note(self, folder: str, change: Callable[[dict[str, _File]], object]) -> None:
        self._folders.setdefault(folder, _Folder()).since.append(change)

    def _open_call(self, path: Any, flags: int, mode: int, **named: Any) -> int:
        return self._os["open"](path, flags, mode, **named)

    def _open(self, path: Any, flags: int, mode: int = 0o777, **named: Any) -> int:
        mine = self._mine(path)
        if mine is None:
            return self._open_call(path, flags, mode, **named)
        if flags & os.O_CREAT:
            self._reach(mine, space=not Path(mine).exists())
        descriptor = self._open_call(path, flags, mode, **named)
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_DIRECTORY) or Path(mine).is_dir():
            self._files[descriptor] = (mine, self.simulation.current.group)
            self._gone.discard(descriptor)
        if flags & os.O_CREAT:
            self._open_new(mine)
        return descriptor

    def _write(self, descriptor: int, data: Any) -> int:
        if self._is_of_the_dead(descriptor):
            raise Died
        if descriptor not in self._files:
            return self._os["write"](descriptor, data)
        self._reach(self._files[descriptor][0])
        if self.trouble == "short writes" and len(data) > 1:
            self.counts["short writes"] += 1
            data = bytes(data)[: self._rng.randrange(1, len(data))]
        return self._os["write"](descriptor, data)

    def _fsync(self, descriptor: int) -> None:
        if self._is_of_the_dead(descriptor):
            raise Died
        if descriptor not in self._files:
            self._os["fsync"](descriptor)
            return
        path = self._files[descriptor][0]
        self._reach(path, space=False)
        if path in self._folders:
            folder = self._folders[path]
            for change in folder.since:
                change(folder.durable)
            folder.since.clear()
        elif path in self._names:
            self._names[path].synced = Path(path).read_bytes()

    def _close(self, descriptor: int) -> None:
        if self._is_of_the_dead(descriptor):
            return
        self._files.pop(descriptor, None)
        self._os["close"](descriptor)

    def _ftruncate(self, descriptor: int, size: int) -> None:
        if self._is_of_the_dead(descriptor):
            raise Died
        self._os["ftruncate"](descriptor, size)

    def _replace(self, source: Any, target: Any, **named: Any) -> None:
        mine, new = self._mine(source), self._mine(target)
        if mine is None or new is None:
            self._os["replace"](source, target, **named)
            return
        self._reach(mine, space=False)
        self._os["replace"](source, target, **named)
        file = self._names.pop(mine, None) or _File()
        self._names[new] = file
        folder, name = os.path.split(new)
        old = Path(mine).name
        self._note(folder, lambda names: (names.pop(old, None), names.__setitem__(name, file)))

    _rename = _replace

    def _link(self, source: Any, target: Any, **named: Any) -> None:
        mine, new = self._mine(source), self._mine(target)
        if mine is not None:
            self._reach(mine)
        self._os["link"](source, target, **named)
        if mine is not None and new is not None and mine in self._names:
            file = self._names[new] = self._names[mine]
            folder, name = os.path.split(new)
            self._note(folder, lambda names: names.__setitem__(name, file))

    def _unlink(self, path: Any, **named: Any) -> None:
        mine = self._mine(path)
        if mine is not None:
            self._reach(mine, space=False)
        self._os["unlink"](path, **named)
        if mine is not None:
            self._names.pop(mine, None)
            folder, name = os.path.split(mine)
            self._note(folder, lambda names: names.pop(name, None))

    def _fdopen(self, descriptor: int, *args: Any, **named: Any) -> Any:
        if descriptor not in self._files:
            return self._os["fdopen"](descriptor, *args, **named)
        return _Raw(self, descriptor)

    # --- the power ---------------------------------------------------------------------------------------------------

    def lose_power(self) -> None:
        """What was not durable is gone, or half there."""
        for path, folder in self._folders.items():
            kept = dict(folder.durable)
            for change in folder.since[: self._rng.randint(0, len(folder.since))]:
                change(kept)
            contents = {name: self._content(path, file) for name, file in kept.items()}
            for there in Path(path).iterdir():
                if not there.is_dir():
                    self._os["unlink"](there)
            self._names = {p: f for p, f in self._names.items() if _folder(p) != path}
            for name, content in contents.items():
                there = Path(path, name)
                there.write_bytes(content)
                there.chmod(0o600)
                self._names[str(there)] = _File(content)
            self.counts["names lost with the power"] += len(folder.durable) != len(kept) or bool(folder.since)
            self._folders[path] = _Folder({name: self._names[str(Path(path, name))] for name in contents})

    def _content(self, folder: str, file: _File) -> bytes:
        path = next((p for p, f in self._names.items() if f is file and _folder(p) == folder), None)
        now = Path(path).read_bytes() if path is not None and Path(path).exists() else None
        if now is None or now == file.synced:
            return file.synced or b""
        self.counts["content lost with the power"] += 1
        base = file.synced or b""
        torn = now[: self._rng.randint(min(len(base), len(now)), len(now))]
        return self._rng.choice((base, torn, now))

    def flip_a_bit(self, pattern: str) -> bool:
        """In one file that the pattern finds; False where there is none."""
        files = sorted(path for path in Path(self.root).rglob(pattern) if path.stat().st_size)
        if not files:
            return False
        path = self._rng.choice(files)
        content = bytearray(path.read_bytes())
        # Mostly in a time, and so that it stays one: of all bits of a checkpoint, few would skip something.
        times = [at for found in re.finditer(rb"[0-9]{13}", content) for at in range(found.start() + 4, found.start() + 10)]
        if times and self._rng.random() < 0.7:
            content[self._rng.choice(times)] ^= 1 << self._rng.randrange(3)
        else:
            content[self._rng.randrange(len(content))] ^= 1 << self._rng.randrange(8)
        path.write_bytes(bytes(content))
        self.counts["flipped bits"] += 1
        return True

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


def _folder(path: str) -> str:
    return str(Path(path).parent)


class _Raw:
    """What ``os.fdopen`` gives for a file of the disk: unbuffered."""

    def __init__(self, disk: Disk, descriptor: int) -> None:
        self._disk = disk
        self._descriptor = descriptor
        self.closed = False

    def write(self, data: Any) -> int:
        return self._disk._write(self._descriptor, data)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._disk._close(self._descriptor)
