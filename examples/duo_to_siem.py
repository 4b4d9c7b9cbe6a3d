"""Duo's authentications, each as a line of your own making, to a SIEM.

    DUO_SKEY=… python examples/duo_to_siem.py

Reads what there is now and ends; the next run goes on from there. Without ``once`` it goes on for ever, on a runner that
streams: see docs/runners.md.
"""

import json

import apache_beam as beam

from transforms.destinations import WriteToSiem
from transforms.duo import ReadFromDuo
from transforms.records import DuoEvent, FormattedEvent

DUO = {"source": "api-xxxxxxxx.duosecurity.com", "ikey": "DIXXXXXXXXXXXXXXXXXX", "skey": "env:DUO_SKEY"}
SIEM = {"destination": "tls", "host": "siem.example.com", "port": 6514}


def line(event: DuoEvent) -> FormattedEvent:
    """Who did what, and how it ended."""
    row = json.loads(event.raw)
    return FormattedEvent(event, json.dumps({"id": row["txid"], "who": row["user"]["name"], "result": row["result"]}).encode())


def main(duo: dict, siem: dict, state: str = "/var/lib/duologsync") -> None:
    """The pipeline."""
    with beam.Pipeline() as pipeline:
        events = pipeline | ReadFromDuo(**duo, log_types=["auth"], checkpoint_dir=state, once=True)
        events | beam.Map(line) | WriteToSiem(**siem, dead_letter_dir=f"{state}/dead_letters")


if __name__ == "__main__":
    main(DUO, SIEM)
