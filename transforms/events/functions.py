"""A user's own function over events: ``module:function``, named in a route.

Place in the flow: ``transforms.events.selection`` calls it with each row that its route takes, after the redaction.

What a user writes::

    def without_health_checks(row, stream):
        return None if row["user"]["name"] == "monitor" else row

It gets the row as a dict, which it may change, and the ``Stream`` (``account``, ``log_type``, ``api_host``, ``account_id``). It
returns a row, a list of rows, or None for none.

Contract:
  * It is imported in ``setup()`` on the worker: there it must be installed, in the same release as where the job is launched.
  * A bundle that fails is read again, so the function is called with a row at least once: it must not count or send anything
    of its own that may not be repeated.
  * Whatever it raises, and whatever it returns that is no row, makes a dead letter of its event (``function_failed``).
  * Rows with the id of an earlier one that was made of the same event get another: ``ID``, ``ID#1``, ``ID#2``. A SIEM that
    knows repeats by the id would else keep only one of them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from transforms.config_keys import Wrong
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import BadRoute, Undeliverable
from transforms.events.rows import ODD, read_loosely, write_loosely
from transforms.records import Stream

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

# Made while importing: see transforms.state.cursor on msgspec and threads.
_read_row = msgspec.json.Decoder(dict).decode
_write = msgspec.json.Encoder().encode

RowFunction = Callable[[dict[str, Any], Stream], Any]


def wrong_function_name(name: str) -> Wrong | None:
    """What keeps a text from being the name of a function."""
    if _NAME.fullmatch(name):
        return None
    return Wrong("this is not the name of a function", "Write module:function, such as my_siem.rows:without_tests.")


def wrong_function(name: str) -> Wrong | None:
    """What keeps a name from being that of a function which can be used here. Imports its module."""
    if (wrong := wrong_function_name(name)) is not None:
        return wrong
    module, _, function = name.partition(":")
    try:
        found = vars(importlib.import_module(module)).get(function)
    except ModuleNotFoundError as error:
        what = f"the module {error.name} cannot be found"
        return Wrong(what, "Install it for this Python, or name its directory in the environment variable PYTHONPATH.")
    except (Exception, SystemExit) as error:  # it is somebody else's code
        return Wrong(f"the module {module} cannot be imported ({type(error).__name__})", f"Try: python -c 'import {module}'")
    if not callable(found):
        return Wrong(f"the module {module} has no function {function}", "Check the name behind the colon.")
    return None


class OwnFunction:
    """One route's function for rows of one stream; made on the worker, used by one thread."""

    def __init__(self, name: str, stream: Stream) -> None:
        wrong = wrong_function(name)
        if wrong is not None:
            raise BadRoute(f"The function {name} cannot be used here: {wrong.what}. {wrong.fix}")
        module, _, function = name.partition(":")
        self._function: RowFunction = vars(importlib.import_module(module))[function]
        self._name = name
        self._stream = stream
        log_type = LOG_TYPES.get(stream.log_type)
        self._id_field = log_type.id_field if log_type is not None else None

    def rows_of(self, raw: bytes) -> list[bytes]:
        """What becomes of a row. Raises Undeliverable."""
        row = _row(raw)
        event_id = row.get(self._id_field) if self._id_field else None
        try:
            made = self._function(row, self._stream)
            rows = [] if made is None else made if isinstance(made, list) else [made]
            return [_written(each) for each in self._with_own_ids(rows, event_id)]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # it is somebody else's code, which may leave, or be cancelled
            raise self._failed(error) from error

    def _with_own_ids(self, rows: list[Any], event_id: Any) -> Iterator[dict[str, Any]]:
        repeats, id_field = 0, self._id_field or ""
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise TypeError(f"row {number} is no dict")
            repeated = bool(event_id) and row.get(id_field) == event_id
            yield {**row, id_field: f"{event_id}#{repeats}"} if repeated and repeats else row
            repeats += repeated

    def _failed(self, error: BaseException) -> Undeliverable:
        # What the error says may quote the event.
        return Undeliverable(f"{self._name} failed: {type(error).__name__}.", reason="function_failed")


def _row(raw: bytes) -> dict[str, Any]:
    try:
        return _read_row(raw)
    except ODD:
        return read_loosely(raw)


def _written(row: dict[str, Any]) -> bytes:
    try:
        return _write(row)
    except UnicodeEncodeError:  # half a character, which was in the event already
        return write_loosely(row)
