"""A pool of connections for the threaded baselines. A connection keeps its cursor and serves one request at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import LifoQueue
from threading import Lock
from typing import Any

import falcon
import mysql.connector

from service.mysql_url import MysqlUrl


class Pool:
    """Up to `size` connections; a request waits until one is free."""

    def __init__(self, url: str, size: int, *, autocommit: bool) -> None:
        """Prepare the pool; a connection is opened when a request first needs it."""
        self._options = {**MysqlUrl.parse(url).driver_options(), "autocommit": autocommit}
        self._autocommit = autocommit  # reading the driver's attribute would send a query
        self._opening = Lock()  # the driver's C extension crashes if threads open their first connections at once
        self._idle: LifoQueue[Any] = LifoQueue()  # the one that was used last is reused first
        for _ in range(size):
            self._idle.put((None, None))

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """Lend a cursor for the block and commit at its end; after an error the connection is replaced."""
        connection, cursor = self._idle.get()
        try:
            if connection is None:
                connection, cursor = self._open()
            yield cursor
            if not self._autocommit:
                connection.commit()
        except falcon.HTTPError:  # a refusal
            connection.rollback()
            raise
        except BaseException:
            if connection is not None:
                connection.close()
            connection, cursor = None, None
            raise
        finally:
            self._idle.put((connection, cursor))

    def _open(self) -> tuple[Any, Any]:
        with self._opening:
            connection: Any = mysql.connector.connect(**self._options)
        cursor = connection.cursor()
        cursor.execute("SET time_zone = '+00:00', transaction_isolation = 'READ-COMMITTED'")
        return connection, cursor
