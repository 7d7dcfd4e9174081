"""Baseline "client-side transactions": SELECT … FOR UPDATE and further statements, as an ORM sends them."""

import os
from typing import Any

import falcon
import msgspec
import mysql.connector
from mysql.connector import errorcode

from bench.baselines import web
from bench.baselines.pool import Pool
from service.errors import (
    HOLD_ALREADY_USED,
    HOLD_EXPIRED,
    HOLD_NOT_FOUND,
    INSUFFICIENT_STOCK,
    ORDER_NOT_FOUND,
    PRODUCT_NOT_FOUND,
    Problem,
    refusal,
)
from service.requests import utc
from service.rows import PaymentEvent


class OrderBody(msgspec.Struct):
    """The body of POST /api/orders."""

    hold_id: int


class Product:
    """`/api/products/{id}`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def on_get(self, _req: falcon.Request, resp: falcon.Response, product_id: str) -> None:
        """Return one product with its stock."""
        with self._pool.cursor() as cursor:
            row = _first(cursor, "SELECT id, name, price, available FROM products WHERE id = %s", product_id)
        if row is None:
            raise refusal(PRODUCT_NOT_FOUND)
        web.send_json(resp, {"id": row[0], "name": row[1], "price": float(row[2]), "available_stock": row[3]})


class Holds:
    """`/api/holds`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._decoder = msgspec.json.Decoder(web.HoldBody)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Hold units of a product."""
        key = web.set_idempotency_key_header(req, resp)
        body: web.HoldBody = web.read_json(req, self._decoder)
        expires_at = web.hold_expiry()
        try:
            with self._pool.cursor() as cursor:
                hold_id = self._insert_hold(cursor, body, expires_at, key)
        except mysql.connector.IntegrityError as error:
            if error.errno != errorcode.ER_DUP_ENTRY:
                raise
            with self._pool.cursor() as cursor:
                hold_id, expires_at = _first(
                    cursor,
                    "SELECT holds.id, holds.expires_at FROM idempotency_keys JOIN holds ON holds.id = result_id"
                    " WHERE operation = 'hold' AND idempotency_key = %s",
                    key.encode(),
                )
        web.send_json(resp, {"hold_id": hold_id, "expires_at": utc(expires_at)}, created=True)

    @staticmethod
    def _insert_hold(cursor: Any, body: web.HoldBody, expires_at: Any, key: str) -> int:
        row = _first(cursor, "SELECT available FROM products WHERE id = %s FOR UPDATE", body.product_id)
        if row is None:
            raise refusal(PRODUCT_NOT_FOUND)
        if row[0] < body.quantity:
            raise refusal(INSUFFICIENT_STOCK, available_stock=row[0])
        cursor.execute("UPDATE products SET available = available - %s WHERE id = %s", (body.quantity, body.product_id))
        return record_hold(cursor, body, expires_at, key)


class Orders:
    """`/api/orders`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._decoder = msgspec.json.Decoder(OrderBody)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create an order from a hold."""
        key = web.set_idempotency_key_header(req, resp)
        hold_id = web.read_json(req, self._decoder).hold_id
        with self._pool.cursor() as cursor:
            row = _first(
                cursor,
                "SELECT product_id, quantity, status, expires_at > UTC_TIMESTAMP(), price"
                " FROM holds JOIN products ON products.id = product_id WHERE holds.id = %s FOR UPDATE OF holds",
                hold_id,
            )
            if row is None:
                raise refusal(HOLD_NOT_FOUND)
            product_id, quantity, status, is_before_deadline, price = row
            if status != "active" or not is_before_deadline:
                raise refusal(HOLD_ALREADY_USED if status == "ordered" else HOLD_EXPIRED)
            cursor.execute("UPDATE holds SET status = 'ordered' WHERE id = %s", (hold_id,))
            cursor.execute(
                "INSERT INTO orders (hold_id, product_id, quantity, amount, status) VALUES (%s, %s, %s, %s, 'pending')",
                (hold_id, product_id, quantity, quantity * price),
            )
            order_id = cursor.lastrowid
            _record_key(cursor, "order", key, order_id)
        web.send_json(resp, {"order_id": order_id, "hold_id": hold_id, "status": "pending"}, created=True)


class Payments:
    """`/api/payments/webhook`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._decoder = msgspec.json.Decoder(PaymentEvent)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Apply a successful payment event to a pending order, once. Other rules of the service are left out."""
        event: PaymentEvent = web.read_json(req, self._decoder)
        if event.status != "success":
            raise Problem("invalid_request", 422, "This baseline takes successful payments only.")
        with self._pool.cursor() as cursor:
            row = _first(cursor, "SELECT status FROM orders WHERE id = %s FOR UPDATE", event.order_id)
            if row is None:
                raise refusal(ORDER_NOT_FOUND)
            cursor.execute(
                "INSERT IGNORE INTO payment_events (idempotency_key, order_id, status) VALUES (%s, %s, 'success')",
                (event.idempotency_key.encode(), event.order_id),
            )
            if cursor.rowcount and row[0] == "pending":
                cursor.execute("UPDATE orders SET status = 'paid' WHERE id = %s", (event.order_id,))
        web.send_json(resp, {"order_id": event.order_id, "status": "paid", "outcome": "applied"})


def _first(cursor: Any, statement: str, *arguments: Any) -> Any:
    cursor.execute(statement, arguments)
    rows = cursor.fetchall()
    return rows[0] if rows else None


def record_hold(cursor: Any, body: web.HoldBody, expires_at: Any, key: str) -> int:
    """Insert a hold and its key; returns the hold's id."""
    cursor.execute(
        "INSERT INTO holds (product_id, quantity, status, expires_at) VALUES (%s, %s, 'active', %s)",
        (body.product_id, body.quantity, expires_at),
    )
    hold_id: int = cursor.lastrowid
    _record_key(cursor, "hold", key, hold_id)
    return hold_id


def _record_key(cursor: Any, operation: str, key: str, result_id: int) -> None:
    cursor.execute(
        "INSERT INTO idempotency_keys (operation, idempotency_key, result_id) VALUES (%s, %s, %s)",
        (operation, key.encode(), result_id),
    )


def create_app() -> falcon.App[Any, Any]:
    """Create the WSGI application."""
    pool = Pool(os.environ["BASELINE_URL"], int(os.environ["POOL_SIZE"]), autocommit=False)
    app = web.threaded_app()
    app.add_route("/api/products/{product_id}", Product(pool))
    app.add_route("/api/holds", Holds(pool))
    app.add_route("/api/orders", Orders(pool))
    app.add_route("/api/payments/webhook", Payments(pool))
    return app
