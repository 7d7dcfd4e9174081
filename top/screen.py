"""The screen of script/top: the state of a service on one page."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from top.metrics import Window

SPARKLINE_LEVELS = " ▁▂▃▄▅▆▇█"
SPARKLINE_LENGTH = 34  # seconds
STOCK_ROWS = 7
STOCK_BAR_LENGTH = 12
# Values beyond these are red, because alerts fire on them.
MAX_SWEEP_LAG_S = 10
MAX_EVENT_LAG_S = 300
MAX_QUEUE_SHARE = 0.5
MAX_LATENCY_S = 0.5
CALLS = {
    "hold": ("POST", "/api/holds"),
    "order": ("POST", "/api/orders"),
    "webhook": ("POST", "/api/payments/webhook"),
    "refund": ("POST", "/api/orders/{order_id}/refunds"),
    "product": ("GET", "/api/products/{product_id}"),
}


def render(service_url: str, window: Window, holds: Sequence[float]) -> RenderableType:
    """Render the page; `holds` are the holds made in each of the last seconds, the newest last."""
    if not window.last.total("checkout_mysql_up"):
        return Group(_title(service_url, window), Text("MySQL does not answer the service", "bold red"))
    return Group(
        _title(service_url, window),
        *_members(window),
        *_receivers(window),
        _columns(_sale(window, holds), _health(window)),
        _columns(_calls(window), _stock(window)),
    )


def _title(service_url: str, window: Window) -> Text:
    seconds = window.last.at_s - window.first.at_s
    return Text.assemble((service_url, "bold"), f"   rates of the last {seconds:.0f} s")


def _members(window: Window) -> list[Text]:
    """Render a line with the members of the replication group; no line without a group.

    A member is red if it is not ONLINE; so are hosts of MYSQL_URL that are no members.
    """
    last = window.last
    members = sorted((labels for labels, _ in last.samples.get("checkout_group_members", [])), key=_name_of)
    if not members:
        return []
    line = Text("group")
    for member in members:
        is_online = member["state"] == "ONLINE"
        shown = member["role"].lower() if is_online else member["state"]
        line.append("   ").append_text(_red_if(f"{member['member']} {shown}", not is_online))
    missing = last.total("checkout_mysql_hosts") - len(members)
    if missing > 0:
        line.append("   ").append_text(_red_if(f"{missing:.0f} missing", True))
    queued = last.total("checkout_group_applier_queue_transactions")
    return [line.append(f"   {queued:,.0f} transactions to apply")]


def _receivers(window: Window) -> list[Text]:
    """Render a line with the receivers of events and how far each is behind; no line without a receiver.

    A receiver is red if it is not active or an alert fires on it.
    """
    last = window.last
    retried, set_aside = (last.totals_by(f"checkout_events_{kind}", "receiver") for kind in ("retried", "set_aside"))
    receivers = last.samples.get("checkout_event_receiver_lag_seconds", [])
    line = Text("events")
    for labels, lag_s in receivers:
        receiver, state = labels["receiver"], labels["state"]
        shown = f"receiver {receiver} {state}, {lag_s:,.0f} s behind"
        shown += f", {retried[receiver]:,.0f} to retry" if retried[receiver] else ""
        shown += f", {set_aside[receiver]:,.0f} set aside" if set_aside[receiver] else ""
        is_late = state != "active" or lag_s > MAX_EVENT_LAG_S or set_aside[receiver] > 0
        line.append("   ").append_text(_red_if(shown, is_late))
    return [line] if receivers else []


def _name_of(member: Mapping[str, str]) -> str:
    return member["member"]


def _sale(window: Window, holds: Sequence[float]) -> Panel:
    """Render how many holds, orders, payments and refunds succeed, and how many holds are refused or expire."""
    outcomes = "checkout_outcomes_total"
    accepted, replayed = (
        window.rate(outcomes, procedure="create_holds", outcome=outcome) for outcome in ("accepted", "replayed")
    )
    rows = {
        "holds": accepted,
        "refused": window.rate(outcomes, procedure="create_holds") - accepted - replayed,
        "expired": window.rate("checkout_expirations_total", kind="hold"),
        "orders": window.rate(outcomes, procedure="create_orders", outcome="accepted"),
        "payments": window.rate(outcomes, procedure="apply_payments", outcome="applied"),
        "refunds": window.rate(outcomes, procedure="refund_orders", outcome="accepted"),
    }
    table = _table("", "per second")
    for name, rate in rows.items():
        table.add_row(name, f"{rate:,.1f}")
    return _panel("Sale", Group(table, Text(_sparkline(holds), "cyan")))


def _health(window: Window) -> Panel:
    """Render the figures that should be near zero; a figure is red if an alert fires on it."""
    last = window.last
    sweep_lag_s = last.total("checkout_sweep_lag_seconds")
    refunds, reviews = last.total("checkout_refunds_due"), last.total("checkout_payments_to_review")
    errors = _errors_per_second(window)
    reads = window.rate("checkout_cache_reads_total")
    hits = window.rate("checkout_cache_reads_total", result="hit") / reads if reads else None
    degraded = window.rate("checkout_cache_reads_total", result="degraded")
    differences = last.total("checkout_stock_differences")
    table = _table("", "")
    is_enabled = bool(last.total("checkout_sweep_event_enabled"))
    lag = f"{sweep_lag_s:.0f} s" if is_enabled else f"{sweep_lag_s:.0f} s, EVENT off"
    table.add_row("sweep lag", _red_if(lag, sweep_lag_s > MAX_SWEEP_LAG_S or not is_enabled))
    table.add_row("refunds due", _red_if(f"{refunds:,.0f}", refunds > 0))
    table.add_row("payments to review", _red_if(f"{reviews:,.0f}", reviews > 0))
    table.add_row("payments waiting", f"{last.total('checkout_payments_waiting'):,.0f}")
    table.add_row("errors", _red_if(f"{errors:,.1f}/s", errors > 0))
    table.add_row("retries", f"{window.rate('checkout_call_failures_total'):,.1f}/s")
    table.add_row("cache hits", _red_if("-" if hits is None else f"{hits:.0%}", degraded > 0))
    table.add_row("stock differences", _red_if(f"{differences:,.0f}", differences > 0))
    return _panel("Health", table)


def _calls(window: Window) -> Panel:
    """Render rate and latency of the most important calls, and the requests that wait in queues."""
    table = _table("", "per second", "p50 ms", "p99 ms")
    for name, (method, route) in CALLS.items():
        labels = {"method": method, "route": route}
        latencies = [
            _latency(window.quantile("checkout_http_request_duration_seconds", share, **labels))
            for share in (0.5, 0.99)
        ]
        table.add_row(name, f"{window.rate('checkout_http_request_duration_seconds_count', **labels):,.1f}", *latencies)
    queue = window.last.totals_by("checkout_queue_requests", "procedure")
    limits = window.last.totals_by("checkout_queue_limit_requests", "procedure")
    fullest = max(queue, key=lambda procedure: queue[procedure] / limits[procedure])
    waiting = _red_if(f"{sum(queue.values()):,.0f}", queue[fullest] > MAX_QUEUE_SHARE * limits[fullest])
    batch = window.mean("checkout_batch_requests", procedure="create_holds")
    batching = Text.assemble("queue ", waiting, f", holds per batch {'-' if batch is None else f'{batch:,.1f}'}")
    return _panel("Calls", Group(table, batching))


def _latency(duration_s: float | None) -> Text:
    if duration_s is None:
        return Text("-")
    return _red_if(f"{1000 * duration_s:,.0f}", duration_s > MAX_LATENCY_S)


def _stock(window: Window) -> Panel:
    """Render the stock of a few products: first those whose stock changes, then the newest."""
    totals = window.last.totals_by("checkout_stock_total_units", "product_id")
    before, available = (
        scrape.totals_by("checkout_stock_available_units", "product_id") for scrape in (window.first, window.last)
    )
    products = sorted(totals, key=lambda product: (before.get(product) != available[product], int(product)))
    table = _table("product", "available", "of", "")
    for product in products[-STOCK_ROWS:][::-1]:
        share = available[product] / totals[product] if totals[product] else 0
        filled = round(STOCK_BAR_LENGTH * share)
        bar = Text("█" * filled + "░" * (STOCK_BAR_LENGTH - filled), "green" if share else "red")
        table.add_row(product, f"{available[product]:,.0f}", f"{totals[product]:,.0f}", bar)
    return _panel("Stock", table)


def _errors_per_second(window: Window) -> float:
    """Return the responses with a 5xx status per second."""
    requests = "checkout_http_request_duration_seconds_count"
    statuses = window.last.totals_by(requests, "status")
    return sum(window.rate(requests, status=status) for status in statuses if status.startswith("5"))


def _sparkline(rates: Sequence[float]) -> str:
    """Draw a line of bars, the newest at its right end."""
    shown = rates[-SPARKLINE_LENGTH:]
    highest = max(shown, default=0) or 1
    top_level = len(SPARKLINE_LEVELS) - 1
    return "".join(SPARKLINE_LEVELS[round(top_level * rate / highest)] for rate in shown).rjust(SPARKLINE_LENGTH)


def _red_if(text: str, is_red: bool) -> Text:
    return Text(text, "bold red" if is_red else "")


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", show_header=any(columns), expand=True)
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position else "left", no_wrap=True)
    return table


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", box=box.ROUNDED, border_style="dim", height=10)


def _columns(*panels: Panel) -> Table:
    grid = Table.grid(expand=True)
    for _ in panels:
        grid.add_column(ratio=1)
    grid.add_row(*panels)
    return grid
