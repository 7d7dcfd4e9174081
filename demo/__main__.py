"""`python -m demo`, the program behind script/demo."""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import mysql.connector
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from demo import plot
from demo.buyers import Buyers, RequestFailed
from demo.client import Client
from demo.receiver import EventReceiver, receiving
from demo.sale import Sale, StockLevels
from service.database import Connection, ResultSets
from service.mysql_url import MysqlUrl
from service.primary import Primary
from service.settings import load_environment
from stack import members, running
from stack.errors import StackError
from stack.running import RunningStack

SAMPLE_INTERVAL_S = 0.1
FAILOVER_AT_S, DOWN_S = 1.5, 10
DEADLINE_SETTINGS = ("hold_ttl_s", "payment_ttl_s")
SELECT_LEVELS = "SELECT available_stock, held, pending, sold FROM stock_levels WHERE product_id = %s"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DEFAULT_OUTPUT = Path(".local") / "flash-sale.svg"


async def run_sale(stack: RunningStack, options: argparse.Namespace, progress: Progress) -> Sale:
    """Sell a new product to simulated buyers; returns once no hold or pending order is left."""
    this_task = cast("asyncio.Task[Sale]", asyncio.current_task())
    for number in STOP_SIGNALS:  # cancelling restores the settings
        asyncio.get_running_loop().add_signal_handler(number, this_task.cancel)
    async with connected(stack) as operator:
        [[(product_id, *_)], *_] = await operator.call("create_product", "Flash sale demo", "100.00", options.units)
    api_key, secrets = os.environ.get("API_KEY"), os.environ.get("WEBHOOK_SECRETS", "")
    client = Client(stack.service_url, options.connections, {"Authorization": f"Bearer {api_key}"} if api_key else {})
    buyers = Buyers(
        client,
        product_id,
        options.buyers,
        deadline_s=options.deadline_s,
        secret=secrets.split(",")[0].strip() or None,
        seed=options.seed,
    )
    sale = Sale(options.units, options.buyers, time.monotonic(), responses=buyers.responses, counts=buyers.counts)
    sale.levels.append(StockLevels(0, options.units, 0, 0, 0))
    try:
        async with shortened_deadlines(stack, options.deadline_s), receiving(partial(execute, stack)) as receiver:
            async with asyncio.TaskGroup() as tasks:
                levels = sample_stock_levels(stack, product_id, sale.started_at, has_failover=options.failover)
                tasks.create_task(record_stock_levels(levels, sale, buyers, receiver, progress))
                tasks.create_task(buyers.run())
                if options.failover:
                    tasks.create_task(kill_primary(sale))
            ended_at = time.monotonic()
        sale.events, sale.event_lag_s = receiver.received, time.monotonic() - ended_at
        async with connected(stack) as operator:
            sale.differences = len((await operator.call("check_stock"))[0])
    finally:
        await client.close()
    return sale


@asynccontextmanager
async def connected(stack: RunningStack) -> AsyncIterator[Connection]:
    """Open a connection as an operator during the block."""
    primary = Primary(MysqlUrl.parse(stack.mysql_url))
    connection = Connection(primary)
    try:
        yield connection
    finally:
        await connection.close()
        await primary.close()


async def execute(stack: RunningStack, statement: str, *arguments: int | str) -> ResultSets:
    """Run a statement as an operator, on whichever server is the primary now."""
    async with connected(stack) as operator:
        return await operator.execute(statement, *arguments)


@asynccontextmanager
async def shortened_deadlines(stack: RunningStack, deadline_s: int) -> AsyncIterator[None]:
    """Set the deadlines of new holds and orders to `deadline_s` during the block, then restore the settings.

    With the usual deadlines a sale would take a quarter of an hour.
    """
    async with connected(stack) as operator:
        [before] = await operator.execute("SELECT name, value FROM settings WHERE name IN (%s, %s)", *DEADLINE_SETTINGS)
    try:
        await change_settings(stack, dict.fromkeys(DEADLINE_SETTINGS, deadline_s))
        yield
    finally:
        await change_settings(stack, dict(before))


async def change_settings(stack: RunningStack, values: dict[str, int]) -> None:
    """Set settings, on whichever server is the primary now."""
    async with connected(stack) as operator:
        for name, value in values.items():
            await operator.call("change_setting", name, value)


async def kill_primary(sale: Sale) -> None:
    """Kill the primary in the middle of the sale, and start it again when the others have long gone on."""
    await asyncio.sleep(FAILOVER_AT_S)
    (primary,) = (member for member in await asyncio.to_thread(members.ask, "show") if member["role"] == "PRIMARY")
    await asyncio.to_thread(members.ask, "kill", str(primary["member"]))
    sale.failed_at_s = time.monotonic() - sale.started_at
    await asyncio.sleep(DOWN_S)
    await asyncio.to_thread(members.ask, "start", str(primary["member"]))


async def sample_stock_levels(
    stack: RunningStack, product_id: int, started_at: float, *, has_failover: bool
) -> AsyncIterator[StockLevels]:
    """Read a product's stock levels from MySQL ten times per second, without end; none while there is no primary."""
    async with connected(stack) as operator:
        while True:
            try:
                [[row]] = await operator.execute(SELECT_LEVELS, product_id)
            except (mysql.connector.Error, OSError):
                if not has_failover:
                    raise
                continue
            yield StockLevels(time.monotonic() - started_at, *(int(units) for units in row))
            await asyncio.sleep(SAMPLE_INTERVAL_S)


