"""Find the server that accepts writes among the hosts of MYSQL_URL, and follow it when another one becomes primary."""

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from weakref import WeakSet

import mysql.connector
import mysql.connector.aio
import structlog

from service.mysql_tls import build_ssl_context
from service.mysql_url import Address, MysqlUrl

ER_NOT_PRIMARY = 4311  # the driver has no name for it

CONNECT_TIMEOUT_S = 2
SLOW_CALL_S = 1  # from then on a call makes the process ask all hosts
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.1  # before a host that was not the primary is asked again
PRECEDENCE_S = 0.2  # of the other hosts, when the primary is in doubt
REPORT_INTERVAL_S = 5
PATIENCE_S = 10  # a failover takes 6 to 8 s
NO_ANSWER = "no answer yet"

log = structlog.get_logger()


class PrimaryNotFound(mysql.connector.Error):
    """None of several hosts is the primary; the message contains the answer of each."""

    def __init__(self, answers: dict[Address, str]) -> None:
        """Quote the hosts' last answers."""
        said = "; ".join(f"{address}: {answer}" for address, answer in answers.items())
        super().__init__(msg=f"none of the hosts is the primary: {said}", errno=ER_NOT_PRIMARY)


class DriverConnection(mysql.connector.aio.MySQLConnection):
    """The driver's connection to one server, with its TLS repaired; see also mysql_tls.

    The driver accepts an authority's certificate only together with a client's own, and does not pass on the host name
    that the server's certificate has to have.

    address     the server
    called_at   time.monotonic() at which the call under way was sent; 0 while the connection is idle
    is_aborted  the connection cannot be used any more
    """

    def __init__(self, url: MysqlUrl) -> None:
        """Prepare a connection to the one host of a URL."""
        super().__init__(**url.driver_options(), autocommit=True)
        (self.address,) = url.hosts
        self.called_at = 0.0
        self.is_aborted = False

    @classmethod
    async def open(cls, url: MysqlUrl) -> "DriverConnection":
        """Connect and sign in. Raises mysql.connector.Error, OSError or EOFError; TimeoutError after 2 s."""
        connection = cls(url)
        try:
            # The driver's own time limit is not enough: if a reset arrives just before TLS, uvloop waits for ever.
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.connect()
        except BaseException:
            connection.abort()
            raise
        return connection

    def abort(self) -> None:
        """Cut the connection; a call under way fails.

        The driver's `shutdown` waits until the connection is closed, which after a reset just before TLS never happens.
        """
        self.called_at, self.is_aborted = 0.0, True
        if self._socket is not None and self._socket._writer is not None:
            self._socket._writer.transport.abort()

    def _validate_connection_options(self) -> None:
        authority, self._ssl_ca = self._ssl_ca, None
        super()._validate_connection_options()
        self._ssl_ca = authority

    async def _do_handshake(self) -> None:
        # The driver calls this method of a TCP socket only; a unix socket has no TLS.
        socket = cast("Any", self._socket)
        socket.build_ssl_context, socket.switch_to_ssl = build_ssl_context, self._switch_to_ssl
        await super()._do_handshake()

    async def _switch_to_ssl(self, context: ssl.SSLContext) -> None:
        await cast("Any", self._socket)._writer.start_tls(context, server_hostname=self._host)


