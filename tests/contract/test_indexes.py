"""Hot queries use the intended indexes and read no rows of history.

The statements come from the files of the procedures; EXPLAIN gets them with values instead of parameters. Then the
procedures are called, and the rows that they read are counted.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from docs.generate.routines import ROUTINES
from tests.support import Row, Session

HOLDS = 3000
ORDERS = 1200
HISTORY, HISTORY_FROM = 100_000, 10**6  # paid orders, and the id before the first
DUE = 20

VALUES = {
    "in_after": "0",
    "in_caller": "''",
    "in_events": '\'[{"idempotency_key": "paid 1", "order_id": 1, "status": "success", "payment_id": "p"}]\'',
    "in_before": "UTC_TIMESTAMP() - INTERVAL 30 DAY",
    "in_hold_ids": "'[1, 2, 3]'",
    "in_limit": "10",
    "in_fingerprints": "'{}'",
    "in_key_prefix": "'made-'",
    "in_order_ids": "'[1, 2, 3]'",
    "in_product_ids": "'[1, 2, 3]'",
    "in_locked_ids": "NULL",
    "in_requests": '\'[{"product_id": 1, "quantity": 1, "hold_id": 1}, {"idempotency_key": "key"}]\'',
    "in_verdicts": "'..'",
    "io_events": '\'[{"idempotency_key": "paid 1", "status": "disputed", "payment_id": "p"}]\'',
    "io_verdicts": "'..'",
    "v_caller": "''",
    "v_customer_id": "NULL",
    "out_first_refund_id": "1",
    "v_before": "UTC_TIMESTAMP() - INTERVAL 30 DAY",
    "v_key_prefix": "'made-'",
    "v_now": "UTC_TIMESTAMP()",
    "v_purged_position": "0",
    "v_refusing": "'{}'",
    "v_verdicts": "'aa'",
}


@dataclass(frozen=True)
class Query:
    """A statement of a routine, found by a pattern of its beginning, and the index that it must use for each table."""

    routine: str
    begins: str
    indexes: dict[str, str]
    most_rows: int = 2 * DUE
    values: dict[str, str] = field(default_factory=dict)

    @property
    def statement(self) -> str:
        """The statement with values instead of parameters and without INTO."""
        found = re.search(
            rf"{self.begins}.*?(?=;\n|\n *\) AS (?:due|old|oldest|unnumbered|unreported|waiting)\b)", self._text, re.S
        )
        assert found, f"{self.routine} has no statement that begins {self.begins}"
        text = re.sub(r"\bINTO (?!\w+ \()[\w, ]+(?=\n)", "", found[0])
        return re.sub(r"\b(?:in|io|out|v)_\w+", lambda name: {**VALUES, **self.values}[name[0]], text)

    @property
    def _text(self) -> str:
        return ROUTINES[self.routine].statement


QUERIES = [
    Query("sweep_once", r"SELECT id, product_id, quantity\s+FROM holds", {"holds": "holds_by_deadline"}),
    Query("sweep_once", r"SELECT id\s+FROM orders", {"orders": "orders_by_deadline"}),
    Query("sweep_short_products", r"SELECT hold\.id", {"hold": "holds_by_deadline"}),
    Query("sweep_short_products", r"SELECT DISTINCT order_\.id", {"order_": "orders_by_deadline", "line": "PRIMARY"}),
    Query("evaluate_holds", r"SELECT /\*\+", {"recorded": "PRIMARY", "product": "PRIMARY", "stock": "PRIMARY"}),
    Query("apply_customer_limit", r"SELECT /\*\+", {"recorded": "PRIMARY", "units": "customer_units_by_customer"}),
    Query("evaluate_new_orders", r"SELECT /\*\+", {"recorded": "PRIMARY", "hold": "PRIMARY", "customer": "PRIMARY"}),
    Query(
        "create_holds",
        r"SELECT\s+recorded\.result_id",
        {"recorded": "PRIMARY", "stock": "PRIMARY", "product": "PRIMARY"},
    ),
    Query("create_orders", r"SELECT /\*\+", {"recorded": "PRIMARY", "used": "order_lines_by_hold"}),
    Query(
        "lock_waiting_payments",
        r"SELECT event_\.id\s+FROM JSON_TABLE\(in_order_ids",
        {"event_": "payment_events_by_outcome"},
    ),
    Query("evaluate_refunds", r"SELECT /\*\+", {"recorded": "PRIMARY", "order_": "PRIMARY", "line": "PRIMARY"}),
    Query("insert_refunds", r"SELECT JSON_ARRAYAGG", {"refund": "refunds_by_order"}),
    Query("refund_orders", r"SELECT\s+refund\.id", {"recorded": "PRIMARY", "refund": "PRIMARY"}),
    Query("decide_outcomes", r"SELECT /\*\+", {"order_": "PRIMARY", "settled": "payment_events_by_payment"}),
    Query("classify_payments", r"SELECT /\*\+", {"recorded": "payment_events_by_key"}),
    Query(
        "resolve_orders",
        r"SELECT /\*\+",
        {"recorded": "payment_events_by_key", "earlier": "payment_events_by_payment"},
    ),
    Query("get_holds", r"SELECT\s+hold\.id", {"hold": "PRIMARY", "line": "order_lines_by_hold"}),
    Query("get_orders", r"SELECT /\*\+", {"order_": "PRIMARY", "line": "PRIMARY"}),
    Query("get_products", r"SELECT\s+product\.id", {"product": "PRIMARY", "stock": "PRIMARY"}),
    Query("number_events", r"SELECT id FROM events WHERE position IS NULL ORDER", {"events": "events_by_position"}),
    *(
        Query(
            "list_orders",
            r"SELECT /\*\+ SET_VAR",
            {table: index, "order_": "PRIMARY", "line": "PRIMARY"},
            values={"v_caller": caller, "v_customer_id": customer, "in_after": str(HISTORY_FROM + HISTORY - DUE)},
        )
        for caller, customer, table, index in (
            ("''", "NULL", "of_all", "PRIMARY"),
            ("'web'", "NULL", "of_caller", "orders_by_caller"),
            ("''", "'customer 7'", "of_customer", "orders_by_customer"),
            ("'web'", "'customer 7'", "of_customer", "orders_by_customer"),
        )
    ),
    Query("list_products", r"SELECT\s+product\.id", {"product": "PRIMARY", "stock": "stock_by_archiving"}, 250),
    Query("purge_history", r"DELETE FROM idempotency_keys", {"idempotency_keys": "idempotency_keys_by_purge"}, 4 * DUE),
    Query("purge_history", r"DELETE FROM holds", {"holds": "holds_by_deadline"}),
    Query("purge_history", r"DELETE FROM sweeps", {"sweeps": "sweeps_by_report"}),
    Query("purge_events", r"SELECT position, occurred_at", {"events": "events_by_position"}, 4 * HOLDS),
    Query("purge_orders", r"SELECT cancelled\.id", {"cancelled": "orders_by_deadline"}),
    Query("read_events", r"SELECT\s+event_\.position", {"event_": "events_by_caller"}, values={"in_caller": "'web'"}),
    Query("report_sweeps", r"SELECT id FROM sweeps", {"sweeps": "sweeps_by_report"}),
]


@pytest.fixture(scope="module")
def filled(database_url: str) -> Iterator[Session]:
    """A database with thousands of holds, orders, keys and events; a few are due, waiting or to be refunded."""
    session = Session(database_url)
    for _ in range(200):
        session.create_product(stock=20)
    product_id = session.create_product(stock=2 * HOLDS)
    holds = make(session, "create_holds", [{"product_id": product_id, "quantity": 1}] * HOLDS, "hold_id")
    orders = make(session, "create_orders", [{"hold_id": hold} for hold in holds[:ORDERS]], "order_id")
    events = [
        {"idempotency_key": f"paid {order}", "order_id": order, "status": "success", "payment_id": f"payment {order}"}
        for order in orders[: -2 * DUE]
    ]
    make(session, "apply_payments", events, "order_id")
    make(session, "refund_orders", [{"order_id": order, "restock": True} for order in orders[100:400]], "refund_id")
    for number in range(DUE):
        session.call("apply_payment", f"waiting {number}", 10**8 + number, "success")
        session.call("apply_payment", f"refund {number}", orders[number], "success")
    session.travel(-2000)
    due = make(session, "create_holds", [{"product_id": product_id, "quantity": 1}] * 2 * DUE, "hold_id")
    make(session, "create_orders", [{"hold_id": hold} for hold in due[:DUE]], "order_id")
    session.travel(0)
    session.call("list_events", "", 0, 1)
    session.call("create_event_receiver", "https://shop.example/events", None)
    session.execute(
        "INSERT INTO event_retries (receiver_id, position, order_id, moved_at, next_attempt_at)"
        " SELECT 1, position, order_id, UTC_TIMESTAMP(), UTC_TIMESTAMP() + INTERVAL IF(position <= 10, 0, 1) HOUR"
        " FROM events WHERE position <= 2500"
    )
    add_history(session)
    session.execute(
        "ANALYZE TABLE products, stock, holds, orders, order_lines, refunds, payment_events, idempotency_keys, sweeps,"
        " events, event_retries"
    )
    yield session
    session.close()


def add_history(session: Session) -> None:
    """Insert paid orders of two callers and 100 customers, with one line each."""
    session.execute("SET cte_max_recursion_depth = %s", HISTORY)
    numbers = "WITH RECURSIVE number AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM number WHERE n < %s)"
    session.execute(
        "INSERT INTO orders (id, hold_id, product_id, quantity, amount, status, payment_due_at, caller, customer_id)"
        f" {numbers} SELECT %s + n, %s + n, 1, 1, 100, 'paid', UTC_TIMESTAMP(),"
        " IF(MOD(n DIV 100, 2) = 0, 'web', 'app'), CONCAT('customer ', MOD(n, 100)) FROM number",
        *(HISTORY, HISTORY_FROM, HISTORY_FROM),
    )
    session.execute(
        "INSERT INTO order_lines (order_id, hold_id, product_id, quantity, unit_price)"
        " SELECT id, hold_id, product_id, quantity, amount FROM orders WHERE id > %s",
        HISTORY_FROM,
    )


def make(session: Session, procedure: str, requests: list[Row], column: str) -> list[int]:
    """CALL a batch procedure with 1,000 elements at a time; returns one column of the rows."""
    found: list[int] = []
    for start in range(0, len(requests), 1000):
        rows = session.call(procedure, json.dumps(requests[start : start + 1000]))
        assert {row["errno"] for row in rows} == {None}
        found.extend(row[column] for row in rows)
    return found


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.routine}: {', '.join(query.indexes)}")
def test_a_hot_query_uses_its_index(filled: Session, query: Query) -> None:
    plan = {row["table"]: row for row in filled.query(f"EXPLAIN FORMAT = TRADITIONAL {query.statement}")}
    for table, index in query.indexes.items():
        assert plan[table]["key"] == index, plan
        assert plan[table]["type"] in {"range", "ref", "eq_ref", "const"}, plan
        assert plan[table]["rows"] <= query.most_rows, plan


def test_the_view_refunds_due_reads_only_refunds_and_waiting_events(filled: Session) -> None:
    plan = {row["table"]: row for row in filled.query("EXPLAIN FORMAT = TRADITIONAL SELECT * FROM refunds_due")}
    assert (plan["event_"]["key"], plan["event_"]["type"]) == ("payment_events_by_outcome", "range")
    assert (plan["order_"]["key"], plan["order_"]["type"]) == ("PRIMARY", "eq_ref")


def rows_read(session: Session, procedure: str, *arguments: object) -> int:
    """The number of rows and index entries that a CALL reads from tables, as the server counts them."""
    statement = "SHOW SESSION STATUS WHERE variable_name REGEXP '^Handler_read_(first|key|last|next|prev|rnd)$'"
    before = sum(int(row["Value"]) for row in session.query(statement))
    session.call(procedure, *arguments)
    return sum(int(row["Value"]) for row in session.query(statement)) - before


@pytest.mark.parametrize(
    ("procedure", "arguments", "most_rows"),
    [
        ("create_hold", (1, 1, None), 40),
        ("get_hold", (1,), 10),
        ("get_order", (1,), 10),
        ("get_payment", ("paid 1",), 10),
        ("get_product", (1,), 10),
        ("apply_payment", ("paid 1", 1, "success"), 60),
        ("list_orders", ("", None, HISTORY_FROM + HISTORY // 2, 20), 120),
        ("list_orders", ("web", None, HISTORY_FROM + HISTORY // 2, 20), 120),
        ("list_orders", ("", "customer 7", HISTORY_FROM + HISTORY // 2, 20), 120),
        ("list_orders", ("web", "customer 7", HISTORY_FROM + HISTORY // 2, 20), 120),
        ("refund_order", (1, True, None), 100),
        ("list_products", (100, 20), 80),
        ("get_events", (100, 20), 60),
        ("get_events", (2**62, 20), 20),
        ("list_deliveries", (1, 20), 80),
        ("report_deliveries", (1, 5, '[{"position": 5, "status": 500}]'), 60),
        ("settle_waiting_payments", (1000,), 20 * DUE),
        ("report_sweeps", (1000,), 20),
        ("purge_history", (1000,), 40 * DUE),
        ("expire_due", (1000,), 40 * DUE),
        ("expire_due", (1000,), 20),
        ("get_metrics", (), 5000),
    ],
)
def test_a_call_reads_only_the_rows_that_it_changes(
    filled: Session, procedure: str, arguments: tuple[object, ...], most_rows: int
) -> None:
    assert rows_read(filled, procedure, *arguments) <= most_rows


def test_a_shortage_reads_only_due_rows(filled: Session) -> None:
    product_id = filled.create_product(stock=1)
    before = filled.query("SHOW SESSION STATUS LIKE 'Handler_read_next'")
    assert filled.errno("create_hold", product_id, 2, None) == 30102
    after = filled.query("SHOW SESSION STATUS LIKE 'Handler_read_next'")
    assert int(after[0]["Value"]) - int(before[0]["Value"]) <= 4 * DUE
