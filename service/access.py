"""API keys and rate limits. Each is active only where it is configured."""

import asyncio
import hmac
import math
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import falcon.asgi
from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from service.errors import Problem
from service.redis import CircuitBreaker, RedisUnavailable, connection_pool
from service.settings import Network

# The provider's webhooks are signed instead, and no payment is refused by a rate limit.
SHOP_PATHS = ("/api/products", "/api/holds", "/api/orders", "/api/events")
IPV6_CLIENT_BITS = 64
# Few: in a burst, opening many at once takes longer than Redis is given for an answer.
REDIS_CONNECTIONS = 4


class AccessControl:
    """Middleware for shop calls: counts the address, then checks the API key, then counts the key.

    So a guessed key counts as a call of its address, and an address that guesses too often is refused.
    """

    def __init__(self, keys: "ApiKeys", limits: "RateLimits") -> None:
        self._keys = keys
        self._limits = limits

    async def process_resource(
        self, req: falcon.asgi.Request, _resp: object, _resource: object, _params: object
    ) -> None:
        """Set the caller of a request. Raises Problem 401 or 429."""
        # The route is compared, because a path has many spellings.
        if (req.uri_template or "").startswith(SHOP_PATHS):
            await self._limits.count_address(req)
            req.context.caller = self._keys.caller(req.get_header("Authorization") or "")
            await self._limits.count_key(req.context.caller)


class ApiKeys:
    """The callers by API key. Without any key, every request is accepted, and its caller is empty."""

    def __init__(self, digests: Mapping[str, str]) -> None:
        """`digests` has the caller's name by the SHA-256 of each key in hexadecimal."""
        self._digests = digests

    def caller(self, authorization: str) -> str:
        """Return the caller of `Authorization: Bearer <key>`. Raises Problem 401."""
        if not self._digests:
            return ""
        scheme, _, key = authorization.partition(" ")
        given = sha256(key.strip().encode()).hexdigest() if scheme.lower() == "bearer" else ""
        # All digests are compared, so that the time does not depend on which one matches.
        names = [name for digest, name in self._digests.items() if hmac.compare_digest(digest, given)]
        if not names:
            headers = {"WWW-Authenticate": "Bearer"}
            raise Problem("unauthorized", 401, "Send Authorization: Bearer and a current API key.", headers=headers)
        return names[0]


class RateLimits:
    """Limits the calls of each API key and of each client's address. Both limits fail open without Redis."""

    def __init__(
        self,
        redis_url: str,
        per_key: RateLimitItem | None,
        per_address: RateLimitItem | None,
        trusted_proxies: Sequence[Network],
    ) -> None:
        """None for a limit means that calls are not limited in that way."""
        self._per_key = per_key
        self._per_address = per_address
        self._trusted_proxies = trusted_proxies
        connections = connection_pool(redis_url)
        self._breaker = CircuitBreaker(connections, "rate_limits_open")
        # Calls wait here for a free connection, and no timeout applies: otherwise a burst would open the limits.
        self._free_connections = asyncio.Semaphore(REDIS_CONNECTIONS)
        storage = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix="rate",
            connection_pool=connections,  # type: ignore[arg-type] # passed on to redis-py as it is
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def count_address(self, request: falcon.asgi.Request) -> None:
        """Count a call of the client's address. Raises Problem 429."""
        if self._per_address:
            client = network_of(client_address(request, self._trusted_proxies))
            await self._count(self._per_address, "address", client)

    async def count_key(self, name: str) -> None:
        """Count a call with an API key. Raises Problem 429."""
        if self._per_key:
            await self._count(self._per_key, "key", name)

    async def _count(self, limit: RateLimitItem, kind: str, name: str) -> None:
        try:
            async with self._free_connections, self._breaker.command("count"):
                if await self._limiter.hit(limit, kind, name):
                    return
                window = await self._limiter.get_window_stats(limit, kind, name)
        except RedisUnavailable:
            return
        wait_s = max(1, math.ceil(window.reset_time - time.time()))
        detail = f"At most {limit} for each {kind}; come back after Retry-After."
        raise Problem("rate_limited", 429, detail, headers={"Retry-After": str(wait_s)})


def client_address(request: falcon.asgi.Request, trusted_proxies: Sequence[Network]) -> str:
    """Return the nearest address that is no trusted proxy; entries of X-Forwarded-For beyond it cannot be trusted."""
    forwarded = (request.get_header("X-Forwarded-For") or "").split(",")
    address = request.remote_addr
    for hop in reversed(forwarded):
        if not _is_trusted(address, trusted_proxies) or _parsed(hop) is None:
            break
        address = str(_parsed(hop))
    return address


def _is_trusted(address: str, trusted_proxies: Sequence[Network]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in trusted_proxies)


def network_of(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or an IPv6 /64, in which a client may use any address."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, IPV6_CLIENT_BITS), strict=False))
    return str(parsed or address)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """Parse an address; ::ffff:192.0.2.1 of a socket for both families becomes an IPv4 address."""
    try:
        parsed = ip_address(address.strip())
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
