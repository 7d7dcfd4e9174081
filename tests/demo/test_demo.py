"""`script/demo` on a stack that `script/server` runs."""

import re
from pathlib import Path

from tests.project_copy import NOTHING_RUNS, Copy

DEADLINES = "script/mysql -N -e \"SELECT name, value FROM settings WHERE name IN ('hold_ttl_s', 'payment_ttl_s')\""
USUAL_DEADLINES = "hold_ttl_s\t120\npayment_ttl_s\t900\n"


def test_a_sale_sells_each_unit_once_and_is_drawn(copy: Copy) -> None:
    demo = copy.run("script/demo --units 40 --buyers 200 --deadline-s 3 --output picture.svg")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "40 of 40, 0 oversold" in demo.stdout
    counted = re.search(r"200 came, (\d+) payments were applied.*refunded +(\d+) units", demo.stdout, re.S)
    assert counted, demo.stdout
    assert int(counted[1]) - int(counted[2]) == 40
    assert "no difference" in demo.stdout
    assert re.search(r"events +\d+ delivered to the shop's receiver", demo.stdout)
    assert copy.run('script/mysql -N -e "SELECT * FROM event_deliveries"').stdout == ""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", (copy.folder / "picture.svg").read_text())
    assert "200 buyers, 40 units: 40 sold, 0 oversold" in texts
    assert {"available", "held", "pending", "sold", "99th percentile", "median"} <= set(texts)


def test_a_finished_demo_restores_the_deadlines(copy: Copy) -> None:
    assert copy.run(DEADLINES).stdout == USUAL_DEADLINES


def test_a_stopped_demo_restores_the_deadlines(copy: Copy) -> None:
    """The demo is stopped as soon as it has shortened the deadlines."""
    stopped = copy.run(
        f"script/demo --buyers 100 --deadline-s 3 & until {DEADLINES} | grep -q 'payment_ttl_s.3$'; do :; done; "
        "kill -TERM $!; wait $!"
    )
    assert (stopped.returncode, stopped.stderr.strip()) == (1, "Stopped")
    assert copy.run(DEADLINES).stdout == USUAL_DEADLINES


def test_an_unexpected_response_ends_the_demo_with_a_message(copy: Copy) -> None:
    demo = copy.run("WEBHOOK_SECRETS= script/demo --units 5 --buyers 20 --deadline-s 2")
    assert demo.returncode == 1
    assert re.search("script/demo: POST /api/payments/webhook returned 401", demo.stderr)


def test_without_a_running_stack_the_demo_names_the_command_that_starts_one(tmp_path: Path) -> None:
    ran = Copy(tmp_path).run("script/demo")
    assert (ran.returncode, ran.stderr) == (1, f"script/demo: {NOTHING_RUNS}\n")
