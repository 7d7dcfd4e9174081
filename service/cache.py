"""Products in Redis, by version: a newer value is never overwritten by an older one.

One hash a product holds the answer's bytes, the `version` of the row and `fresh_until`. Redis's own clock decides what
is fresh, so that no host's clock matters. A value that went stale still refuses an older one for an hour.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.errors import SettingsError
from service.metrics import CACHE_FAILURES

FRESH_MS = 1000
KEPT_MS = 3_600_000
KEY_PREFIX = "product:"
REDIS_TIMEOUT_S = 0.1
BREAKER_S = 1.0
SUBSCRIBE_TIMEOUT_S = 1.0

READ = """
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local bodies = {}
for i, key in ipairs(KEYS) do
  local value = redis.call('HMGET', key, 'body', 'fresh_until')
  bodies[i] = value[1] and tonumber(value[2]) > now_ms and value[1]
end
return bodies
"""

# ARGV: fresh_ms, kept_ms, channel prefix, then version and body of each key. Tells subscribers of what is newer, and
# returns the winners' bodies.
PUBLISH = """
local time = redis.call('TIME')
local fresh_until = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local winners = {}
for i, key in ipairs(KEYS) do
  local version, body = ARGV[2 * i + 2], ARGV[2 * i + 3]
  local held = redis.call('HMGET', key, 'version', 'body', 'fresh_until')
  if not held[1] or tonumber(version) > tonumber(held[1]) then
    redis.call('HSET', key, 'version', version, 'body', body, 'fresh_until', fresh_until)
    redis.call('PEXPIRE', key, ARGV[2])
    redis.call('PUBLISH', ARGV[3] .. key, version .. ' ' .. body)
    winners[i] = body
  else
    if tonumber(version) == tonumber(held[1]) and fresh_until > tonumber(held[3]) then
      redis.call('HSET', key, 'fresh_until', fresh_until)
    end
    winners[i] = held[2]
  end
end
return winners
"""

log = structlog.get_logger()


class Value(NamedTuple):
    """What the cache holds of a product: the bytes of the HTTP answer, and the row's version."""

    product_id: int
    version: int
    body: bytes


def connect_redis(url: str) -> Redis:
    """A client that fails fast: MySQL has the answer anyway. Raises SettingsError where the URL means nothing."""
    try:
        return Redis.from_url(
            url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            # Taking a connection out of the pool and looking whether it is usable takes longer than asking Redis.
            single_connection_client=True,
        )
    except ValueError:  # its message quotes what may be a password
        raise SettingsError("REDIS_URL: expected redis://:password@host:port/0, percent-encoded") from None


class ProductCache:
    """Reads and publishes products; when Redis fails it is left alone for a second, and nothing is cached."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._read = redis.register_script(READ)
        self._publish = redis.register_script(PUBLISH)
        self._channel_prefix = _channel_prefix(redis)
        self._left_alone_until = 0.0

    async def read(self, product_ids: Sequence[int]) -> dict[int, bytes]:
        """The fresh ones of some products' bodies."""
        if self.is_left_alone():
            return {}
        try:
            # Bounds connecting, asking and teaching Redis the script together, each of which has a time limit too.
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                bodies = await self._read(keys=[_key(product_id) for product_id in product_ids])
        except (RedisError, OSError) as error:
            self._leave_alone("read", error)
            return {}
        return {product_id: body for product_id, body in zip(product_ids, bodies, strict=True) if body is not None}

    async def publish(self, values: Sequence[Value], age_s: float) -> dict[int, bytes]:
        """Offer values that were read at most `age_s` ago; returns the bodies to serve, newer ones if there are."""
        if values and not self.is_left_alone():
            arguments: list[int | str | bytes] = [FRESH_MS - round(age_s * 1000), KEPT_MS, self._channel_prefix]
            for value in values:
                arguments += (value.version, value.body)
            try:
                async with asyncio.timeout(REDIS_TIMEOUT_S):
                    bodies = await self._publish(keys=[_key(value.product_id) for value in values], args=arguments)
            except (RedisError, OSError) as error:
                self._leave_alone("publish", error)
            else:
                return {value.product_id: body for value, body in zip(values, bodies, strict=True)}
        return {value.product_id: value.body for value in values}

    async def product_ids(self) -> list[int]:
        """The products that somebody asked for within an hour of their last change; none while Redis is away."""
        try:
            return [int(key.rpartition(b":")[2]) async for key in self._redis.scan_iter(f"{KEY_PREFIX}*", count=1000)]
        except (RedisError, OSError) as error:
            self._leave_alone("scan", error)
            return []

    async def ping(self) -> bool:
        """Whether Redis answers now."""
        try:
            return bool(await self._redis.ping())
        except (RedisError, OSError):
            return False

    def is_left_alone(self) -> bool:
        """Whether Redis failed within the last second."""
        return time.monotonic() < self._left_alone_until

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _leave_alone(self, act: str, error: Exception) -> None:
        self._left_alone_until = time.monotonic() + BREAKER_S
        CACHE_FAILURES.labels(act).inc()
        log.warning("cache_degraded", act=act, error=type(error).__name__, reason=str(error))


class Subscription:
    """Hears of newer values of some products as they are published, over a connection of its own."""

    def __init__(self, redis_url: str) -> None:
        redis = Redis.from_url(
            redis_url, socket_timeout=None, socket_connect_timeout=REDIS_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        self._redis = redis
        self._channel_prefix = _channel_prefix(redis) + KEY_PREFIX
        self._messages = redis.pubsub(ignore_subscribe_messages=True)
        self._product_ids: set[int] = set()

    async def subscribe(self, product_ids: Iterable[int]) -> None:
        """Hear of these products from now on and of no others; raises RedisError or OSError."""
        wanted = set(product_ids)
        async with asyncio.timeout(SUBSCRIBE_TIMEOUT_S):
            if new := wanted - self._product_ids:
                await self._messages.subscribe(*map(self._channel, new))
            if old := self._product_ids - wanted:
                await self._messages.unsubscribe(*map(self._channel, old))
        self._product_ids = wanted

    async def next(self, within_s: float) -> Value | None:
        """The next newer value; None where none comes in time. Raises RedisError or OSError."""
        message = await self._messages.get_message(timeout=within_s)
        if message is None:
            return None
        version, _, body = message["data"].partition(b" ")
        return Value(int(message["channel"].rpartition(b":")[2]), int(version), body)

    async def close(self) -> None:
        """Close the connection."""
        await self._messages.aclose()  # type: ignore[no-untyped-call] # has no type hints
        await self._redis.aclose()

    def _channel(self, product_id: int) -> str:
        return f"{self._channel_prefix}{product_id}"


def _channel_prefix(redis: Redis) -> str:
    """Channels are a whole server's: the number of the logical database tells ours from another's."""
    return f"{redis.connection_pool.connection_kwargs.get('db', 0)}:"


def _key(product_id: int) -> str:
    return f"{KEY_PREFIX}{product_id}"
