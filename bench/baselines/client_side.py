"""Baseline 1: a client-side transaction with SELECT … FOR UPDATE, as a framework's ORM does it, through a pool."""

import os
from typing import Any

import falcon
import msgspec
import mysql.connector

from bench.baselines import web
from bench.baselines.pool import Pool
from service.errors import Problem, refusal
from service.requests import utc
from service.rows import PaymentEvent

DUPLICATE_KEY = 1062


class OrderBody(msgspec.Struct):
    """The body of POST /api/orders."""

    hold_id: int


class Product:
    """`/api/products/{id}`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def on_get(self, _req: falcon.Request, resp: falcon.Response, product_id: str) -> None:
        """One product with its stock."""
        with self._pool.cursor() as cursor:
            row = _first(cursor, "SELECT id, name, price, available FROM products WHERE id = %s", product_id)
        if row is None:
            raise refusal(30101)
        web.answer(resp, {"id": row[0], "name": row[1], "price": float(row[2]), "available_stock": row[3]})


class Holds:
    """`/api/holds`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._decoder = msgspec.json.Decoder(web.HoldBody)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Reserve units of a product."""
        key = web.idempotency_key(req, resp)
        body: web.HoldBody = web.read(req, self._decoder)
        expires_at = web.deadline()
        try:
            with self._pool.cursor() as cursor:
                hold_id = self._place(cursor, body, expires_at, key)
        except mysql.connector.IntegrityError as error:
            if error.errno != DUPLICATE_KEY:
                raise
            with self._pool.cursor() as cursor:
                hold_id, expires_at = _first(
                    cursor,
                    "SELECT holds.id, holds.expires_at FROM idempotency_keys JOIN holds ON holds.id = result_id"
                    " WHERE operation = 'hold' AND idempotency_key = %s",
                    key.encode(),
                )
        web.answer(resp, {"hold_id": hold_id, "expires_at": utc(expires_at)}, created=True)

    @staticmethod
    def _place(cursor: Any, body: web.HoldBody, expires_at: Any, key: str) -> int:
        row = _first(cursor, "SELECT available FROM products WHERE id = %s FOR UPDATE", body.product_id)
        if row is None:
            raise refusal(30101)
        if row[0] < body.quantity:
            raise refusal(30102, available_stock=row[0])
        cursor.execute("UPDATE products SET available = available - %s WHERE id = %s", (body.quantity, body.product_id))
        cursor.execute(
            "INSERT INTO holds (product_id, quantity, status, expires_at) VALUES (%s, %s, 'active', %s)",
            (body.product_id, body.quantity, expires_at),
        )
        hold_id: int = cursor.lastrowid
        _record_key(cursor, "hold", key, hold_id)
        return hold_id


class Orders:
    """`/api/orders`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._decoder = msgspec.json.Decoder(OrderBody)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Turn a hold into an order."""
        key = web.idempotency_key(req, resp)
        hold_id = web.read(req, self._decoder).hold_id
        with self._pool.cursor() as cursor:
            row = _first(
                cursor,
                "SELECT product_id, quantity, status, expires_at > UTC_TIMESTAMP(), price"
                " FROM holds JOIN products ON products.id = product_id WHERE holds.id = %s FOR UPDATE OF holds",
                hold_id,
            )
            if row is None:
                raise refusal(30201)
            product_id, quantity, status, is_alive, price = row
            if status != "active" or not is_alive:
                raise refusal(30203 if status == "ordered" else 30202)
            cursor.execute("UPDATE holds SET status = 'ordered' WHERE id = %s", (hold_id,))
            cursor.execute(
                "INSERT INTO orders (hold_id, product_id, quantity, amount, status) VALUES (%s, %s, %s, %s, 'pending')",
                (hold_id, product_id, quantity, quantity * price),
            )
            order_id = cursor.lastrowid
            _record_key(cursor, "order", key, order_id)
        web.answer(resp, {"order_id": order_id, "hold_id": hold_id, "status": "pending"}, created=True)


class Payments:
    """`/api/payments/webhook`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._decoder = msgspec.json.Decoder(PaymentEvent)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take a payment event of a pending order, once; what else the contract asks for is left out."""
        event: PaymentEvent = web.read(req, self._decoder)
        if event.status != "success":
            raise Problem("invalid_request", 422, "This baseline takes successful payments only.")
        with self._pool.cursor() as cursor:
            row = _first(cursor, "SELECT status FROM orders WHERE id = %s FOR UPDATE", event.order_id)
            if row is None:
                raise refusal(30301)
            cursor.execute(
                "INSERT IGNORE INTO payment_events (idempotency_key, order_id, status) VALUES (%s, %s, 'success')",
                (event.idempotency_key.encode(), event.order_id),
            )
            if cursor.rowcount and row[0] == "pending":
                cursor.execute("UPDATE orders SET status = 'paid' WHERE id = %s", (event.order_id,))
        web.answer(resp, {"order_id": event.order_id, "status": "paid", "outcome": "applied"})


def _first(cursor: Any, statement: str, *arguments: Any) -> Any:
    cursor.execute(statement, arguments)
    rows = cursor.fetchall()
    return rows[0] if rows else None


def _record_key(cursor: Any, operation: str, key: str, result_id: int) -> None:
    cursor.execute(
        "INSERT INTO idempotency_keys (operation, idempotency_key, result_id) VALUES (%s, %s, %s)",
        (operation, key.encode(), result_id),
    )


def create_app() -> falcon.App[Any, Any]:
    """The WSGI application."""
    pool = Pool(os.environ["BASELINE_URL"], int(os.environ["POOL_SIZE"]), autocommit=False)
    app = web.threaded_app()
    app.add_route("/api/products/{product_id}", Product(pool))
    app.add_route("/api/holds", Holds(pool))
    app.add_route("/api/orders", Orders(pool))
    app.add_route("/api/payments/webhook", Payments(pool))
    return app
