"""The feeds of this process: one per stream, settings and destination, made when first asked for.

Place in the flow: between the Beam readers and the feeds. Readers come and go (Flink makes one per bundle, local runs one per
pass), and a page must not be fetched twice for that. Contract: thread-safe; a feed lives until it is closed here, and whoever
asks for it afterwards gets a new one. The feeds of one stream share what they fetch; that stays, empty, when they are closed.
"""

from __future__ import annotations

from dataclasses import replace

from transforms.duo.fetch.feed import PageFeed
from transforms.duo.fetch.shared_answers import SharedAnswers
from transforms.process.lifetime import OnePerKey, Stage, per_process
from transforms.settings import Account, Reading

_FEEDS: OnePerKey[tuple[Account, str, Reading, str], PageFeed] = per_process(
    "feeds", OnePerKey, close=lambda _: close_feeds(), stage=Stage.THREADS
)
_ANSWERS: OnePerKey[tuple[Account, str, Reading], SharedAnswers] = per_process("answers of Duo that feeds share", OnePerKey)


def feed_of(account: Account, log_type: str, reading: Reading, destination: str) -> PageFeed:
    """The process's one feed of a stream for a destination, by its name. Destinations do not wait for each other."""
    # Destinations of one log may begin at different days, and go on side by side from there.
    answers = _ANSWERS.of((account, log_type, replace(reading, start_days=0.0)), SharedAnswers)
    return _FEEDS.of(
        (account, log_type, reading, destination),
        lambda: PageFeed(account, log_type, reading, answers=answers, destination=destination),
    )


def present_feed(account: Account, log_type: str, reading: Reading, destination: str) -> PageFeed | None:
    """The feed of a stream for a destination where there is one; none is made."""
    return _FEEDS.get((account, log_type, reading, destination))


def close_feed(account: Account, log_type: str, reading: Reading, destination: str) -> None:
    """Ends the feed of one stream for a destination and forgets it. A later ``feed_of`` makes a new one."""
    feed = _FEEDS.take_out((account, log_type, reading, destination))
    if feed is not None:
        feed.close()
        feed.forget()


def pages_under_way() -> int:
    """Pages of all feeds of this process that were handed out and are not delivered."""
    return sum(feed.under_way for feed in _FEEDS.all())


def close_feeds() -> None:
    """Ends every feed of the process. A later ``feed_of`` makes new ones."""
    for feed in _FEEDS.take_all_out():
        feed.close()
        feed.forget()