class Primary:
    """Opens connections to the server that accepts writes; shared by all connections of a process.

    With one host, that host is the primary. With several hosts, a task asks all of them at once until one says that it
    is not read-only. It asks them again if that host cannot be reached, says that it is not the primary, or leaves a
    call without an answer for a second. If another host is the primary then, connections to the old one are aborted.
    """

    def __init__(
        self, url: MysqlUrl, *, patience_s: float = PATIENCE_S, when_found: Callable[[], object] = lambda: None
    ) -> None:
        """Prepare the search.

        patience_s  seconds that `open` and `find` wait for a primary
        when_found  called each time that a host is found to be the primary and another one was before, or none
        """
        self._url = url
        self._patience_s = patience_s
        self._when_found = when_found
        self._has_choice = len(url.hosts) > 1
        self._address = None if self._has_choice else url.hosts[0]
        self._last_address: Address | None = None
        self._connections: WeakSet[DriverConnection] = WeakSet()
        self._is_found, self._is_in_doubt = asyncio.Event(), asyncio.Event()
        self._search: asyncio.Task[None] | None = None
        self.answers = dict.fromkeys(url.hosts, NO_ANSWER)

    async def open(self) -> DriverConnection:
        """Open a connection to the primary. Raises PrimaryNotFound, and what DriverConnection.open raises."""
        address = await self.find()
        try:
            connection = await DriverConnection.open(self._url.for_host(address))
        except (mysql.connector.Error, OSError, EOFError):
            self._doubt(address)
            raise
        self._connections.add(connection)
        return connection

    async def find(self) -> Address:
        """Return the address of the primary. Raises PrimaryNotFound if no host became the primary in time."""
        if self._address is None:
            if self._search is None or self._search.done():
                self._search = asyncio.create_task(self._follow(), name="search for the primary")
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._is_found.wait()
            except TimeoutError:
                raise PrimaryNotFound(self.answers) from None
        return cast("Address", self._address)

    def reject(self, connection: DriverConnection) -> None:
        """Abort all connections to the server of this one, which said that it is not the primary."""
        if self._has_choice:
            self._doubt(connection.address)
            self._abort(lambda address: address == connection.address)

    async def close(self) -> None:
        """End the search."""
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)

    def _doubt(self, address: Address) -> None:
        if self._has_choice and address == self._address:
            self._address = None
            self._is_found.clear()
            self._is_in_doubt.set()

    async def _follow(self) -> None:
        """Look for the primary, and again each time that it is in doubt; report every 5 s without one."""
        while True:
            try:
                async with asyncio.timeout(REPORT_INTERVAL_S):
                    address = await self.look()
            except TimeoutError:
                log.error("primary_not_found", hosts=self._printable_answers())
                continue
            self._take(address)
            await self._wait_for_doubt()

    def _take(self, address: Address) -> None:
        before, self._address, self._last_address = self._last_address, address, address
        self._is_found.set()
        self._is_in_doubt.clear()
        self._abort(lambda other: other != address)
        if before not in (None, address):
            log.warning("primary_changed", host=str(address), before=str(before), hosts=self._printable_answers())
        if before != address:
            self._when_found()

    async def _wait_for_doubt(self) -> None:
        while not self._is_in_doubt.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(SLOW_CALL_S):
                    await self._is_in_doubt.wait()
            if self._is_call_slow():
                return

    def _is_call_slow(self) -> bool:
        """Whether a call has waited for a second. If its server is frozen or cut off, nothing else shows it."""
        slow_from = time.monotonic() - SLOW_CALL_S
        return any(0 < connection.called_at < slow_from for connection in self._connections)

    async def look(self) -> Address:
        """Ask all hosts until one of them is the primary; return its address."""
        self.answers = dict.fromkeys(self._url.hosts, NO_ANSWER)
        questions = [asyncio.create_task(self._ask(address)) for address in self._url.hosts]
        try:
            answered, _ = await asyncio.wait(questions, return_when=asyncio.FIRST_COMPLETED)
            return answered.pop().result()
        finally:
            for question in questions:
                question.cancel()
            await asyncio.gather(*questions, return_exceptions=True)

    async def _ask(self, address: Address) -> Address:
        """Ask a host until it is the primary; return its address.

        A primary that is cut off from its group still accepts writes for some seconds, beside the new one. So the host
        that was the primary before is asked later than the others.
        """
        if address == self._last_address:
            await asyncio.sleep(PRECEDENCE_S)
        url = self._url.for_host(address).for_database("")  # which the first deploy has yet to create
        connection: DriverConnection | None = None
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                try:
                    if connection is None or connection.is_aborted:
                        connection = await DriverConnection.open(url)
                    if not await self._is_read_only(connection):
                        self.answers[address] = "primary"
                        return address
                    self.answers[address] = "read-only"
                except (mysql.connector.Error, OSError, EOFError) as error:
                    self.answers[address] = str(error) or f"no answer for {CONNECT_TIMEOUT_S} s"
                    if connection is not None:
                        connection.abort()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            if connection is not None:
                connection.abort()

    @staticmethod
    async def _is_read_only(connection: DriverConnection) -> bool:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            cursor = await connection.cursor()
            await cursor.execute("SELECT @@GLOBAL.read_only")
            return await cursor.fetchall() != [(0,)]

    def _abort(self, is_chosen: Callable[[Address], bool]) -> None:
        """Abort the connections whose address is chosen."""
        for connection in self._connections:
            if is_chosen(connection.address):
                connection.abort()

    def _printable_answers(self) -> dict[str, str]:
        return {str(address): answer for address, answer in self.answers.items()}


def find_primary(url: MysqlUrl) -> MysqlUrl:
    """Return the URL with the primary as its only host. Raises PrimaryNotFound after 10 s without a primary."""

    async def look() -> Address:
        primary = Primary(url)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await primary.look()
        except TimeoutError:
            raise PrimaryNotFound(primary.answers) from None

    return url.for_host(asyncio.run(look())) if len(url.hosts) > 1 else url
