"""The feeds of this process: one per stream, settings and destination, made when first asked for.

Place in the flow: between the Beam readers and the feeds. Readers come and go (Flink makes one per bundle, local runs one per
pass), and a page must not be fetched twice for that. Contract: thread-safe; a feed lives until it is closed here, and whoever
asks for it afterwards gets a new one.
"""

from __future__ import annotations

import threading

from transforms.duo.fetch.feed import PageFeed
from transforms.settings import Account, Reading

_feeds: dict[tuple[Account, str, Reading, str], PageFeed] = {}
_feeds_lock = threading.Lock()


def feed_of(account: Account, log_type: str, reading: Reading, destination: str) -> PageFeed:
    """The process's one feed of a stream for a destination, by its name. Destinations do not wait for each other."""
    with _feeds_lock:
        key = (account, log_type, reading, destination)
        feed = _feeds.get(key)
        if feed is None:
            feed = _feeds[key] = PageFeed(account, log_type, reading)
        return feed


def close_feed(account: Account, log_type: str, reading: Reading, destination: str) -> None:
    """Ends the feed of one stream for a destination and forgets it. A later ``feed_of`` makes a new one."""
    with _feeds_lock:
        feed = _feeds.pop((account, log_type, reading, destination), None)
    if feed is not None:
        feed.close()
        feed.forget()


def pages_under_way() -> int:
    """Pages of all feeds of this process that were handed out and are not delivered."""
    with _feeds_lock:
        return sum(feed.under_way for feed in _feeds.values())


def close_feeds() -> None:
    """Ends every feed of the process. A later ``feed_of`` makes new ones."""
    with _feeds_lock:
        feeds = list(_feeds.values())
        _feeds.clear()
    for feed in feeds:
        feed.close()
        feed.forget()
