"""Looks into a portable pipeline: its step labels, and everything that is packed into it."""

import base64
import binascii
import bz2
import zlib
from collections.abc import Iterator

from apache_beam.portability.api import beam_runner_api_pb2


def labels(graph: beam_runner_api_pb2.Pipeline) -> list[str]:
    """The unique name of every step, composites included: by these Dataflow and Flink find a step's state again."""
    # The root has no label of its own, only a reference.
    names = (step.unique_name for step in graph.components.transforms.values())
    return sorted(name for name in names if name and not name.startswith("ref_"))


def unpacked(graph: beam_runner_api_pb2.Pipeline) -> Iterator[bytes]:
    """The graph as bytes, and every pickle in it without the compression that would hide what it holds."""
    yield graph.SerializeToString()
    for step in graph.components.transforms.values():
        payload = beam_runner_api_pb2.ParDoPayload()
        try:
            payload.ParseFromString(step.spec.payload)
        except Exception:  # the payload of another kind of step
            continue
        yield from _opened(payload.do_fn.payload)
    for coder in graph.components.coders.values():
        yield from _opened(coder.spec.payload)


def _opened(pickled: bytes) -> Iterator[bytes]:
    for opener in (bz2.decompress, zlib.decompress):
        try:
            yield opener(base64.b64decode(pickled, validate=True))
        except (binascii.Error, OSError, ValueError, zlib.error):
            continue
