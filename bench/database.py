"""The databases of a run: emptied, filled, checked."""

import time
from pathlib import Path
from typing import Any

import mysql.connector

from service.database import connection_options
from service.deploy import deploy
from stack.errors import StackError
from stack.mysql import MysqlUrl

CHUNK = 1_000_000
PLENTY = 1_000_000_000
SETTLE_PATIENCE_S = 60
QUIET_LOOKS = 4
QUIET_LOOK_INTERVAL_S = 0.05
LONG_S = 86_400  # no hold of a run falls due within it; the expiry scenario measures what that costs
CLIENT_SIDE_TABLES = Path(__file__).with_name("baselines") / "client_side.sql"

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
# As clients make them: random, spread evenly; inserted in order, since only the result matters here.
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
INSERT_PRODUCTS = f"""
INSERT INTO products (name, price) {NUMBERS} CONCAT('Limited Edition Item ', n), 100 FROM numbers
"""
INSERT_STOCK = "INSERT INTO stock (product_id, total, available) SELECT id, %(stock)s, %(stock)s FROM products"
CLIENT_SIDE_PRODUCTS = f"""
INSERT INTO products (name, price, total, available)
{NUMBERS} CONCAT('Limited Edition Item ', n), 100, %(stock)s, %(stock)s FROM numbers
"""
# The sweep's EVENT is no Query, and writes nothing where nothing is due.
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


class BrokenStock(Exception):
    """Units were sold twice, or lost: there is no figure of such a run."""


class Database:
    """A connection of the administrator to one database."""

    def __init__(self, server: MysqlUrl, name: str) -> None:
        """Make the database anew."""
        self.name = name
        options = {**connection_options(str(server)), "database": None}
        self._connection = mysql.connector.connect(**options, use_pure=True, autocommit=True)
        self._cursor: Any = self._connection.cursor()
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")
        self.execute("SET sql_log_bin = 0")  # filling is no part of a measurement

    def execute(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement; returns the rows of its first result."""
        self._cursor.execute(statement, parameters or None)
        rows: list[tuple[Any, ...]] = self._cursor.fetchall() if self._cursor.with_rows else []
        while self._cursor.nextset():
            pass
        return rows

    def settle(self) -> None:
        """Wait until nobody writes any more: a server goes on with what it had read when its clients left."""
        deadline = time.monotonic() + SETTLE_PATIENCE_S
        quiet, written = 0, None
        while quiet < QUIET_LOOKS:
            if time.monotonic() > deadline:
                raise StackError(f"MySQL is still busy {SETTLE_PATIENCE_S} s after the load ended")
            time.sleep(QUIET_LOOK_INTERVAL_S)
            ((running, now_written),) = self.execute(ACTIVITY)
            quiet = quiet + 1 if running == 0 and now_written == written else 0
            written = now_written

    def drop(self) -> None:
        """Remove the database and its files."""
        self.execute(f"DROP DATABASE `{self.name}`")
        self._connection.close()

    def reset(self, products: int = 1, stock: int = PLENTY) -> None:
        """Leave nothing but so many products with so much stock each."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise BrokenStock unless every unit is in one place."""
        raise NotImplementedError


class ProductDatabase(Database):
    """A database of the service."""

    def __init__(self, server: MysqlUrl, name: str) -> None:
        """Make and deploy the database; its holds and orders live long."""
        super().__init__(server, name)
        deploy(str(MysqlUrl(server.user, server.password, server.host, server.port, name, server.options)))
        self.execute(f"USE `{name}`")
        self.execute("CALL change_setting('hold_ttl_s', %(ttl_s)s)", ttl_s=LONG_S)
        self.execute("CALL change_setting('payment_ttl_s', %(ttl_s)s)", ttl_s=LONG_S)

    def reset(self, products: int = 1, stock: int = PLENTY) -> None:
        """Leave nothing but so many products with so much stock each."""
        tables = "idempotency_keys payment_events order_lines orders customer_units holds sweeps stock products"
        for table in tables.split():
            self.execute(f"TRUNCATE TABLE {table}")
        self.execute(INSERT_PRODUCTS, rows=products)
        self.execute(INSERT_STOCK, stock=stock)

    def check(self) -> None:
        """Raise BrokenStock unless every unit is in one place."""
        if differences := self.execute("CALL check_stock()"):
            raise BrokenStock(f"{self.name}: check_stock() answers {differences}")

    def add_holds(self, rows: int, ttl_s: int) -> None:
        """Add active holds of product 1, one unit each, which leave as much stock as there was."""
        for first in range(0, rows, CHUNK):
            self.execute(INSERT_HOLDS, rows=min(CHUNK, rows - first), status="active", ttl_s=ttl_s)
        self.execute("UPDATE stock SET total = total + %(rows)s WHERE product_id = 1", rows=rows)

    def add_history(self, rows: int) -> None:
        """Add so many holds that were ordered, paid orders, and random keys."""
        for first in range(0, rows, CHUNK):
            number = min(CHUNK, rows - first)
            ((last_hold_id,),) = self.execute("SELECT COALESCE(MAX(id), 0) FROM holds")
            self.execute(INSERT_HOLDS, rows=number, status="ordered", ttl_s=-LONG_S)
            self.execute(INSERT_ORDERS, last_hold_id=last_hold_id)
            self.execute(INSERT_LINES, last_hold_id=last_hold_id)
            self.execute(INSERT_KEYS, rows=number)
        self.execute("UPDATE stock SET total = total + %(rows)s WHERE product_id = 1", rows=rows)

    def set_event(self, state: str) -> None:
        """ENABLE or DISABLE the sweep."""
        self.execute(f"ALTER EVENT sweep_due {state}")


class ClientSideDatabase(Database):
    """The tables of the client-side transaction."""

    def __init__(self, server: MysqlUrl, name: str) -> None:
        """Make the database and its tables."""
        super().__init__(server, name)
        self.execute(f"CREATE DATABASE `{name}`")
        self.execute(f"USE `{name}`")
        for statement in filter(str.strip, CLIENT_SIDE_TABLES.read_text().split(";")):
            self.execute(statement)

    def reset(self, products: int = 1, stock: int = PLENTY) -> None:
        """Leave nothing but so many products with so much stock each."""
        for table in ("idempotency_keys", "payment_events", "orders", "holds", "products"):
            self.execute(f"TRUNCATE TABLE {table}")
        self.execute(CLIENT_SIDE_PRODUCTS, rows=products, stock=stock)

    def check(self) -> None:
        """Raise BrokenStock unless every unit is in one place."""
        if differences := self.execute(CLIENT_SIDE_DIFFERENCES):
            raise BrokenStock(f"{self.name}: stock differs: {differences}")
