"""create_holds: reserve stock for a batch of requests, as if they ran one after another."""

from typing import Any

import pytest

from tests.support import Row, Session


def hold(product_id: Any, quantity: Any, key: Any = None, **members: Any) -> Row:
    """A request, with a key if one is given."""
    return {
        "product_id": product_id,
        "quantity": quantity,
        **({} if key is None else {"idempotency_key": key}),
        **members,
    }


def test_rows_have_the_order_of_the_requests(session: Session) -> None:
    product_id, other_id = session.create_product(stock=10), session.create_product(stock=10)
    rows, touched = session.call_all(
        "create_holds",
        f'[{{"product_id":{other_id},"quantity":3}},{{"product_id":{product_id},"quantity":2}}]',
    )
    windows = ["sale_starts_at", "sale_ends_at"]
    assert list(rows[0]) == ["hold_id", "expires_at", "replayed", "errno", "available_stock", *windows]
    assert [session.call("get_hold", row["hold_id"])[0]["quantity"] for row in rows] == [3, 2]
    assert list(touched[0]) == list(session.batch("get_products", [product_id])[0])
    assert {row["id"]: row["available_stock"] for row in touched} == {product_id: 8, other_id: 7}


def test_a_changed_product_is_returned_once_after_several_rounds(session: Session) -> None:
    product_id = session.create_product(stock=5)
    requests = f'{{"product_id":{product_id},"quantity":3}},{{"product_id":{product_id},"quantity":4}}'
    _, touched = session.call_all("create_holds", f'[{requests},{{"product_id":{product_id},"quantity":2}}]')
    assert [(row["id"], row["available_stock"]) for row in touched] == [(product_id, 0)]


def test_a_batch_without_an_accepted_hold_returns_no_product(session: Session) -> None:
    product_id = session.create_product(stock=1)
    assert len(session.call_all("create_holds", f'[{{"product_id":{product_id},"quantity":2}}]')) == 1


def test_a_refused_request_does_not_affect_the_others(session: Session) -> None:
    product_id, limited_id = session.create_product(stock=5), session.create_product(stock=5)
    session.call("change_product", limited_id, "Limited Edition Item", "1.00", 2)
    session.call("create_hold", product_id, 1, "mixed")
    rows = session.batch(
        "create_holds",
        [
            hold(product_id, 1),
            hold(product_id, 0),
            hold(product_id, 2, "mixed"),
            hold(2**62, 1),
            hold(product_id, 9),
            hold(limited_id, 3),
            hold(product_id, 1, "mixed"),
            hold(limited_id, 2),
        ],
    )
    assert [row["errno"] for row in rows] == [None, 30001, 30002, 30101, 30102, 30103, None, None]
    assert [row["replayed"] for row in rows] == [0, 0, 0, 0, 0, 0, 1, 0]
    assert [row["hold_id"] is None for row in rows] == [row["errno"] is not None for row in rows]
    assert rows[4]["available_stock"] == 3
    assert (session.available(product_id), session.available(limited_id)) == (3, 3)


def test_a_smaller_request_can_be_accepted_after_a_larger_one_was_refused(session: Session) -> None:
    product_id = session.create_product(stock=5)
    requests = [hold(product_id, quantity) for quantity in (3, 4, 2, 1)]
    assert session.errnos("create_holds", requests) == [None, 30102, None, 30102]


def test_a_key_twice_in_a_batch_is_one_hold(session: Session) -> None:
    product_id = session.create_product(stock=5)
    first, again, other, key_of_refused, retried = session.batch(
        "create_holds",
        [
            hold(product_id, 2, "twice"),
            hold(product_id, 2, "twice"),
            hold(product_id, 1, "twice"),
            hold(product_id, 6, "refused first"),
            hold(product_id, 1, "refused first"),
        ],
    )
    assert again == {**first, "replayed": 1}
    assert other["errno"] == 30002
    assert key_of_refused["errno"] == 30102
    assert retried["errno"] is None
    assert session.available(product_id) == 2


def test_a_batch_may_mix_replays_and_new_requests(session: Session) -> None:
    product_id = session.create_product(stock=6)
    requests = [hold(product_id, 1, f"mix {number}") for number in range(6)]
    first = session.batch("create_holds", requests[::2])
    rows = session.batch("create_holds", requests)
    assert [row["replayed"] for row in rows] == [1, 0, 1, 0, 1, 0]
    assert [row["hold_id"] for row in rows[::2]] == [row["hold_id"] for row in first]
    assert session.available(product_id) == 0


def test_a_replayed_batch_gives_the_first_answers(session: Session) -> None:
    product_id = session.create_product(stock=300)
    requests = [hold(product_id, 1, f"batch {number}") for number in range(256)]
    first = session.batch("create_holds", requests)
    assert len({row["hold_id"] for row in first}) == 256
    assert session.batch("create_holds", requests) == [{**row, "replayed": 1} for row in first]
    assert session.available(product_id) == 44


