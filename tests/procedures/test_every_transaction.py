"""Every mutation has its own transaction: inside the caller's it refuses to run, and leaves that one open."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from docs.generate.accounts import PUBLIC_PROCEDURES
from docs.generate.routines import ROUTINES
from tests.support import Session


@dataclass(frozen=True)
class Scene:
    """The rows on which the procedures act."""

    product_id: int
    other_product_id: int
    hold_id: int
    order_id: int
    paid_order_id: int
    refund_key: str
    review_key: str
    receiver_id: int
    retry_position: int


CALLS: dict[str, Callable[[Scene], list[Any]]] = {
    "adjust_stock": lambda scene: [scene.product_id, 1, "restock", None],
    "apply_payment": lambda scene: [f"single {scene.order_id}", scene.order_id, "success"],
    "apply_payments": lambda scene: [
        [{"idempotency_key": f"batch {scene.order_id}", "order_id": scene.order_id, "status": "success"}]
    ],
    "archive_product": lambda scene: [scene.other_product_id],
    "cancel_order": lambda scene: [scene.order_id],
    "cancel_orders": lambda scene: [[scene.order_id]],
    "change_product": lambda scene: [scene.product_id, "Other", "1.00", None],
    "change_setting": lambda _: ["hold_ttl_s", 120],
    "create_event_receiver": lambda _: ["https://shop.example/events", None],
    "create_hold": lambda scene: [scene.product_id, 1, None],
    "create_holds": lambda scene: [[{"product_id": scene.product_id, "quantity": 1}] * 3],
    "create_order": lambda scene: [scene.hold_id, None],
    "create_orders": lambda scene: [[{"hold_id": scene.hold_id}]],
    "create_product": lambda _: ["Limited Edition Item", "1.00", 1],
    "enable_sweep": lambda _: [],
    "expire_due": lambda _: [1000],
    "extend_hold": lambda scene: [scene.hold_id],
    "extend_holds": lambda scene: [[scene.hold_id]],
    "get_events": lambda _: [0, 10],
    "list_deliveries": lambda scene: [scene.receiver_id, 10],
    "list_events": lambda _: ["", 0, 10],
    "pause_event_receiver": lambda scene: [scene.receiver_id],
    "purge_history": lambda _: [1000],
    "record_stock_check": lambda _: [0],
    "reduce_hold": lambda scene: [scene.hold_id, 1],
    "reduce_holds": lambda scene: [[[scene.hold_id, "", 1]]],
    "refund_order": lambda scene: [scene.paid_order_id, 1, None],
    "refund_orders": lambda scene: [[{"order_id": scene.paid_order_id, "restock": True}]],
    "release_hold": lambda scene: [scene.hold_id],
    "release_holds": lambda scene: [[scene.hold_id]],
    "remove_event_receiver": lambda scene: [scene.receiver_id],
    "report_deliveries": lambda scene: [scene.receiver_id, 1, "[]"],
    "report_sweeps": lambda _: [1000],
    "restore_product": lambda scene: [scene.other_product_id],
    "resume_event_receiver": lambda scene: [scene.receiver_id],
    "retry_event": lambda scene: [scene.receiver_id, scene.retry_position],
    "rotate_event_secret": lambda scene: [scene.receiver_id],
    "set_selling_rules": lambda scene: [scene.product_id, None, None, None],
    "settle_refund": lambda scene: [scene.refund_key],
    "settle_review": lambda scene: [scene.review_key],
    "settle_waiting_payments": lambda _: [1000],
    "start_payment": lambda scene: [scene.order_id],
    "start_payments": lambda scene: [[scene.order_id]],
}
REFUSED: dict[str, Callable[[Scene], list[Any]]] = {
    "adjust_stock": lambda scene: [scene.product_id, -1000, "too many", "key"],
    "apply_payment": lambda scene: [scene.refund_key, scene.order_id, "failure"],
    "archive_product": lambda _: [10**8],
    "cancel_order": lambda _: [10**8],
    "change_product": lambda _: [10**8, "Other", "1.00", None],
    "change_setting": lambda _: ["hold_ttl_s", -1],
    "create_event_receiver": lambda _: ["ftp://shop.example", None],
    "create_hold": lambda scene: [scene.product_id, 1000, None],
    "create_order": lambda _: [10**8, None],
    "pause_event_receiver": lambda _: [10**8],
    "record_stock_check": lambda _: [-1],
    "extend_hold": lambda _: [10**8],
    "reduce_hold": lambda _: [10**8, 1],
    "refund_order": lambda scene: [scene.order_id, 1, None],
    "release_hold": lambda _: [10**8],
    "remove_event_receiver": lambda _: [10**8],
    "restore_product": lambda _: [10**8],
    "resume_event_receiver": lambda _: [10**8],
    "retry_event": lambda scene: [scene.receiver_id, 10**8],
    "rotate_event_secret": lambda _: [10**8],
    "set_selling_rules": lambda _: [10**8, None, None, None],
    "settle_refund": lambda _: ["nobody's"],
    "settle_review": lambda scene: [scene.refund_key],
    "start_payment": lambda _: [10**8],
}
READS = sorted(set(PUBLIC_PROCEDURES) - set(CALLS))


@pytest.fixture
def scene(session: Session) -> Scene:
    """Two products; of one a hold, an order, a paid one, two due holds, a waiting payment, a refund due, a review."""
    product_id = session.create_product(stock=20)
    cancelled = session.create_order(product_id)
    session.call("cancel_order", cancelled)
    refund_key = f"refund {cancelled}"
    session.call("apply_payment", refund_key, cancelled, "success")
    session.call("apply_payment", f"waiting {cancelled}", 10**8, "success")
    review_key = f"review {cancelled}"
    session.call("apply_payment", review_key, cancelled, "disputed")
    for _ in range(2):
        due = session.create_hold(product_id)
        session.execute("UPDATE holds SET expires_at = UTC_TIMESTAMP() WHERE id = %s", due)
        session.execute("CREATE TABLE IF NOT EXISTS callers_work (id INT AUTO_INCREMENT PRIMARY KEY)")
    (receiver,) = session.call("create_event_receiver", "https://shop.example/events", "hold.expired")
    position = receiver["position"]
    session.execute(
        "INSERT INTO event_retries (receiver_id, position, moved_at) VALUES (%s, %s, UTC_TIMESTAMP())",
        *(receiver["receiver_id"], position),
    )
    return Scene(
        product_id,
        session.create_product(stock=1),
        session.create_hold(product_id),
        session.create_order(product_id),
        session.create_paid_order(product_id),
        refund_key,
        review_key,
        receiver["receiver_id"],
        position,
    )


def arguments_of(procedure: str, scene: Scene) -> list[Any]:
    """The arguments of a CALL, with lists as JSON."""
    arguments = CALLS[procedure](scene)
    return [json.dumps(argument) if isinstance(argument, list) else argument for argument in arguments]


def test_the_headers_say_which_procedures_own_their_transaction() -> None:
    owners = {name for name in PUBLIC_PROCEDURES if ROUTINES[name].sections["Txn"].startswith("its own")}
    assert owners == set(CALLS)


@pytest.mark.parametrize("opening", ["START TRANSACTION", "SET autocommit = 0"])
@pytest.mark.parametrize("procedure", CALLS)
def test_a_mutation_inside_the_callers_transaction_is_refused_and_leaves_it_open(
    session: Session, connect: Callable[[], Session], scene: Scene, opening: str, procedure: str
) -> None:
    observer = connect()
    before = observer.query("SELECT COUNT(*) AS work FROM callers_work")[0]["work"]
    session.execute(opening)
    session.execute("INSERT INTO callers_work () VALUES ()")
    assert session.errno(procedure, *arguments_of(procedure, scene)) == 30003
    assert session.query("SELECT COUNT(*) AS work FROM callers_work") == [{"work": before + 1}]
    assert observer.query("SELECT COUNT(*) AS work FROM callers_work") == [{"work": before}]
    session.execute("COMMIT")
    assert observer.query("SELECT COUNT(*) AS work FROM callers_work") == [{"work": before + 1}]
    session.call(procedure, *arguments_of(procedure, scene))


@pytest.mark.parametrize("procedure", CALLS)
def test_a_mutation_works_without_autocommit_and_leaves_no_transaction_open(
    session: Session, connect: Callable[[], Session], scene: Scene, procedure: str
) -> None:
    session.execute("SET autocommit = 0")
    before = session.create_hold(scene.product_id)
    session.call(procedure, *arguments_of(procedure, scene))
    after = session.create_hold(scene.product_id)
    observer = connect()
    assert open_transactions(observer, session) == 0
    assert {observer.status_of("hold", hold_id) for hold_id in (before, after)} == {"active"}


@pytest.mark.parametrize("procedure", sorted(set(CALLS) & set(REFUSED)))
def test_a_refusal_leaves_no_transaction_open(
    session: Session, connect: Callable[[], Session], scene: Scene, procedure: str
) -> None:
    session.execute("SET autocommit = 0")
    assert session.errno(procedure, *REFUSED[procedure](scene)) != 30003
    assert open_transactions(connect(), session) == 0


def open_transactions(observer: Session, session: Session) -> int:
    """The number of open transactions of a session."""
    (row,) = observer.query(
        "SELECT COUNT(*) AS transactions FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = %s",
        session.connection.connection_id,
    )
    count: int = row["transactions"]
    return count


@pytest.mark.parametrize("isolation", ["READ UNCOMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_the_callers_isolation_level_is_kept(session: Session, scene: Scene, isolation: str) -> None:
    session.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")
    session.create_order(scene.product_id)
    assert session.query("SELECT @@transaction_isolation AS level") == [{"level": isolation.replace(" ", "-")}]


@pytest.mark.parametrize("procedure", READS)
def test_a_read_joins_the_callers_transaction_and_locks_nothing(
    session: Session, connect: Callable[[], Session], scene: Scene, procedure: str
) -> None:
    arguments: dict[str, list[Any]] = {
        "check_stock": [],
        "get_health": [],
        "get_metrics": [],
        "get_hold": [scene.hold_id],
        "get_holds": [f"[{scene.hold_id}]"],
        "get_order": [scene.order_id],
        "get_orders": [f"[{scene.order_id}]"],
        "get_payment": [scene.refund_key],
        "get_product": [scene.product_id],
        "get_products": [f"[{scene.product_id}]"],
        "list_event_receivers": [],
        "list_orders": ["", None, 0, 10],
        "list_products": [0, 10],
    }
    session.execute("START TRANSACTION")
    session.execute("INSERT INTO callers_work () VALUES ()")
    work = session.query("SELECT * FROM callers_work")
    session.call(procedure, *arguments[procedure])
    assert connect().locked_tables(session) == {"callers_work"}
    assert session.query("SELECT * FROM callers_work") == work
    session.execute("ROLLBACK")
    assert len(session.query("SELECT * FROM callers_work")) == len(work) - 1
