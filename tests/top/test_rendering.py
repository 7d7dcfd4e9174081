"""The screen of script/top in states that are hard to cause in a running stack."""

from typing import Any

from rich.console import Console

from top.metrics import Scrape, Window
from top.screen import render

QUEUES = {
    "checkout_mysql_up": [({}, 1.0)],
    "checkout_queue_requests": [({"procedure": "create_holds"}, 0.0)],
    "checkout_queue_limit_requests": [({"procedure": "create_holds"}, 1.0)],
}


def shown(**samples: Any) -> str:
    """Render the screen of these samples without colours."""
    scrapes = [Scrape(at_s, {**QUEUES, **samples}) for at_s in (0, 1)]
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(render("http://shop", Window(*scrapes), []))
    return capture.get()


def member(name: str, state: str, role: str) -> tuple[dict[str, str], float]:
    """Make a sample of a member of the group."""
    return {"member": name, "state": state, "role": role}, 1.0


def test_one_line_shows_the_members_of_a_group_and_marks_problems() -> None:
    text = shown(
        checkout_mysql_hosts=[({}, 3.0)],
        checkout_group_members=[member("b:3306", "RECOVERING", "SECONDARY"), member("a:3306", "ONLINE", "PRIMARY")],
        checkout_group_applier_queue_transactions=[({"member": "a:3306"}, 0.0), ({"member": "b:3306"}, 1234.0)],
    )
    line = "group   a:3306 primary   b:3306 RECOVERING   1 missing   1,234 transactions to apply"
    assert line in [line.strip() for line in text.splitlines()]


def test_without_a_group_no_line_shows_members() -> None:
    assert "group" not in shown(checkout_mysql_hosts=[({}, 1.0)])


def test_one_line_shows_the_receivers_of_events_and_how_far_they_are_behind() -> None:
    text = shown(
        checkout_event_receiver_lag_seconds=[
            ({"receiver": "1", "state": "active"}, 0.0),
            ({"receiver": "2", "state": "gone"}, 4000.0),
        ],
        checkout_events_retried=[({"receiver": "1"}, 0.0), ({"receiver": "2"}, 1500.0)],
        checkout_events_set_aside=[({"receiver": "1"}, 0.0), ({"receiver": "2"}, 2.0)],
    )
    line = "events   receiver 1 active, 0 s behind   receiver 2 gone, 4,000 s behind, 1,500 to retry, 2 set aside"
    assert line in [line.strip() for line in text.splitlines()]
    assert "receiver" not in shown()


def test_the_sweep_lag_shows_that_the_event_is_off() -> None:
    assert "0 s, EVENT off" in shown(checkout_sweep_event_enabled=[({}, 0.0)])
    assert "EVENT off" not in shown(checkout_sweep_event_enabled=[({}, 1.0)])
