"""Baseline "one row per unit": a hold takes free units that no other transaction has locked (SKIP LOCKED).

Shopify published this design in 2026 (https://shopify.engineering/scaling-inventory-reservations): a row for each unit
instead of a quantity, READ COMMITTED, one short transaction per reservation, and a job that expires reservations. Holds
do not wait for each other.
"""

import os
import threading
import time
from typing import Any

import falcon

from bench.baselines import client_side, web
from bench.baselines.pool import Pool
from service.errors import INSUFFICIENT_STOCK, refusal

EXPIRY_INTERVAL_S = 1
HOLDS_PER_EXPIRY = 1_000


class Holds(client_side.Holds):
    """`/api/holds`."""

    @staticmethod
    def _insert_hold(cursor: Any, body: web.HoldBody, expires_at: Any, key: str) -> int:
        cursor.execute(
            "SELECT id FROM units WHERE product_id = %s AND hold_id IS NULL LIMIT %s FOR UPDATE SKIP LOCKED",
            (body.product_id, body.quantity),
        )
        unit_ids = [unit_id for (unit_id,) in cursor.fetchall()]
        if len(unit_ids) < body.quantity:
            raise refusal(INSUFFICIENT_STOCK, available_stock=len(unit_ids))
        hold_id = client_side.record_hold(cursor, body, expires_at, key)
        cursor.execute(
            f"UPDATE units SET hold_id = %s WHERE product_id = %s AND id IN ({_places(unit_ids)})",
            (hold_id, body.product_id, *unit_ids),
        )
        return hold_id


def expire_holds(pool: Pool) -> None:
    """Free the units of holds whose time is over, every second, as long as the process lives."""
    while True:
        with pool.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM holds WHERE status = 'active' AND expires_at <= UTC_TIMESTAMP() LIMIT %s"
                " FOR UPDATE SKIP LOCKED",
                (HOLDS_PER_EXPIRY,),
            )
            hold_ids = [hold_id for (hold_id,) in cursor.fetchall()]
            if hold_ids:
                cursor.execute(
                    "UPDATE units JOIN holds ON holds.id = units.hold_id AND holds.product_id = units.product_id"
                    f" SET units.hold_id = NULL, status = 'expired' WHERE holds.id IN ({_places(hold_ids)})",
                    hold_ids,
                )
        time.sleep(EXPIRY_INTERVAL_S)


def _places(values: list[int]) -> str:
    return ", ".join(["%s"] * len(values))


def create_app() -> falcon.App[Any, Any]:
    """Create the WSGI application."""
    pool = Pool(os.environ["BASELINE_URL"], int(os.environ["POOL_SIZE"]), autocommit=False)
    threading.Thread(target=expire_holds, args=(pool,), daemon=True).start()
    app = web.threaded_app()
    app.add_route("/api/holds", Holds(pool))
    return app
