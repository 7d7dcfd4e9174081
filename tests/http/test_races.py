"""Concurrent requests, which two workers send to MySQL in batches: each gets its own answer, and no unit is sold twice.

tests/concurrency races the procedures themselves.
"""

from concurrent.futures import ThreadPoolExecutor

import mysql.connector

from tests.http.support import Service, assert_problem, hold_request, order_request
from tests.support import Session


def held_units(session: Session, product_id: int) -> int:
    """The units of a product in active holds."""
    statement = "SELECT COALESCE(SUM(quantity), 0) AS n FROM holds WHERE product_id = %s AND status = 'active'"
    return int(session.query(statement, product_id)[0]["n"])


def test_exactly_the_stock_is_held_and_all_other_requests_are_refused(service: Service, session: Session) -> None:
    product_id = session.create_product(stock=40)
    responses = service.at_once([hold_request(product_id)] * 200)
    accepted = [response for response in responses if response.status_code == 201]
    assert len({response.json()["hold_id"] for response in accepted}) == 40
    for response in responses:
        if response not in accepted:
            assert_problem(response, 409, "insufficient_stock", 30102, available_stock=0)
    assert (session.available(product_id), held_units(session, product_id)) == (0, 40)


def test_each_concurrent_request_gets_the_answer_to_itself(service: Service, session: Session) -> None:
    """A hold's answer names the product and the quantity that its own request asked for."""
    products = [session.create_product(stock=500) for _ in range(4)]
    wanted = [(products[number % 4], 1 + number % 5) for number in range(200)]
    responses = service.at_once([hold_request(*request) for request in wanted])
    holds = session.batch("get_holds", [response.json()["hold_id"] for response in responses])
    assert [(hold["product_id"], hold["quantity"]) for hold in holds] == wanted


def hold_by_call(database_url: str, product_id: int, times: int) -> int:
    """CALL create_hold over one connection; returns how many units it got."""
    session = Session(database_url)
    held = 0
    for _ in range(times):
        try:
            session.call("create_hold", product_id, 1, None)
            held += 1
        except mysql.connector.Error as error:
            if error.errno != 30102:
                raise
    session.close()
    return held


def test_clients_of_the_service_and_direct_callers_share_the_stock(
    service: Service, session: Session, database_url: str
) -> None:
    product_id = session.create_product(stock=150)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(hold_by_call, database_url, product_id, 20) for _ in range(8)]
        responses = service.at_once([hold_request(product_id)] * 150)
        held_by_call = sum(call.result() for call in calls)
    assert {response.status_code for response in responses} <= {201, 409}
    assert [response.status_code for response in responses].count(201) + held_by_call == 150
    assert (session.available(product_id), held_units(session, product_id)) == (0, 150)


def test_a_hold_is_either_ordered_or_released(service: Service, session: Session) -> None:
    product_id = session.create_product(stock=60)
    holds = [response.json()["hold_id"] for response in service.at_once([hold_request(product_id)] * 60)]
    requests = []
    for hold_id in holds:
        requests += [order_request(hold_id), {"method": "DELETE", "url": f"/api/holds/{hold_id}"}]
    statuses = [response.status_code for response in service.at_once(requests)]
    outcomes = list(zip(statuses[::2], statuses[1::2], strict=True))
    assert set(outcomes) <= {(201, 409), (409, 204)}
    assert session.available(product_id) == outcomes.count((409, 204))