async def record_stock_levels(
    samples: AsyncIterator[StockLevels], sale: Sale, buyers: Buyers, receiver: EventReceiver, progress: Progress
) -> None:
    """Record and display the stock levels until all buyers have left and no hold or pending order is left."""
    buyers_bar = progress.add_task("buyers", total=sale.buyers, detail="")
    sold_bar = progress.add_task("sold", total=sale.units, detail="")
    events_bar = progress.add_task("events", total=None, detail="")
    async for levels in samples:
        sale.levels.append(levels)
        buyers.is_sold_out = levels.sold >= sale.units and not buyers.returning
        progress.update(buyers_bar, completed=sale.counts["arrived"], detail=f"{sale.counts['refused']:,} refused")
        open_units = levels.held + levels.pending
        detail = f"{levels.available:,} available, {open_units:,} held or pending"
        progress.update(sold_bar, completed=levels.sold, detail=detail)
        progress.update(events_bar, completed=receiver.received, detail="delivered to the shop's receiver")
        if buyers.have_left and not open_units:
            return


def summary(sale: Sale) -> Table:
    """Summarise a sale in a few lines."""
    counts, sold = sale.counts, sale.levels[-1].sold
    lines = {
        "sold": f"{sold:,} of {sale.units:,}, {sale.oversold} oversold",
        "buyers": f"{counts['arrived']:,} came, {counts['success applied']:,} payments were applied",
        "refused": f"{counts['refused']:,} holds, because no unit was available",
        "returned": f"units of {counts['abandon']} buyers who abandoned a hold, {counts['release']} who released it,"
        f" {counts['fail to pay']} whose payment failed, {counts['pay late']} who paid too late",
        "refunded": f"{counts['refunded']} units, which were sold again",
        "refunds due": f"{counts['success refund_due']}, to buyers who paid twice or too late:"
        " SELECT * FROM refunds_due",
        "webhooks": f"{counts['redelivered']} delivered twice and applied once",
        "events": f"{sale.events:,} delivered to the shop's receiver, the last {sale.event_lag_s:.1f} s after the sale",
        "latency": f"p50 {sale.latency_ms(0.5):.0f} ms, p99 {sale.latency_ms(0.99):.0f} ms of"
        f" {len(sale.responses):,} responses, {sale.busiest_second:,} in the busiest second",
        "check_stock()": "no difference" if sale.differences == 0 else f"{sale.differences} DIFFERENCES",
    }
    if sale.failed_at_s is not None:
        start, end = sale.gap
        lines["failover"] = (
            f"the primary was killed after {sale.failed_at_s:.1f} s; no request was accepted for {end - start:.1f} s"
        )
    if repeated := counts["connection failed"] + counts["asked to retry"]:
        lines["repeated"] = f"{repeated} requests, under the same idempotency key"
    table = Table.grid(padding=(0, 2))
    for name, text in lines.items():
        table.add_row(f"[bold]{name}[/]", text)
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/demo",
        description="Simulate a flash sale on the stack that script/server runs, and draw it.",
        epilog="The demo sells a new product. While it runs, all new holds and unpaid orders of the stack end after"
        " DEADLINE_S seconds. It reads two variables from the environment or .env: the first secret of WEBHOOK_SECRETS"
        " signs the payments, and API_KEY is the API key, in plain text, that it sends if the service has API_KEYS.",
    )
    parser.add_argument("--units", type=_positive, default=500, help="units on sale (default: 500)")
    parser.add_argument("--buyers", type=_positive, default=5000, help="buyers, who want one unit each (default: 5000)")
    parser.add_argument(
        "--connections", type=_positive, default=256, help="maximum number of open connections (default: 256)"
    )
    parser.add_argument(
        "--deadline-s",
        type=_positive,
        help="seconds until a hold expires or an unpaid order is cancelled (default: 6, with --failover 15)",
    )
    parser.add_argument(
        "--failover",
        action="store_true",
        help="kill the primary in the middle of the sale, on the stack of script/server --members 3",
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same buyers (default: 1)")
    parser.add_argument(
        "--output", type=Path, default=DEFAULT_OUTPUT, help=f"file for the picture, SVG (default: {DEFAULT_OUTPUT})"
    )
    arguments = parser.parse_args()
    arguments.deadline_s = arguments.deadline_s or (15 if arguments.failover else 6)
    return arguments


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def main() -> None:
    """Run the sale and draw it; exit with 1 if it could not run, or if units were oversold or lost."""
    options = _arguments()
    load_environment()
    console = Console()
    columns = (
        TextColumn("{task.description:>8}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    try:
        with Progress(*columns, console=console) as progress:
            sale = uvloop.run(run_sale(running.find(), options, progress))
    except* (StackError, RequestFailed, mysql.connector.Error, OSError) as errors:
        sys.exit(f"script/demo: {_first_error(errors)}")
    except* asyncio.CancelledError:
        sys.exit("Stopped")
    plot.draw(sale, options.output)
    console.print(summary(sale))
    console.print(f"[bold]picture[/]        {options.output}")
    sys.exit(0 if sale.is_consistent else 1)


def _first_error(error: BaseException) -> BaseException:
    """Return the first error in nested exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    main()
