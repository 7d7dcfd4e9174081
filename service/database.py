"""Connections to MySQL that call procedures, and the classification of errors."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

import mysql.connector
from mysql.connector import errorcode

from service.batching import Failure
from service.errors import ERRORS
from service.mysql_tls import BlockingConnection
from service.mysql_url import MysqlUrl
from service.primary import CONNECT_TIMEOUT_S, ER_NOT_PRIMARY, DriverConnection, Primary, find_primary

# The schema that this code needs, and the version of this code; see the table schema_release.
SCHEMA_VERSION = 2
CODE_VERSION = 2

# MySQL has these errnos, the driver has no names for them.
ER_DISK_FULL = 1021
ER_PRIMARY_CHANGING = 4094

CALL_TIMEOUT_S = 4
LOCK_WAIT_TIMEOUT_S = 1

# What the server lacks or forbids, by errno, and how the log names it. A retry may find it able to serve again.
RETRYABLE = {
    errorcode.ER_LOCK_DEADLOCK: "deadlock",
    # DROP and CREATE leave a moment without the routine, then without its grant. A view that calls it is invalid then.
    **dict.fromkeys(
        (
            *(errorcode.ER_SP_DOES_NOT_EXIST, errorcode.ER_PROCACCESS_DENIED_ERROR),
            *(errorcode.ER_DBACCESS_DENIED_ERROR, errorcode.ER_VIEW_INVALID),
        ),
        "routine_being_replaced",
    ),
    **dict.fromkeys((errorcode.ER_CON_COUNT_ERROR, errorcode.ER_TOO_MANY_USER_CONNECTIONS), "too_many_connections"),
    errorcode.ER_USER_LIMIT_REACHED: "account_limit_reached",
    **dict.fromkeys((errorcode.ER_OPTION_PREVENTS_STATEMENT, errorcode.ER_READ_ONLY_MODE), "read_only"),
    **dict.fromkeys((ER_DISK_FULL, errorcode.ER_RECORD_FILE_FULL), "disk_full"),
    errorcode.ER_ACCESS_DENIED_ERROR: "access_denied",
    errorcode.ER_ACCOUNT_HAS_BEEN_LOCKED: "account_locked",
    **dict.fromkeys((errorcode.ER_MUST_CHANGE_PASSWORD, errorcode.ER_MUST_CHANGE_PASSWORD_LOGIN), "password_expired"),
    errorcode.ER_SECURE_TRANSPORT_REQUIRED: "tls_required",
    errorcode.ER_SERVER_SHUTDOWN: "shutting_down",
    errorcode.ER_SERVER_OFFLINE_MODE: "offline_mode",
    # A member of a replication group that lost its majority or its role, or that has a backlog to apply first.
    **dict.fromkeys(
        (
            *(errorcode.ER_RUN_HOOK_ERROR, errorcode.ER_TRANSACTION_ROLLBACK_DURING_COMMIT),
            *(errorcode.ER_GR_HOLD_WAIT_TIMEOUT, errorcode.ER_GR_HOLD_KILLED),
            *(errorcode.ER_GR_HOLD_MEMBER_STATUS_ERROR, errorcode.ER_GRP_TRX_CONSISTENCY_NOT_ALLOWED),
            *(errorcode.ER_GRP_TRX_CONSISTENCY_BEFORE, errorcode.ER_GRP_TRX_CONSISTENCY_AFTER_ON_TRX_BEGIN),
            *(errorcode.ER_GRP_TRX_CONSISTENCY_BEGIN_NOT_ALLOWED, ER_PRIMARY_CHANGING, ER_NOT_PRIMARY),
        ),
        "not_primary",
    ),
    # Aborted, interrupted, killed, idle for too long; then the driver's own: gone away, lost.
    **dict.fromkeys(
        (
            *(errorcode.ER_ABORTING_CONNECTION, errorcode.ER_QUERY_INTERRUPTED, errorcode.ER_SESSION_WAS_KILLED),
            *(errorcode.ER_CLIENT_INTERACTION_TIMEOUT, errorcode.CR_SERVER_GONE_ERROR),
            *(errorcode.CR_SERVER_LOST, errorcode.CR_SERVER_LOST_EXTENDED),
        ),
        "connection_lost",
    ),
    **dict.fromkeys((errorcode.CR_CONNECTION_ERROR, errorcode.CR_CONN_HOST_ERROR), "not_listening"),
}
# A deploy replaces many routines one after another, so a CALL that uses several of them may meet many gaps.
BEING_REPLACED = {errno for errno, why in RETRYABLE.items() if why == "routine_being_replaced"}
# The server is not the primary, or no longer.
NOT_PRIMARY = {errno for errno, why in RETRYABLE.items() if why in ("read_only", "offline_mode", "not_primary")}
# A mistake in our SQL causes these, or content that a procedure should have refused; so do the errnos of the registry.
# Any errno that is in neither list means that MySQL cannot serve.
DEFECTS = {
    *(errorcode.ER_PARSE_ERROR, errorcode.ER_BAD_FIELD_ERROR, errorcode.ER_NO_SUCH_TABLE),
    *(errorcode.ER_NON_UNIQ_ERROR, errorcode.ER_UNKNOWN_TABLE, errorcode.ER_WRONG_FIELD_WITH_GROUP),
    *(errorcode.ER_SP_WRONG_NO_OF_ARGS, errorcode.ER_SP_FETCH_NO_DATA, errorcode.ER_SP_CURSOR_NOT_OPEN),
    *(errorcode.ER_SP_CASE_NOT_FOUND, errorcode.ER_SP_RECURSION_LIMIT, errorcode.ER_SIGNAL_BAD_CONDITION_TYPE),
    *(errorcode.ER_WRONG_VALUE_COUNT_ON_ROW, errorcode.ER_WRONG_NUMBER_OF_COLUMNS_IN_SELECT),
    *(errorcode.ER_OPERAND_COLUMNS, errorcode.ER_SUBQUERY_NO_1_ROW, errorcode.ER_TOO_MANY_ROWS),
    *(errorcode.ER_BAD_NULL_ERROR, errorcode.ER_DUP_ENTRY, errorcode.ER_NO_DEFAULT_FOR_FIELD),
    *(errorcode.ER_CHECK_CONSTRAINT_VIOLATED, errorcode.ER_WARN_DATA_OUT_OF_RANGE, errorcode.ER_DATA_OUT_OF_RANGE),
    *(errorcode.ER_DATA_TOO_LONG, errorcode.WARN_DATA_TRUNCATED, errorcode.ER_TRUNCATED_WRONG_VALUE),
    *(errorcode.ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, errorcode.ER_DIVISION_BY_ZERO, errorcode.ER_WRONG_ARGUMENTS),
    *(errorcode.ER_CANT_AGGREGATE_2COLLATIONS, errorcode.ER_COND_ITEM_TOO_LONG),
    *(errorcode.ER_CANT_CHANGE_TX_CHARACTERISTICS, errorcode.ER_UPDATE_WITHOUT_KEY_IN_SAFE_MODE),
    *(errorcode.ER_INVALID_JSON_TEXT, errorcode.ER_INVALID_JSON_TEXT_IN_PARAM, errorcode.ER_INVALID_JSON_PATH),
    *(errorcode.ER_INVALID_JSON_CHARSET, errorcode.ER_INVALID_JSON_VALUE_FOR_CAST, errorcode.ER_INVALID_TYPE_FOR_JSON),
    *(errorcode.ER_JSON_DOCUMENT_TOO_DEEP, errorcode.ER_INVALID_CHARACTER_STRING),
    *(errorcode.ER_NET_PACKET_TOO_LARGE, errorcode.ER_OUT_OF_SORTMEMORY),
}

# How a database answers that was not deployed, or whose accounts were not.
NOT_DEPLOYED = {
    *(errorcode.ER_BAD_DB_ERROR, errorcode.ER_DBACCESS_DENIED_ERROR, errorcode.ER_SP_DOES_NOT_EXIST),
    *(errorcode.ER_PROCACCESS_DENIED_ERROR, errorcode.ER_NO_SUCH_TABLE, errorcode.ER_ACCESS_DENIED_ERROR),
}

Row = TypeVar("Row", bound=NamedTuple)


class ResultSet(list[tuple[Any, ...]]):
    """Rows with the names of their columns.

    Procedures of a later release may append columns and result sets. Code reads the known ones with `rows_of` and
    `find_rows`, and ignores the others.
    """

    def __init__(self, rows: Iterable[tuple[Any, ...]], columns: tuple[str, ...]) -> None:
        super().__init__(rows)
        self.columns = columns


ResultSets = list[ResultSet]


def rows_of(row_type: type[Row], result_set: ResultSet) -> list[Row]:
    """Return the rows of a result set as `row_type`, without columns that the type does not know."""
    width = len(row_type._fields)
    return [row_type(*row[:width]) for row in result_set]


def find_rows(row_type: type[Row], result_sets: ResultSets) -> list[Row]:
    """Return the rows of the result set that begins with the columns of `row_type`; none without such a result set."""
    fields = row_type._fields
    for result_set in result_sets:
        if result_set.columns[: len(fields)] == fields:
            return rows_of(row_type, result_set)
    return []


class SchemaError(Exception):
    """The database does not fit this code; the message says what to do."""


def classify(error: BaseException) -> Failure:
    """Return how to react to a failed CALL, by its errno: the driver's exception classes differ between its modes."""
    errno = getattr(error, "errno", None)
    if errno == errorcode.ER_LOCK_WAIT_TIMEOUT:
        return Failure.LOCKED
    if errno in BEING_REPLACED:
        return Failure.WAIT
    if errno in RETRYABLE:
        return Failure.RETRY
    if isinstance(error, (OSError, EOFError, asyncio.IncompleteReadError, mysql.connector.InterfaceError)):
        return Failure.RETRY
    if not isinstance(error, mysql.connector.Error) or errno in DEFECTS or errno in ERRORS:
        return Failure.DEFECT
    return Failure.UNKNOWN


