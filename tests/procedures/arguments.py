"""Valid arguments of every public procedure, and invalid values to put in their place."""

import re
from typing import Any

import mysql.connector

from service.deploy import ROOT
from tests.support import NOBODYS_ID, Row, Session

TABLES = re.findall(r"^CREATE TABLE `(\w+)`", (ROOT / "sql" / "schema.sql").read_text(), re.M)

# Procedures with plain arguments. Product 1 exists in the tests that use them.
ARGUMENTS: dict[str, list[Any]] = {
    "adjust_stock": [1, 1, "reason", "key"],
    "apply_payment": ["key", NOBODYS_ID, "success"],
    "archive_product": [1],
    "cancel_order": [NOBODYS_ID],
    "change_product": [1, "Limited Edition Item", "100.00", 5],
    "change_setting": ["hold_ttl_s", 120],
    "create_event_receiver": ["https://shop.example/events", "order.paid"],
    "create_hold": [1, 1, "key"],
    "create_order": [NOBODYS_ID, "key"],
    "create_product": ["Limited Edition Item", "100.00", 5],
    "expire_due": [10],
    "extend_hold": [NOBODYS_ID],
    "get_events": [1, 10],
    "get_hold": [NOBODYS_ID],
    "get_order": [NOBODYS_ID],
    "get_payment": ["key"],
    "get_product": [1],
    "list_deliveries": [NOBODYS_ID, 10],
    "list_events": ["caller", 1, 10],
    "list_orders": ["caller", "customer", 0, 10],
    "list_products": [0, 10],
    "pause_event_receiver": [NOBODYS_ID],
    "purge_history": [10],
    "record_stock_check": [0],
    "reduce_hold": [NOBODYS_ID, 1],
    "refund_order": [NOBODYS_ID, 1, "key"],
    "release_hold": [NOBODYS_ID],
    "remove_event_receiver": [NOBODYS_ID],
    "report_deliveries": [NOBODYS_ID, 1, "[]"],
    "report_sweeps": [10],
    "restore_product": [1],
    "resume_event_receiver": [NOBODYS_ID],
    "retry_event": [NOBODYS_ID, 1],
    "rotate_event_secret": [NOBODYS_ID],
    "set_selling_rules": [1, "2030-01-01 00:00:00", "2030-01-02 00:00:00", 5],
    "settle_refund": ["key"],
    "settle_review": ["key"],
    "settle_waiting_payments": [10],
    "start_payment": [NOBODYS_ID],
}
# One element of each batch procedure; no row has its id.
BATCHES: dict[str, Any] = {
    "apply_payments": {"idempotency_key": "large", "order_id": NOBODYS_ID, "status": "success"},
    "cancel_orders": NOBODYS_ID,
    "create_holds": {"product_id": NOBODYS_ID, "quantity": 1},
    "create_orders": {"hold_id": NOBODYS_ID},
    "extend_holds": NOBODYS_ID,
    "get_holds": NOBODYS_ID,
    "get_orders": NOBODYS_ID,
    "get_products": NOBODYS_ID,
    "reduce_holds": [NOBODYS_ID, "", 1],
    "refund_orders": {"order_id": NOBODYS_ID, "restock": True},
    "release_holds": NOBODYS_ID,
    "start_payments": NOBODYS_ID,
}
# What a procedure answers if no row has the id or key of its first argument, or of an element.
NOT_FOUND = {
    "adjust_stock": 30101,
    "archive_product": 30101,
    "cancel_order": 30301,
    "cancel_orders": 30301,
    "change_product": 30101,
    "create_hold": 30101,
    "create_holds": 30101,
    "create_order": 30201,
    "create_orders": 30201,
    "extend_hold": 30201,
    "extend_holds": 30201,
    "get_hold": 30201,
    "get_holds": 30201,
    "get_order": 30301,
    "get_orders": 30301,
    "get_payment": 30401,
    "get_product": 30101,
    "get_products": 30101,
    "pause_event_receiver": 30502,
    "reduce_hold": 30201,
    "reduce_holds": 30201,
    "refund_order": 30301,
    "refund_orders": 30301,
    "release_hold": 30201,
    "release_holds": 30201,
    "remove_event_receiver": 30502,
    "restore_product": 30101,
    "resume_event_receiver": 30502,
    "retry_event": 30502,
    "rotate_event_secret": 30502,
    "set_selling_rules": 30101,
    "settle_refund": 30401,
    "settle_review": 30401,
    "start_payment": 30301,
    "start_payments": 30301,
}
# These look an id or a key up without checking its form: an invalid one is not found.
LOOKUPS = {"get_hold", "get_holds", "get_order", "get_orders", "get_payment", "get_product", "get_products"} | {
    "archive_product",
    "pause_event_receiver",
    "remove_event_receiver",
    "restore_product",
    "resume_event_receiver",
    "retry_event",
    "rotate_event_secret",
    "settle_refund",
    "settle_review",
}

