"""A minimal HTTP client with a limited number of persistent connections, which measures the duration of each request.

A general client spends a millisecond of CPU time on each request, so the measured durations would be its own.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

RESPONSE_TIMEOUT_S = 15


@dataclass(frozen=True)
class Response:
    """A response of the service, when it was requested (monotonic seconds), and how long it took from then on."""

    status: int
    headers: Mapping[str, str]
    document: dict[str, Any]
    requested_at: float
    duration_s: float

    @property
    def is_error(self) -> bool:
        """Whether the status is an error."""
        return self.status >= HTTPStatus.BAD_REQUEST


class Client:
    """A client of one service. A request waits if no connection is free; that time is part of its duration."""

    def __init__(self, url: str, connections: int, headers: Mapping[str, str]) -> None:
        """Prepare the client; `headers` are sent with every request, and connections are opened when needed."""
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), parts.port or 80
        self._headers = {"Host": parts.netloc, "Content-Type": "application/json", **headers}
        self._free: asyncio.LifoQueue[_Connection | None] = asyncio.LifoQueue()
        for _ in range(connections):
            self._free.put_nowait(None)

    async def request(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}) -> Response:
        """Send a request and return its response; after OSError or TimeoutError its outcome is unknown."""
        requested_at = time.monotonic()
        connection = await self._free.get()
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT_S):
                connection = connection or _Connection(*await asyncio.open_connection(self._host, self._port))
                status, received, text = await connection.exchange(self._head(method, path, body, headers) + body)
        except BaseException as error:
            if connection:
                connection.close()
            connection = None
            if isinstance(error, EOFError):
                raise ConnectionResetError("the service closed the connection") from None
            raise
        finally:
            self._free.put_nowait(connection)
        return Response(status, received, json.loads(text or b"{}"), requested_at, time.monotonic() - requested_at)

    async def close(self) -> None:
        """Close all connections; no request may be in flight."""
        while not self._free.empty():
            if connection := self._free.get_nowait():
                connection.close()

    def _head(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        lines = [f"{name}: {value}" for name, value in {**self._headers, **headers}.items()]
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, f"Content-Length: {len(body)}", "", ""]).encode()


class _Connection:
    """One persistent connection. Every response of the service has a Content-Length or no body."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request; returns the status, the headers by lower-case name, and the body."""
        self._writer.write(request)
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return int(first.split(" ")[1]), headers, body

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()
