"""Events: what happened to orders and holds."""

import falcon.asgi

from service.errors import refusal
from service.event_feed import EventFeed
from service.requests import BIGINT_MAXIMUM, number_parameter, send_json
from service.rows import EventPage

LIMIT = 1000
WAIT_LIMIT_S = 30


class EventsResource:
    """`/api/events`."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show the events of the caller's orders and holds after a position; wait for one where there is none."""
        after = number_parameter(req, "after", default=0, minimum=0, maximum=BIGINT_MAXIMUM)
        limit = number_parameter(req, "limit", default=100, minimum=1, maximum=LIMIT)
        wait_s = number_parameter(req, "wait_s", default=0, minimum=0, maximum=WAIT_LIMIT_S)
        page = EventPage(req.context.caller, after, limit)
        events, positions = await self._feed.read(page, 0 if req.method == "HEAD" else wait_s)
        if positions.errno is not None:
            raise refusal(positions.errno, oldest_position=positions.oldest_position)
        next_ = events[-1].position if events else after
        send_json(resp, {"items": [event.document() for event in events], "next": next_})

    on_head = on_get
