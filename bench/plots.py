"""Plots of results, as SVG."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stack.servers import PROJECT

matplotlib.style.use(PROJECT / "docs" / "pictures.mplstyle")

Result = dict[str, Any]  # as report.py writes it
LOAD_GENERATOR = "load generator (not in the sum)"
PROCESSES: dict[str, dict[str, Any]] = {
    "workers": {"color": "C0"},
    "MySQL": {"color": "C1"},
    "Redis": {"color": "C2"},
    LOAD_GENERATOR: {"color": "none", "edgecolor": "C1", "linestyle": ":"},
}


def draw(path: Path) -> list[Path]:
    """Draw the plots whose scenarios are all in a file of results, into its folder; returns the plots."""
    scenarios = {name: scenario["results"] for name, scenario in json.loads(path.read_text())["scenarios"].items()}
    drawn = []
    for name, (plot, needed) in PLOTS.items():
        if needed <= scenarios.keys():
            drawn.append(path.with_name(f"{name}.svg"))
            plot(scenarios).savefig(drawn[-1], metadata={"Date": None})
    return drawn


def _hot_hold(scenarios: dict[str, list[Result]]) -> Figure:
    *contenders, _empty_answer = scenarios["hot_hold"]
    return _rates(contenders, "Holds of one product per second", height=3.2)


def _whole_flow(scenarios: dict[str, list[Result]]) -> Figure:
    return _rates(scenarios["whole_flow"], "Flows of hold, order and payment per second", height=1.6)


def _rates(results: list[Result], title: str, height: float) -> Figure:
    """Plot a bar per contender, the service first, with the range of its rounds."""
    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.add_subplot()
    rates = [result["rate"] for result in results]
    ranges = [
        [result["rate"] - min(result["rates"]) for result in results],
        [max(result["rates"]) - result["rate"] for result in results],
    ]
    colours = ["C0"] + ["C1"] * (len(results) - 1)
    bars = axes.barh([result["label"] for result in results], rates, xerr=ranges, color=colours, ecolor="C2")
    axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=6)
    _finish_bars(axes, title)
    return figure


def _finish_bars(axes: Axes, title: str) -> None:
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_title(title)


def _many_connections(scenarios: dict[str, list[Result]]) -> Figure:
    """Plot the latency of holds by connections."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.add_subplot()
    results = scenarios["many_connections"]
    connections = [result["connections"] for result in results]
    axes.plot(connections, [result["p50_ms"] for result in results], "o-", color="C0", label="median")
    axes.plot(connections, [result["p99_ms"] for result in results], "o--", color="C0", label="99th percentile")
    axes.set_xscale("log", base=2)
    axes.set_xticks(connections, [f"{number:,}" for number in connections])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("connections")
    axes.set_title("Latency of a hold, ms")
    axes.legend()
    return figure


def _cost(scenarios: dict[str, list[Result]]) -> Figure:
    """Plot the CPU time of the service's requests, and of a hold beside the baselines."""
    requests = {"hold": "hot_hold", "order": "orders", "payment": "payments", "product read": "product_read"}
    of_service = {label: scenarios[name][0] for label, name in requests.items()}
    contenders = {result["label"]: result for result in scenarios["hot_hold"]}
    figure = Figure(figsize=(7, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=(len(of_service), len(contenders)))
    _costs(upper, of_service.items(), "CPU time of the service per request, µs")
    _costs(lower, contenders.items(), "CPU time per hold, µs")
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center", ncols=len(PROCESSES))
    return figure


def _costs(axes: Axes, results: Iterable[tuple[str, Result]], title: str) -> None:
    """Plot a bar per result, divided by process, labelled with the sum; the load generator's part is apart."""
    costs = {label: _cpu_us(result) for label, result in results}
    ends = dict.fromkeys(costs, 0.0)
    for name, style in PROCESSES.items():
        parts = [cost[name] for cost in costs.values()]
        bars = axes.barh(list(costs), parts, left=list(ends.values()), label=name, **style)
        if name == LOAD_GENERATOR:
            axes.bar_label(bars, [f"{end:,.0f}" for end in ends.values()], padding=6)
        ends = {label: end + part for (label, end), part in zip(ends.items(), parts, strict=True)}
    _finish_bars(axes, title)


def _cpu_us(result: Result) -> dict[str, float]:
    """The CPU time per request, in µs, by name of PROCESSES."""
    of_servers: dict[str, float] = result["cpu_us"]
    databases = {name: of_servers[name] for name in ("MySQL", "Redis")}
    workers = sum(of_servers.values()) - sum(databases.values())
    return {"workers": workers, **databases, LOAD_GENERATOR: result["load_generator_cpu_us"]}


PLOTS: dict[str, tuple[Callable[[dict[str, list[Result]]], Figure], set[str]]] = {
    "hot_hold": (_hot_hold, {"hot_hold"}),
    "whole_flow": (_whole_flow, {"whole_flow"}),
    "many_connections": (_many_connections, {"many_connections"}),
    "cost": (_cost, {"hot_hold", "orders", "payments", "product_read"}),
}
