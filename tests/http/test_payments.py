"""The payment webhook over HTTP: any number of times, in any order."""

import itertools

import httpx
import pytest

from tests.http.support import (
    Service,
    Shop,
    assert_common_headers,
    assert_problem,
    hold_request,
    order_request,
    payment_request,
)
from tests.support import Session

numbers = itertools.count(1)


def new_key() -> str:
    """A payment provider's key that was never used."""
    return f"event {next(numbers)}"


def next_order_id(shop: Shop, product_id: int) -> int:
    """The id of the order that will be made next: ids count up by one."""
    return shop.ordered(product_id) + 1


@pytest.mark.parametrize("status", ["success", "failure", "failed"])
def test_an_event_for_a_pending_order_is_applied(
    client: httpx.Client, session: Session, shop: Shop, status: str
) -> None:
    product_id = session.create_product(stock=5)
    order_id = shop.ordered(product_id, 2)
    response = client.request(**payment_request(new_key(), order_id, status))
    final = "paid" if status == "success" else "cancelled"
    assert response.status_code == 200
    assert response.json() == {"order_id": order_id, "status": final, "outcome": "applied"}
    assert "Idempotent-Replayed" not in response.headers
    assert_common_headers(response)
    assert client.get(f"/api/orders/{order_id}").json()["status"] == final
    assert shop.available(product_id) == (3 if status == "success" else 5)


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("success", "success", "refund_due"),
        ("success", "failure", "ignored"),
        ("failure", "success", "refund_due"),
        ("failure", "failure", "ignored"),
    ],
)
def test_a_second_event_finds_the_order_in_its_final_state(
    session: Session, shop: Shop, first: str, second: str, outcome: str
) -> None:
    product_id = session.create_product(stock=5)
    order_id = shop.ordered(product_id)
    final = shop.pay(new_key(), order_id, first)["status"]
    available = shop.available(product_id)
    key = new_key()
    assert shop.pay(key, order_id, second) == {"order_id": order_id, "status": final, "outcome": outcome}
    assert shop.available(product_id) == available
    refunds = session.query("SELECT 1 FROM refunds_due WHERE idempotency_key = %s", key)
    assert len(refunds) == (1 if outcome == "refund_due" else 0)


@pytest.mark.parametrize(("status", "final"), [("success", "paid"), ("failure", "cancelled")])
def test_an_event_that_comes_first_waits_and_decides_the_order_as_it_is_made(
    client: httpx.Client, session: Session, shop: Shop, status: str, final: str
) -> None:
    product_id = session.create_product(stock=5)
    order_id = next_order_id(shop, product_id)
    available = shop.available(product_id)
    event = payment_request(new_key(), order_id, status)
    waiting = client.request(**event)
    assert waiting.status_code == 202
    assert waiting.json() == {"order_id": order_id, "status": None, "outcome": "waiting"}
    assert_common_headers(waiting)

    hold_id = shop.hold(product_id)
    created = client.request(**order_request(hold_id))
    assert created.status_code == 201
    assert created.json() == {"order_id": order_id, "hold_id": hold_id, "status": final}
    assert shop.available(product_id) == (available - 1 if final == "paid" else available)

    again = client.request(**event)
    assert again.status_code == 200
    assert again.json() == {"order_id": order_id, "status": final, "outcome": "applied"}
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_waiting_event_delivered_again_still_waits(client: httpx.Client, session: Session, shop: Shop) -> None:
    order_id = next_order_id(shop, session.create_product(stock=5)) + 1_000_000
    event = payment_request(new_key(), order_id)
    first, again = client.request(**event), client.request(**event)
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(("events", "final"), [(("success", "failure"), "paid"), (("failure", "success"), "cancelled")])
def test_several_waiting_events_are_applied_in_the_order_of_their_arrival(
    client: httpx.Client, session: Session, shop: Shop, events: tuple[str, str], final: str
) -> None:
    product_id = session.create_product(stock=5)
    order_id = next_order_id(shop, product_id)
    for status in events:
        assert client.request(**payment_request(new_key(), order_id, status)).status_code == 202
    order = client.request(**order_request(shop.hold(product_id))).json()
    assert order == {"order_id": order_id, "hold_id": order["hold_id"], "status": final}


