"""The pages of one stream that are in memory: handed out and not yet delivered, and read ahead of the reader.

Place in the flow: inside the feed, between the thread that fetches and the reader that takes. Contract: knows positions and
nothing of threads, time or Duo; not thread-safe, the feed holds its lock around each change.

    _pages  [ handed out, not delivered │ ready ]
              each begins where the one before it ended; the next one begins at ``_base``
    fetch_at  where fetching goes on: at ``_base``, or ahead of it by windows that held nothing
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from transforms.records import DuoPage
from transforms.state.cursor import Cursor

# Pages handed out and not yet committed. Bundles are smaller; a runner that never finalizes must not fill memory.
_MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A page with the cursors before and behind it."""

    before: Cursor
    page: DuoPage
    after: Cursor
    size: int = 0


class PageBuffer:
    """Pages in order. Its length counts all of them, ``ready`` those that can be handed out."""

    def __init__(self) -> None:
        self.fetch_at: Cursor | None = None
        self._pages: deque[FetchedPage] = deque()
        self._handed = 0
        self._base: Cursor | None = None

    def __len__(self) -> int:
        return len(self._pages)

    @property
    def handed(self) -> int:
        """Pages handed out whose delivery nobody has confirmed."""
        return self._handed

    @property
    def ready(self) -> int:
        """Pages that are not handed out."""
        return len(self._pages) - self._handed

    @property
    def ready_bytes(self) -> int:
        """The size of their rows."""
        return sum(self._pages[-1 - index].size for index in range(self.ready))

    @property
    def oldest(self) -> DuoPage | None:
        """The first page that is not delivered."""
        return self._pages[0].page if self._pages else None

    # --- the reader's position ---------------------------------------------------------------------------------------

    def go_to(self, cursor: Cursor) -> bool:
        """Goes to a position: back to a page that is still here, or behind the last one. False where it is neither."""
        for index, fetched in enumerate(self._pages):
            if fetched.before == cursor:
                self._handed = index
                return True
        if cursor in (self._base, self.fetch_at) and self._base is not None:
            self._handed = len(self._pages)
            return True
        return False

    def begin_at(self, cursor: Cursor) -> None:
        """Lets go of everything and begins anew at a position."""
        self.clear()
        self._base = self.fetch_at = cursor

    def hand_out(self) -> FetchedPage:
        """The next page; only where one is ready."""
        fetched = self._pages[self._handed]
        self._handed += 1
        return fetched

    def rewind(self) -> None:
        """What was handed out is ready again."""
        self._handed = 0

    def delivered(self, cursor: Cursor) -> None:
        """Lets go of the pages up to a cursor, of those that were handed out."""
        while self._pages and self._handed and self._pages[0].after.seq <= cursor.seq:
            self._forget_first()

    def settle(self, cursor: Cursor) -> None:
        """The next page follows this cursor, where that is where fetching goes on and no page is here."""
        if not self._pages and self.fetch_at == cursor:
            self._base = cursor

    # --- what is fetched ---------------------------------------------------------------------------------------------

    def add(self, page: DuoPage, after: Cursor, size: int) -> None:
        """A page was fetched, with the cursor behind it."""
        before = self._base if self._base is not None else after
        self._pages.append(FetchedPage(before, page, after, size))
        self._base = after
        while self._handed > _MOST_KEPT:
            self._forget_first()

    def give_up_ready(self) -> None:
        """Lets go of the pages that are ready, to fetch them again later; only where there is one."""
        self._base = self.fetch_at = self._pages[self._handed].before
        while len(self._pages) > self._handed:
            self._pages.pop()

    def clear(self) -> None:
        """Lets go of all pages."""
        self._pages.clear()
        self._handed = 0

    def _forget_first(self) -> None:
        self._pages.popleft()
        self._handed -= 1
