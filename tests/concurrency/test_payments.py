"""Payment webhooks race the creation, the cancellation and the expiry of their orders."""

import json
import random
from collections.abc import Callable
from functools import partial
from itertools import chain

import mysql.connector
import pytest

from tests.support import Row, Session, race

Connect = Callable[[], Session]


def no_event_waits(session: Session, first_order_id: int) -> bool:
    """Whether every event for an order from an id on has been settled."""
    statement = "SELECT 1 FROM payment_events WHERE outcome = 'waiting' AND order_id >= %s"
    return session.query(statement, first_order_id) == []


@pytest.mark.parametrize(("size", "rounds"), [(1, 200), (20, 20)])
def test_every_webhook_that_races_its_order_is_applied(
    session: Session, connect: Connect, size: int, rounds: int
) -> None:
    product_id = session.create_product(stock=size * rounds)
    first = session.create_order(session.create_product(stock=1)) + 1
    buyer, provider, chosen = connect(), connect(), random.Random(size)
    expected = {}
    for _ in range(rounds):
        holds = session.batch("create_holds", [{"product_id": product_id, "quantity": 1}] * size)
        next_id = session.next_id("orders")
        ids = range(next_id, next_id + size)
        statuses = {order_id: chosen.choice(("success", "failure")) for order_id in ids}
        orders = [{"hold_id": hold["hold_id"]} for hold in holds]
        events = [
            {"idempotency_key": f"race {order_id}", "order_id": order_id, "status": status}
            for order_id, status in statuses.items()
        ]
        chosen.shuffle(events)
        made, _ = race(partial(buyer.batch, "create_orders", orders), partial(provider.batch, "apply_payments", events))
        assert [row["order_id"] for row in made] == list(ids)
        expected.update(statuses)
    assert no_event_waits(session, first)
    rows = session.query("SELECT id, status FROM orders WHERE id >= %s", first)
    assert {row["id"]: row["status"] for row in rows} == {
        order_id: "paid" if status == "success" else "cancelled" for order_id, status in expected.items()
    }
    assert session.available(product_id) == list(expected.values()).count("failure")


def test_fifty_concurrent_deliveries_of_one_event_take_effect_once(session: Session, connect: Connect) -> None:
    product_id = session.create_product(stock=5)
    for status, order_status in (("failure", "cancelled"), ("success", "paid")):
        order_id = session.create_order(product_id)

        def deliver(provider: Session, order_id: int = order_id, status: str = status) -> list[Row]:
            return [provider.call("apply_payment", f"fifty {status}", order_id, status)[0] for _ in range(2)]

        answers = list(chain.from_iterable(race(*(partial(deliver, connect()) for _ in range(25)))))
        assert sorted(answer["replayed"] for answer in answers) == [0] + [1] * 49
        assert session.status_of("order", order_id) == order_status
        assert session.call("get_payment", f"fifty {status}")[0]["outcome"] == "applied"
    assert session.available(product_id) == 4


def test_concurrent_batches_with_the_same_events_in_opposite_order_take_effect_once(
    session: Session, connect: Connect
) -> None:
    product_id = session.create_product(stock=40)
    orders = [session.create_order(product_id) for _ in range(40)]
    events = [
        {"idempotency_key": f"opposite {order_id}", "order_id": order_id, "status": "failure"} for order_id in orders
    ]
    sessions = [connect() for _ in range(8)]
    batches = [json.dumps(events[:: 1 - 2 * (number % 2)]) for number in range(8)]
    answers = race(*(partial(sessions[number].call, "apply_payments", batch) for number, batch in enumerate(batches)))
    assert sorted(row["replayed"] for rows in answers for row in rows) == [0] * 40 + [1] * 280
    assert session.available(product_id) == 40


def test_events_that_name_only_their_payment_race_those_that_name_the_order(session: Session, connect: Connect) -> None:
    """Each finds the order or is ignored; delivered again, all find it."""
    rounds, providers = 20, [connect() for _ in range(4)]
    product_id = session.create_product(stock=rounds)
    for order_id in [session.create_order(product_id) for _ in range(rounds)]:
        payment = {"payment_id": f"payment of {order_id}"}
        events: list[Row] = [
            {"idempotency_key": f"disputed {order_id}", "status": "disputed", **payment},
            {"idempotency_key": f"paid {order_id}", "status": "success", "order_id": order_id, **payment},
            {"idempotency_key": f"refunded {order_id}", "status": "refunded", **payment},
        ]
        batches = [events, events[::-1], events[:1], events[1:2]]
        answers = race(
            *(partial(each.batch, "apply_payments", part) for each, part in zip(providers, batches, strict=True))
        )
        rows = list(chain.from_iterable(answers))
        assert {row["errno"] for row in rows} == {None}
        assert {(row["order_id"], row["outcome"]) for row in rows} <= {
            *((order_id, "applied"), (order_id, "ignored"), (None, "ignored"))
        }
        again = session.batch("apply_payments", events)
        assert [(row["order_id"], row["status"]) for row in again] == [(order_id, "paid")] * 3
        assert [row["outcome"] for row in again] == ["ignored", "applied", "ignored"]
        assert len(session.query("SELECT 1 FROM payments_to_review WHERE order_id = %s", order_id)) == 1


def test_a_cancellation_that_races_a_payment_ends_in_one_state(session: Session, connect: Connect) -> None:
    product_id = session.create_product(stock=50)
    canceller, provider = connect(), connect()

    def cancel(order_id: int) -> int:
        try:
            canceller.call("cancel_order", order_id)
        except mysql.connector.Error as error:
            return error.errno
        return 0

    paid = 0
    for _ in range(50):
        order_id = session.create_order(product_id)
        errno, rows = race(
            partial(cancel, order_id),
            partial(provider.call, "apply_payment", f"cancel {order_id}", order_id, "success"),
        )
        is_paid = rows[0]["outcome"] == "applied"
        assert (errno, rows[0]["status"]) == ((30302, "paid") if is_paid else (0, "cancelled"))
        assert rows[0]["outcome"] in ("applied", "refund_due")
        paid += is_paid
    assert session.available(product_id) == 50 - paid


def test_an_event_whose_order_comes_when_it_is_orphaned_is_either_orphaned_or_applied(
    session: Session, connect: Connect
) -> None:
    product_id = session.create_product(stock=50)
    last = session.create_order(session.create_product(stock=1))
    buyer, janitor, provider = connect(), connect(), connect()
    provider.travel(-100_000)
    for order_id in range(last + 1, last + 51):
        key = f"last moment {order_id}"
        provider.call("apply_payment", key, order_id, "success")
        hold_id = session.create_hold(product_id)
        rows, _ = race(
            partial(buyer.call, "create_order", hold_id, None),
            partial(janitor.call, "settle_waiting_payments", 1000),
        )
        assert rows[0]["order_id"] == order_id
        outcome = session.call("get_payment", key)[0]["outcome"]
        assert (outcome, session.status_of("order", order_id)) in (("applied", "paid"), ("orphaned", "pending"))
