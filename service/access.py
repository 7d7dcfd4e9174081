"""Who may ask, and how often: API keys and rate limits, each of which is in the way only where it is configured."""

import asyncio
import hmac
import math
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address

import falcon.asgi
import structlog
from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.cache import BREAKER_S, REDIS_TIMEOUT_S
from service.errors import Problem
from service.settings import Network

# The provider's webhooks carry signatures instead, and a payment is never refused for coming too soon.
SHOP_PATHS = ("/api/products", "/api/holds", "/api/orders")

log = structlog.get_logger()


class ApiKeys:
    """Middleware: shop calls need `Authorization: Bearer <key>`; the key's name becomes the request's caller."""

    def __init__(self, digests: Mapping[str, str]) -> None:
        """Take the SHA-256 of each key, in hexadecimal, by the key's name."""
        self._digests = digests

    async def process_resource(
        self, req: falcon.asgi.Request, _resp: object, _resource: object, _params: object
    ) -> None:
        """Name the caller; raises Problem 401."""
        if not (req.uri_template or "").startswith(SHOP_PATHS):
            return
        scheme, _, key = (req.get_header("Authorization") or "").partition(" ")
        given = sha256(key.strip().encode()).hexdigest() if scheme.lower() == "bearer" else ""
        # Every digest is compared: how long it takes tells nothing about which of them is near.
        names = [name for name, digest in self._digests.items() if hmac.compare_digest(digest, given)]
        if not names:
            headers = {"WWW-Authenticate": "Bearer"}
            raise Problem("unauthorized", 401, "Send Authorization: Bearer and a current API key.", headers=headers)
        req.context.caller = names[0]


class RateLimits:
    """Middleware: so many shop calls for each API key and for each client's address. Open while Redis is away."""

    def __init__(
        self,
        redis_url: str,
        per_key: RateLimitItem | None,
        per_address: RateLimitItem | None,
        trusted_proxies: Sequence[Network],
    ) -> None:
        """Without a limit of a kind there is none."""
        self._per_key = per_key
        self._per_address = per_address
        self._trusted_proxies = trusted_proxies
        self._left_alone_until = 0.0
        url = redis_url.replace("unix://", "redis+unix://", 1) if redis_url.startswith("unix://") else redis_url
        storage = RedisStorage(
            f"async+{url}",
            implementation="redispy",
            key_prefix="rate",
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type] # passed on to redis-py as it is
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def process_resource(
        self, req: falcon.asgi.Request, _resp: object, _resource: object, _params: object
    ) -> None:
        """Count the request; raises Problem 429."""
        if not (req.uri_template or "").startswith(SHOP_PATHS) or time.monotonic() < self._left_alone_until:
            return
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                if self._per_key and req.context.caller:
                    await self._hit(self._per_key, "key", req.context.caller)
                if self._per_address:
                    await self._hit(self._per_address, "address", client_address(req, self._trusted_proxies))
        except (RedisError, OSError) as error:
            self._left_alone_until = time.monotonic() + BREAKER_S
            log.warning("rate_limits_open", error=type(error).__name__)

    async def _hit(self, limit: RateLimitItem, kind: str, name: str) -> None:
        if not await self._limiter.hit(limit, kind, name):
            window = await self._limiter.get_window_stats(limit, kind, name)
            wait_s = max(1, math.ceil(window.reset_time - time.time()))
            detail = f"At most {limit} for each {kind}; come back after Retry-After."
            raise Problem("rate_limited", 429, detail, headers={"Retry-After": str(wait_s)})


def client_address(request: falcon.asgi.Request, trusted_proxies: Sequence[Network]) -> str:
    """The nearest address that is not a trusted proxy's, which is as far as X-Forwarded-For can be believed."""
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


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address.strip())
    except ValueError:
        return None
