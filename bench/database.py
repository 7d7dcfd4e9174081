"""The databases of a run: how they are emptied, filled and checked."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mysql.connector

from bench.revision import WORKING_TREE, Revision
from service.mysql_url import MysqlUrl
from service.primary import find_primary
from stack.errors import StackError

ROWS_PER_INSERT = 1_000_000
REQUESTS_PER_CALL = 1_000
AMPLE_STOCK = 1_000_000_000
IDLE_TIMEOUT_S = 60
IDLE_POLLS = 4
IDLE_POLL_INTERVAL_S = 0.05
LONG_TTL_S = 86_400  # no hold falls due during a run; the scenario `expiry` measures what expiring costs
BASELINES = Path(__file__).with_name("baselines")
UNITS_PER_PRODUCT = 200_000  # more than a round can hold

NUMBERS = """
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %(rows)s)
SELECT /*+ SET_VAR(cte_max_recursion_depth = 1000000) */
"""
INSERT_HOLDS = f"""
INSERT INTO holds (product_id, quantity, status, expires_at, inserted_by, position)
{NUMBERS} 1, 1, %(status)s, UTC_TIMESTAMP() + INTERVAL %(ttl_s)s SECOND, 0, 0 FROM numbers
"""
INSERT_ORDERS = """
INSERT INTO orders (hold_id, product_id, quantity, amount, status, payment_due_at, caller, paid_at)
SELECT id, product_id, quantity, 100.00, 'paid', expires_at, '', expires_at
FROM holds WHERE id > %(last_hold_id)s ORDER BY id
"""
INSERT_LINES = """
INSERT INTO order_lines (order_id, hold_id, product_id, quantity, unit_price)
SELECT id, hold_id, product_id, quantity, 100.00 FROM orders WHERE hold_id > %(last_hold_id)s ORDER BY id
"""
# Random keys, evenly distributed, like those of clients. They are inserted in order, which is faster and fills the same
# index.
INSERT_KEYS = f"""
INSERT INTO idempotency_keys (operation, idempotency_key, fingerprint, result_id, result_expires_at, purge_after)
{NUMBERS}
    'hold',
    LOWER(CONCAT(
        LPAD(HEX(FLOOR((n - 1 + RAND()) * (4294967296 / %(rows)s))), 8, '0'), '-', LEFT(SHA2(UUID(), 224), 27)
    )),
    '1:1', n, UTC_TIMESTAMP(), UTC_TIMESTAMP() + INTERVAL 1 DAY
FROM numbers
"""
CLIENT_SIDE_PRODUCTS = f"""
INSERT INTO products (name, price, total, available)
{NUMBERS} CONCAT('Limited Edition Item ', n), 100, %(stock)s, %(stock)s FROM numbers
"""
BASE_TABLES = """
SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'
"""
# Running statements and rows written. The EVENT does not count: its command is not Query, and it writes no row while no
# hold is due.
ACTIVITY = """
SELECT
    (
        SELECT COUNT(*) FROM performance_schema.processlist
        WHERE command IN ('Query', 'Execute') AND id <> CONNECTION_ID()
    ),
    (SELECT variable_value FROM performance_schema.global_status WHERE variable_name = 'Innodb_rows_inserted')
"""
CLIENT_SIDE_DIFFERENCES = """
SELECT products.id, total, available, COALESCE(held, 0), COALESCE(sold, 0)
FROM products
LEFT JOIN (SELECT product_id, SUM(quantity) AS held FROM holds WHERE status = 'active' GROUP BY product_id) AS active
    ON active.product_id = products.id
LEFT JOIN (SELECT product_id, SUM(quantity) AS sold FROM orders GROUP BY product_id) AS ordered
    ON ordered.product_id = products.id
