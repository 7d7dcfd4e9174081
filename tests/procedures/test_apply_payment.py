"""apply_payment: the webhook's table, in both orders of event and order."""

from collections.abc import Callable

import pytest

from tests.support import Session

SETTLED = [
    # the events that came before, then this event, its outcome, the order's status and units back in stock
    ([], "success", "applied", "paid", 0),
    ([], "failure", "applied", "cancelled", 2),
    ([], "failed", "applied", "cancelled", 2),
    (["success"], "success", "refund_due", "paid", 0),
    (["success"], "failure", "ignored", "paid", 0),
    (["failure"], "success", "refund_due", "cancelled", 2),
    (["failure"], "failure", "ignored", "cancelled", 2),
    (["success", "failure"], "success", "refund_due", "paid", 0),
    (["failure", "success"], "failure", "ignored", "cancelled", 2),
]

KeyMaker = Callable[[], str]


@pytest.fixture
def new_key(request: pytest.FixtureRequest) -> KeyMaker:
    """Makes keys that no other test uses."""
    numbers = iter(range(1000))
    return lambda: f"{request.node.name} {next(numbers)}"


@pytest.mark.parametrize(("before", "event", "outcome", "status", "returned"), SETTLED)
def test_an_event_after_its_order_settles_it(
    session: Session,
    *,
    new_key: KeyMaker,
    before: list[str],
    event: str,
    outcome: str,
    status: str,
    returned: int,
) -> None:
    product_id = session.create_product(stock=2)
    order_id = session.create_order(product_id, 2)
    for earlier in before:
        session.call("apply_payment", new_key(), order_id, earlier)
    (row,) = session.call("apply_payment", new_key(), order_id, event)
    assert list(row) == ["order_id", "status", "outcome", "replayed"]
    assert row == {"order_id": order_id, "status": status, "outcome": outcome, "replayed": 0}
    assert session.available(product_id) == returned


@pytest.mark.parametrize(("before", "event", "outcome", "status", "returned"), SETTLED)
def test_events_before_their_order_settle_it_in_arrival_order(
    session: Session,
    *,
    new_key: KeyMaker,
    before: list[str],
    event: str,
    outcome: str,
    status: str,
    returned: int,
) -> None:
    product_id = session.create_product(stock=3)
    order_id = session.create_order(product_id) + 1
    keys = [new_key() for _ in range(len(before) + 1)]
    for key, earlier in zip(keys, [*before, event], strict=True):
        waiting = {"order_id": order_id, "status": None, "outcome": "waiting", "replayed": 0}
        assert session.call("apply_payment", key, order_id, earlier) == [waiting]
    (order,) = session.call("create_order", session.create_hold(product_id, 2), None)
    assert (order["order_id"], order["status"]) == (order_id, status)
    redelivered = {"order_id": order_id, "status": status, "outcome": outcome, "replayed": 1}
    assert session.call("apply_payment", keys[-1], order_id, event) == [redelivered]
    assert session.available(product_id) == returned


@pytest.mark.parametrize("event", ["success", "failure"])
def test_a_redelivery_changes_nothing(session: Session, new_key: KeyMaker, event: str) -> None:
    product_id = session.create_product(stock=2)
    order_id = session.create_order(product_id, 2)
    key = new_key()
    (first,) = session.call("apply_payment", key, order_id, event)
    available = session.available(product_id)
    for _ in range(3):
        assert session.call("apply_payment", key, order_id, event) == [{**first, "replayed": 1}]
    assert session.available(product_id) == available


def test_failed_and_failure_are_one_request(session: Session, new_key: KeyMaker) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    key = new_key()
    session.call("apply_payment", key, order_id, "failed")
    assert session.call("apply_payment", key, order_id, "failure")[0]["replayed"] == 1


def test_a_key_belongs_to_its_first_event(session: Session, new_key: KeyMaker) -> None:
    product_id = session.create_product(stock=2)
    order_id, other_id = session.create_order(product_id), session.create_order(product_id)
    key = new_key()
    session.call("apply_payment", key, order_id, "success")
    assert session.errno("apply_payment", key, order_id, "failure") == 30002
    assert session.errno("apply_payment", key, other_id, "success") == 30002
    assert session.status_of("order", other_id) == "pending"


def test_keys_are_bytes(session: Session) -> None:
    order_id = session.create_order(session.create_product(stock=1))
    outcomes = [
        session.call("apply_payment", key, order_id, "success")[0]["outcome"]
        for key in ("abc", "ABC", "ábc", "abc ", "k" * 254 + "x", "k" * 254 + "y")
    ]
    assert outcomes == ["applied"] + ["refund_due"] * 5


def test_the_shape_of_a_known_event_is_judged_before_its_replay(session: Session, new_key: KeyMaker) -> None:
    key = new_key()
    session.call("apply_payment", key, 10**9, "success")
    assert session.errno("apply_payment", key, None, "success") == 30001
    assert session.errno("apply_payment", key, 10**9, None) == 30001
    assert session.errno("apply_payment", key, 10**9, "paid") == 30001


def test_an_overdue_order_that_nobody_swept_is_paid(session: Session, new_key: KeyMaker) -> None:
    product_id = session.create_product(stock=1)
    order_id = session.create_order(product_id)
    session.travel(5000)
    (row,) = session.call("apply_payment", new_key(), order_id, "success")
    assert (row["status"], row["outcome"]) == ("paid", "applied")
    session.call("expire_due", 1000)
    assert session.status_of("order", order_id) == "paid"
    assert session.available(product_id) == 0


def test_a_swept_order_stays_cancelled_and_its_money_is_due_back(session: Session, new_key: KeyMaker) -> None:
    product_id = session.create_product(stock=1)
    order_id = session.create_order(product_id)
    session.travel(901)
    session.call("expire_due", 1000)
    key = new_key()
    (row,) = session.call("apply_payment", key, order_id, "success")
    assert (row["status"], row["outcome"]) == ("cancelled", "refund_due")
    refunds = session.query("SELECT * FROM refunds_due WHERE order_id = %s", order_id)
    assert [refund["idempotency_key"] for refund in refunds] == [key]
    assert session.available(product_id) == 1


def test_an_event_whose_order_came_without_it_is_settled_by_its_redelivery(session: Session, new_key: KeyMaker) -> None:
    """A crash between the two transactions of apply_payment leaves a waiting event beside its order."""
    order_id = session.create_order(session.create_product(stock=1))
    key = new_key()
    session.call("apply_payment", key, order_id, "success")
    session.execute("UPDATE payment_events SET outcome = 'waiting' WHERE order_id = %s", order_id)
    session.execute("UPDATE orders SET status = 'pending' WHERE id = %s", order_id)
    session.execute("DELETE FROM events WHERE order_id = %s AND type = 'order.paid'", order_id)
    (row,) = session.call("apply_payment", key, order_id, "success")
    assert (row["status"], row["outcome"], row["replayed"]) == ("paid", "applied", 1)
