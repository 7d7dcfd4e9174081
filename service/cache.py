"""Products in Redis, with versions: an older value never replaces a newer one.

One hash per product holds the answer's bytes, the row's `version` and `fresh_until`. Redis's own clock decides what
is fresh, so that no host's clock matters. A value that went stale still refuses an older one for an hour.

Keys and channels name the format of the bodies, so that workers and cron programs of two releases can share a Redis:
neither reads, replaces or refreshes a body of the other.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from redis.asyncio import Redis

from service.redis import CircuitBreaker, RedisUnavailable, connection_pool

FRESH_MS = 1000
KEPT_MS = 3_600_000
# 2 is the format: a release that changes Product.body takes the next number. A pattern of one number matches no other.
KEY_PREFIX = "product.2:"
SCAN_COUNT = 1000
SUBSCRIBE_TIMEOUT_S = 1.0

# A script that begins with #!lua and no flags is one that may write: a Redis that accepts no writes refuses it, even
# where it only reads. So a replica, whose values may be old, is never believed.
READ = """\
#!lua
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
PUBLISH = """\
#!lua
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

# ARGV: cursor, pattern, count.
SCAN = """\
#!lua
return redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
"""


class Value(NamedTuple):
    """A cached product: the bytes of the HTTP answer, and the version of the row."""

    product_id: int
    version: int
    body: bytes


def connect_redis(url: str) -> Redis:
    """Return a client over one connection. Raises SettingsError when the URL cannot be parsed."""
    # Taking a connection out of the pool and looking whether it is usable takes longer than asking Redis.
    return Redis(connection_pool=connection_pool(url), single_connection_client=True)


class ProductCache:
    """Reads and publishes products. While Redis is unavailable it returns no product and stores none."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._breaker = CircuitBreaker(redis.connection_pool, "cache_degraded")
        self._read = redis.register_script(READ)
        self._publish = redis.register_script(PUBLISH)
        self._scan = redis.register_script(SCAN)
        self._channel_prefix = _channel_prefix(redis)

    async def read(self, product_ids: Sequence[int]) -> dict[int, bytes]:
        """Return the bodies of those products whose value is fresh."""
        try:
            async with self._breaker.command("read"):
                bodies = await self._read(keys=[_key(product_id) for product_id in product_ids])
        except RedisUnavailable:
            return {}
        return {product_id: body for product_id, body in zip(product_ids, bodies, strict=True) if body is not None}

    async def publish(self, values: Sequence[Value], age_s: float) -> dict[int, bytes]:
        """Store values that were read at most `age_s` seconds ago; return the newest body of each product."""
        bodies = [value.body for value in values]
        if values:
            arguments: list[int | str | bytes] = [FRESH_MS - round(age_s * 1000), KEPT_MS, self._channel_prefix]
            for value in values:
                arguments += (value.version, value.body)
            with suppress(RedisUnavailable):
                async with self._breaker.command("publish"):
                    bodies = await self._publish(keys=[_key(value.product_id) for value in values], args=arguments)
        return {value.product_id: body for value, body in zip(values, bodies, strict=True)}

    async def product_ids(self) -> list[int]:
        """Return the products that were asked for within an hour of their last change; none without Redis."""
        product_ids: list[int] = []
        cursor = b"0"
        try:
            while True:
                async with self._breaker.command("scan"):
                    cursor, keys = await self._scan(args=[cursor, f"{KEY_PREFIX}*", SCAN_COUNT])
                product_ids += (int(key.removeprefix(KEY_PREFIX.encode())) for key in keys)
                if cursor == b"0":
                    return product_ids
        except RedisUnavailable:
            return []

    async def is_available(self) -> bool:
        """Return whether Redis can be used, which a replica that answers PING cannot."""
        try:
            async with self._breaker.command("check"):
                await self._read(keys=[])
        except RedisUnavailable:
            return False
        return True

    def is_circuit_open(self) -> bool:
        """Return whether the circuit breaker is open, because Redis failed within the last second."""
        return self._breaker.is_open()

    def subscription(self) -> "Subscription":
        """Return a subscription on a connection of its own, to no product yet."""
        return Subscription(self._redis, self._breaker)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose(close_connection_pool=True)


class Subscription:
    """Receives newer values of some products as they are published."""

    def __init__(self, redis: Redis, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        self._channel_prefix = _channel_prefix(redis) + KEY_PREFIX
        self._messages = redis.pubsub(ignore_subscribe_messages=True)
        self._product_ids: set[int] = set()

    async def subscribe(self, product_ids: Iterable[int]) -> None:
        """Receive values of these products from now on and of no others; raises RedisUnavailable."""
        wanted = set(product_ids)
        async with self._breaker.command("subscribe", SUBSCRIBE_TIMEOUT_S):
            if new := wanted - self._product_ids:
                await self._messages.subscribe(*map(self._channel, new))
            if old := self._product_ids - wanted:
                await self._messages.unsubscribe(*map(self._channel, old))
        self._product_ids = wanted

    async def next(self, within_s: float) -> Value | None:
        """Return the next newer value, None when none comes in time; raises RedisUnavailable."""
        async with self._breaker.command("subscribe", within_s + SUBSCRIBE_TIMEOUT_S):
            message = await self._messages.get_message(timeout=within_s)
        if message is None:
            return None
        version, _, body = message["data"].partition(b" ")
        return Value(int(message["channel"].rpartition(b":")[2]), int(version), body)

    async def close(self) -> None:
        """Close the connection."""
        await self._messages.aclose()  # type: ignore[no-untyped-call] # has no type hints

    def _channel(self, product_id: int) -> str:
        return f"{self._channel_prefix}{product_id}"


def _channel_prefix(redis: Redis) -> str:
    """Return a prefix with the number of the logical database, because channels are shared by a whole server."""
    return f"{redis.connection_pool.connection_kwargs.get('db', 0)}:"


def _key(product_id: int) -> str:
    return f"{KEY_PREFIX}{product_id}"
