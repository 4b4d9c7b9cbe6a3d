"""A SIEM's receiving end that counts what arrives. See ``receiver.SiemReceiver``."""

from __future__ import annotations

from pipelines.demo.receiver.receiver import SiemReceiver
from pipelines.demo.receiver.recognise import payload, recognise
from pipelines.demo.receiver.tally import LogCounts

__all__ = ["LogCounts", "SiemReceiver", "payload", "recognise"]