BEYOND_EVERY_ID = [2**63 - 1, 2**63, 2**64, 1e300]  # MySQL turns them into 2**63 - 1 where it is not strict
NUMBERS = [None, -1, 0, *BEYOND_EVERY_ID, -(2**63) - 1]
PRICES = ["-0.01", "1.005", "10000000000"]
MOMENTS = [None, "", 0, -1, "2030-02-30 00:00:00", "2030-13-01 00:00:00", "0000-00-00 00:00:00", "soon", 1e300]
TEXTS = [None, "", "k" * 256, "k" * 2000, "ä" * 128, "ä" * 500]
# The largest number that a procedure takes at a place.
LARGEST = {
    ("adjust_stock", 1): 10**12,
    ("change_product", 3): 10**6,
    ("create_hold", 1): 10**6,
    ("create_product", 2): 10**12,
    ("expire_due", 0): 100_000,
    ("get_events", 1): 1000,
    ("list_deliveries", 1): 500,
    ("list_events", 2): 1000,
    ("list_orders", 3): 1000,
    ("list_products", 1): 1000,
    ("purge_history", 0): 10_000,
    ("report_sweeps", 0): 1000,
    ("set_selling_rules", 3): 10**6,
    ("settle_waiting_payments", 0): 1000,
}

WRONG_IDS = [True, "1", 1.5, 1.0, None, [1], {}, 0, -1, 2**63, 2**64]
WRONG_WINDOWS = [*(wrong for wrong in WRONG_IDS if wrong is not None), 1801]
WRONG_AMOUNTS = ["", "-1", "+1", "1.", ".5", "1.001", "1e2", " 1", "1\n", "1,0", "NaN", "1" * 19, "9" * 99]
WRONG_KEYS = [1, True, 1.5, ["key"], {}, "", "k" * 256, "ä" * 128]
# Invalid values of each member of a batch procedure's elements; "" stands for the element itself.
WRONG_MEMBERS: dict[str, dict[str, list[Any]]] = {
    "apply_payments": {
        "": [None, 1, "x", True, [], {}, [{"order_id": 1}]],
        "idempotency_key": [*WRONG_KEYS, None],
        "order_id": WRONG_IDS,
        "status": [1, True, None, ["success"], {}, "", "paid", "SUCCESS", "Failed", "success ", "succéss", "s" * 99],
        "payment_id": WRONG_KEYS,
        "amount": [1, True, 1.5, ["1"], {}, *WRONG_AMOUNTS],
        "currency": [1, True, ["EUR"], {}, "", "eur", "EURO", "EU", "EUR\n", "E1R"],
    },
    "create_holds": {
        "": [None, 1, "x", True, [], {}, [[]], [{"product_id": 1, "quantity": 1}]],
        "product_id": WRONG_IDS,
        "quantity": [*WRONG_IDS, 10**6 + 1, -(2**63)],
        "idempotency_key": WRONG_KEYS,
        "customer_id": ["", "x" * 65, "é" * 33, "x" * 5000, 7, 1.5, True, ["ada"], {"id": "ada"}],
        "caller": ["x" * 65, "é" * 33],
    },
    "create_orders": {
        "": [None, 1, "x", True, [], {}, [{"hold_id": 1}]],
        "hold_id": WRONG_IDS,
        "idempotency_key": WRONG_KEYS,
        "caller": ["x" * 65, "é" * 33],
    },
    "reduce_holds": {
        "": [
            *(1, "x", True, None, [], {}, [NOBODYS_ID, "", 1, 2][:2], [NOBODYS_ID, None, 1], [NOBODYS_ID, 1]),
            *([wrong, "", 1] for wrong in WRONG_IDS),
            *([NOBODYS_ID, "", wrong] for wrong in WRONG_IDS),
        ]
    },
    "refund_orders": {
        "": [None, 1, "x", True, [], {}, [{"order_id": 1, "restock": True}]],
        "order_id": WRONG_IDS,
        "restock": [None, 0, 1, 2, 1.0, "true", "", [True], {}],
        "lines": [
            *(1, "x", True, {}, [], [1], [None], [[]], [{}], {"hold_id": 1, "quantity": 1}),
            *([{"hold_id": wrong, "quantity": 1}] for wrong in WRONG_IDS),
            *([{"hold_id": 1, "quantity": 1}, {"hold_id": 2, "quantity": wrong}] for wrong in WRONG_IDS),
            [{"hold_id": 1, "quantity": 1}, {"hold_id": 1, "quantity": 2}],
            [{"hold_id": number, "quantity": 1} for number in range(1, 52)],
        ],
        "idempotency_key": WRONG_KEYS,
        "caller": ["x" * 65, "é" * 33],
    },
    "start_payments": {
        "": [*WRONG_IDS, [], *([NOBODYS_ID, "", wrong] for wrong in WRONG_WINDOWS)],
    },
    **{name: {"": [*WRONG_IDS, []]} for name in ("cancel_orders", "extend_holds", "release_holds")},
}


def wrong_for(procedure: str, place: int) -> list[Any]:
    """The invalid values to try at a place of a procedure's arguments."""
    good = ARGUMENTS[procedure][place]
    if isinstance(good, int):
        largest = LARGEST.get((procedure, place))
        return NUMBERS if largest is None else [*NUMBERS, largest + 1, -largest - 1]
    if good == "100.00":
        return [*NUMBERS, *PRICES]
    return MOMENTS if good.startswith("2030") else TEXTS


def is_text(procedure: str, place: int) -> bool:
    """Whether the argument at a place is a text."""
    return wrong_for(procedure, place) is TEXTS


def checksums(session: Session) -> list[Row]:
    """The checksums of all tables, which differ after any change."""
    return session.query(f"CHECKSUM TABLE {', '.join(TABLES)}")


def errno_of(session: Session, procedure: str, arguments: list[Any]) -> int | None:
    """The errno with which a CALL is refused; None if it is accepted."""
    try:
        session.call_all(procedure, *arguments)
    except mysql.connector.Error as error:
        return error.errno
    return None
