"""`python -m top`, the program behind script/top."""

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
from top.screen import SPARKLINE_LENGTH, render

SCRAPE_INTERVAL_S = 1
WINDOW_SCRAPES = 6  # so that rates cover the last five seconds


def show_live(service_url: str, console: Console) -> None:
    """Redraw the screen every second until a signal ends it; raises OSError if the first scrape fails."""
    scrapes: deque[Scrape] = deque([scrape(service_url)], WINDOW_SCRAPES)
    holds: deque[float] = deque(maxlen=SPARKLINE_LENGTH)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(SCRAPE_INTERVAL_S)
            try:
                scrapes.append(scrape(service_url))
            except OSError as error:  # the service may be restarting
                live.update(f"{service_url} does not answer: {error}", refresh=True)
                continue
            holds.append(holds_per_second(Window(scrapes[-2], scrapes[-1])))
            live.update(render(service_url, Window(scrapes[0], scrapes[-1]), list(holds)), refresh=True)


def print_once(service_url: str, console: Console) -> None:
    """Print one screen; raises OSError."""
    first = scrape(service_url)
    time.sleep(SCRAPE_INTERVAL_S)
    window = Window(first, scrape(service_url))
    console.print(render(service_url, window, [holds_per_second(window)]))


def holds_per_second(window: Window) -> float:
    """The holds made per second, without replays."""
    return window.rate("checkout_outcomes_total", procedure="create_holds", outcome="accepted")


def main() -> None:
    """Show the screen until Ctrl-C; exit with 1 if the service does not answer at first."""
    parser = argparse.ArgumentParser(
        prog="script/top",
        description="Show live figures of a service: holds, stock, latency, queues, sweep lag, refunds and reviews"
        " due, errors. Ctrl-C ends it.",
        epilog="A red figure means that an alert fires or soon will; docs/runbook.md says what to do.",
    )
    parser.add_argument(
        "url",
        nargs="?",
        type=_http_url,
        help="URL of the service, such as http://10.0.0.7:8000 (default: the service that script/server runs)",
    )
    parser.add_argument("--once", action="store_true", help="print one screen and exit")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    try:
        service_url = arguments.url or running.find().service_url
        (print_once if arguments.once or not console.is_terminal else show_live)(service_url, console)
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
