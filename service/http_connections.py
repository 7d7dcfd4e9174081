"""HTTP/1.1 connections with limits for clients that send too much, or that send or read too slowly.

uvicorn's own classes have no such limits. These replace them: httptools parses the requests, and each connection gives
them to the ASGI application one after another.
"""

import asyncio
import http
import logging
from collections.abc import Iterable
from contextvars import Context
from typing import Any, cast
from urllib.parse import unquote

import httptools
import uuid_utils
from uvicorn import Config
from uvicorn.server import ServerState

from service.errors import INVALID_REQUEST, PROBLEM_MEDIA_TYPE, encode_problem, refusal
from service.requests import STRIPE_BODY_LIMIT_BYTES

# A connection whose body or response makes no progress is closed at the second check in a row, so after one to two
# intervals. A connection that waits for the head of a request is closed after the keep-alive time only: it costs
# little, and its client would connect again at once.
CHECK_INTERVAL_S = 5
STOP_GRACE_S = 1  # how long a worker that stops waits for requests that are on their way
HEADER_LIMIT = 64
HEADER_LIMIT_BYTES = 8 * 1024  # of one header, and of the URL
BODY_LIMIT_BYTES = STRIPE_BODY_LIMIT_BYTES  # the largest that a resource accepts; resources refuse larger ones
# Bytes received of a head, and of a whole request, before they are complete.
HEAD_LIMIT_BYTES = HEADER_LIMIT * HEADER_LIMIT_BYTES
REQUEST_LIMIT_BYTES = 1024 * 1024
# Bytes to parse in one go. Parsed requests take more memory than their bytes, so only the first bytes behind a request
# that waits for its response are parsed.
PIECE_BYTES = 4 * 1024

