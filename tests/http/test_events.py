"""GET /api/events: pages by position, and readers who wait. The rules of positions are in tests/procedures."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.http.support import Service, Shop, assert_problem
from tests.http.test_metrics import Metrics
from tests.support import NOBODYS_ID, Session, eventually

READERS = 50
DAY_S = 86_400
TOO_LATE = 2**62


def read(client: httpx.Client, **parameters: int) -> dict[str, Any]:
    """Read a page of events; returns the document."""
    response = client.get("/api/events", params=parameters)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


@pytest.fixture
def start(session: Session) -> int:
    """The position of the last event so far."""
    position: int = session.call_all("list_events", "", TOO_LATE, 1)[1][0]["last_position"]
    return position


def test_events_say_what_happened_in_the_members_of_their_type(
    shop: Shop, client: httpx.Client, session: Session, start: int
) -> None:
    product_id = session.create_product(stock=9)
    hold_ids = [shop.hold(product_id) for _ in range(2)]
    paid, failed = shop.order(hold_ids), shop.ordered(product_id)
    shop.pay("pays", paid)
    shop.pay("fails", failed, "failure")
    shop.pay("too late", failed, payment_id="pay-1", amount="75000250003000.01")
    page = read(client, after=start, limit=3)
    rest = read(client, after=page["next"])
    assert page["next"] == start + 3
    assert [item.pop("position") for item in (*page["items"], *rest["items"])] == list(range(start + 1, start + 6))
    assert all(item.pop("occurred_at").endswith("Z") for item in (*page["items"], *rest["items"]))
    of_paid = {"order_id": paid, "hold_ids": hold_ids}
    of_failed = {"order_id": failed, "hold_ids": [session.call("get_order", failed)[0]["hold_id"]]}
    assert page["items"] == [
        {"type": "order.created", **of_paid},
        {"type": "order.created", **of_failed},
        {"type": "order.paid", **of_paid},
    ]
    refund = {"reason": "too_late", "amount": 75000250003000.01, "payment_id": "pay-1"}
    assert rest["items"] == [
        {"type": "order.cancelled", **of_failed, "reason": "payment_failed"},
        {"type": "refund.due", **of_failed, **refund},
    ]
    assert '"amount":75000250003000.01' in client.get("/api/events", params={"after": rest["next"] - 1}).text
    assert read(client, after=rest["next"]) == {"items": [], "next": rest["next"]}


def test_what_an_event_does_not_know_is_null(client: httpx.Client, session: Session, start: int) -> None:
    hold_id = session.create_hold(session.create_product(stock=1))
    session.call("apply_payment", "nobody's", NOBODYS_ID, "success")
    session.travel(DAY_S + 1)
    session.call("expire_due", 10)
    session.call("settle_waiting_payments", 10)
    expired, orphaned = read(client, after=start)["items"]
    assert (expired["type"], expired["order_id"], expired["hold_ids"]) == ("hold.expired", None, [hold_id])
    assert (orphaned["order_id"], orphaned["hold_ids"]) == (NOBODYS_ID, [])
    assert [orphaned[name] for name in ("reason", "amount", "payment_id")] == ["orphaned", None, None]


def test_a_reader_who_waits_is_answered_when_something_happens(service: Service, session: Session, start: int) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    with service.client() as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(read, client, after=start + 1, wait_s=30)
        eventually(lambda: Metrics(service).value("event_readers") == 1)
        session.call("cancel_order", order_id)
        (event,) = answer.result()["items"]
        assert Metrics(service).value("events_total") == event["position"]
    assert (event["type"], event["order_id"]) == ("order.cancelled", order_id)


def test_a_wait_without_an_event_ends_without_items_and_head_does_not_wait(client: httpx.Client, start: int) -> None:
    assert read(client, after=start, wait_s=1) == {"items": [], "next": start}
    head = client.head("/api/events", params={"after": start, "wait_s": 30})
    assert (head.status_code, head.content) == (200, b"")
    assert read(client, after=TOO_LATE) == {"items": [], "next": TOO_LATE}


def test_readers_who_wait_share_their_queries(service: Service, start: int) -> None:
    """Each asks once at the beginning. If each asked again every half second, there would be five times as many."""
    name, labels = "call_duration_seconds_count", {"procedure": "list_events"}
    before = Metrics(service).value(name, **labels)
    waits = [
        {"method": "GET", "url": "/api/events", "params": {"after": start + number, "wait_s": 2}}
        for number in range(READERS)
    ]
    answers = service.at_once(waits, READERS)
    assert [answer.json()["next"] for answer in answers] == list(range(start, start + READERS))
    assert Metrics(service).value(name, **labels) - before < 2 * READERS


@pytest.mark.parametrize(
    "query",
    [
        *("after=-1", "after=x", "after=1&after=2", "after=9223372036854775808"),
        *("limit=0", "limit=1001", "wait_s=31", "wait_s=0.5"),
    ],
)
def test_a_parameter_out_of_range_is_422(client: httpx.Client, query: str) -> None:
    assert_problem(client.get(f"/api/events?{query}"), 422, "invalid_request", 30001)


def test_a_reader_that_comes_too_late_is_told_where_to_go_on(client: httpx.Client, session: Session) -> None:
    session.create_order(session.create_product(stock=1))
    session.execute("UPDATE events SET occurred_at = UTC_TIMESTAMP() - INTERVAL 31 DAY")
    order_id = session.create_order(session.create_product(stock=1))
    session.call("purge_history", 10_000)
    (event,) = read(client)["items"]
    assert event["order_id"] == order_id
    refused = client.get("/api/events", params={"after": 1, "wait_s": 30})
    assert_problem(refused, 410, "events_purged", 30501, oldest_position=event["position"])
