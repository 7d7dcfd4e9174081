"""The screen of script/top: what a service does now, on one page."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from top.metrics import Window

BARS = " ▁▂▃▄▅▆▇█"
SPARKS = 34  # seconds
STOCK_ROWS = 6
SWEEP_LAG_S = 10  # beyond it, and beyond the next two, the alert rules call somebody
QUEUE_SHARE = 0.5
SLOW_S = 0.5
CALLS = {
    "hold": ("POST", "/api/holds"),
    "order": ("POST", "/api/orders"),
    "webhook": ("POST", "/api/payments/webhook"),
    "product": ("GET", "/api/products/{product_id}"),
}


def screen(service_url: str, now: Window, holds: Sequence[float]) -> RenderableType:
    """The page; `holds` are the holds of each second lately, the newest last."""
    if not now.last.total("checkout_mysql_up"):
        return Group(_title(service_url, now), Text("MySQL does not answer the service", "bold red"))
    return Group(
        _title(service_url, now),
        *_members(now),
        _beside(_sale(now, holds), _health(now)),
        _beside(_calls(now), _stock(now)),
    )


def _title(service_url: str, now: Window) -> Text:
    seconds = now.last.at_s - now.first.at_s
    return Text.assemble((service_url, "bold"), f"   the last {seconds:.0f} s")


def _members(now: Window) -> list[Text]:
    """A line with the members of the replication group, none where there is no group; red: not ONLINE, or missing."""
    members = sorted(
        (has for has, _ in now.last.samples.get("checkout_group_members", [])), key=lambda has: has["member"]
    )
    if not members:
        return []
    line = Text("group")
    for has in members:
        shown = has["role"].lower() if has["state"] == "ONLINE" else has["state"]
        line.append("   ").append_text(_judged(f"{has['member']} {shown}", has["state"] != "ONLINE"))
    missing = now.last.total("checkout_mysql_hosts") - len(members)
    if missing > 0:
        line.append("   ").append_text(_judged(f"{missing:.0f} missing", True))
    queued = sum(now.last.by("checkout_group_applier_queue_transactions", "member").values())
    return [line.append(f"   {queued:,.0f} transactions to apply")]


def _sale(now: Window, holds: Sequence[float]) -> Panel:
    """What is bought, and what is refused."""
    outcomes = "checkout_outcomes_total"
    accepted, replayed = (now.rate(outcomes, procedure="create_holds", outcome=it) for it in ("accepted", "replayed"))
    rows = {
        "holds": accepted,
        "refused": now.rate(outcomes, procedure="create_holds") - accepted - replayed,
        "expired": now.rate("checkout_expirations_total", kind="hold"),
        "orders": now.rate(outcomes, procedure="create_orders", outcome="accepted"),
        "payments": now.rate(outcomes, procedure="apply_payments", outcome="applied"),
    }
    table = _table("", "a second")
    for name, rate in rows.items():
        table.add_row(name, f"{rate:,.1f}")
    return _panel("Sale", Group(table, Text(_spark(holds), "cyan")))


def _health(now: Window) -> Panel:
    """What has to be near zero; red where an alert rule would call somebody."""
    last = now.last
    sweep_lag_s, refunds = last.total("checkout_sweep_lag_seconds"), last.total("checkout_refunds_due")
    errors = sum(_errors(now).values())
    reads = now.rate("checkout_cache_reads_total")
    hits = now.rate("checkout_cache_reads_total", result="hit") / reads if reads else None
    degraded = now.rate("checkout_cache_reads_total", result="degraded")
    differences = last.total("checkout_stock_differences")
    table = _table("", "")
    is_swept = bool(last.total("checkout_sweep_event_enabled"))
    lag = f"{sweep_lag_s:.0f} s" if is_swept else f"{sweep_lag_s:.0f} s, EVENT off"
    table.add_row("sweep lag", _judged(lag, sweep_lag_s > SWEEP_LAG_S or not is_swept))
    table.add_row("refunds due", _judged(f"{refunds:,.0f}", refunds > 0))
    table.add_row("payments waiting", f"{last.total('checkout_payments_waiting'):,.0f}")
    table.add_row("errors", _judged(f"{errors:,.1f}/s", errors > 0))
    table.add_row("retries", f"{now.rate('checkout_call_failures_total'):,.1f}/s")
    table.add_row("cache hits", _judged("-" if hits is None else f"{hits:.0%}", degraded > 0))
    table.add_row("stock differences", _judged(f"{differences:,.0f}", differences > 0))
    return _panel("Health", table)


def _calls(now: Window) -> Panel:
    """How long answers take, and how many wait for what."""
    table = _table("", "a second", "p50 ms", "p99 ms")
    for name, (method, route) in CALLS.items():
        labels = {"method": method, "route": route}
        seconds = [now.quantile("checkout_http_request_duration_seconds", share, **labels) for share in (0.5, 0.99)]
        shown = [_judged("-" if s is None else f"{1000 * s:,.0f}", s is not None and s > SLOW_S) for s in seconds]
        table.add_row(name, f"{now.rate('checkout_http_request_duration_seconds_count', **labels):,.1f}", *shown)
    queue = now.last.by("checkout_queue_requests", "procedure")
    limits = now.last.by("checkout_queue_limit_requests", "procedure")
    fullest = max(queue, key=lambda procedure: queue[procedure] / limits[procedure])
    waiting = _judged(f"{sum(queue.values()):,.0f}", queue[fullest] > QUEUE_SHARE * limits[fullest])
    batch = now.mean("checkout_batch_requests", procedure="create_holds")
    said = Text.assemble("queue ", waiting, f", batch of holds {'-' if batch is None else f'{batch:,.1f}'}")
    return _panel("Calls", Group(table, said))


def _stock(now: Window) -> Panel:
    """The products whose stock moves, then the newest."""
    totals = now.last.by("checkout_stock_total_units", "product_id")
    before, available = (it.by("checkout_stock_available_units", "product_id") for it in (now.first, now.last))
    products = sorted(totals, key=lambda product: (before.get(product) != available[product], int(product)))
    table = _table("product", "available", "of", "")
    for product in products[-STOCK_ROWS:][::-1]:
        share = available[product] / totals[product] if totals[product] else 0
        bar = Text("█" * round(12 * share) + "░" * round(12 - 12 * share), "green" if share else "red")
        table.add_row(product, f"{available[product]:,.0f}", f"{totals[product]:,.0f}", bar)
    return _panel("Stock", table)


def _errors(now: Window) -> dict[str, float]:
    """Answers of 5xx a second, by status."""
    statuses = now.last.by("checkout_http_request_duration_seconds_count", "status")
    return {
        status: now.rate("checkout_http_request_duration_seconds_count", status=status)
        for status in statuses
        if status.startswith("5")
    }


def _spark(rates: Sequence[float]) -> str:
    """A line of bars, the newest at its right end."""
    shown = rates[-SPARKS:]
    most = max(shown, default=0) or 1
    return "".join(BARS[round((len(BARS) - 1) * rate / most)] for rate in shown).rjust(SPARKS)


def _judged(text: str, is_bad: bool) -> Text:
    return Text(text, "bold red" if is_bad else "")


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", show_header=any(columns), expand=True)
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position else "left", no_wrap=True)
    return table


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", box=box.ROUNDED, border_style="dim", height=9)


def _beside(*panels: Panel) -> Table:
    grid = Table.grid(expand=True)
    for _ in panels:
        grid.add_column(ratio=1)
    grid.add_row(*panels)
    return grid