def test_an_overdue_order_that_nobody_has_swept_is_paid(session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    session.travel(-1000)
    hold_id = session.call("create_hold", product_id, 2, None)[0]["hold_id"]
    order_id = session.call("create_order", hold_id, None)[0]["order_id"]
    session.travel(0)
    assert shop.pay(new_key(), order_id)["status"] == "paid"


def test_money_that_comes_after_the_order_was_cancelled_is_a_refund_and_sells_nothing(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    product_id = session.create_product(stock=1)
    order_id = shop.ordered(product_id)
    client.post(f"/api/orders/{order_id}/cancel")
    shop.hold(product_id)
    late = shop.pay(new_key(), order_id)
    assert late == {"order_id": order_id, "status": "cancelled", "outcome": "refund_due"}
    assert shop.available(product_id) == 0


def test_fifty_deliveries_at_once_take_effect_once(service: Service, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    order_id = shop.ordered(product_id, 2)
    answers = service.at_once([payment_request(new_key(), order_id, "failure")] * 50)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.text for answer in answers} == {
        f'{{"order_id":{order_id},"status":"cancelled","outcome":"applied"}}'
    }
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count(None) == 1
    assert shop.available(product_id) == 5


def test_of_fifty_payments_under_different_keys_one_pays_and_the_others_are_refunds(
    service: Service, session: Session, shop: Shop
) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    answers = service.at_once([payment_request(new_key(), order_id) for _ in range(50)])
    outcomes = [answer.json()["outcome"] for answer in answers]
    assert sorted(outcomes) == ["applied", *["refund_due"] * 49]
    assert {answer.json()["status"] for answer in answers} == {"paid"}


@pytest.mark.parametrize("status", ["success", "failure"])
def test_webhooks_that_race_the_orders_they_pay_never_stay_waiting(
    service: Service, session: Session, shop: Shop, status: str
) -> None:
    product_id = session.create_product(stock=400)
    first = next_order_id(shop, product_id)
    holds = [answer.json()["hold_id"] for answer in service.at_once([hold_request(product_id)] * 200)]
    orders = [order_request(hold_id) for hold_id in holds]
    # Ids of orders that are made in one batch may leave gaps, so there are more guesses than orders.
    events = [payment_request(new_key(), first + position, status) for position in range(400)]
    answers = service.at_once(
        [request for number in range(200) for request in (*events[2 * number :][:2], orders[number])]
    )
    assert {answer.status_code for answer in answers} <= {200, 201, 202}
    rows = session.query(
        "SELECT order_.status, event_.outcome, COUNT(*) AS number FROM orders AS order_"
        " INNER JOIN payment_events AS event_ ON event_.order_id = order_.id WHERE order_.id >= %s GROUP BY 1, 2",
        first,
    )
    assert [(row["status"], row["outcome"]) for row in rows] == [
        ("paid" if status == "success" else "cancelled", "applied")
    ]
    assert rows[0]["number"] >= 100
    session.execute("DELETE FROM payment_events WHERE outcome = 'waiting'")


def test_an_events_key_with_another_content_is_refused(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    order_id, other = shop.ordered(product_id), shop.ordered(product_id)
    key = new_key()
    shop.pay(key, order_id)
    for request in (payment_request(key, other), payment_request(key, order_id, "failure")):
        assert_problem(client.request(**request), 409, "idempotency_key_reused", 30002)
    assert client.get(f"/api/orders/{other}").json()["status"] == "pending"


def test_failed_and_failure_are_the_same_event(client: httpx.Client, session: Session, shop: Shop) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    key = new_key()
    first = shop.pay(key, order_id, "failed")
    again = client.request(**payment_request(key, order_id, "failure"))
    assert again.json() == first
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("key", ["Ereignis", "EREIGNIS", "Éreignis", "ereignis ", "👍", 'quote " and \\', "a\x00b"])
def test_events_whose_keys_differ_in_any_byte_are_different(session: Session, shop: Shop, key: str) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    assert shop.pay(key, order_id)["outcome"] == "applied"


def test_payment_keys_and_hold_keys_do_not_meet(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    hold_id = client.request(**hold_request(product_id, key="the same key")).json()["hold_id"]
    order = client.request(**order_request(hold_id, key="the same key"))
    assert order.status_code == 201
    assert shop.pay("the same key", order.json()["order_id"])["outcome"] == "applied"
