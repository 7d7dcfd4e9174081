"""Helpers of all tests: sessions that call procedures, new databases, races, and waiting for a condition."""

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, TypeVar
from uuid import uuid4

import mysql.connector
from hypothesis import settings

from service.deploy import OWNER, deploy
from service.mysql_url import MysqlUrl
from service.primary import find_primary
from stack.process import free_port

Row = dict[str, Any]
Result = TypeVar("Result")

PASSWORDS = {"checkout_app": "app's /secret", "checkout_cron": "cron's @secret", "checkout_dba": "dba's :secret"}
NOBODYS_ID = 10**8  # of a product, hold or order: no test creates so many
LOCK_WAIT_TIMEOUT, DEADLOCK = 1205, 1213  # both succeed when they are retried
POLL_INTERVAL_S = 0.02
PATIENCE_S = 20  # far longer than anything under test may take, so that only a defect takes so long


class Session:
    """One connection to a database, of several hosts to the primary."""

    def __init__(self, url: str) -> None:
        server = find_primary(MysqlUrl.parse(url))
        self.connection = mysql.connector.connect(**server.driver_options(), use_pure=True, autocommit=True)
        self.cursor: Any = self.connection.cursor(dictionary=True)

    def execute(self, statement: str, *parameters: Any) -> list[list[Row]]:
        """Run a statement; returns all result sets, each a list of rows as dictionaries."""
        self.cursor.execute(statement, parameters)
        result_sets = []
        while True:
            if self.cursor.with_rows:
                result_sets.append(self.cursor.fetchall())
            if not self.cursor.nextset():
                return result_sets

    def query(self, statement: str, *parameters: Any) -> list[Row]:
        """Run a SELECT; returns its rows."""
        return self.execute(statement, *parameters)[0]

    def call_all(self, procedure: str, *arguments: Any) -> list[list[Row]]:
        """CALL a procedure; returns every result set."""
        places = ", ".join(["%s"] * len(arguments))
        return self.execute(f"CALL {procedure}({places})", *arguments)

    def call(self, procedure: str, *arguments: Any) -> list[Row]:
        """CALL a procedure; returns the rows of its first result set."""
        return self.call_all(procedure, *arguments)[0]

    def error(self, statement: str, *parameters: Any) -> mysql.connector.Error:
        """Run a statement that must fail; returns its error."""
        try:
            result_sets = self.execute(statement, *parameters)
        except mysql.connector.Error as error:
            return error
        raise AssertionError(f"{statement} {parameters} was accepted: {result_sets}")

    def errno(self, procedure: str, *arguments: Any) -> int:
        """CALL a procedure that must refuse; returns the errno that it raises."""
        error = self.error(f"CALL {procedure}({', '.join(['%s'] * len(arguments))})", *arguments)
        assert error.sqlstate == "45000", error
        return error.errno

    def batch(self, procedure: str, elements: list[Any]) -> list[Row]:
        """CALL a batch procedure with a JSON array; returns one row per element."""
        return self.call(procedure, json.dumps(elements))

    def errnos(self, procedure: str, elements: list[Any]) -> list[int | None]:
        """CALL a batch procedure with a JSON array; returns one errno per element."""
        return [row["errno"] for row in self.batch(procedure, elements)]

    def create_product(self, stock: int, price: str = "100.00") -> int:
        """Put a new product on sale; returns its id."""
        product_id: int = self.call("create_product", "Limited Edition Item", price, stock)[0]["product_id"]
        return product_id

    def create_hold(self, product_id: int, quantity: int = 1) -> int:
        """Hold units of a product; returns the hold's id."""
        hold_id: int = self.call("create_hold", product_id, quantity, None)[0]["hold_id"]
        return hold_id

    def create_order(self, product_id: int, quantity: int = 1) -> int:
        """Hold and order units of a product; returns the order's id."""
        hold_id = self.create_hold(product_id, quantity)
        order_id: int = self.call("create_order", hold_id, None)[0]["order_id"]
        return order_id

    def create_paid_order(self, product_id: int, quantity: int = 1) -> int:
        """Hold, order and pay units of a product; returns the order's id."""
        order_id = self.create_order(product_id, quantity)
        assert self.call("apply_payment", f"payment of {order_id}", order_id, "success")[0]["status"] == "paid"
        return order_id

    def status_of(self, kind: str, row_id: int) -> str:
        """The status of a hold or an order."""
        status: str = self.call(f"get_{kind}", row_id)[0]["status"]
        return status

    def available(self, product_id: int) -> int:
        """The available units of a product."""
        units: int = self.call("get_product", product_id)[0]["available_stock"]
        return units

    def next_id(self, table: str) -> int:
        """The id that the next row of a table gets; batches leave gaps."""
        self.execute("SET information_schema_stats_expiry = 0")
        (row,) = self.query(
            "SELECT auto_increment AS next_id FROM information_schema.tables "
            "WHERE table_schema = DATABASE() AND table_name = %s",
            table,
        )
        return int(row["next_id"])

    def travel(self, seconds: float) -> None:
        """Stop this session's clock so many seconds after the real time; 0 lets it run again."""
        if seconds == 0:
            self.execute("SET timestamp = DEFAULT")
        else:
            self.execute("SET timestamp = UNIX_TIMESTAMP(SYSDATE(6)) + %s", seconds)

    def miscounted_customers(self) -> list[Row]:
        """Rows of customer_units that should not exist or have another quantity; reads one snapshot."""
        return self.query(
            "SELECT counted.*, hold.status, order_.status AS order_status FROM customer_units AS counted "
            "LEFT JOIN holds AS hold ON hold.id = counted.hold_id "
            "LEFT JOIN order_lines AS line ON line.hold_id = hold.id "
            "LEFT JOIN orders AS order_ ON order_.id = line.order_id "
            "WHERE COALESCE(hold.quantity - COALESCE(line.refunded_quantity, 0), 0) <> counted.quantity "
            "OR NOT COALESCE(hold.status = 'active' OR order_.status IN ('pending', 'paid'), FALSE)"
        )

    def unexplained_transitions(self) -> list[Row]:
        """Orders, holds and refunds that are not what the events tell of them; after a purge of events none."""
        return self.query(
            "SELECT order_.id, order_.status, told.types FROM orders AS order_ "
            "LEFT JOIN (SELECT order_id, GROUP_CONCAT(type ORDER BY id) AS types FROM events "
            "WHERE type <> 'refund.due' GROUP BY order_id) AS told ON told.order_id = order_.id "
            "WHERE NOT COALESCE(REGEXP_LIKE(told.types, CASE order_.status WHEN 'pending' THEN '^order.created$' "
            "WHEN 'cancelled' THEN '^order.created,order.cancelled$' "
            "WHEN 'paid' THEN '^order.created,order.paid(,order.refunded)*$' "
            "ELSE '^order.created,order.paid(,order.refunded)+$' END), FALSE) "
            "AND (SELECT purged_position FROM event_counter) = 0 "
            "UNION ALL SELECT hold.id, hold.status, COUNT(told.hold_id) FROM holds AS hold "
            "LEFT JOIN (SELECT CAST(hold_ids ->> '$[0]' AS SIGNED) AS hold_id FROM events "
            "WHERE type = 'hold.expired') AS told ON told.hold_id = hold.id "
            "WHERE (SELECT purged_position FROM event_counter) = 0 "
            "GROUP BY hold.id HAVING COUNT(told.hold_id) <> (hold.status = 'expired') "
            "UNION ALL SELECT refund.id, 'refund', COUNT(told.id) FROM refunds AS refund "
            "LEFT JOIN events AS told ON told.refund_id = refund.id AND told.order_id = refund.order_id "
            "AND told.amount = refund.amount WHERE (SELECT purged_position FROM event_counter) = 0 "
            "GROUP BY refund.id HAVING COUNT(told.id) <> 1"
        )

    def locked_tables(self, other: "Session") -> set[str]:
        """The tables in which another session holds a lock or waits for one."""
        rows = self.query(
            "SELECT DISTINCT lock_.object_name AS name FROM performance_schema.data_locks AS lock_ "
            "INNER JOIN performance_schema.threads AS thread_ ON thread_.thread_id = lock_.thread_id "
            "WHERE thread_.processlist_id = %s",
            other.connection.connection_id,
        )
        return {row["name"] for row in rows}

    def stand_at(self, timestamp: str) -> None:
        """Stop this session's clock at a Unix time; `travel(0)` lets it run again."""
        self.execute(f"SET timestamp = {timestamp}")

    def sweep_everything(self) -> None:
        """Expire the holds and cancel the orders that earlier tests left, so that a test counts only its own."""
        self.travel(10_000_000)
        self.call("expire_due", 100_000)
        self.travel(0)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def race(*acts: Callable[[], Any]) -> list[Any]:
    """Start functions at the same moment, each in its own thread; returns their results in order."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        barrier.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result() for future in [pool.submit(run, act) for act in acts]]


def is_thorough() -> bool:
    """Whether this run tries everything: `--hypothesis-profile=thorough`."""
    return settings.get_current_profile_name() == "thorough"


class Retries:
    """Calls again after a deadlock or a lock wait timeout, as the service does, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def run(self, act: Callable[[], Result]) -> Result:
        """Call a function until it ends without a deadlock or a lock wait timeout; returns its result."""
        while True:
            try:
                return act()
            except mysql.connector.Error as error:
                if error.errno not in (LOCK_WAIT_TIMEOUT, DEADLOCK):
                    raise
                self.count += 1