def test_a_hold_that_an_equal_connection_id_inserted_on_another_server_is_nobody_elses(session: Session) -> None:
    """A batch finds its holds by connection id and position; those of an earlier primary have lower ids."""
    product_id = limited_product(session, stock=20, maximum=9)
    before = [
        row["hold_id"]
        for row in session.batch("create_holds", [hold(product_id, 1, customer_id=name) for name in ("ada", "bob")])
    ]
    session.execute("UPDATE holds SET inserted_by = CONNECTION_ID() WHERE product_id = %s", product_id)
    rows = session.batch(
        "create_holds", [hold(product_id, 2, customer_id="ada"), hold(product_id, 3, customer_id="bob")]
    )
    assert {row["hold_id"] for row in rows}.isdisjoint(before)
    assert [session.call("get_hold", row["hold_id"])[0]["quantity"] for row in rows] == [2, 3]
    units = session.query(
        "SELECT customer_id, SUM(quantity) AS units FROM customer_units WHERE product_id = %s"
        " GROUP BY customer_id ORDER BY customer_id",
        product_id,
    )
    assert [int(row["units"]) for row in units] == [3, 4]


def test_generated_keys_are_purged_sooner(session: Session) -> None:
    product_id = session.create_product(stock=5)
    session.batch(
        "create_holds",
        [hold(product_id, 1, "client's"), hold(product_id, 1, "service's", is_generated_key=True), hold(product_id, 1)],
    )
    session.travel(86_000)
    session.call("purge_history", 10_000)
    session.travel(0)
    rows = session.batch("create_holds", [hold(product_id, 1, "client's"), hold(product_id, 1, "service's")])
    assert [row["replayed"] for row in rows] == [1, 0]


def test_due_holds_of_all_products_in_a_batch_expire_before_a_shortage_is_final(session: Session) -> None:
    products = [session.create_product(stock=2) for _ in range(3)]
    for product_id in products:
        session.create_hold(product_id, 2)
    session.travel(121)
    assert session.errnos("create_holds", [hold(product_id, 2) for product_id in products]) == [None] * 3
    assert [session.available(product_id) for product_id in products] == [0, 0, 0]


def limited_product(session: Session, stock: int, maximum: int) -> int:
    """Create a product with a maximum per customer; returns its id."""
    product_id = session.create_product(stock=stock)
    session.call("set_selling_rules", product_id, None, None, maximum)
    return product_id


def test_a_customer_gets_up_to_the_maximum_and_no_more(session: Session) -> None:
    product_id = limited_product(session, stock=20, maximum=3)
    ada, bob = ({"customer_id": name} for name in ("ada", "bob"))
    assert session.errnos("create_holds", [hold(product_id, 2, **ada)]) == [None]
    assert session.errnos("create_holds", [hold(product_id, 2, **ada), hold(product_id, 3, **bob)]) == [30105, None]
    assert session.errnos("create_holds", [hold(product_id, 1, **ada), hold(product_id, 1, **bob)]) == [None, 30105]
    assert session.errnos("create_holds", [hold(product_id, 1, **ada), hold(product_id, 4, customer_id="eve")]) == [
        30105,
        30105,
    ]
    assert session.available(product_id) == 14


def test_requests_of_one_customer_in_a_batch_are_counted_in_order(session: Session) -> None:
    product_id, other_id = limited_product(session, stock=20, maximum=3), limited_product(session, stock=20, maximum=3)
    quantities = [2, 2, 1, 1, 4]
    requests = [hold(product_id, quantity, customer_id="ada") for quantity in quantities]
    requests[3:3] = [hold(other_id, 3, customer_id="ada"), hold(product_id, 3, customer_id="Ada")]
    assert session.errnos("create_holds", requests) == [None, 30105, None, None, None, 30105, 30105]
    assert (session.available(product_id), session.available(other_id)) == (14, 17)


def test_the_maximum_per_customer_is_checked_before_the_stock_within_a_batch_too(session: Session) -> None:
    product_id = limited_product(session, stock=3, maximum=4)
    requests = [hold(product_id, 1, customer_id="ada"), hold(product_id, 4, customer_id="ada")]
    assert session.errnos("create_holds", requests) == [None, 30105]
    assert session.errnos("create_holds", [hold(product_id, 4, customer_id="bob")]) == [30102]


@pytest.mark.parametrize("fate", ["held", "ordered", "paid"])
def test_held_ordered_and_paid_units_count_for_their_customer(session: Session, fate: str) -> None:
    product_id = limited_product(session, stock=20, maximum=2)
    request = hold(product_id, 2, customer_id="ada")
    (row,) = session.batch("create_holds", [request])
    if fate != "held":
        (order,) = session.call("create_order", row["hold_id"], None)
        if fate == "paid":
            session.call("apply_payment", "counts", order["order_id"], "success")
            session.travel(3_000_000)
            session.call("purge_history", 10_000)
    assert session.errnos("create_holds", [request]) == [30105]