def reason(error: BaseException) -> str:
    """Return one word for the log that names why a CALL failed."""
    errno = getattr(error, "errno", None)
    if errno == errorcode.ER_LOCK_WAIT_TIMEOUT:
        return "locked"
    if isinstance(error, TimeoutError):
        return "no_answer"
    if errno in RETRYABLE:
        return RETRYABLE[errno]
    return {Failure.RETRY: "connection_lost", Failure.DEFECT: "defect"}.get(classify(error), "unknown_error")


class Connection:
    """One connection to the primary. It is opened when it is first needed, and replaced after any error."""

    def __init__(self, primary: Primary, call_timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._primary = primary
        self._call_timeout_s = call_timeout_s
        self._connection: DriverConnection | None = None
        self._cursor: Any = None

    async def call(self, procedure: str, *arguments: Any) -> ResultSets:
        """CALL a procedure and return all its result sets.

        Raises mysql.connector.Error, OSError or TimeoutError; the outcome of the call may then be unknown.
        """
        return await self.execute(f"CALL {procedure}({', '.join(['%s'] * len(arguments))})", *arguments)

    async def execute(self, statement: str, *arguments: Any) -> ResultSets:
        """Run any statement and return all its result sets. Raises what `call` raises."""
        try:
            connection = self._connection
            if connection is None or connection.is_aborted:
                connection = await self._open()
            async with asyncio.timeout(self._call_timeout_s):
                connection.called_at = time.monotonic()
                cursor = self._cursor
                await cursor.execute(statement, arguments)
                # Read every result to its end: an unread one would become the answer of the next call.
                result_sets: ResultSets = []
                while True:
                    if cursor.with_rows:
                        result_sets.append(ResultSet(await cursor.fetchall(), cursor.column_names))
                    if not await cursor.nextset():
                        connection.called_at = 0
                        return result_sets
        except BaseException as error:
            self._discard(error)
            raise

    async def close(self) -> None:
        """Close the connection in an orderly way."""
        if self._connection is not None:
            await self._connection.close()
        self._connection = self._cursor = None

    async def _open(self) -> DriverConnection:
        self._connection = await self._primary.open()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            self._cursor = await self._connection.cursor()
            await self._cursor.execute(f"SET innodb_lock_wait_timeout = {LOCK_WAIT_TIMEOUT_S}")
        return self._connection

    def _discard(self, error: BaseException) -> None:
        """Abort the connection, because its next answer could belong to the failed call."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            connection.abort()
            if getattr(error, "errno", None) in NOT_PRIMARY:
                self._primary.reject(connection)


def require_compatible_schema(url: str) -> None:
    """Raise SchemaError for a database that is missing, not migrated, or too new for this code."""
    remedy = "run: MYSQL_URL=<an administrator's URL> python -m service.deploy"
    try:
        server = find_primary(MysqlUrl.parse(url))
        with BlockingConnection(**server.driver_options(), connection_timeout=CONNECT_TIMEOUT_S) as connection:
            cursor = connection.cursor()
            cursor.execute("CALL get_health()")
            rows: Any = cursor.fetchall()
            cursor.nextset()
    except mysql.connector.Error as error:
        if error.errno in NOT_DEPLOYED:
            raise SchemaError(
                f"the database is missing, not migrated, or refuses this account ({error}); {remedy}"
            ) from None
        raise SchemaError(f"MySQL does not serve: {error}; repair it, or correct MYSQL_URL") from None
    check_versions(rows[0][0], rows[0][1])


def check_versions(schema_version: int, oldest_code: int) -> None:
    """Compare the versions that the database declares with this code. Raises SchemaError."""
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
