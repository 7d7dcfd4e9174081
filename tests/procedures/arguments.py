"""Valid arguments of every public procedure, and wrong values to put in their place."""

from typing import Any

NUMBERS = [None, -1, 0, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 1e300]
MOMENTS = [None, "", 0, -1, "2030-02-30 00:00:00", "2030-13-01 00:00:00", "0000-00-00 00:00:00", "soon", 1e300]
TEXTS = [None, "", "k" * 300, "k" * 2000, "ä" * 500]
TABLES = (
    "products",
    "stock",
    "holds",
    "orders",
    "payment_events",
    "idempotency_keys",
    "stock_adjustments",
    "sweeps",
    "measurements",
    "settings",
    "customer_units",
)

# Procedures with plain arguments; rows of id 1 may exist, rows of id 10**8 do not.
ARGUMENTS: dict[str, list[Any]] = {
    "adjust_stock": [1, 1, "reason"],
    "apply_payment": ["key", 10**8, "success"],
    "cancel_order": [10**8],
    "change_product": [1, "Limited Edition Item", "100.00", 5],
    "change_setting": ["hold_ttl_s", 120],
    "create_hold": [1, 1, "key"],
    "create_order": [10**8, "key"],
    "create_product": ["Limited Edition Item", "100.00", 5],
    "expire_due": [10],
    "extend_hold": [10**8],
    "get_hold": [10**8],
    "get_order": [10**8],
    "get_payment": ["key"],
    "get_product": [1],
    "list_products": [0, 10],
    "purge_history": [10],
    "record_stock_check": [0],
    "release_hold": [10**8],
    "report_sweeps": [10],
    "set_selling_rules": [1, "2030-01-01 00:00:00", "2030-01-02 00:00:00", 5],
    "settle_refund": ["key"],
    "settle_waiting_payments": [10],
    "start_payment": [10**8],
}


def wrong_for(good: Any) -> list[Any]:
    """The wrong values to try in place of a valid argument."""
    if isinstance(good, int) or good == "100.00":
        return NUMBERS
    return MOMENTS if good.startswith("2030") else TEXTS


# One element of each batch procedure; each refers to a row that does not exist.
BATCHES: dict[str, Any] = {
    "apply_payments": {"idempotency_key": "large", "order_id": 10**8, "status": "paid"},
    "cancel_orders": 10**8,
    "create_holds": {"product_id": 10**8, "quantity": 1},
    "create_orders": {"hold_id": 10**8},
    "extend_holds": 10**8,
    "get_holds": 10**8,
    "get_orders": 10**8,
    "get_products": 10**8,
    "release_holds": 10**8,
    "start_payments": 10**8,
}
