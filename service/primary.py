"""Which server takes writes: the primary is found among the hosts of a URL, remembered, and looked for again."""

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

from service.mysql_url import Address, MysqlUrl

ER_NOT_PRIMARY = 4311  # the driver has no name for it

CONNECT_TIMEOUT_S = 2
SLOW_CALL_S = 1
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.3
PRECEDENCE_S = 0.2
REPORT_INTERVAL_S = 5
PATIENCE_S = 10
IS_PRIMARY, NO_ANSWER = "primary", "no answer yet"

log = structlog.get_logger()


class PrimaryNotFound(mysql.connector.Error):
    """None of several hosts is the primary; the message says what each of them answered."""

    def __init__(self, answers: dict[Address, str]) -> None:
        """Answers by host."""
        said = "; ".join(f"{address}: {answer}" for address, answer in answers.items())
        super().__init__(msg=f"none of the hosts is the primary: {said}", errno=ER_NOT_PRIMARY)


class DriverConnection(mysql.connector.aio.MySQLConnection):
    """The driver's connection with its TLS mended.

    The driver takes an authority's certificate only beside a client's own, and forgets whose certificate it expects.

    address     the server
    called_at   time.monotonic() of the statement that has no answer yet; 0 while it is idle
    is_aborted  whether it was given up
    """

    def __init__(self, url: MysqlUrl) -> None:
        """Nothing is opened yet; the URL has one host."""
        super().__init__(**url.driver_options(), autocommit=True)
        (self.address,) = url.hosts
        self.called_at = 0.0
        self.is_aborted = False

    @classmethod
    async def open(cls, url: MysqlUrl) -> "DriverConnection":
        """Connect and sign in. Raises mysql.connector.Error, OSError or EOFError, after 2 s TimeoutError."""
        connection = cls(url)
        try:
            # A time limit of our own: where the server resets the connection just before TLS, uvloop waits for ever.
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.connect()
        except BaseException:
            connection.abort()
            raise
        return connection

    def abort(self) -> None:
        """Cut the connection without a word; a statement under way fails.

        The driver's `shutdown` waits until that is done, which may be never.
        """
        self.called_at, self.is_aborted = 0, True
        if self._socket is not None and self._socket._writer is not None:
            self._socket._writer.transport.abort()

    def _validate_connection_options(self) -> None:
        authority, self._ssl_ca = self._ssl_ca, None
        super()._validate_connection_options()
        self._ssl_ca = authority

    async def _do_handshake(self) -> None:
        # A socket for this machine alone has no TLS, and is never asked for it.
        cast("Any", self._socket).switch_to_ssl = self._switch_to_ssl
        await super()._do_handshake()

    async def _switch_to_ssl(self, context: ssl.SSLContext) -> None:
        await cast("Any", self._socket)._writer.start_tls(context, server_hostname=self._host)


