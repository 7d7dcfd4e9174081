"""`script/top` on a stack that `script/server` runs."""

import errno
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

from tests.project_copy import NOTHING_RUNS, Copy
from tests.support import PATIENCE_S

LEAVE_SCREEN = b"\x1b[?1049l"
SELL_OUT_AND_OWE_A_REFUND = (
    "CALL create_product('Sold Out', 1, 40); CALL create_hold(2, 40, NULL);"
    "CALL create_hold(1, 1, NULL); CALL create_order(2, NULL); CALL cancel_order(1);"
    "CALL apply_payment('late', 1, 'success')"
)


def test_once_prints_one_screen_of_figures(copy: Copy) -> None:
    sold_out = copy.run(f'script/mysql -e "{SELL_OUT_AND_OWE_A_REFUND}"')
    assert sold_out.returncode == 0, sold_out.stderr
    top = copy.run("COLUMNS=100 script/top --once")
    assert top.returncode == 0, top.stderr
    assert re.search(r"\b2 +0 +40 +░+ ", top.stdout)
    assert re.search(r"refunds due +1 ", top.stdout)
    assert re.search(r"payments to review +0 ", top.stdout)
    assert re.search(r"refunds +0\.0 ", top.stdout)
    for name in ("holds", "refused", "orders", "payments", "sweep lag", "errors", "retries", "p99 ms", "queue 0"):
        assert name in top.stdout


def test_in_a_terminal_the_screen_is_redrawn_until_ctrl_c(copy: Copy) -> None:
    controller, terminal = pty.openpty()
    # A background job of a shell ignores SIGINT, and so would its children; a program in a terminal does not.
    top = subprocess.Popen(
        ["script/top"],
        cwd=copy.folder,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 no threads here
    )
    os.close(terminal)
    shown = b""
    while shown.count(b"the last") < 2:
        shown += os.read(controller, 65536)
    assert b"Health" in shown
    top.send_signal(signal.SIGINT)
    while chunk := read_terminal(controller):
        shown += chunk
    assert top.wait(PATIENCE_S) == 0
    os.close(controller)
    assert LEAVE_SCREEN in shown.rpartition(b"the last")[2]


def read_terminal(controller: int) -> bytes:
    """The next output in a terminal; empty when its program has ended, which Linux reports as EIO."""
    try:
        return os.read(controller, 65536)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""


def test_a_service_that_does_not_answer_is_named(copy: Copy) -> None:
    top = copy.run("script/top --once http://127.0.0.1:1")
    assert (top.returncode, top.stdout) == (1, "")
    assert top.stderr.startswith("script/top: http://127.0.0.1:1 does not answer: ")


def test_without_a_running_stack_top_names_the_command_that_starts_one(tmp_path: Path) -> None:
    ran = Copy(tmp_path).run("script/top")
    assert (ran.returncode, ran.stderr) == (1, f"script/top: {NOTHING_RUNS}\n")
