"""Plots of results, as SVG."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.runner import Result
from bench.targets import ScenarioResult
from stack.servers import PROJECT

matplotlib.style.use(PROJECT / "docs" / "pictures.mplstyle")


def draw(scenarios: dict[str, ScenarioResult], folder: Path) -> list[Path]:
    """Write a plot of each scenario that has one; returns the files."""
    plots: dict[str, Callable[[Axes, Sequence[Result]], None]] = {
        "hot_hold": lambda axes, results: _plot_rates(
            axes, results, "Holds per second of one product, 256 connections"
        ),
        "whole_flow": lambda axes, results: _plot_rates(
            axes, results[:2], "Flows of hold, order and payment per second, 256 connections"
        ),
        "many_connections": _plot_latency,
        "old_rows": _plot_old_rows,
        "procedures_alone": _plot_batches,
    }
    return [_draw(folder / f"{name}.svg", plots[name], scenarios[name].results) for name in plots if name in scenarios]


def _draw(path: Path, plot: Callable[[Axes, Sequence[Result]], None], results: Sequence[Result]) -> Path:
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    plot(figure.add_subplot(), results)
    figure.savefig(path, metadata={"Date": None})
    return path


def _plot_rates(axes: Axes, results: Sequence[Result], title: str) -> None:
    """Plot a bar per contender, the service first, with the range of its rounds."""
    rates = [result.rate for result in results]
    ranges = [
        [result.rate - min(result.rates) for result in results],
        [max(result.rates) - result.rate for result in results],
    ]
    colours = ["C0"] + ["C1"] * (len(results) - 1)
    bars = axes.barh([result.label for result in results], rates, xerr=ranges, color=colours, ecolor="C2")
    axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=6)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_title(title)


def _plot_latency(axes: Axes, results: Sequence[Result]) -> None:
    """Plot the latency of holds by connections."""
    connections = [result.connections for result in results]
    axes.plot(connections, [result.p50_ms for result in results], "o-", color="C0", label="median")
    axes.plot(connections, [result.p99_ms for result in results], "o--", color="C0", label="99th percentile")
    axes.set_xscale("log", base=2)
    axes.set_xticks(connections, [f"{number:,}" for number in connections])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("connections")
    axes.set_title("Latency of a hold, ms")
    axes.legend()


def _plot_old_rows(axes: Axes, results: Sequence[Result]) -> None:
    """Plot the rate of holds by old rows; each level has three results: empty tables, generated keys, client keys."""
    levels = [result.label.partition(" ")[0] for result in results[1::3]]
    for offset, label, style in ((1, "generated keys", "o-"), (2, "random keys of clients", "o--")):
        percents = [100 * old.rate / empty.rate for empty, old in zip(results[::3], results[offset::3], strict=True)]
        axes.plot(levels, percents, style, color="C0", label=label)
    axes.set_ylim(0, 120)
    axes.set_xlabel("old holds, and as many orders and keys")
    axes.set_title("Holds per second, % of the rate with empty tables")
    axes.legend()


def _plot_batches(axes: Axes, results: Sequence[Result]) -> None:
    """Plot the rate of create_holds by batch size, a line per number of connections."""
    for connections, style in ((1, "o-"), (2, "o--")):
        of_connections = [result for result in results if result.connections == connections]
        sizes = [result.label.split()[2] for result in of_connections]
        label = f"{connections} connection{'s' if connections > 1 else ''}"
        axes.plot(sizes, [result.rate for result in of_connections], style, color="C0", label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("holds per call")
    axes.set_title("Holds per second of create_holds without the service")
    axes.legend()