@pytest.mark.parametrize("fate", ["released", "cancelled", "declined", "declined before the order"])
def test_returned_units_no_longer_count_for_their_customer(session: Session, fate: str) -> None:
    product_id = limited_product(session, stock=20, maximum=2)
    request = hold(product_id, 2, customer_id="ada")
    (row,) = session.batch("create_holds", [request])
    if fate == "released":
        session.call("release_hold", row["hold_id"])
    elif fate == "declined before the order":
        next_id = session.create_order(session.create_product(stock=1)) + 1
        session.call("apply_payment", fate, next_id, "failure")
        assert session.call("create_order", row["hold_id"], None)[0]["status"] == "cancelled"
    else:
        (order,) = session.call("create_order", row["hold_id"], None)
        if fate == "cancelled":
            session.call("cancel_order", order["order_id"])
        else:
            session.call("apply_payment", fate, order["order_id"], "failure")
    assert session.errnos("create_holds", [request, request]) == [None, 30105]


@pytest.mark.parametrize("is_swept", [False, True])
@pytest.mark.parametrize(("kind", "seconds"), [("hold", 120), ("order", 900)])
def test_due_units_no_longer_count_for_their_customer_swept_or_not(
    session: Session, kind: str, seconds: int, is_swept: bool
) -> None:
    product_id = limited_product(session, stock=20, maximum=2)
    request = hold(product_id, 2, customer_id="ada")
    session.stand_at("2000000000")
    (row,) = session.batch("create_holds", [request])
    if kind == "order":
        session.call("create_order", row["hold_id"], None)
    session.stand_at(f"{2_000_000_000 + seconds - 1}")
    assert session.errnos("create_holds", [request]) == [30105]
    session.stand_at(f"{2_000_000_000 + seconds}")
    if is_swept:
        session.call("expire_due", 1000)
    assert session.errnos("create_holds", [request, request]) == [None, 30105]
    assert session.available(product_id) == 18


def test_a_retry_of_an_accepted_hold_replays_under_changed_rules(session: Session) -> None:
    product_id = limited_product(session, stock=5, maximum=2)
    request = hold(product_id, 2, f"accepted {product_id}", customer_id="ada")
    (first,) = session.batch("create_holds", [request])
    session.call("set_selling_rules", product_id, None, "2020-01-01 00:00:00", 1)
    again, another = session.batch("create_holds", [request, hold(product_id, 1, customer_id="ada")])
    assert (again["hold_id"], again["replayed"], again["errno"]) == (first["hold_id"], 1, None)
    assert another["errno"] == 30104


def test_a_key_used_for_another_customer_is_reused(session: Session) -> None:
    product_id = session.create_product(stock=9)
    key = f"of a customer {product_id}"
    requests = [hold(product_id, 1, key, customer_id="ada"), hold(product_id, 1, key, customer_id="bob")]
    requests += [hold(product_id, 1, key), hold(product_id, 1, key, customer_id="ada")]
    rows = session.batch("create_holds", requests)
    assert [row["errno"] for row in rows] == [None, 30002, 30002, None]
    assert rows[3]["hold_id"] == rows[0]["hold_id"]


def test_a_missing_customer_and_null_are_the_same_request(session: Session) -> None:
    product_id = session.create_product(stock=9)
    key = f"of nobody {product_id}"
    first, again = session.batch("create_holds", [hold(product_id, 1, key), hold(product_id, 1, key, customer_id=None)])
    assert (again["hold_id"], again["replayed"]) == (first["hold_id"], 1)
    limited_id = limited_product(session, stock=9, maximum=5)
    assert session.errnos("create_holds", [hold(limited_id, 1), hold(limited_id, 1, customer_id=None)]) == [30106] * 2


def test_customers_are_compared_as_bytes(session: Session) -> None:
    product_id = limited_product(session, stock=9, maximum=1)
    names = ["null", "ada", "Ada", "ada ", "ad\0a", "a:da", "ádä", "a\u0301da", "é" * 32]
    requests = [hold(product_id, 1, customer_id=name) for name in names]
    assert session.errnos("create_holds", requests * 2) == [None] * len(names) + [30105] * len(names)


def test_refusals_have_a_fixed_order(session: Session) -> None:
    product_id = limited_product(session, stock=1, maximum=2)
    session.call("change_product", product_id, "Limited Edition Item", "1.00", 3)
    session.call("set_selling_rules", product_id, "2033-05-18 12:00:00", None, 2)
    requests = [hold(product_id, 4), hold(product_id, 3), hold(product_id, 3, customer_id="ada")]
    assert session.errnos("create_holds", requests) == [30103, 30104, 30104]
    session.stand_at("2000030400")
    requests.append(hold(product_id, 2, customer_id="ada"))
    assert session.errnos("create_holds", requests) == [30103, 30106, 30105, 30102]


def test_an_archived_product_is_refused_before_any_other_rule(session: Session) -> None:
    product_id, other_id = session.create_product(stock=1), session.create_product(stock=1)
    session.call("set_selling_rules", product_id, None, "2020-01-01 00:00:00", 1)
    session.call("change_product", product_id, "Limited", "1.00", 1)
    session.call("archive_product", product_id)
    requests = [hold(product_id, 9, customer_id="ada"), hold(other_id, 1), hold(product_id, 1)]
    assert session.errnos("create_holds", requests) == [30107, None, 30107]
