"""A crowd over HTTP: never a unit sold twice, never one stranded."""

import random
from concurrent.futures import ThreadPoolExecutor

import httpx
import mysql.connector
import pytest

from tests.http.support import Service, assert_problem, hold_request, order_request
from tests.support import Session


def held_units(session: Session, product_id: int) -> int:
    """The units in active holds, by the ledger."""
    statement = "SELECT COALESCE(SUM(quantity), 0) AS n FROM holds WHERE product_id = %s AND status = 'active'"
    return int(session.query(statement, product_id)[0]["n"])


def accepted(answers: list[httpx.Response]) -> list[httpx.Response]:
    """The holds among some answers."""
    return [answer for answer in answers if answer.status_code == 201]


@pytest.mark.parametrize(("stock", "requests"), [(1, 64), (40, 200), (100, 100)])
def test_of_a_crowd_after_the_last_units_exactly_as_many_win_as_there_are(
    service: Service, session: Session, stock: int, requests: int
) -> None:
    product_id = session.create_product(stock=stock)
    answers = service.at_once([hold_request(product_id)] * requests)
    winners = accepted(answers)
    assert len(winners) == stock
    assert len({winner.json()["hold_id"] for winner in winners}) == stock
    for answer in answers:
        if answer.status_code != 201:
            assert_problem(answer, 409, "insufficient_stock", 30102, available_stock=0)
    assert session.available(product_id) == 0
    assert held_units(session, product_id) == stock


def test_a_crowd_with_various_quantities_strands_no_unit_that_anybody_wanted(
    service: Service, session: Session
) -> None:
    random.seed(7)
    product_id = session.create_product(stock=150)
    quantities = [random.choice([1, 2, 3, 5, 8]) for _ in range(200)]
    answers = service.at_once([hold_request(product_id, quantity) for quantity in quantities])
    won = sum(quantity for quantity, answer in zip(quantities, answers, strict=True) if answer.status_code == 201)
    assert won + session.available(product_id) == 150
    assert held_units(session, product_id) == won
    # There was always somebody who wanted a single unit.
    assert session.available(product_id) == 0
    for quantity, answer in zip(quantities, answers, strict=True):
        if answer.status_code != 201:
            assert answer.json()["available_stock"] < quantity


def test_crowds_after_several_products_do_not_get_in_each_others_way(service: Service, session: Session) -> None:
    products = [session.create_product(stock=20) for _ in range(5)]
    answers = service.at_once([hold_request(product_id) for product_id in products * 40])
    for position, product_id in enumerate(products):
        assert len(accepted(answers[position::5])) == 20
        assert session.available(product_id) == 0


def hold_by_call(database_url: str, product_id: int, times: int) -> int:
    """Hold single units over one connection; returns how many were got."""
    session = Session(database_url)
    won = 0
    for _ in range(times):
        try:
            session.call("create_hold", product_id, 1, None)
            won += 1
        except mysql.connector.Error as error:
            if error.errno != 30102:
                raise
    session.close()
    return won


def test_a_crowd_over_http_and_one_by_call_share_the_stock_to_the_last_unit(
    service: Service, session: Session, database_url: str
) -> None:
    product_id = session.create_product(stock=150)
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(hold_by_call, database_url, product_id, 10) for _ in range(16)]
        answers = service.at_once([hold_request(product_id)] * 150)
        won_by_call = sum(call.result() for call in calls)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(accepted(answers)) + won_by_call == 150
    assert session.available(product_id) == 0
    assert held_units(session, product_id) == 150


def test_holds_that_are_made_and_released_at_once_leave_the_stock_as_it_was(service: Service, session: Session) -> None:
    product_id = session.create_product(stock=30)
    for _ in range(3):
        holds = [answer.json()["hold_id"] for answer in accepted(service.at_once([hold_request(product_id)] * 30))]
        releases = [{"method": "DELETE", "url": f"/api/holds/{hold_id}"} for hold_id in holds]
        answers = service.at_once(releases * 2)
        assert {answer.status_code for answer in answers} == {204}
    assert session.available(product_id) == 30


def test_a_hold_is_either_ordered_or_released_and_never_both(service: Service, session: Session) -> None:
    product_id = session.create_product(stock=60)
    holds = [answer.json()["hold_id"] for answer in service.at_once([hold_request(product_id)] * 60)]
    requests = []
    for hold_id in holds:
        requests += [order_request(hold_id), {"method": "DELETE", "url": f"/api/holds/{hold_id}"}]
    answers = service.at_once(requests)
    outcomes = [
        (order.status_code, release.status_code) for order, release in zip(answers[::2], answers[1::2], strict=True)
    ]
    assert set(outcomes) <= {(201, 409), (409, 204)}
    assert session.available(product_id) == outcomes.count((409, 204))
