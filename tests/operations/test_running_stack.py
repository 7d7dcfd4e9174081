"""What operators type, tried on a stack as `script/server` runs it."""

import errno
import os
import pty
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from stack.servers import PROJECT
from tests.copies import Copy

LEAVE_SCREEN = b"\x1b[?1049l"
RUNBOOK = (PROJECT / "docs" / "runbook.md").read_text()
SCRIPT = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)

DEADLINES = "script/mysql -N -e \"SELECT name, value FROM settings WHERE name IN ('hold_ttl_s', 'payment_ttl_s')\""


def read_statements() -> list[str]:
    """The statements in the runbook's text and tables, each once."""
    found = re.findall(r"`((?:SELECT|CALL) [^`]*[^`\s])`", SCRIPT.sub("", RUNBOOK))
    return sorted({statement for statement in found if "(" in statement or statement.startswith("SELECT")})


def test_a_sale_sells_every_unit_once_and_is_drawn(copy: Copy) -> None:
    demo = copy.run("script/demo --units 40 --buyers 200 --deadline-s 3 --output picture.svg")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "40 of 40, 0 oversold" in demo.stdout
    assert "200 came, 40 were told that they paid for a unit" in demo.stdout
    assert "no difference" in demo.stdout
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", (copy.folder / "picture.svg").read_text())
    assert "200 buyers, 40 units: 40 sold, 0 oversold" in texts
    assert {"available", "held", "pending", "sold", "99th percentile", "median"} <= set(texts)


def test_the_deadlines_of_the_stack_are_as_before(copy: Copy) -> None:
    assert copy.run(DEADLINES).stdout == "hold_ttl_s\t120\npayment_ttl_s\t900\n"


def test_a_demo_that_is_stopped_puts_the_deadlines_back(copy: Copy) -> None:
    """It is stopped as soon as the deadlines are short."""
    stopped = copy.run(
        f"script/demo --buyers 100 --deadline-s 3 & until {DEADLINES} | grep -q 'payment_ttl_s.3$'; do :; done; "
        "kill -TERM $!; wait $!"
    )
    assert (stopped.returncode, stopped.stderr.strip()) == (1, "Stopped")
    test_the_deadlines_of_the_stack_are_as_before(copy)


def test_a_signature_that_is_refused_is_said(copy: Copy) -> None:
    demo = copy.run("WEBHOOK_SECRETS= script/demo --units 5 --buyers 20 --deadline-s 2")
    assert demo.returncode == 1
    assert re.search("script/demo: POST /api/payments/webhook gave 401", demo.stderr)


def test_top_prints_one_screen_of_what_the_stack_does(copy: Copy) -> None:
    """The demo has left a product without stock, and refunds due, which the operator's view counts alike."""
    top = copy.run("COLUMNS=100 script/top --once")
    assert top.returncode == 0, top.stderr
    assert re.search(r"\b2 +0 +40 +░+ ", top.stdout)
    due = copy.run("script/mysql -N -e 'SELECT COUNT(*) FROM refunds_due'").stdout.strip()
    assert re.search(rf"refunds due +{due} ", top.stdout)
    for name in ("holds", "refused", "orders", "payments", "sweep lag", "errors", "retries", "p99 ms", "queue 0"):
        assert name in top.stdout


def test_top_goes_on_in_a_terminal_until_it_is_told_to_end(copy: Copy) -> None:
    controller, terminal = pty.openpty()
    top = subprocess.Popen(["script/top"], cwd=copy.folder, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    while shown.count(b"the last") < 2:
        shown += os.read(controller, 65536)
    assert b"Health" in shown
    top.send_signal(signal.SIGINT)
    while chunk := read_terminal(controller):
        shown += chunk
    assert top.wait(10) == 0
    os.close(controller)
    assert LEAVE_SCREEN in shown.rpartition(b"the last")[2]


def read_terminal(controller: int) -> bytes:
    """What a terminal shows next; nothing once its program has ended, which Linux tells by an error."""
    try:
        return os.read(controller, 65536)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""


def test_top_says_whom_it_asked_in_vain(copy: Copy) -> None:
    top = copy.run("script/top --once http://127.0.0.1:1")
    assert (top.returncode, top.stdout) == (1, "")
    assert top.stderr.startswith("script/top: http://127.0.0.1:1 does not answer: ")


@pytest.mark.parametrize("statement", read_statements())
def test_every_statement_of_the_runbook_is_one_that_an_operator_may_run(copy: Copy, statement: str) -> None:
    """The rules may refuse it, since what it names need not be there."""
    ran = copy.run(f"script/mysql -e {shlex.quote(statement)}")
    assert ran.returncode == 0 or "(45000)" in ran.stderr, ran.stderr


@pytest.mark.parametrize("script", SCRIPT.findall(RUNBOOK))
def test_every_script_of_the_runbook_works(copy: Copy, script: str) -> None:
    ran = copy.run(f"set -e\n{script}")
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("script", ["script/demo", "script/top"])
def test_without_a_stack_it_is_said_what_to_start(tmp_path: Path, script: str) -> None:
    ran = Copy(tmp_path).run(script)
    assert (ran.returncode, ran.stderr) == (
        1,
        f"{script}: nothing runs in this clone: start script/server in another terminal first\n",
    )
