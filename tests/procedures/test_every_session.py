"""Procedures work with any settings of the session, and leave no transaction open."""

from collections.abc import Callable

import pytest

from service.deploy import deploy
from tests.support import Session

READS = {
    "get_product": (1,),
    "get_products": ("[1]",),
    "list_orders": ("", None, 0, 1),
    "list_products": (0, 1),
    "get_holds": ("[1]",),
    "get_orders": ("[1]",),
    "check_stock": (),
    "get_health": (),
    "get_metrics": (),
}


@pytest.mark.parametrize("read", READS)
def test_a_read_without_autocommit_does_not_block_the_next_call(session: Session, read: str) -> None:
    product_id = session.create_product(stock=2)
    session.execute("SET autocommit = 0")
    session.call(read, *READS[read])
    session.call("create_hold", product_id, 1, None)
    assert session.available(product_id) == 1


@pytest.mark.parametrize("read", ["get_hold", "get_order", "get_payment", "get_product"])
def test_a_refused_read_without_autocommit_does_not_block_the_next_call(session: Session, read: str) -> None:
    product_id = session.create_product(stock=2)
    session.execute("SET autocommit = 0")
    session.errno(read, 10**9)
    session.call("create_hold", product_id, 1, None)


def test_a_read_inside_a_transaction_leaves_it_open(session: Session, connect: Callable[[], Session]) -> None:
    product_id = session.create_product(stock=2)
    session.execute("START TRANSACTION")
    session.execute("UPDATE products SET name = 'Changed' WHERE id = %s", product_id)
    session.call("get_product", product_id)
    assert connect().call("get_product", product_id)[0]["name"] == "Limited Edition Item"
    session.execute("ROLLBACK")


def test_procedures_work_with_sql_safe_updates(session: Session) -> None:
    """`mysql --safe-updates` and, by default, MySQL Workbench set these."""
    product_id = session.create_product(stock=9)
    session.execute("SET sql_safe_updates = 1, sql_select_limit = 1000, max_join_size = 1000000")
    released = session.call("create_hold", product_id, 1, None)[0]["hold_id"]
    session.call("release_hold", released)
    session.call("cancel_order", session.create_order(product_id))
    session.call("apply_payment", "declined", session.create_order(product_id), "failure")
    session.travel(-1000)
    session.create_order(product_id)
    session.travel(0)
    assert session.call("expire_due", 10)[0]["orders"] == 1
    session.call("report_sweeps", 10)
    session.call("settle_waiting_payments", 10)
    session.call("purge_history", 10)
    assert session.available(product_id) == 9


def test_an_unexpected_error_leaves_no_transaction_open(session: Session) -> None:
    product_id = session.create_product(stock=2)
    session.execute("RENAME TABLE settings TO settings_away")
    with pytest.raises(Exception, match="settings"):
        session.call("create_hold", product_id, 1, None)
    session.execute("RENAME TABLE settings_away TO settings")
    session.call("create_hold", product_id, 1, None)
    assert session.available(product_id) == 1


def test_a_deploy_installs_a_dropped_routine_again(session: Session, database_url: str) -> None:
    session.execute("DROP PROCEDURE evaluate_holds")
    session.execute("DROP PROCEDURE get_health")
    deploy(database_url)
    session.call("create_hold", session.create_product(stock=2), 1, None)
    session.call("get_health")