WHERE total <> available + COALESCE(held, 0) + COALESCE(sold, 0)
"""


UNITS = f"""
INSERT INTO units (product_id, id)
{NUMBERS} products.id, n FROM numbers JOIN products
"""
UNIT_DIFFERENCES = """
SELECT holds.id, IF(status = 'active', quantity, 0) AS promised, COUNT(units.id) AS units
FROM holds
LEFT JOIN units FORCE INDEX (units_by_hold) ON units.product_id = holds.product_id AND units.hold_id = holds.id
GROUP BY holds.id HAVING units <> promised
"""


class InconsistentStock(Exception):
    """Units were sold twice or lost; the scenario yields no result."""


class Database:
    """One database of a run, and the administrator's connection to it."""

    def __init__(self, server: MysqlUrl, name: str) -> None:
        """Drop the database if it exists; a subclass creates it."""
        self.name = name
        self._server = server
        self._connect("")
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")
        self.execute("SET foreign_key_checks = 0")
        if len(server.hosts) == 1:  # the members of a group have to hear of it
            self.execute("SET sql_log_bin = 0")  # filling tables is not measured

    def reconnect(self) -> None:
        """Connect again, to the member of a group that is the primary by now."""
        self._connect(self.name)

    def _connect(self, database: str) -> None:
        options = find_primary(self._server.for_database(database)).driver_options()
        self._connection = mysql.connector.connect(**options, use_pure=True, autocommit=True)
        self._cursor: Any = self._connection.cursor()

    def execute(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement; returns the rows of its first result."""
        self._cursor.execute(statement, parameters or None)
        rows: list[tuple[Any, ...]] = self._cursor.fetchall() if self._cursor.with_rows else []
        while self._cursor.nextset():
            if self._cursor.with_rows:
                self._cursor.fetchall()
        return rows

    def wait_until_idle(self, is_idle: Callable[[], bool]) -> None:
        """Wait until the servers have processed all requests; raises StackError after a minute.

        A server continues with the requests that it had read when its clients disconnected. `is_idle` tells whether
        those servers are idle, because MySQL can be idle while one of them closes thousands of connections.
        """
        deadline = time.monotonic() + IDLE_TIMEOUT_S
        idle_polls, rows_before = 0, None
        while idle_polls < IDLE_POLLS:
            if time.monotonic() > deadline:
                raise StackError(f"MySQL or a measured server is still busy {IDLE_TIMEOUT_S} s after the load ended")
            time.sleep(IDLE_POLL_INTERVAL_S)
            ((running, rows),) = self.execute(ACTIVITY)
            idle_polls = idle_polls + 1 if running == 0 and rows == rows_before and is_idle() else 0
            rows_before = rows

    def drop(self) -> None:
        """Drop the database and close the connection."""
        self.execute(f"DROP DATABASE `{self.name}`")
        self._connection.close()

    def record_empty_tables(self) -> None:
        """Record which tables are empty now: `reset` will empty these.

        The other tables hold rows that the deploy has inserted, such as settings. Recording them avoids a list of
        tables, which would differ between revisions.
        """
        tables = self.execute(BASE_TABLES)
        self._tables = [name for (name,) in tables if not self.execute(f"SELECT 1 FROM `{name}` LIMIT 1")]

    def reset(self, products: int = 1, stock: int = AMPLE_STOCK) -> None:
        """Empty the tables, then add so many products with `stock` units each."""
        for table in self._tables:
            self.execute(f"TRUNCATE TABLE `{table}`")
        self.add_products(products, stock)

    def add_products(self, products: int, stock: int) -> None:
        """Add so many products with `stock` units each; their ids start at 1."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise InconsistentStock unless each unit is in exactly one state."""
        raise NotImplementedError


class ProductDatabase(Database):
    """A database of the service of one revision.

    Other revisions may have other tables, so the methods that comparisons use call procedures.
    """

    def __init__(self, server: MysqlUrl, name: str, revision: Revision = WORKING_TREE) -> None:
        """Create the database by a deploy, and set deadlines of holds and orders to a day."""
        super().__init__(server, name)
        revision.deploy(str(server.for_database(name)))
        self.execute(f"USE `{name}`")
        self.execute("CALL change_setting('hold_ttl_s', %(ttl_s)s)", ttl_s=LONG_TTL_S)
        self.execute("CALL change_setting('payment_ttl_s', %(ttl_s)s)", ttl_s=LONG_TTL_S)
        self.record_empty_tables()

    def add_products(self, products: int, stock: int) -> None:
        """Add so many products with `stock` units each; their ids start at 1."""
        for number in range(1, products + 1):
            name = f"Limited Edition Item {number}"
            self.execute("CALL create_product(%(name)s, 100, %(stock)s)", name=name, stock=stock)

    def check(self) -> None:
        """Raise InconsistentStock unless each unit is in exactly one state."""
        if differences := self.execute("CALL check_stock()"):
            raise InconsistentStock(f"{self.name}: check_stock() returns {differences}")

    def hold(self, units: int) -> None:
        """Make so many holds of one unit of product 1."""
        for first in range(0, units, REQUESTS_PER_CALL):
            requests = [{"product_id": 1, "quantity": 1}] * min(REQUESTS_PER_CALL, units - first)
            self.execute("CALL create_holds(%(requests)s)", requests=json.dumps(requests))

    def order(self, hold_ids: list[int]) -> list[int]:
        """Make an order of each hold; returns their ids."""
        for first in range(0, len(hold_ids), REQUESTS_PER_CALL):
            requests = [{"hold_id": hold_id} for hold_id in hold_ids[first : first + REQUESTS_PER_CALL]]
            self.execute("CALL create_orders(%(requests)s)", requests=json.dumps(requests))
        return self.ids_of("orders")

    def pay(self, orders: int) -> None:
        """Make so many orders of one unit of product 1 and pay them, which makes two events of each."""
        self.hold(orders)
        order_ids = self.order(self.ids_of("holds"))
        for first in range(0, orders, REQUESTS_PER_CALL):
            events = [
                {"idempotency_key": str(order_id), "order_id": order_id, "status": "success"}
                for order_id in order_ids[first : first + REQUESTS_PER_CALL]
            ]
            self.execute("CALL apply_payments(%(events)s)", events=json.dumps(events))

    def ids_of(self, table: str) -> list[int]:
        """Return the ids of all rows of a table, in order."""
        return [row[0] for row in self.execute(f"SELECT id FROM `{table}` ORDER BY id")]

    def add_holds(self, rows: int, ttl_s: int) -> None:
        """Insert so many active holds of one unit of product 1; available stays the same."""
        for first in range(0, rows, ROWS_PER_INSERT):
            self.execute(INSERT_HOLDS, rows=min(ROWS_PER_INSERT, rows - first), status="active", ttl_s=ttl_s)
        self.execute("UPDATE stock SET total = total + %(rows)s WHERE product_id = 1", rows=rows)

    def add_history(self, rows: int) -> None:
        """Insert so many ordered holds of product 1, paid orders and random keys; available stays the same."""
        for first in range(0, rows, ROWS_PER_INSERT):
            number = min(ROWS_PER_INSERT, rows - first)
            ((last_hold_id,),) = self.execute("SELECT COALESCE(MAX(id), 0) FROM holds")
            self.execute(INSERT_HOLDS, rows=number, status="ordered", ttl_s=-LONG_TTL_S)
            self.execute(INSERT_ORDERS, last_hold_id=last_hold_id)
            self.execute(INSERT_LINES, last_hold_id=last_hold_id)
            self.execute(INSERT_KEYS, rows=number)
        self.execute("UPDATE stock SET total = total + %(rows)s WHERE product_id = 1", rows=rows)

    def set_event(self, state: str) -> None:
        """Turn the EVENT that sweeps on or off; `state` is ENABLE or DISABLE."""
        self.execute(f"ALTER EVENT sweep_due {state}")


class ClientSideDatabase(Database):
    """The database of the client-side transactions."""

    files: tuple[str, ...] = ("client_side.sql",)

    def __init__(self, server: MysqlUrl, name: str) -> None:
        """Create the database and its tables."""
        super().__init__(server, name)
        self.execute(f"CREATE DATABASE `{name}`")
        self.execute(f"USE `{name}`")
        for file in self.files:
            for statement in filter(str.strip, (BASELINES / file).read_text().split(";")):
                self.execute(statement)
        self.record_empty_tables()

    def add_products(self, products: int, stock: int) -> None:
        """Add so many products with `stock` units each; their ids start at 1."""
        self.execute(CLIENT_SIDE_PRODUCTS, rows=products, stock=stock)

    def check(self) -> None:
        """Raise InconsistentStock unless each unit is in exactly one state."""
        if differences := self.execute(CLIENT_SIDE_DIFFERENCES):
            raise InconsistentStock(f"{self.name}: stock differs: {differences}")


class UnitDatabase(ClientSideDatabase):
    """The database of the baseline with one row per unit."""

    files = ("client_side.sql", "one_row_per_unit.sql")

    def add_products(self, products: int, stock: int) -> None:
        """Add so many products with 200,000 units each, or `stock` if that is less; their ids start at 1."""
        super().add_products(products, stock)
        self.execute(UNITS, rows=min(stock, UNITS_PER_PRODUCT))

    def check(self) -> None:
        """Raise InconsistentStock unless each active hold has as many units as it says, and no other hold has any."""
        if differences := self.execute(UNIT_DIFFERENCES):
            raise InconsistentStock(f"{self.name}: units differ: {differences[:5]}")
