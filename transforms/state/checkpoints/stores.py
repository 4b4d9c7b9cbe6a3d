"""The checkpoint stores of this process: one for each directory, made when it is first asked for.

Place in the flow: whoever has the name of a directory asks here, and gets a store on the local disk (``local``) or, for an URL,
one on a Beam file system (``remote``).
"""

from __future__ import annotations

from transforms.process.lifetime import OnePerKey, per_process
from transforms.state.checkpoints.local import CheckpointStore

_STORES: OnePerKey[str, CheckpointStore] = per_process("checkpoint stores", OnePerKey)


def store_at(directory: str) -> CheckpointStore:
    """The process's one store for a directory."""
    return _STORES.of(directory, lambda: _made(directory))


def _made(directory: str) -> CheckpointStore:
    if "://" not in directory:
        return CheckpointStore(directory)
    # Here, because it needs Beam, which ``status`` of a local directory does not.
    from transforms.state.checkpoints.remote import RemoteCheckpointStore

    return RemoteCheckpointStore(directory)
