"""HTTP connections with time limits for clients that send or read too slowly.

gunicorn's asgi worker has no such limits: it waits without end for the first request of a connection and for a client
that does not read its answer, it restarts its wait for a body with every byte, and it ignores `worker_connections`.
"""

import asyncio
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol

# A connection whose body or answer makes no progress is closed at the second check in a row, so after one to two
# intervals. A connection without any request is closed after `keepalive` seconds only: it costs little, and its client
# would connect again at once.
CHECK_INTERVAL_S = 5
BUFFER_LIMIT_BYTES = 64 * 1024  # of one connection, for pipelined requests; a request that is not complete is read on


class HttpConnection(ASGIProtocol):  # type: ignore[misc] # gunicorn has no type hints
    """One client's connection."""

    def __init__(self, worker: Any) -> None:
        super().__init__(worker)
        self._max_buffer_size = BUFFER_LIMIT_BYTES
        self._stuck_request = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a connection, or close it at once where the worker has `worker_connections` already."""
        super().connection_made(transport)
        if self.worker.nr_conns > self.worker.worker_connections:
            self.transport.abort()
        else:
            self._arm_keepalive_timer()  # gunicorn arms it only between requests
            self.worker.loop.call_later(CHECK_INTERVAL_S, self._close_if_stuck)

    def _close_if_stuck(self) -> None:
        """Close the connection if its request has made no progress since the last check."""
        if self._closed:
            return
        request = self.req_count if self._is_stuck() else 0
        if request and request == self._stuck_request:
            self.transport.abort()
            return
        self._stuck_request = request
        self.worker.loop.call_later(CHECK_INTERVAL_S, self._close_if_stuck)

    def _is_stuck(self) -> bool:
        """Whether the client has not sent its whole body, or does not read its answer."""
        receiver = self._body_receiver
        owes_body = receiver is not None and not receiver._complete
        return bool(owes_body or self._flow_control.write_paused)

    def _resume_reading(self) -> None:
        """Continue to read after an answer, unless the buffer is full of pipelined requests.

        gunicorn continues after every answer, so a client could fill the worker's memory with requests.
        """
        if self._http1_buffered() <= self._max_buffer_size:
            super()._resume_reading()

    def _feed_callback_parser(self, data: bytes) -> bool:
        """Parse the data, and continue to read while the request is not complete, whatever the buffer holds."""
        may_continue: bool = super()._feed_callback_parser(data)
        if may_continue and not self._callback_parser.is_complete:
            super()._resume_reading()
        return may_continue
