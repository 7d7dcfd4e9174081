"""`python -m demo`: what script/demo runs."""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import mysql.connector
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from demo import plot
from demo.buyers import Crowd, Unanswered
from demo.client import Client
from demo.sale import Levels, Story
from service.database import Connection
from service.mysql_url import MysqlUrl
from service.primary import Primary
from service.settings import load_environment
from stack import running
from stack.errors import StackError
from stack.running import RunningStack

SAMPLE_INTERVAL_S = 0.1
DEADLINES = ("hold_ttl_s", "payment_ttl_s")
LEVELS = "SELECT available_stock, held, pending, sold FROM stock_levels WHERE product_id = %s"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PICTURE = Path(".local") / "flash-sale.svg"


async def play(stack: RunningStack, options: argparse.Namespace, progress: Progress) -> Story:
    """Put a new product on sale, let the crowd in, and wait until every hold and order has ended."""
    this_task = cast("asyncio.Task[Story]", asyncio.current_task())
    for number in STOP_SIGNALS:  # a stopped sale puts the settings back
        asyncio.get_running_loop().add_signal_handler(number, this_task.cancel)
    operator = Connection(Primary(MysqlUrl.parse(stack.mysql_url)))
    [[(product_id, *_)], *_] = await operator.call("create_product", "Flash sale demo", "100.00", options.units)
    api_key, secrets = os.environ.get("API_KEY"), os.environ.get("WEBHOOK_SECRETS", "")
    client = Client(stack.service_url, options.connections, {"Authorization": f"Bearer {api_key}"} if api_key else {})
    crowd = Crowd(
        client,
        product_id,
        options.buyers,
        deadline_s=options.deadline_s,
        secret=secrets.split(",")[0].strip() or None,
        seed=options.seed,
    )
    story = Story(options.units, options.buyers, time.monotonic(), answers=crowd.answers, counts=crowd.counts)
    try:
        async with shorter_deadlines(operator, options.deadline_s), asyncio.TaskGroup() as tasks:
            tasks.create_task(watch(levels_of(stack, product_id, story.started_at), story, crowd, progress))
            tasks.create_task(crowd.run())
        story.differences = len((await operator.call("check_stock"))[0])
    finally:
        await client.close()
        await operator.close()
    return story


@asynccontextmanager
async def shorter_deadlines(operator: Connection, deadline_s: int) -> AsyncIterator[None]:
    """Let the block's holds and orders end after so many seconds: the sale is not to take a quarter of an hour."""
    [before] = await operator.execute("SELECT name, value FROM settings WHERE name IN (%s, %s)", *DEADLINES)
    try:
        for name in DEADLINES:
            await operator.call("change_setting", name, deadline_s)
        yield
    finally:
        for name, value in before:
            await operator.call("change_setting", name, value)


async def levels_of(stack: RunningStack, product_id: int, started_at: float) -> AsyncIterator[Levels]:
    """Where the units of a product are, ten times a second."""
    connection = Connection(Primary(MysqlUrl.parse(stack.mysql_url)))
    try:
        while True:
            [[row]] = await connection.execute(LEVELS, product_id)
            yield Levels(time.monotonic() - started_at, *(int(units) for units in row))
            await asyncio.sleep(SAMPLE_INTERVAL_S)
    finally:
        await connection.close()


async def watch(seen: AsyncIterator[Levels], story: Story, crowd: Crowd, progress: Progress) -> None:
    """Write down and show where the units are, until the crowd has gone and no hold or order is open."""
    came = progress.add_task("buyers", total=story.buyers, said="")
    sold = progress.add_task("sold", total=story.units, said="")
    async for levels in seen:
        story.levels.append(levels)
        crowd.is_sold_out = levels.sold >= story.units
        progress.update(came, completed=story.counts["came"], said=f"{story.counts['refused']:,} refusals")
        open_units = levels.held + levels.pending
        progress.update(sold, completed=levels.sold, said=f"{levels.available:,} available, {open_units:,} held")
        if crowd.has_gone and not open_units:
            return


def summary(story: Story) -> Table:
    """The sale in a few lines."""
    counts, sold = story.counts, story.levels[-1].sold
    lines = {
        "sold": f"{sold:,} of {story.units:,}, {story.oversold} oversold",
        "buyers": f"{counts['came']:,} came, {counts['success applied']:,} were told that they paid for a unit",
        "refused": f"{counts['refused']:,} times",
        "sold again": f"units of {counts['leave']} who left, {counts['give back']} who gave back, "
        f"{counts['fail']} whose payment failed, {counts['pay late']} who paid late",
        "refunds due": f"{counts['success refund_due']}, of buyers who paid twice or late: SELECT * FROM refunds_due",
        "webhooks": f"{counts['delivered again']} came twice and acted once",
        "latency": f"p50 {story.latency_ms(0.5):.0f} ms, p99 {story.latency_ms(0.99):.0f} ms, "
        f"of {len(story.answers):,} answers, {story.busiest_second:,} in the busiest second",
        "check_stock()": "no difference" if story.differences == 0 else f"{story.differences} DIFFERENCES",
    }
    if unsettled := counts["lost connections"] + counts["asked to come back"]:
        lines["asked again"] = f"{unsettled} times, under the same key"
    table = Table.grid(padding=(0, 2))
    for name, text in lines.items():
        table.add_row(f"[bold]{name}[/]", text)
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/demo",
        description="Play a flash sale against the stack that script/server runs, and draw what happened.",
        epilog="The product is a new one. While it plays, new holds and unpaid orders of the whole stack end after"
        " DEADLINE_S seconds. Environment or .env: WEBHOOK_SECRETS (the first one signs the payments) and API_KEY"
        " (a plain key, where the service asks for one).",
    )
    parser.add_argument("--units", type=_positive, default=500, help="units on sale (500)")
    parser.add_argument("--buyers", type=_positive, default=5000, help="who want one each (5000)")
    parser.add_argument("--connections", type=_positive, default=256, help="the most that are open at once (256)")
    parser.add_argument("--deadline-s", type=_positive, default=6, help="seconds that a hold or an order waits (6)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed is the same crowd (1)")
    parser.add_argument("--output", type=Path, default=PICTURE, help=f"where the SVG goes ({PICTURE})")
    return parser.parse_args()


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got {text!r}")
    return int(text)


def main() -> None:
    """Play and draw; exit code 1 where the sale could not be played or anything was sold twice or lost."""
    options = _arguments()
    load_environment()
    console = Console()
    columns = (
        TextColumn("{task.description:>8}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}"),
    )
    try:
        with Progress(*columns, console=console) as progress:
            story = uvloop.run(play(running.find(), options, progress))
    except* (StackError, Unanswered, mysql.connector.Error, OSError) as failed:
        sys.exit(f"script/demo: {_first(failed)}")
    except* asyncio.CancelledError:
        sys.exit("Stopped")
    plot.draw(story, options.output)
    console.print(summary(story))
    console.print(f"[bold]drawn[/]          {options.output}")
    sys.exit(0 if story.is_sound else 1)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    main()
