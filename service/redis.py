"""Access to Redis, without which the service goes on: connections that fail fast, behind a circuit breaker."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.errors import SettingsError
from service.metrics import CACHE_FAILURES

TIMEOUT_S = 0.1
OPEN_S = 1.0

log = structlog.get_logger()


class RedisUnavailable(Exception):
    """The command failed, or was not sent because another one failed within the last second."""


def connection_pool(url: str) -> ConnectionPool:
    """Return a pool of connections for a circuit breaker. Raises SettingsError when the URL cannot be parsed."""
    try:
        return ConnectionPool.from_url(
            url,
            # The circuit breaker limits the time of a command. The timeout of redis-py would apply to each of its steps
            # and, with Python 3.11, sometimes lose the cancellation of a task.
            socket_timeout=None,
            socket_connect_timeout=TIMEOUT_S,
            # No retry. Every error closes the connection: a server that answers READONLY, NOREPLICAS or OOM keeps it
            # open, but after a failover the same address leads to another server.
            retry=Retry(NoBackoff(), 0, supported_errors=(RedisError,)),
        )
    except ValueError:  # its message quotes what may be a password
        raise SettingsError("REDIS_URL: expected redis://:password@host:port/0, percent-encoded") from None


class CircuitBreaker:
    """Sends commands over the connections of a pool; after a failure it refuses all commands for OPEN_S.

    It makes no difference whether Redis cannot be reached, does not answer in time or answers with an error: the
    commands of the service are always right, so an error means that Redis cannot be used now.
    """

    def __init__(self, connections: ConnectionPool, event: str) -> None:
        """`event` is the log event of a failure."""
        self._connections = connections
        self._event = event
        self._open_until = 0.0

    def is_open(self) -> bool:
        """Return whether commands are refused, because one failed within the last OPEN_S."""
        return time.monotonic() < self._open_until

    @asynccontextmanager
    async def command(self, act: str, timeout_s: float = TIMEOUT_S) -> AsyncIterator[None]:
        """Run a block that sends commands to Redis, for `timeout_s` at most; raises RedisUnavailable."""
        if self.is_open():
            raise RedisUnavailable
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except (RedisError, OSError) as error:
            if not self.is_open():  # otherwise a command that was sent at the same time has reported it
                await self._open(act, error)
            raise RedisUnavailable from error

    async def _open(self, act: str, error: Exception) -> None:
        self._open_until = time.monotonic() + OPEN_S
        CACHE_FAILURES.labels(act).inc()
        log.warning(self._event, act=act, error=type(error).__name__, reason=str(error))
        # The connection that failed is closed already, and idle ones lead to the same server. A server that hangs does
        # not confirm the end of a TLS session; redis-py then closes the connection without it, and raises.
        with suppress(RedisError):
            await self._connections.disconnect(inuse_connections=False)
