"""Connections for the threaded baselines: opened once, kept with their cursor, lent to one request at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import LifoQueue
from threading import Lock
from typing import Any

import falcon
import mysql.connector

from service.mysql_url import MysqlUrl


class Pool:
    """As many connections as `size`; a borrower waits for one."""

    def __init__(self, url: str, size: int, *, autocommit: bool) -> None:
        """Nothing connects before it is needed."""
        self._options = {**MysqlUrl.parse(url).driver_options(), "autocommit": autocommit}
        self._autocommit = autocommit  # the driver's own attribute asks the server
        self._opening = Lock()  # threads whose first connections begin together crash in the driver's C library
        self._idle: LifoQueue[Any] = LifoQueue()  # the last one used is the warmest
        for _ in range(size):
            self._idle.put(None)

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """A cursor, whose transaction ends with the block; a connection that failed is replaced."""
        pair = self._idle.get()
        try:
            pair = pair or self._open()
            yield pair[1]
            if not self._autocommit:
                pair[0].commit()
        except falcon.HTTPError:  # a refusal
            pair[0].rollback()
            raise
        except BaseException:
            if pair:
                pair[0].close()
            pair = None
            raise
        finally:
            self._idle.put(pair)

    def _open(self) -> tuple[Any, Any]:
        with self._opening:
            connection: Any = mysql.connector.connect(**self._options)
        cursor = connection.cursor()
        cursor.execute("SET time_zone = '+00:00', transaction_isolation = 'READ-COMMITTED'")
        return connection, cursor
