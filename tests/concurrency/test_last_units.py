"""Many sessions hold few units: exactly the stock is held."""

import random
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import chain

import mysql.connector

from stack.servers import Servers
from tests.support import Row, Session, new_database, race

Connect = Callable[[], Session]

INSUFFICIENT_STOCK = 30102


def try_hold(session: Session, product_id: int, quantity: int) -> int:
    """CALL create_hold; returns how many units it got."""
    try:
        session.create_hold(product_id, quantity)
    except mysql.connector.Error as error:
        if error.errno != INSUFFICIENT_STOCK:
            raise
        return 0
    return quantity


def buy_until_sold_out(session: Session, product_id: int) -> int:
    """Hold single units until there are none; returns how many it got."""
    bought = 0
    while try_hold(session, product_id, 1):
        bought += 1
    return bought


def test_with_two_products_a_lock_on_one_does_not_delay_buyers_of_the_other(servers: Servers) -> None:
    """The optimizer reads so small a table whole unless a statement forbids it."""
    with new_database(servers.mysql_url, "two_products") as url, closing(Session(url)) as keeper:
        locked, free = keeper.create_product(stock=1), keeper.create_product(stock=1)
        keeper.execute("START TRANSACTION")
        keeper.query("SELECT 1 FROM stock WHERE product_id = %s FOR UPDATE", locked)
        with closing(Session(url)) as buyer:
            buyer.execute("SET innodb_lock_wait_timeout = 1")
            buyer.call("release_hold", buyer.create_hold(free))
            assert buyer.available(free) == 1


def test_sixteen_connections_hold_exactly_the_stock(session: Session, connect: Connect) -> None:
    product_id = session.create_product(stock=200)
    buyers = [partial(buy_until_sold_out, connect(), product_id) for _ in range(16)]
    assert sum(race(*buyers)) == 200
    assert session.available(product_id) == 0


def test_holds_of_mixed_quantities_leave_every_other_unit_available(session: Session, connect: Connect) -> None:
    product_id = session.create_product(stock=150)

    def buy(buyer: Session, quantities: list[int]) -> int:
        return sum(try_hold(buyer, product_id, quantity) for quantity in quantities)

    chosen = random.Random(1)
    wishes = [[chosen.randint(1, 7) for _ in range(6)] for _ in range(16)]
    held = sum(race(*(partial(buy, connect(), quantities) for quantities in wishes)))
    assert held + session.available(product_id) == 150
    assert held + buy_until_sold_out(session, product_id) == 150


def test_batches_and_single_calls_hold_exactly_the_stock(session: Session, connect: Connect) -> None:
    product_id, other_id = session.create_product(stock=300), session.create_product(stock=100)

    def buy_in_batches(buyer: Session) -> int:
        requests = [{"product_id": product_id, "quantity": 1}, {"product_id": other_id, "quantity": 1}] * 10
        bought = 0
        while accepted := buyer.errnos("create_holds", requests).count(None):
            bought += accepted
        return bought

    buyers = [partial(buy_in_batches, connect()) for _ in range(6)]
    buyers += [partial(buy_until_sold_out, connect(), product_id) for _ in range(4)]
    assert sum(race(*buyers)) == 400
    assert [session.available(sold_out) for sold_out in (product_id, other_id)] == [0, 0]


def test_a_hundred_concurrent_sends_of_one_key_make_one_hold(session: Session, connect: Connect) -> None:
    product_id = session.create_product(stock=1000)

    def send(sender: Session) -> list[Row]:
        return [sender.call("create_hold", product_id, 3, "one key")[0] for _ in range(4)]

    answers = list(chain.from_iterable(race(*(partial(send, connect()) for _ in range(25)))))
    assert len({answer["hold_id"] for answer in answers}) == 1
    assert sorted(answer["replayed"] for answer in answers) == [0] + [1] * 99
    assert session.available(product_id) == 997


def test_a_retry_for_the_last_unit_is_never_refused_while_its_first_send_has_the_unit(
    session: Session, connect: Connect
) -> None:
    senders = [connect() for _ in range(5)]
    for number in range(20):
        product_id = session.create_product(stock=1)
        calls = [partial(sender.call, "create_hold", product_id, 1, f"last unit {number}") for sender in senders]
        assert len({rows[0]["hold_id"] for rows in race(*calls)}) == 1


def test_concurrent_orders_of_one_hold_make_one_order(session: Session, connect: Connect) -> None:
    product_id = session.create_product(stock=50)
    sessions = [connect() for _ in range(6)]

    def order(buyer: Session, hold_id: int) -> int:
        try:
            buyer.call("create_order", hold_id, None)
        except mysql.connector.Error as error:
            return error.errno
        return 0

    for _ in range(20):
        hold_id = session.create_hold(product_id)
        answers = race(*(partial(order, buyer, hold_id) for buyer in sessions))
        assert sorted(answers) == [0] + [30203] * 5


def test_concurrent_batches_order_each_hold_once(session: Session, connect: Connect) -> None:
    product_id = session.create_product(stock=200)
    holds = session.batch("create_holds", [{"product_id": product_id, "quantity": 1}] * 200)
    requests = [{"hold_id": row["hold_id"]} for row in holds]
    # Every hold is in two batches, so that a batch that loses a race is decided again.
    batches = [requests[start : start + 20] for start in range(0, 200, 10)]
    answers = race(*(partial(connect().batch, "create_orders", batch) for batch in batches))
    ordered = [row["hold_id"] for rows in answers for row in rows if row["errno"] is None]
    assert sorted(ordered) == sorted(row["hold_id"] for row in holds)
