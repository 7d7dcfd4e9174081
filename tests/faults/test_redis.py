"""Faults of Redis under load: no client notices, and the cache works again by itself."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import redis

from service.cache import KEY_PREFIX
from stack import programs
from stack.process import Server
from stack.redis import RedisServer
from stack.servers import socket_folder
from tests.faults.ledger import assert_nobody_noticed, steady_load
from tests.http.proxy import proxy_of
from tests.http.support import Service, Shop
from tests.support import Session, eventually

ACCOUNT, PASSWORD = "checkout", "secret"
NO_LIMIT = "1000000/second"  # counted, and never reached


def test_no_client_notices_a_killed_redis(service: Service, database_url: str, redis_server: Server) -> None:
    with steady_load(service, database_url) as load:
        redis_server.kill()
        load.wait_until_served(3)
        redis_server.start()
        load.wait_until_served(3)
    assert_nobody_noticed(load)


def test_no_client_notices_a_frozen_redis(service: Service, database_url: str, redis_server: Server) -> None:
    degraded = len(service.events("cache_degraded"))
    with steady_load(service, database_url) as load:
        redis_server.pause()
        eventually(lambda: len(service.events("cache_degraded")) > degraded)
        load.wait_until_served(3)
        redis_server.resume()
        load.wait_until_served()
    assert_nobody_noticed(load)


def test_no_client_notices_a_flushed_redis(service: Service, database_url: str, redis_url: str) -> None:
    with steady_load(service, database_url) as load, closing(redis.Redis.from_url(redis_url)) as client:
        for _ in range(10):
            client.flushall()
            load.wait_until_served()
    assert_nobody_noticed(load)


class RedisNode:
    """One of two Redis servers, as its administrator."""

    def __init__(self, server: RedisServer) -> None:
        self.admin: redis.Redis[bytes] = redis.Redis.from_url(server.url)
        self.admin.execute_command(f"ACL SETUSER {ACCOUNT} on >{PASSWORD} ~* &* +@all")
        self.admin.execute_command(f"CONFIG SET masteruser {ACCOUNT} masterauth {PASSWORD}")
        self._port = int(self.admin.config_get("port")["port"])
        self.url = f"redis://{ACCOUNT}:{PASSWORD}@127.0.0.1:{self._port}/0"

    def replicate(self, primary: "RedisNode") -> None:
        """Become a replica of another server; the connections of clients stay open."""
        self.admin.execute_command(f"REPLICAOF 127.0.0.1 {primary._port}")

    def has_clients(self) -> bool:
        """Return whether the service has any connection to it."""
        clients = [client for kind in ("normal", "pubsub") for client in self.admin.client_list(kind)]
        return any(client["user"] == ACCOUNT for client in clients)


@pytest.fixture
def redis_nodes(tmp_path: Path) -> Iterator[list[RedisNode]]:
    """Two independent Redis servers."""
    with socket_folder(tmp_path) as sockets, ExitStack() as started:
        nodes = []
        for name in ("first", "second"):
            (sockets / name).mkdir()
            server = RedisServer(tmp_path / name, sockets / name, programs.find_redis_server())
            started.callback(server.stop)
            server.start()
            nodes.append(RedisNode(server))
            started.callback(nodes[-1].admin.close)
        yield nodes


def test_no_client_notices_a_failover_of_redis_and_everything_uses_the_new_primary(
    start_service: Callable[..., Service], database_url: str, session: Session, redis_nodes: list[RedisNode]
) -> None:
    old, new = redis_nodes
    product_id = session.create_product(stock=100)
    reads = [{"method": "GET", "url": f"/api/products/{product_id}"}] * 32
    with ExitStack() as stack:
        proxy = stack.enter_context(proxy_of(old.url))
        service = start_service(redis_url=proxy.url, RATE_LIMIT_PER_ADDRESS=NO_LIMIT, REQUEST_DEADLINE_S="10")
        client = stack.enter_context(service.client())
        stream = stack.enter_context(client.stream("GET", f"/api/products/{product_id}/stock/stream"))
        told = stream.iter_lines()
        assert next(told) == "id: 1"
        eventually(lambda: subscribers(old, product_id))
        load = stack.enter_context(steady_load(service, database_url))

        old.replicate(new)
        eventually(lambda: service.events("cache_degraded") and service.events("rate_limits_open"))
        load.wait_until_served(2)
        with service.client() as other:
            Shop(other).hold(product_id, 40)
            assert {answer.json()["available_stock"] for answer in service.at_once(reads)} == {60}
            assert other.get("/readyz").json()["redis"] == "degraded"

        proxy.lead_to(new.url)
        new.admin.flushall()  # everything in it from now on was written by the service, not replicated
        # A worker closes its old connections only when it needs one.
        eventually(lambda: service.at_once(reads) and not old.has_clients())
        eventually(lambda: new.admin.keys("rate:*") and new.admin.exists(f"{KEY_PREFIX}{product_id}"))
        eventually(lambda: subscribers(new, product_id))
        with service.client() as other:
            eventually(lambda: other.get("/readyz").json()["redis"] == "ok")
        load.wait_until_served()
    assert_nobody_noticed(load)


def subscribers(node: RedisNode, product_id: int) -> int:
    """Return how many workers receive changes of a product."""
    return int(node.admin.pubsub_numsub(f"0:{KEY_PREFIX}{product_id}")[0][1])
