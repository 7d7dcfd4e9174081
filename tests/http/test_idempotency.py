"""Idempotency keys over HTTP: the first answer again, whatever happened in between."""

import uuid

import httpx
import pytest

from tests.http.support import (
    Service,
    Shop,
    assert_problem,
    hold_request,
    order_request,
)
from tests.support import Session


def new_key() -> str:
    """A key that was never used."""
    return str(uuid.uuid4())


def replayed(answer: httpx.Response) -> bool:
    """Whether an answer says that it is the first one again."""
    return answer.headers.get("Idempotent-Replayed") == "true"


def assert_same_answer(first: httpx.Response, again: httpx.Response) -> None:
    """Check that one answer replays another."""
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("Location", "Idempotency-Key", "Content-Type"):
        assert again.headers[name] == first.headers[name]
    assert not replayed(first)
    assert replayed(again)


def test_a_hundred_sends_of_one_key_at_once_make_one_hold(service: Service, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=5)
    answers = service.at_once([hold_request(product_id, 2, new_key())] * 100)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert [replayed(answer) for answer in answers].count(False) == 1
    assert shop.available(product_id) == 3


def test_a_hundred_sends_of_one_key_at_once_make_one_order(service: Service, session: Session, shop: Shop) -> None:
    hold_id = shop.hold(session.create_product(stock=5))
    answers = service.at_once([order_request(hold_id, new_key())] * 100)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert [replayed(answer) for answer in answers].count(False) == 1


def test_every_key_of_a_crowd_that_sends_everything_five_times_holds_once(
    service: Service, session: Session, shop: Shop
) -> None:
    product_id = session.create_product(stock=50)
    keys = [new_key() for _ in range(40)]
    answers = service.at_once([hold_request(product_id, 1, key) for key in keys * 5])
    assert {answer.status_code for answer in answers} == {201}
    by_key = {key: {answer.content for answer in answers[position::40]} for position, key in enumerate(keys)}
    assert all(len(contents) == 1 for contents in by_key.values())
    assert shop.available(product_id) == 10


def test_a_crowd_that_retries_the_last_units_is_never_told_sold_out_while_it_owns_them(
    service: Service, session: Session
) -> None:
    product_id = session.create_product(stock=20)
    keys = [new_key() for _ in range(40)]
    answers = service.at_once([hold_request(product_id, 1, key) for key in keys * 5])
    by_key = {key: answers[position::40] for position, key in enumerate(keys)}
    owners = {key for key, sends in by_key.items() if any(send.status_code == 201 for send in sends)}
    assert len(owners) == 20
    assert {send.status_code for key in owners for send in by_key[key]} == {201}
    again = service.at_once([hold_request(product_id, 1, key) for key in keys])
    assert {key for key, answer in zip(keys, again, strict=True) if answer.status_code == 201} == owners


@pytest.mark.parametrize("given", [None, "the client's own"], ids=["made by the service", "given"])
def test_a_hold_and_its_order_replay_under_the_key_that_their_answers_name(
    client: httpx.Client, session: Session, given: str | None
) -> None:
    product_id = session.create_product(stock=5)
    hold = client.request(**hold_request(product_id, 2, given))
    assert_same_answer(hold, client.request(**hold_request(product_id, 2, hold.headers["Idempotency-Key"])))
    hold_id = hold.json()["hold_id"]
    order = client.request(**order_request(hold_id, given))
    assert_same_answer(order, client.request(**order_request(hold_id, order.headers["Idempotency-Key"])))
    assert session.available(product_id) == 3


def test_a_hold_replays_after_its_stock_is_gone(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=2)
    request = hold_request(product_id, 1, new_key())
    first = client.request(**request)
    shop.hold(product_id)
    assert_same_answer(first, client.request(**request))


@pytest.mark.parametrize("end", ["released", "ordered", "expired", "purged"])
def test_a_hold_replays_whatever_became_of_it(client: httpx.Client, session: Session, shop: Shop, end: str) -> None:
    product_id = session.create_product(stock=2)
    request = hold_request(product_id, 1, new_key())
    first = client.request(**request)
    hold_id = first.json()["hold_id"]
    if end == "released":
        client.delete(f"/api/holds/{hold_id}")
    elif end == "ordered":
        shop.order(hold_id)
    else:
        session.travel(180)
        session.call("expire_due", 1000)
        session.travel(0)
    if end == "purged":
        session.execute("DELETE FROM holds WHERE id = %s", hold_id)
    available = shop.available(product_id)
    assert_same_answer(first, client.request(**request))
    assert shop.available(product_id) == available


@pytest.mark.parametrize("end", ["paid", "cancelled"])
def test_an_order_replays_its_first_answer_whatever_became_of_it(
    client: httpx.Client, session: Session, shop: Shop, end: str
) -> None:
    request = order_request(shop.hold(session.create_product(stock=2)), new_key())
    first = client.request(**request)
    order_id = first.json()["order_id"]
    shop.pay(new_key(), order_id, "success" if end == "paid" else "failure")
    assert client.get(f"/api/orders/{order_id}").json()["status"] == end
    assert_same_answer(first, client.request(**request))


