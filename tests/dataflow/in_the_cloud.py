"""What a worker does with Google's services, run by the environment that has their clients: ``python in_the_cloud.py WHAT …``.

Prints one JSON document for the test that started it.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from transforms.errors import DuoLogSyncError
from transforms.secrets import SecretRef


def secrets(url: str, *names: str) -> list[str]:
    """Resolves each; the secret, or the kind of the error and its text."""
    _lead_secret_manager_to(url)
    found = []
    for name in names:
        try:
            found.append(SecretRef("gcp", name).resolve())
        except DuoLogSyncError as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


def _lead_secret_manager_to(url: str) -> None:
    """The library has no variable that leads its requests elsewhere, so its constructor is told."""
    from google.cloud import secretmanager

    secretmanager.SecretManagerServiceClient = partial(
        secretmanager.SecretManagerServiceClient, client_options={"api_endpoint": url}
    )


def program(url: str, *arguments: str) -> int:
    """The program's command line; its exit code."""
    from pipelines import cli

    _lead_secret_manager_to(url)
    return cli.main(arguments)


def state(folder: str) -> dict[str, object]:
    """Commits a cursor and keeps a dead letter in a bucket, and reads both back as another process would."""
    from apache_beam.io.filesystems import FileSystems

    from transforms.records import Stream, Subscription
    from transforms.state.checkpoints.remote import RemoteCheckpointStore
    from transforms.state.checkpoints.stores import store_at
    from transforms.state.cursor import Cursor
    from transforms.state.dead_letters.letter import DeadLetter
    from transforms.state.dead_letters.write import files_in

    stream = Subscription(Stream("main", "auth", "api-1.duosecurity.com"), "siem")
    store = store_at(f"{folder}/checkpoints")
    empty = store.load(stream)
    store.commit(stream, Cursor(5, seq=1), 10)
    store.commit(stream, Cursor(7, seq=2), 10)
    fresh = RemoteCheckpointStore(f"{folder}/checkpoints")
    letter = DeadLetter(time_ms=1, account="main", log_type="auth", reason="oversize", detail="too long", raw=b"{}")
    files_in(f"{folder}/dead-letters").write([letter])
    return {
        "empty": empty is None,
        "loaded": fresh.load(stream) == Cursor(7, seq=2),
        "delivered": [record.delivered for record in fresh.records()],
        "letters": [found.path for found in FileSystems.match([f"{folder}/dead-letters/*.avro"])[0].metadata_list],
    }


def metadata(path: str) -> list[str]:
    """Reads template metadata into Google's own type; the names of the parameters."""
    from google.cloud.dataflow_v1beta3.types import TemplateMetadata

    read = TemplateMetadata.from_json(Path(path).read_text(encoding="utf-8"), ignore_unknown_fields=False)
    return [parameter.name for parameter in read.parameters]


WHAT: dict[str, Callable[..., object]] = {"secrets": secrets, "state": state, "metadata": metadata, "program": program}

if __name__ == "__main__":
    print(json.dumps(WHAT[sys.argv[1]](*sys.argv[2:])))
