"""Connections to MySQL: what a URL means, and one connection that calls procedures one after another."""

import asyncio
import ssl
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import mysql.connector
import mysql.connector.aio

from service.batching import Failure
from service.settings import SettingsError

# What this code needs, and what it tells the database of itself: see the table schema_release.
SCHEMA_VERSION = 3
CODE_VERSION = 1

CONNECT_TIMEOUT_S = 2
CALL_TIMEOUT_S = 4
LOCK_WAIT_TIMEOUT_S = 1

LOCK_WAIT_TIMEOUT = 1205
# The errnos of what a retry may mend, and what each says, in the log's words.
RETRYABLE = {
    1213: "deadlock",
    # DROP and CREATE leave a moment without the routine, then without its grant.
    **dict.fromkeys((1305, 1370, 1044), "routine_being_replaced"),
    **dict.fromkeys((1040, 1203), "too_many_connections"),
    **dict.fromkeys((1290, 1836), "read_only"),
    **dict.fromkeys((1021, 1114), "disk_full"),
    1045: "access_denied",
    1053: "shutting_down",
    # Aborted, interrupted, killed, idle for too long; then the driver's own: gone away, lost.
    **dict.fromkeys((1152, 1317, 3169, 4031, 2006, 2013, 2055), "connection_lost"),
    **dict.fromkeys((2002, 2003), "not_listening"),
}

ResultSets = list[list[tuple[Any, ...]]]


class SchemaError(Exception):
    """The database does not fit this code; the message says what mends it."""


def connection_options(url: str) -> dict[str, Any]:
    """Arguments for mysql.connector.connect from `mysql://user:password@host:port/database?unix_socket=…`.

    The session's time zone is UTC. Members of the query are passed on as the driver names them (unix_socket, ssl_ca,
    ssl_verify_identity, …). With ssl_ca, what cannot prove to be that host is refused, also a server without TLS; with
    ssl_verify_identity=false it may be another host of the same authority. Raises SettingsError.
    """
    expected = "MYSQL_URL: expected mysql://user:password@host:port/database, percent-encoded"
    try:
        parts = urlsplit(url)
        port = parts.port or 3306
    except ValueError:  # its message quotes what may be a password
        raise SettingsError(expected) from None
    if parts.scheme != "mysql" or not parts.username:
        raise SettingsError(expected)
    options: dict[str, Any] = {
        "user": unquote(parts.username),
        "password": unquote(parts.password or ""),
        "host": parts.hostname or "127.0.0.1",
        "port": port,
        "database": parts.path.lstrip("/") or None,
    }
    switches = {"true": True, "false": False}
    options.update((name, switches.get(value, value)) for name, value in parse_qsl(parts.query))
    options["time_zone"] = "+00:00"
    if "ssl_ca" in options or options.get("ssl_verify_identity"):
        # The driver by itself checks nothing, and without ssl_verify_cert it goes on in plain text.
        options = {"ssl_verify_identity": True, **options, "ssl_verify_cert": True}
    return {name: value for name, value in options.items() if value is not None}


def classify(error: BaseException) -> Failure:
    """What a failed CALL asks for. By errno: the driver's classes differ between its modes."""
    errno = getattr(error, "errno", None)
    if errno == LOCK_WAIT_TIMEOUT:
        return Failure.LOCKED
    if errno in RETRYABLE:
        return Failure.RETRY
    if isinstance(error, (OSError, EOFError, asyncio.IncompleteReadError, mysql.connector.InterfaceError)):
        return Failure.RETRY
    return Failure.ALONE


def reason(error: BaseException) -> str:
    """Why a CALL failed, in a word for the log."""
    errno = getattr(error, "errno", None)
    if errno == LOCK_WAIT_TIMEOUT:
        return "locked"
    if isinstance(error, TimeoutError):
        return "no_answer"
    if errno in RETRYABLE:
        return RETRYABLE[errno]
    return "connection_lost" if classify(error) is Failure.RETRY else "unexpected"


class DriverConnection(mysql.connector.aio.MySQLConnection):
    """The driver's connection with its TLS mended.

    It takes an authority's certificate only beside a client's own, and forgets whose certificate it expects.
    """

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


class Connection:
    """One connection, opened when it is first needed, and replaced after anything went wrong on it."""

    def __init__(self, url: str, call_timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._options = connection_options(url)
        self._call_timeout_s = call_timeout_s
        self._connection: Any = None
        self._cursor: Any = None

    async def call(self, procedure: str, *arguments: Any) -> ResultSets:
        """CALL a procedure; returns all its result sets.

        Raises mysql.connector.Error, OSError or TimeoutError; then the outcome of the call may be unknown.
        """
        return await self.execute(f"CALL {procedure}({', '.join(['%s'] * len(arguments))})", *arguments)

    async def execute(self, statement: str, *arguments: Any) -> ResultSets:
        """Run any statement, as `call` does."""
        try:
            async with asyncio.timeout(self._call_timeout_s):
                cursor = self._cursor or await self._open()
                await cursor.execute(statement, arguments)
                # Every result is read to its end: what is left over would answer the next call.
                result_sets = []
                while True:
                    if cursor.with_rows:
                        result_sets.append(await cursor.fetchall())
                    if not await cursor.nextset():
                        return result_sets
        except BaseException:
            await self._discard()
            raise

    async def close(self) -> None:
        """Say goodbye to the server."""
        if self._connection is not None:
            await self._connection.close()
        self._connection = self._cursor = None

    async def _open(self) -> Any:
        # A time limit of our own: where the server resets the connection just before TLS, uvloop waits for ever.
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            connection = DriverConnection(**self._options, autocommit=True)
            await connection.connect()
            self._connection = connection
            self._cursor = await self._connection.cursor()
            await self._cursor.execute(f"SET innodb_lock_wait_timeout = {LOCK_WAIT_TIMEOUT_S}")
        return self._cursor

    async def _discard(self) -> None:
        """Drop the connection without a word: nothing that it may still answer is to be read."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            await connection.shutdown()


def require_compatible_schema(url: str) -> None:
    """Refuse a database that is missing, not migrated, or too new for this code; raises SchemaError."""
    mend = "run: MYSQL_URL=<an administrator's URL> python -m service.deploy"
    try:
        with mysql.connector.connect(
            **connection_options(url), use_pure=True, connection_timeout=CONNECT_TIMEOUT_S
        ) as connection:
            cursor = connection.cursor()
            cursor.execute("CALL get_health()")
            rows: Any = cursor.fetchall()
            cursor.nextset()
    except mysql.connector.Error as error:
        if error.errno in {1049, 1044, 1305, 1370, 1146, 1045}:
            raise SchemaError(f"the database is missing, not migrated, or closed to us ({error}); {mend}") from None
        raise SchemaError(f"MySQL cannot be reached: {error}; start it, or correct MYSQL_URL") from None
    check_versions(rows[0][0], rows[0][1])


def check_versions(schema_version: int, oldest_code: int) -> None:
    """Compare what the database declares with this code; raises SchemaError."""
    if schema_version < SCHEMA_VERSION:
        raise SchemaError(
            f"the schema is at version {schema_version}, this code needs {SCHEMA_VERSION};"
            " run: MYSQL_URL=<an administrator's URL> python -m service.deploy"
        )
    if oldest_code > CODE_VERSION:
        raise SchemaError(
            f"the schema serves code from version {oldest_code} on, this is {CODE_VERSION}:"
            " deploy a newer release of the service"
        )
