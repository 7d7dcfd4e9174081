"""`python -m top`: what script/top runs."""

import argparse
import signal
import sys
import time
from collections import deque

from rich.console import Console
from rich.live import Live

from stack import running
from stack.errors import StackError
from top.metrics import Scrape, Window, scrape
from top.screen import SPARKS, screen

INTERVAL_S = 1
WINDOW_SCRAPES = 6  # so that rates are of the last five seconds


def watch(service_url: str, console: Console) -> None:
    """Show the screen anew every second, until a signal comes; raises OSError where nobody answers to begin with."""
    scrapes: deque[Scrape] = deque([scrape(service_url)], WINDOW_SCRAPES)
    holds: deque[float] = deque(maxlen=SPARKS)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(INTERVAL_S)
            try:
                scrapes.append(scrape(service_url))
            except OSError as error:  # a restart, perhaps: go on looking
                live.update(f"{service_url} does not answer: {error}", refresh=True)
                continue
            holds.append(holds_of(Window(scrapes[-2], scrapes[-1])))
            live.update(screen(service_url, Window(scrapes[0], scrapes[-1]), list(holds)), refresh=True)


def look_once(service_url: str, console: Console) -> None:
    """Print one screen; raises OSError."""
    first = scrape(service_url)
    time.sleep(INTERVAL_S)
    now = Window(first, scrape(service_url))
    console.print(screen(service_url, now, [holds_of(now)]))


def holds_of(window: Window) -> float:
    """The holds that were made in a second."""
    return window.rate("checkout_outcomes_total", procedure="create_holds", outcome="accepted")


def main() -> None:
    """Show the screen until Ctrl-C; exit code 1 where the service does not answer."""
    parser = argparse.ArgumentParser(
        prog="script/top",
        description="Show what a service does now: holds, stock, latency, queue, sweep lag, refunds due, errors."
        " Ctrl-C ends it.",
        epilog="What is red is what the alert rules call somebody for: docs/runbook.md.",
    )
    parser.add_argument(
        "url", nargs="?", type=_http_url, help="of a service, such as http://10.0.0.7:8000; else script/server's"
    )
    parser.add_argument("--once", action="store_true", help="print one screen and end")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    try:
        service_url = arguments.url or running.find().service_url
        (look_once if arguments.once or not console.is_terminal else watch)(service_url, console)
    except StackError as error:
        sys.exit(f"script/top: {error}")
    except OSError as error:
        sys.exit(f"script/top: {service_url} does not answer: {error}")
    except KeyboardInterrupt:
        sys.exit(0)


def _http_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"expected http://…, got {text!r}")
    return text.rstrip("/")


if __name__ == "__main__":
    main()
