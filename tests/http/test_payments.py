"""The payment webhook over HTTP: any number of times, in any order."""

import itertools

import httpx
import pytest

from service.openapi import SCHEMAS
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


@pytest.mark.parametrize(
    "amount",
    ["200.02", "200.020", '"200.02"', '"200.0200"', "20002e-2", "2.0002E+2"],
)
@pytest.mark.parametrize("order_id", ["{}", '"{}"', '"00{}"', "{}.0"])
def test_amounts_and_order_ids_are_read_however_they_are_written(
    client: httpx.Client, session: Session, shop: Shop, amount: str, order_id: str
) -> None:
    number = shop.ordered(session.create_product(stock=2, price="100.01"), 2)
    body = (
        f'{{"idempotency_key": "{new_key()}", "order_id": {order_id.format(number)}, "status": "success",'
        f' "amount": {amount}}}'
    )
    answer = client.post("/api/payments/webhook", content=body, headers={"Content-Type": "application/json"})
    assert answer.json() == {"order_id": number, "status": "paid", "outcome": "applied"}


@pytest.mark.parametrize("order_id", ["{}", "{}.0"])
def test_amounts_are_exact(client: httpx.Client, session: Session, shop: Shop, order_id: str) -> None:
    number = shop.ordered(session.create_product(stock=7501, price="9999999999.99"), 7501)
    headers = {"Content-Type": "application/json"}
    for amount, outcome in (("75009999999924.98", "refund_due"), ("75009999999924.99", "applied")):
        event = f'"idempotency_key":"{new_key()}","status":"success","amount":{amount}'
        body = f'{{"order_id":{order_id.format(number)},{event}}}'
        assert client.post("/api/payments/webhook", content=body, headers=headers).json()["outcome"] == outcome


def test_a_payment_that_is_told_under_another_key_is_no_second_one(session: Session, shop: Shop) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    outcomes = [
        shop.pay(new_key(), order_id, payment_id=payment_id, amount="100.00")["outcome"]
        for payment_id in ("pi_1", "pi_1", "pi_2")
    ]
    assert outcomes == ["applied", "ignored", "refund_due"]
    assert shop.pay(new_key(), order_id, "refunded", payment_id="pi_2")["outcome"] == "applied"
    assert session.query("SELECT 1 FROM refunds_due WHERE order_id = %s", order_id) == []


@pytest.mark.parametrize("status", ["declined", "pending", "processing", "authorized", "refunded", "disputed"])
def test_news_of_a_payment_leave_the_order_as_it_is(session: Session, shop: Shop, status: str) -> None:
    order_id = shop.ordered(session.create_product(stock=5))
    assert shop.pay(new_key(), order_id, status) == {"order_id": order_id, "status": "pending", "outcome": "ignored"}
    assert shop.pay(new_key(), order_id)["outcome"] == "applied"


def test_every_word_of_a_payment_status_is_described(session: Session) -> None:
    rows = session.query("SELECT CONVERT(word USING utf8mb4) AS word FROM payment_statuses")
    assert {row["word"] for row in rows} == set(SCHEMAS["PaymentEvent"]["properties"]["status"]["enum"])


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
    events = [payment_request(new_key(), first + position, status) for position in range(200)]
    answers = service.at_once([request for pair in zip(events, orders, strict=True) for request in pair])
    assert {answer.status_code for answer in answers} <= {200, 201, 202}
    made = [answer.json()["order_id"] for answer in answers[1::2]]
    assert sorted(made) == list(range(first, first + 200))
    counts = session.query("SELECT status, COUNT(*) AS n FROM orders WHERE id >= %s GROUP BY status", first)
    assert counts == [{"status": "paid" if status == "success" else "cancelled", "n": 200}]
    outcomes = session.query(
        "SELECT outcome, COUNT(*) AS n FROM payment_events WHERE order_id BETWEEN %s AND %s GROUP BY outcome",
        first,
        first + 199,
    )
    assert outcomes == [{"outcome": "applied", "n": 200}]


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
