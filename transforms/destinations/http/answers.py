"""What answers of receivers mean, by their status and by what some of them say of each event.

Place in the flow: ``generic`` reads an answer by the reader that its preset names.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from transforms.destinations.http.connection import Answer
from transforms.destinations.http.generic_settings import GenericSettings
from transforms.destinations.http.otlp import rejected_records
from transforms.destinations.http.verdict import DELIVERED, Fate, Verdict, word
from transforms.process.plural import counted
from transforms.process.retry_after import retry_after_secs

Reader = Callable[[GenericSettings, Answer, int], Verdict]
"""(settings, an answer, the number of events in its request) → what it means."""

_AGAIN = frozenset((408, 425, 429))
_FORBIDDEN = frozenset((401, 403, 404))
# 400, and no event's fault: the cluster has as many shards as it may have, or the index is closed, or no name for one.
_OF_THE_INDEX = frozenset(("validation_exception", "index_closed_exception", "invalid_index_name_exception"))
_SEE_ADDRESS = "Compare url with the receiver's address."
_SEE_INDEX = "Check what the credentials may do, and whether the index can be written to."


class _Error(msgspec.Struct):
    code: str | int | None = None
    type: str | None = None


class _Failure(msgspec.Struct):
    error: _Error | str | None = None


class _Result(msgspec.Struct):
    status: int
    error: _Error | str | None = None


class _Bulk(msgspec.Struct):
    errors: bool
    items: list[dict[str, _Result]] | None = None


_read_failure = msgspec.json.Decoder(_Failure).decode
_read_bulk = msgspec.json.Decoder(_Bulk).decode
_check_json = msgspec.json.Decoder(msgspec.Raw).decode


def by_status(settings: GenericSettings, answer: Answer, count: int) -> Verdict:  # noqa: ARG001  # all or none
    """All of the events, or none."""
    status, statuses = answer.status, settings.statuses
    wait_secs = retry_after_secs(answer.headers)
    code = _code(answer.body)
    cause = f"it answered {status}{word(code)}"
    if status in statuses.delivered:
        if settings.preset is not None and answer.headers.get_content_type() == "text/html":
            return Verdict(Fate.LATER, f"a page answers in its place (status {status})", wait_secs=wait_secs)
        return DELIVERED
    if status == 413:
        return Verdict(Fate.TOO_LARGE, cause)
    if code in settings.known.settings_codes:
        return Verdict(Fate.MISCONFIGURED, cause, "Compare rule_id and logs with the data collection rule.")
    if status in statuses.rejected:
        return Verdict(Fate.REFUSED, cause)
    if status in statuses.later:
        return Verdict(Fate.LATER, cause, wait_secs=wait_secs, failed=status == 500)
    if status in (401, 403):
        return Verdict(Fate.WITHOUT_LEAVE, f"it does not take the credentials: {cause}", settings.known.leave_fix)
    if 200 <= status < 300:
        return Verdict(Fate.LATER, f"{cause}, which does not say that it has the events", wait_secs=wait_secs)
    if 300 <= status < 400:
        return Verdict(Fate.MISCONFIGURED, f"{cause} and wants to be asked elsewhere{_host_of(answer)}", _SEE_ADDRESS)
    return Verdict(Fate.MISCONFIGURED, cause, _SEE_ADDRESS)


def json_by_status(settings: GenericSettings, answer: Answer, count: int) -> Verdict:
    """The same, where all that the receiver says is JSON."""
    verdict = by_status(settings, answer, count)
    if verdict.fate is not Fate.DELIVERED:
        return verdict
    try:
        _check_json(answer.body)
    except (msgspec.DecodeError, RecursionError):
        return Verdict(Fate.LATER, f"something answers in its place (status {answer.status})")
    return verdict


def bulk(settings: GenericSettings, answer: Answer, count: int) -> Verdict:
    """Elasticsearch's: one result for each event. One that is there already (409) came with an earlier try."""
    verdict = by_status(settings, answer, count)
    if verdict.fate is not Fate.DELIVERED:
        return verdict
    try:
        said = _read_bulk(answer.body)
    except (msgspec.DecodeError, RecursionError):
        return Verdict(Fate.LATER, f"something answers in its place (status {answer.status})")
    if not said.errors:
        return DELIVERED
    results = [next(iter(item.values()), None) for item in said.items or ()]
    if len(results) != count or None in results:
        return Verdict(Fate.LATER, f"it gave {counted(len(results), 'result')} for {counted(count, 'event')}")
    return _of_results([result for result in results if result is not None])


def _of_results(results: list[_Result]) -> Verdict:
    rejected, again, forbidden, failed = {}, [], [], False
    for place, result in enumerate(results):
        status = result.status
        kind = result.error.type if isinstance(result.error, _Error) else None
        cause = f"result {status}{word(kind)}"
        if 200 <= status < 300 or status == 409:
            continue
        if status in _AGAIN or status >= 500:
            again.append(place)
            failed |= status == 500
        elif status in _FORBIDDEN or kind in _OF_THE_INDEX:
            forbidden.append(place)
        else:
            rejected[place] = cause
        last = cause
    if len(forbidden) == len(results):
        return Verdict(Fate.MISCONFIGURED, f"it may not write there: {last}", _SEE_INDEX)
    again = sorted(again + forbidden)
    return Verdict(Fate.DELIVERED, last if again else "", rejected=rejected, again=tuple(again), failed=failed)


def otlp(settings: GenericSettings, answer: Answer, count: int) -> Verdict:
    """OpenTelemetry's: success, or success in part, of which it does not say which part."""
    verdict = by_status(settings, answer, count)
    if verdict.fate is not Fate.DELIVERED:
        return verdict
    rejected = rejected_records(answer.body)
    if rejected is None:
        return Verdict(Fate.LATER, f"something answers in its place (status {answer.status})")
    if not rejected:
        return DELIVERED
    cause = f"it took {max(0, count - rejected)} of the {counted(count, 'event')} of a request, and does not say which"
    every = dict.fromkeys(range(count), cause)
    return Verdict(Fate.DELIVERED, rejected=every, in_part=rejected < count, reason="partly_rejected")


READERS: dict[str, Reader] = {"status": by_status, "json": json_by_status, "bulk": bulk, "otlp": otlp}


def _host_of(answer: Answer) -> str:
    try:
        host = urlsplit(answer.headers.get("Location") or "").hostname
    except ValueError:
        return ""
    return f" ({host})" if host else ""


def _code(body: bytes) -> str | None:
    """The receiver's own word for an error, as Azure, Elasticsearch and Google have it."""
    try:
        error = _read_failure(body).error
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(error, _Error):
        return None
    return error.code if isinstance(error.code, str) else error.type
