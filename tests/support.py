"""What tests share: sessions that call procedures, and databases of their own."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import mysql.connector

from service.database import connection_options
from service.deploy import OWNER, deploy

Row = dict[str, Any]
Result = TypeVar("Result")

LOCK_WAIT_TIMEOUT, DEADLOCK = 1205, 1213  # a retry mends them


class Session:
    """One connection to a database, closed with the block."""

    def __init__(self, url: str) -> None:
        self.connection = mysql.connector.connect(**connection_options(url), use_pure=True, autocommit=True)
        self.cursor: Any = self.connection.cursor(dictionary=True)

    def execute(self, statement: str, *parameters: Any) -> list[list[Row]]:
        """Run a statement; returns every result set, each a list of rows by column name."""
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
        """Run a statement that is to fail; returns its error."""
        try:
            result_sets = self.execute(statement, *parameters)
        except mysql.connector.Error as error:
            return error
        raise AssertionError(f"{statement} {parameters} was accepted: {result_sets}")

    def errno(self, procedure: str, *arguments: Any) -> int:
        """CALL a procedure that is to be refused; returns the errno it raised."""
        error = self.error(f"CALL {procedure}({', '.join(['%s'] * len(arguments))})", *arguments)
        assert error.sqlstate == "45000", error
        return error.errno

    def batch(self, procedure: str, elements: list[Any]) -> list[Row]:
        """CALL a batch procedure with a JSON array; returns the row of every element."""
        return self.call(procedure, json.dumps(elements))

    def errnos(self, procedure: str, elements: list[Any]) -> list[int | None]:
        """CALL a batch procedure with a JSON array; returns the errno of every element."""
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

    def status_of(self, kind: str, row_id: int) -> str:
        """The status of a hold or an order."""
        status: str = self.call(f"get_{kind}", row_id)[0]["status"]
        return status

    def available(self, product_id: int) -> int:
        """The units of a product that may be held now."""
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
        """Move this session's clock from its real now, where it then stands still; 0 brings it back."""
        if seconds == 0:
            self.execute("SET timestamp = DEFAULT")
        else:
            self.execute("SET timestamp = UNIX_TIMESTAMP(SYSDATE(6)) + %s", seconds)

    def miscounted_customers(self) -> list[Row]:
        """Holds whose units do not count for their customer exactly as long as they are out of stock; one snapshot."""
        return self.query(
            "SELECT counted.*, hold.status, order_.status AS order_status FROM customer_units AS counted "
            "LEFT JOIN holds AS hold ON hold.id = counted.hold_id "
            "LEFT JOIN order_lines AS line ON line.hold_id = hold.id "
            "LEFT JOIN orders AS order_ ON order_.id = line.order_id "
            "WHERE COALESCE(hold.quantity, 0) <> counted.quantity "
            "OR NOT COALESCE(hold.status = 'active' OR order_.status IN ('pending', 'paid'), FALSE)"
        )

    def locked_tables(self, other: "Session") -> set[str]:
        """The tables in which another session holds or awaits a lock."""
        rows = self.query(
            "SELECT DISTINCT lock_.object_name AS name FROM performance_schema.data_locks AS lock_ "
            "INNER JOIN performance_schema.threads AS thread_ ON thread_.thread_id = lock_.thread_id "
            "WHERE thread_.processlist_id = %s",
            other.connection.connection_id,
        )
        return {row["name"] for row in rows}

    def stand_at(self, timestamp: str) -> None:
        """Let this session's clock stand still at a Unix time; `travel(0)` ends it."""
        self.execute(f"SET timestamp = {timestamp}")

    def sweep_everything(self) -> None:
        """Release what earlier tests have left active or pending, so that a test counts only its own."""
        self.travel(10_000_000)
        self.call("expire_due", 100_000)
        self.travel(0)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def race(*acts: Callable[[], Any]) -> list[Any]:
    """Run functions in threads of their own, started together; returns their results, in order."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        barrier.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result() for future in [pool.submit(run, act) for act in acts]]


class Retries:
    """Repeats what failed in a way that a retry mends, as the service would, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def run(self, act: Callable[[], Result]) -> Result:
        """Run a function until it ends without a deadlock or a timed-out wait for a lock."""
        while True:
            try:
                return act()
            except mysql.connector.Error as error:
                if error.errno not in (LOCK_WAIT_TIMEOUT, DEADLOCK):
                    raise
                self.count += 1


def url_of(url: str, *, database: str, account: str = "", password: str = "") -> str:
    """The URL of another database on the same server, for another account if one is named."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{quote(account)}:{quote(password, safe='')}@{host}" if account else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{database}"))


@contextmanager
def new_database(administrator_url: str, name: str) -> Iterator[str]:
    """A freshly deployed database, dropped with the block; yields its administrator's URL.

    Its EVENT is off: time travels in tests, and only tests of the EVENT want it to act.
    """
    url = url_of(administrator_url, database=name)
    server_url = url_of(administrator_url, database="")
    with closing(Session(server_url)) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name}")
        deploy(url)
        server.execute(f"ALTER DEFINER = {OWNER} EVENT {name}.sweep_due DISABLE")
    yield url
    # A session of its own: a test may have restarted MySQL.
    with closing(Session(server_url)) as server:
        server.execute(f"DROP DATABASE {name}")
