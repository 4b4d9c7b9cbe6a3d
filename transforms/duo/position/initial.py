"""Where a subscription begins at a launch: at its checkpoint, else as its route says, else where Duo Log Sync was.

Place in the flow: asked once per reader that has no mark of the runner. Whatever is decided is written to the checkpoint
store at once, so that what has delivered nothing yet begins at the same place after a restart. A number of days that was
changed meanwhile counts for as long as nothing was read, from the first decision on: no time is skipped that passed since.

A route says ``start_days``, ``from: now``, which is no day back, or ``from: checkpoint of NAME``: the position of another
destination with the same log. Where it says nothing, Duo Log Sync's checkpoint counts, and else the look-back.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

from transforms.days import DAY_MS
from transforms.duo.position.windows import first_cursor
from transforms.notices import state
from transforms.notices.notice import tell
from transforms.process.clock import SYSTEM_CLOCK, Clock, utc
from transforms.records import Stream, Subscription
from transforms.settings import USUAL_START, Reading, Start, Storage
from transforms.state.checkpoints.local import CheckpointStore, StoreUnusable
from transforms.state.checkpoints.record import Begun
from transforms.state.checkpoints.stores import store_at
from transforms.state.cursor import Cursor
from transforms.state.seen import IMPORTED_IDS, packed, row_digest

_LOGGER = logging.getLogger("duologsync.duo")


def initial_cursor(
    subscription: Subscription, reading: Reading, storage: Storage, start: Start = USUAL_START, clock: Clock = SYSTEM_CLOCK
) -> Cursor:
    """The cursor to begin with, from the best source there is. A clock that is wrong now is corrected for by the feed."""
    store = store_at(storage.checkpoint_dir)
    stored = store.load(subscription)
    if stored is not None and not stored.is_beginning:
        return stored
    now_ms = int(clock.wall_secs() * 1000)
    if stored is not None:
        return _begin_again(stored, subscription, reading, storage, start, now_ms)
    cursor = None
    if start.checkpoint_of is not None:
        cursor = _position_of(Subscription(subscription.stream, start.checkpoint_of), subscription, store)
    if cursor is None and start.days is None and storage.resume:
        # Also where the other one has no position yet: it begins there, too, and which of the two is first is chance.
        cursor = import_incumbent(subscription.stream, storage.import_dir, now_ms)
    begun = Begun(reading.start_days, now_ms) if cursor is None and reading.from_ms is None else None
    cursor = (cursor or first_cursor(now_ms, reading)).step()
    store.begin(subscription, cursor, begun)
    return cursor


def changed_beginning(stored: Cursor, begun: Begun | None, days: float) -> Cursor | None:
    """Where to begin after the number of days was changed; None where it was not, or something was read since."""
    if begun is None or begun.days == days or not stored.is_beginning:
        return None
    return stored.step(mintime_ms=first_cursor(begun.at_ms, Reading(start_days=days)).mintime_ms)


def _begin_again(
    stored: Cursor, subscription: Subscription, reading: Reading, storage: Storage, start: Start, now_ms: int
) -> Cursor:
    """A beginning of which nothing was read, as the configuration says now."""
    store = store_at(storage.checkpoint_dir)
    begun = store.begun(subscription)
    if begun is None or start.checkpoint_of is not None:
        return stored
    if start.days is None and storage.resume:
        imported = import_incumbent(subscription.stream, storage.import_dir, now_ms)
        if imported is not None:
            cursor = replace(imported, seq=stored.seq + 1)
            store.begin(subscription, cursor)
            return cursor
    changed = changed_beginning(stored, begun, reading.start_days)
    if changed is None:
        return stored
    _LOGGER.info(
        "%s: nothing was read yet, and start_days was changed from %g to %g: it begins at %s.",
        subscription, begun.days, reading.start_days, utc(changed.position_ms),
    )  # fmt: skip
    store.begin(subscription, changed, Begun(reading.start_days, begun.at_ms))
    return changed


def _position_of(other: Subscription, subscription: Subscription, store: CheckpointStore) -> Cursor | None:
    """Where another one stands, for this one to begin there; None where it has no checkpoint, which is told."""
    cursor = store.load(other)
    if cursor is None:
        tell(
            _LOGGER,
            state.NO_CHECKPOINT_THERE,
            "%s has no checkpoint; %s starts at its look-back and may repeat events.",
            other,
            subscription,
            **subscription.about,
        )
    else:
        _LOGGER.info("%s begins at the checkpoint of %s.", subscription, other)
    return cursor


def hinted_cursor(
    subscription: Subscription, reading: Reading, storage: Storage, start: Start = USUAL_START, clock: Clock = SYSTEM_CLOCK
) -> Cursor:
    """The same on a runner with checkpoints of its own, where a worker's directory may be empty, old or not writable.

    Then it is a hint and no more: whatever is wrong with it, reading begins, at worst at the look-back, which repeats events
    and loses none.
    """
    if storage.resume:
        try:
            return initial_cursor(subscription, reading, storage, start, clock)
        except (OSError, StoreUnusable) as error:
            tell(
                _LOGGER, state.HINT_UNUSABLE,
                "%s: the checkpoint directory %s cannot be used here (%s). A launch without the runner's own checkpoint begins "
                "at the look-back.", subscription, storage.checkpoint_dir, error, **subscription.about,
            )  # fmt: skip
    return first_cursor(int(clock.wall_secs() * 1000), reading).step()


def import_incumbent(stream: Stream, directory: str | None, now_ms: int) -> Cursor | None:
    """The position in Duo Log Sync's own checkpoint file; None where there is no usable one, which is told.

    Its files (``<endpoint>_checkpoint_data[_<child>].txt``, JSON) hold the last row it wrote: auth ``["MS", "TXID"]``, activity
    and telephony ``"MS+1,ID"``, trust monitor ``MS+1``. Resuming is inclusive: other rows of that millisecond, which it skipped
    at a restart, are read; the row it names is left out where its id is known.
    """
    if directory is None:
        return None
    suffix = f"_{stream.account_id}" if stream.account_id else ""
    path = Path(directory) / f"{stream.log_type}_checkpoint_data{suffix}.txt"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        tell(
            _LOGGER,
            state.INCUMBENT_UNREADABLE,
            "Duo Log Sync's checkpoint %s cannot be read (%s); %s starts at its look-back.",
            path,
            error.strerror,
            stream,
            stream=stream,
        )
        return None
    cursor = _read_incumbent(content, stream.log_type, now_ms)
    if cursor is None:
        tell(
            _LOGGER, state.INCUMBENT_UNREADABLE,
            "Duo Log Sync's checkpoint %s holds no usable position; %s starts at its look-back and may repeat events.",
            path, stream, stream=stream,
        )  # fmt: skip
    else:
        _LOGGER.info("%s continues where Duo Log Sync's %s ended.", stream, path)
    return cursor


def _read_incumbent(content: bytes, log_type: str, now_ms: int) -> Cursor | None:
    try:
        value = json.loads(content)
        if isinstance(value, list):
            milliseconds, event_id, behind = int(value[0]), str(value[1]), 0
        elif isinstance(value, str):
            text, _, event_id = value.partition(",")
            milliseconds, behind = int(text), 1
        elif isinstance(value, int) and not isinstance(value, bool):
            milliseconds, event_id, behind = value, "", 1
        else:
            return None
    except (ValueError, IndexError, TypeError):
        return None
    # Its releases for the v1 API, and rows without an id, left whole seconds.
    milliseconds = milliseconds * 1000 if milliseconds < 10**11 else milliseconds - behind
    # On machines west of UTC it wrote times of the future: no position, rows before it were never read.
    if not now_ms - 3650 * DAY_MS < milliseconds <= now_ms:
        return None
    named = event_id and log_type in ("auth", "activity")
    seen = {IMPORTED_IDS: packed([row_digest(event_id.encode())])} if named else {}
    return Cursor(mintime_ms=milliseconds, end_ms=milliseconds, seen_from_ms=milliseconds, seen=seen)