class Primary:
    """The server that takes writes, for all connections of a process.

    With one host there is nothing to find. With several, they are asked side by side, again and again, until one of
    them is not read-only. That one is kept until it cannot be reached, says that it is no longer the primary, or leaves
    a call without an answer for a second; then all are asked again, and connections to any other host are cut.
    """

    def __init__(
        self, url: MysqlUrl, *, patience_s: float = PATIENCE_S, when_found: Callable[[], object] = lambda: None
    ) -> None:
        """`patience_s` is how long `open` waits for a primary; `when_found` is called when another one is found."""
        self._url = url
        self._patience_s = patience_s
        self._when_found = when_found
        self._has_choice = len(url.hosts) > 1
        self._address = None if self._has_choice else url.hosts[0]
        self._last_address: Address | None = None
        self.answers = dict.fromkeys(url.hosts, NO_ANSWER)
        self._connections: WeakSet[DriverConnection] = WeakSet()
        self._is_found, self._is_in_doubt = asyncio.Event(), asyncio.Event()
        self._search: asyncio.Task[None] | None = None

    async def open(self) -> DriverConnection:
        """A new connection to the primary. Raises PrimaryNotFound, or what DriverConnection.open raises."""
        address = await self.find()
        try:
            connection = await DriverConnection.open(self._url.for_host(address))
        except (mysql.connector.Error, OSError, EOFError):
            self._doubt(address)
            raise
        self._connections.add(connection)
        return connection

    async def find(self) -> Address:
        """Where the primary is. Raises PrimaryNotFound when no host was found to be it in time."""
        if self._address is None:
            if self._search is None or self._search.done():
                self._search = asyncio.create_task(self._keep_found(), name="search for the primary")
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._is_found.wait()
            except TimeoutError:
                raise PrimaryNotFound(self.answers) from None
        return cast("Address", self._address)

    def reject(self, connection: DriverConnection) -> None:
        """Take note that the server of a connection says that it is not the primary."""
        if self._has_choice:
            self._doubt(connection.address)
            self._cut(lambda address: address == connection.address)

    async def close(self) -> None:
        """Look no further."""
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)

    def _doubt(self, address: Address) -> None:
        if self._has_choice and address == self._address:
            self._address = None
            self._is_found.clear()
            self._is_in_doubt.set()

    async def _keep_found(self) -> None:
        """Look for the primary, and again whenever it is in doubt or a call is slow."""
        while True:
            try:
                async with asyncio.timeout(REPORT_INTERVAL_S):
                    address = await self.look()
            except TimeoutError:
                log.error("primary_not_found", hosts=self._printable_answers())
                continue
            self._take(address)
            await self._wait_for_doubt()

    async def _wait_for_doubt(self) -> None:
        """Return when the primary is in doubt, or a second has passed and a call is slow."""
        while not self._is_in_doubt.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(SLOW_CALL_S):
                    await self._is_in_doubt.wait()
            if self._is_call_slow():
                return

    def _is_call_slow(self) -> bool:
        """Whether a call has had no answer for a second: its server may be gone, and nobody would say so."""
        slow_from = time.monotonic() - SLOW_CALL_S
        return any(0 < connection.called_at < slow_from for connection in self._connections)

    def _take(self, address: Address) -> None:
        """Use this host from now on, and no connection to another."""
        before, self._address, self._last_address = self._last_address, address, address
        self._is_found.set()
        self._is_in_doubt.clear()
        self._cut(lambda other: other != address)
        if before not in (None, address):
            log.warning("primary_changed", host=str(address), before=str(before), hosts=self._printable_answers())
        if before != address:
            self._when_found()

    async def look(self) -> Address:
        """Ask all hosts, again and again, until one of them is the primary."""
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
        """Return when a host is the primary, which may be never.

        A primary that is cut off from its group goes on for some seconds beside a new one. So the host that was the
        primary until now is asked a little later than the others.
        """
        if address == self._last_address:
            await asyncio.sleep(PRECEDENCE_S)
        pause_s = FIRST_PAUSE_S
        while True:
            self.answers[address] = await self._ask_once(address)
            if self.answers[address] == IS_PRIMARY:
                return address
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _ask_once(self, address: Address) -> str:
        """What a host says of itself, or why it says nothing; signs in without a database, which may not exist yet."""
        try:
            connection = await DriverConnection.open(self._url.for_host(address).for_database(""))
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    cursor = await connection.cursor()
                    await cursor.execute("SELECT @@GLOBAL.read_only")
                    is_read_only = (await cursor.fetchall()) == [(1,)]
                    await connection.close()
            finally:
                connection.abort()
        except TimeoutError:
            return f"no answer for {CONNECT_TIMEOUT_S} s"
        except (mysql.connector.Error, OSError, EOFError) as error:
            return str(error) or type(error).__name__
        return "read-only" if is_read_only else IS_PRIMARY

    def _printable_answers(self) -> dict[str, str]:
        return {str(address): answer for address, answer in self.answers.items()}

    def _cut(self, is_doomed: Callable[[Address], bool]) -> None:
        """Abort the connections to such addresses."""
        for connection in self._connections:
            if is_doomed(connection.address):
                connection.abort()


def find_primary(url: MysqlUrl) -> MysqlUrl:
    """The same URL with the primary alone, for a program that opens connections by itself. Raises PrimaryNotFound."""

    async def look() -> Address:
        primary = Primary(url)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await primary.look()
        except TimeoutError:
            raise PrimaryNotFound(primary.answers) from None

    return url.for_host(asyncio.run(look())) if len(url.hosts) > 1 else url
