"""The feed of events, with long polling: the waiting readers of a worker share one query."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from service.metrics import EVENT_READERS
from service.rows import EventPage, FoundEvents

READ_INTERVAL_S = 0.5


class EventFeed:
    """Pages of events, and readers who wait for the next event.

    find  reads a page from MySQL
    """

    def __init__(self, find: Callable[[EventPage], Awaitable[FoundEvents]]) -> None:
        self._find = find
        self._ended = asyncio.Event()
        self._last_position = 0
        self._search: asyncio.Task[None] | None = None

    def end(self) -> None:
        """End all waits, and new ones at once, because the server stops."""
        self._ended.set()

    async def read(self, page: EventPage, wait_s: int) -> FoundEvents:
        """Return a page. Where it is empty, wait for its first event, for at most `wait_s` seconds.

        Raises Overloaded or DatabaseUnavailable.
        """
        found = await self._find(page)
        if wait_s and found.is_empty:
            with EVENT_READERS.track_inprogress(), suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    while found.is_empty and await self._has_event_after(found.positions.last_position):
                        found = await self._find(page)
        return found

    async def _has_event_after(self, position: int) -> bool:
        """Wait for an event of any caller after a position. Return False if the server stops before."""
        while self._last_position <= position and not self._ended.is_set():
            if self._search is None or self._search.done():
                self._search = asyncio.create_task(self._find_last_position(), name="event feed")
                # The readers raise its exception, but their time may be over when it comes. A stop may cancel it.
                self._search.add_done_callback(lambda search: search.cancelled() or search.exception())
            await asyncio.shield(self._search)
        return not self._ended.is_set()

    async def _find_last_position(self) -> None:
        """Ask MySQL for the last position, after READ_INTERVAL_S; not if the server stops before."""
        try:
            await asyncio.wait_for(self._ended.wait(), READ_INTERVAL_S)
        except TimeoutError:
            found = await self._find(EventPage("", self._last_position, 1))
            self._last_position = found.positions.last_position