def eventually(condition: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """Poll a condition until it is true; returns what it returned."""
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(POLL_INTERVAL_S)
    return result


async def eventually_async(condition: Callable[[], Any]) -> None:
    """Poll a condition, which may be a coroutine function, until it is true."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            result = condition()
            if await result if inspect.isawaitable(result) else result:
                return
            await asyncio.sleep(POLL_INTERVAL_S)


def is_waited_for(session: Session, holder: Session) -> bool:
    """Whether a transaction waits for a lock that another session holds."""
    return bool(
        session.query(
            "SELECT 1 FROM performance_schema.data_lock_waits AS wait_"
            " JOIN performance_schema.threads AS holder ON holder.thread_id = wait_.blocking_thread_id"
            " WHERE holder.processlist_id = %s",
            holder.connection.connection_id,
        )
    )


def create_database(administrator_url: str, name: str) -> str:
    """Deploy a new database; returns its administrator's URL.

    Its EVENT is disabled, because most tests set the clock and sweep themselves.
    """
    administrator = MysqlUrl.parse(administrator_url)
    url = str(administrator.for_database(name))
    with closing(Session(str(administrator.for_database("")))) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name}")
        deploy(url)
        server.execute(f"ALTER DEFINER = {OWNER} EVENT {name}.sweep_due DISABLE")
    return url


@contextmanager
def new_database(administrator_url: str, name: str) -> Iterator[str]:
    """Deploy a new database and drop it with the end of the block; yields its administrator's URL."""
    yield create_database(administrator_url, name)
    # A new session, because a test may have restarted MySQL.
    with closing(Session(str(MysqlUrl.parse(administrator_url).for_database("")))) as server:
        server.execute(f"DROP DATABASE {name}")


@contextmanager
def group_of_one(administrator_url: str) -> Iterator[str]:
    """Make a server the only member of a replication group while the block runs; yields the member's host and port."""
    component = "COMPONENT 'file://component_group_replication_flow_control_stats'"
    settings = {"group_name": uuid4(), "local_address": f"127.0.0.1:{free_port()}", "bootstrap_group": "ON"}
    with closing(Session(administrator_url)) as administrator:
        administrator.execute("INSTALL PLUGIN group_replication SONAME 'group_replication.so'")
        administrator.execute(f"INSTALL {component}")
        for name, value in settings.items():
            administrator.execute(f"SET GLOBAL group_replication_{name} = '{value}'")
        administrator.execute("START GROUP_REPLICATION")
        (row,) = administrator.query("SELECT CONCAT(@@hostname, ':', @@port) AS member")
        yield row["member"]
        administrator.execute("STOP GROUP_REPLICATION")
        administrator.execute("SET GLOBAL read_only = OFF")
        administrator.execute(f"UNINSTALL {component}")
        administrator.execute("UNINSTALL PLUGIN group_replication")