ASGI_VERSIONS = {"version": "3.0", "spec_version": "2.4"}
HTTP_VERSIONS = ("1.0", "1.1")
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in http.HTTPStatus}
STATUSES_WITHOUT_CONTENT = (http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
INVALID_HTTP = encode_problem(
    refusal(
        INVALID_REQUEST,
        "Send HTTP/1.1 with a standard method, a percent-encoded URL of at most 8 KiB, one Host header, at most 64"
        " headers of 8 KiB, and no transfer coding but chunked.",
        status=400,
    )
)

log = logging.getLogger("uvicorn.error")


def address_of(name: object) -> tuple[str, int] | None:
    """Return host and port of a socket's name, None for a unix socket."""
    return name[:2] if isinstance(name, tuple) else None


class RequestRefused(Exception):
    """The request is not one that this server answers."""


class ClientDisconnected(OSError):
    """The client of a response has disconnected."""


class Exchange:
    """A request and its response."""

    __slots__ = (
        "_connection", "_head", "_is_chunked", "_is_received", "body", "headers", "is_complete", "is_kept_alive",
        "is_streaming", "scope", "task", "url",
    )  # fmt: skip

    def __init__(self, connection: "HttpConnection") -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.scope: dict[str, Any] = {}  # empty until the request's head is complete
        self.body = b""
        self.is_complete = False
        self.is_kept_alive = True
        self.is_streaming = False  # a part of the content has been written, and there is more
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._is_received = False
        self._head = b""
        self._is_chunked = False

    async def receive(self) -> dict[str, Any]:
        """Return the body, then wait until the client disconnects."""
        if self._is_received:
            await self._connection.wait_until_lost()
            return {"type": "http.disconnect"}
        self._is_received = True
        return {"type": "http.request", "body": self.body, "more_body": not self.is_complete}

    async def send(self, event: dict[str, Any]) -> None:
        """Write a part of the response; its head is written together with the first part of its content."""
        if event["type"] == "http.response.start":
            self._head = self._format_head(event["status"], event["headers"])
            return
        connection = self._connection
        while connection.writable:
            await connection.writable.wait()
        if connection.is_lost:
            raise ClientDisconnected
        content = event.get("body", b"")
        self.is_streaming = event.get("more_body", False)
        if self._is_chunked:
            chunk = b"%x\r\n%b\r\n" % (len(content), content) if content else b""
            content = chunk if self.is_streaming else chunk + b"0\r\n\r\n"
        connection.transport.write(self._head + content)
        self._head = b""
        if not self.is_streaming:
            connection.finish(self)

    def _format_head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        lines = [STATUS_LINES[status]]
        has_length = False
        for name, value in (*self._connection.default_headers, *headers):
            lines.append(name + b": " + value)
            if name == b"content-length":
                has_length = True
        if not has_length and status not in STATUSES_WITHOUT_CONTENT and self.scope["method"] != "HEAD":
            if self.scope["http_version"] == "1.1":
                self._is_chunked = True
                lines.append(b"transfer-encoding: chunked")
            else:
                self.is_kept_alive = False  # the content ends where the connection ends
        if not self.is_complete:
            self.is_kept_alive = False
        if not self.is_kept_alive:
            lines.append(b"connection: close")
        lines.append(b"\r\n")
        return b"\r\n".join(lines)


class HttpConnection(asyncio.Protocol):
    """One client's connection. The parameters are those that uvicorn passes to a protocol class."""

    transport: asyncio.Transport
    _timer: asyncio.TimerHandle
    _incoming: Exchange  # the request that is being received

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.is_lost = False
        self.writable: asyncio.Event | None = None  # while the client has too much to read
        self._config = config
        self._server_state = server_state
        self._connections = cast("set[HttpConnection]", server_state.connections)
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._is_receiving = False  # whether there is `_incoming`
        self._incoming_bytes = 0
        self._hosts = 0
        self._expects_continue = False
        self._current: Exchange | None = None  # the application has it
        self._waiting: list[Exchange] = []  # for the application
        self._unparsed = b""
        self._is_discarding = False  # whatever the client still sends
        self._is_ending = False
        self._is_stopping = False
        self._idle_since = self._loop.time()
        self._obstacle: object = None
        self._lost: asyncio.Event | None = None

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of every response."""
        return self._server_state.default_headers

    async def wait_until_lost(self) -> None:
        """Wait until the client has disconnected."""
        self._lost = self._lost or asyncio.Event()
        if not self.is_lost:
            await self._lost.wait()

    def finish(self, exchange: Exchange) -> None:
        """Continue with the next request, or end the connection, once a response has been written."""
        self._server_state.total_requests += 1
        self._current = None
        self._idle_since = self._loop.time()
        if not exchange.is_kept_alive:
            self._end(is_clean=exchange.is_complete and not self._is_discarding)
        elif self._waiting:
            self._start(self._waiting.pop(0))
        elif self._unparsed:
            data, self._unparsed = self._unparsed, b""
            self.transport.resume_reading()
            self.data_received(data)
        elif self._is_discarding:
            self._end(is_clean=False)
        elif self._expects_continue:
            self._invite_body()

    # What uvicorn calls.

    def shutdown(self) -> None:
        """End streams, which have no other end, and the connection: after its next response, or soon without one."""
        if end_streams := self._app_state.get("end_streams"):
            end_streams()
        self._is_stopping = True
        if self._current:
            self._current.is_kept_alive = False
        else:
            self._timer.cancel()
            self._timer = self._loop.call_later(STOP_GRACE_S, self._close_if_idle)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, or close it at once if the worker has as many as it may have."""
        self.transport = cast("asyncio.Transport", transport)
        self._client = address_of(transport.get_extra_info("peername"))
        self._server = address_of(transport.get_extra_info("sockname"))
        self._timer = self._loop.call_later(CHECK_INTERVAL_S, self._close_if_slow)
        self._connections.add(self)
        limit = self._config.limit_concurrency
        if limit is not None and len(self._connections) > limit:
            self.transport.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Release what waits for the client, and end a response that has no reader now."""
        self._connections.discard(self)
        self._timer.cancel()
        self.is_lost = True
        # No garbage collection is needed for a connection that nothing refers to.
        del self._parser
        self._drop_incoming()
        self._waiting.clear()
        self._obstacle = None
        self.resume_writing()
        if self._lost:
            self._lost.set()
        if self._current and self._current.task:
            # A stream ends at once. Other requests are answered within this time, unless they wait for an event.
            delay_s = 0 if self._current.is_streaming else self._config.timeout_graceful_shutdown or 0
            self._loop.call_later(delay_s, self._current.task.cancel)

    def pause_writing(self) -> None:
        """Make responses wait for a client that reads more slowly than they are written."""
        self.writable = asyncio.Event()

    def resume_writing(self) -> None:
        """Let responses continue."""
        if self.writable:
            self.writable.set()
            self.writable = None

    def data_received(self, data: bytes) -> None:
        """Parse what the client sends, until the application has a request to answer."""
        for start in range(0, len(data), PIECE_BYTES):
            if self._is_discarding:
                return
            if self._current:
                self._unparsed = data[start:]
                self.transport.pause_reading()
                return
            self._parse(data[start : start + PIECE_BYTES])

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # The parser has skipped the body. This server speaks no other protocol and answers the request as HTTP/1.1.
            head = self._format_without_upgrade(self._incoming)
            self._parser = httptools.HttpRequestParser(self)
            self._parse(head + data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse()
        if self._is_receiving:
            self._incoming_bytes += len(data)
            if self._incoming_bytes > (REQUEST_LIMIT_BYTES if self._incoming.scope else HEAD_LIMIT_BYTES):
                self._refuse()
            elif self._expects_continue:
                self._invite_body()

    def _format_without_upgrade(self, exchange: Exchange) -> bytes:
        request_line = b"%b %b HTTP/%b" % (
            self._parser.get_method(),
            exchange.url,
            self._parser.get_http_version().encode("ascii"),
        )
        headers = [name + b": " + value for name, value in exchange.headers if name != b"upgrade"]
        return b"\r\n".join([request_line, *headers, b"\r\n"])

    def _invite_body(self) -> None:
        """Tell a client that waits for it to send its body, once earlier requests are answered."""
        if self._is_receiving and self._incoming.scope and not self._current:
            self._expects_continue = False
            self.transport.write(CONTINUE)

    def _refuse(self) -> None:
        """Answer 400 and end the connection, or only end it if the client waits for responses to earlier requests."""
        self._is_discarding = True
        self._drop_incoming()
        if not self._current:
            head = (
                b"HTTP/1.1 400 Bad Request",
                b"content-type: " + PROBLEM_MEDIA_TYPE.encode(),
                b"content-length: %d" % len(INVALID_HTTP),
                b"cache-control: no-store",
                b"x-request-id: " + str(uuid_utils.uuid7()).encode(),
                b"connection: close",
                b"\r\n",
            )
            self.transport.write(b"\r\n".join(head) + INVALID_HTTP)
            self._end(is_clean=False)

    def _drop_incoming(self) -> None:
        if self._is_receiving:
            self._is_receiving = False
            del self._incoming

    def _end(self, *, is_clean: bool) -> None:
        """End the connection. If the client may still send, the client closes it, or else the next checks.

        The kernel resets a connection that is closed with unread bytes, and the client might lose its last response.
        """
        if is_clean:
            self.transport.close()
        else:
            self._is_discarding = self._is_ending = True
            self._unparsed = b""
            self.transport.write_eof()
            self.transport.resume_reading()

    def _close_if_idle(self) -> None:
        if not self._current:
            self.transport.close()

    def _close_if_slow(self) -> None:
        """Close the connection if its client makes no progress; check it again later otherwise."""
        obstacle = self._find_obstacle()
        if obstacle is not None and obstacle is self._obstacle:
            self.transport.abort()
            return
        self._obstacle = obstacle
        is_idle = obstacle is None and self._current is None
        if is_idle and self._loop.time() - self._idle_since >= self._config.timeout_keep_alive:
            self.transport.close()
        self._timer = self._loop.call_later(CHECK_INTERVAL_S, self._close_if_slow)

    def _find_obstacle(self) -> object:
        """Return what the client has to read, to send or to close before anything can go on; None if nothing."""
        if self._is_ending or self.transport.is_closing():
            return self
        if self.writable:
            return self._current or self
        if self._is_receiving and self._incoming.scope and not self._current:
            return self._incoming
        return None

    def _start(self, exchange: Exchange) -> None:
        """Give a request to the application."""
        self._current = exchange
        exchange.task = self._loop.create_task(self._answer(exchange), context=Context())
        self._server_state.tasks.add(exchange.task)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._config.loaded_app(exchange.scope, exchange.receive, exchange.send)
        except ClientDisconnected:
            pass
        except Exception:
            log.exception("The application failed.")
        finally:
            self._server_state.tasks.discard(exchange.task)
            if self._current is exchange:
                self._current = None
                self.transport.abort()  # without a whole response

    # What the parser calls. Each exception makes feed_data raise HttpParserError.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._incoming = Exchange(self)
        self._is_receiving = True
        self._incoming_bytes = 0
        self._hosts = 0
        self._expects_continue = False

    def on_url(self, url: bytes) -> None:
        """Add a part of the URL."""
        exchange = self._incoming
        exchange.url += url
        if len(exchange.url) > HEADER_LIMIT_BYTES:
            raise RequestRefused("long URL")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        exchange = self._incoming
        if exchange.scope:
            return  # a trailer
        if len(exchange.headers) == HEADER_LIMIT or len(name) + len(value) > HEADER_LIMIT_BYTES:
            raise RequestRefused("many headers, or a long one")
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect":
            self._expects_continue = value.lower() == b"100-continue" and self._parser.get_http_version() != "1.0"
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            raise RequestRefused("transfer coding")
        exchange.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Complete the head of the request."""
        exchange = self._incoming
        version = self._parser.get_http_version()
        if version not in HTTP_VERSIONS:
            raise RequestRefused("HTTP version")
        if self._hosts != 1 and (self._hosts or version == "1.1"):
            raise RequestRefused("no host, or several")
        method = self._parser.get_method().decode("ascii")
        if self._parser.should_upgrade():
            if method == "CONNECT":
                raise RequestRefused("CONNECT")
            return  # `_parse` reads the request again
        path, _, query = exchange.url.partition(b"?")
        if not path.startswith(b"/"):  # with scheme and host, as a proxy gets it
            url = httptools.parse_url(exchange.url)
            path, query = url.path or b"/", url.query or b""
        path_text = path.decode("ascii")
        exchange.is_kept_alive = version == "1.1" and self._parser.should_keep_alive() and not self._is_stopping
        exchange.scope = {
            "type": "http",
            "asgi": ASGI_VERSIONS,
            "http_version": version,
            "method": method,
            "scheme": "http",
            "root_path": "",
            "path": unquote(path_text) if "%" in path_text else path_text,
            "query_string": query,
            "headers": exchange.headers,
            "client": self._client,
            "server": self._server,
        }

    def on_body(self, data: bytes) -> None:
        """Add a part of the body. The application gets a request whose body is too large before it is complete."""
        exchange = self._incoming
        if len(exchange.body) <= BODY_LIMIT_BYTES:
            exchange.body += data
            if len(exchange.body) > BODY_LIMIT_BYTES:
                self._enqueue(exchange)

    def on_message_complete(self) -> None:
        """Complete the request."""
        exchange = self._incoming
        if not exchange.scope:
            return  # a request to upgrade
        exchange.is_complete = True
        self._drop_incoming()
        if len(exchange.body) <= BODY_LIMIT_BYTES:
            self._enqueue(exchange)

    def _enqueue(self, exchange: Exchange) -> None:
        if self._current:
            self._waiting.append(exchange)
        else:
            self._start(exchange)
