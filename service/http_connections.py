"""gunicorn's HTTP connections, with an end to patience: who does not get a request across, or an answer, is cut off.

gunicorn's asgi worker waits for ever for a connection's first request and for a client that does not read, restarts its
wait for a body with every byte, and does not heed `worker_connections`.
"""

import asyncio
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol

# A client whose body or answer is stuck at two looks in a row is cut off: after one to two intervals. Who has not asked
# at all costs least, and comes again when cut off, which costs more: such a client has as long as between two requests.
LOOK_INTERVAL_S = 5


class HttpConnection(ASGIProtocol):  # type: ignore[misc] # gunicorn has no type hints
    """One client's connection."""

    def __init__(self, worker: Any) -> None:
        super().__init__(worker)
        self._max_buffer_size = 64 * 1024  # bytes; a body is at most 16 KiB, the rest are requests that wait
        self._stuck_request = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client, or send it away where there are too many."""
        super().connection_made(transport)
        if self.worker.nr_conns > self.worker.worker_connections:
            self.transport.abort()
        else:
            self._arm_keepalive_timer()  # as before every later request
            self.worker.loop.call_later(LOOK_INTERVAL_S, self._look)

    def _look(self) -> None:
        """Cut the client off if it has been stuck since the last look."""
        if self._closed:
            return
        request = self.req_count if self._is_stuck() else 0
        if request and request == self._stuck_request:
            self.transport.abort()
            return
        self._stuck_request = request
        self.worker.loop.call_later(LOOK_INTERVAL_S, self._look)

    def _is_stuck(self) -> bool:
        """Whether the client owes the rest of a body, or does not read."""
        receiver = self._body_receiver
        owes_body = receiver is not None and not receiver._complete
        return bool(owes_body or self._flow_control.write_paused)

    def _resume_reading(self) -> None:
        """Read on after an answer, once the requests that wait here are few.

        gunicorn reads on after every answer, and would hold, and copy for each of them, whatever a client pipelines.
        """
        if self._http1_buffered() <= self._max_buffer_size:
            super()._resume_reading()

    def _feed_callback_parser(self, data: bytes) -> bool:
        """Parse; read on where what is here is not a whole request, however long it is."""
        goes_on: bool = super()._feed_callback_parser(data)
        if goes_on and not self._callback_parser.is_complete:
            super()._resume_reading()
        return goes_on