def test_an_order_replays_after_its_holds_deadline(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.travel(-180)
    hold_id = session.call("create_hold", product_id, 1, None)[0]["hold_id"]
    key = new_key()
    order_id = session.call("create_order", hold_id, key)[0]["order_id"]
    session.travel(0)
    answer = client.request(**order_request(hold_id, key))
    assert (answer.status_code, answer.json()["order_id"]) == (201, order_id)
    assert replayed(answer)


def test_a_key_with_another_request_is_refused(client: httpx.Client, session: Session, shop: Shop) -> None:
    product_id = session.create_product(stock=9)
    other_product_id = session.create_product(stock=9)
    key = new_key()
    hold_id = client.request(**hold_request(product_id, 2, key)).json()["hold_id"]
    client.request(**order_request(hold_id, key))
    for request in (
        hold_request(product_id, 3, key),
        hold_request(other_product_id, 2, key),
        order_request(shop.hold(product_id), key),
    ):
        response = client.request(**request)
        assert_problem(response, 409, "idempotency_key_reused", 30002)
        assert response.headers["Idempotency-Key"] == key


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/holds", {"product_id": 999_999, "quantity": 1}, 404),
        ("/api/holds", {"product_id": 999_999, "quantity": 0}, 422),
        ("/api/holds", {}, 422),
        ("/api/orders", {"hold_id": 999_999_999}, 404),
        ("/api/orders", {}, 422),
    ],
)
@pytest.mark.parametrize("key", [None, "a key that comes back"])
def test_a_refusal_names_the_key_too(
    client: httpx.Client, path: str, body: dict[str, int], status: int, key: str | None
) -> None:
    response = client.post(path, json=body, headers={"Idempotency-Key": key} if key else {})
    assert response.status_code == status
    assert response.headers["Idempotency-Key"] == (key or response.headers["Idempotency-Key"])
    assert response.headers["Idempotency-Key"]
    assert not replayed(response)


def test_a_refused_hold_may_succeed_later_under_the_same_key(
    client: httpx.Client, session: Session, shop: Shop
) -> None:
    product_id = session.create_product(stock=1)
    rival = shop.hold(product_id)
    request = hold_request(product_id, 1, new_key())
    assert_problem(client.request(**request), 409, "insufficient_stock", 30102, available_stock=0)
    client.delete(f"/api/holds/{rival}")
    accepted = client.request(**request)
    assert accepted.status_code == 201
    assert not replayed(accepted)


@pytest.mark.parametrize(
    "keys",
    [
        ["abc", "ABC", "Abc", "ábc", "a\u0301bc", "abc.", "abç"],
        ["straße", "strasse", "STRASSE"],
        ["k", "K", "\u212a"],  # the Kelvin sign
        ["限定", "限定🎟", "🎟"],
        ["k" * 254, "k" * 255],
        ["ä" * 127, "ä" * 127 + "a"],
        ['"', "'", "\\", "%s", "; DROP TABLE holds", "a b", "a  b"],
    ],
)
def test_keys_that_differ_in_any_byte_are_different_keys(
    client: httpx.Client, session: Session, keys: list[str]
) -> None:
    product_id = session.create_product(stock=20)

    def send(key: str) -> httpx.Response:
        body = {"product_id": product_id, "quantity": 1}
        return client.post("/api/holds", json=body, headers={b"Idempotency-Key": key.encode()})

    first = [send(key) for key in keys]
    assert [answer.status_code for answer in first] == [201] * len(keys)
    assert len({answer.json()["hold_id"] for answer in first}) == len(keys)
    for key, answer in zip(keys, first, strict=True):
        assert_same_answer(answer, send(key))
        (sent_back,) = [value for name, value in answer.headers.raw if name.lower() == b"idempotency-key"]
        assert sent_back == key.encode()
    assert session.available(product_id) == 20 - len(keys)


def test_a_hold_made_by_call_replays_over_http_and_the_other_way_round(client: httpx.Client, session: Session) -> None:
    product_id = session.create_product(stock=5)
    by_call, by_http = new_key(), new_key()
    made = session.call("create_hold", product_id, 1, by_call)[0]
    answer = client.request(**hold_request(product_id, 1, by_call))
    assert (answer.json()["hold_id"], replayed(answer)) == (made["hold_id"], True)
    hold_id = client.request(**hold_request(product_id, 1, by_http)).json()["hold_id"]
    again = session.call("create_hold", product_id, 1, by_http)[0]
    assert (again["hold_id"], again["replayed"]) == (hold_id, 1)


@pytest.mark.parametrize(("given", "seconds"), [(None, 600), ("kept for a day", 86_400)])
def test_a_key_lives_as_long_as_promised(
    client: httpx.Client, session: Session, given: str | None, seconds: int
) -> None:
    product_id = session.create_product(stock=5)
    key = client.request(**hold_request(product_id, 1, given)).headers["Idempotency-Key"]
    (row,) = session.query(
        "SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), purge_after) AS s FROM idempotency_keys"
        " WHERE idempotency_key = %s",
        key,
    )
    assert seconds - 20 <= row["s"] <= seconds + 1
