"""Results as SVG."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bench.runner import Figure
from bench.scenarios import Outcome
from stack.servers import PROJECT

matplotlib.style.use(PROJECT / "docs" / "pictures.mplstyle")


def draw(outcomes: dict[str, Outcome], folder: Path) -> list[Path]:
    """A plot for each scenario that has one; returns the files."""
    plots: dict[str, Callable[[Axes, Sequence[Figure]], None]] = {
        "hot_hold": lambda axes, figures: _bars(axes, figures, "holds a second, one product, 256 connections"),
        "whole_flow": lambda axes, figures: _bars(axes, figures[:2], "whole flows a second, 256 connections"),
        "many_connections": _latencies,
        "old_rows": _history,
        "procedures_alone": _batches,
    }
    return [_draw(folder / f"{name}.svg", plots[name], outcomes[name].figures) for name in plots if name in outcomes]


def _draw(path: Path, plot: Callable[[Axes, Sequence[Figure]], None], figures: Sequence[Figure]) -> Path:
    canvas = Canvas(figsize=(7, 3.2), layout="constrained")
    plot(canvas.add_subplot(), figures)
    canvas.savefig(path, metadata={"Date": None})
    return path


def _bars(axes: Axes, figures: Sequence[Figure], title: str) -> None:
    """A bar a contender, the service first, with the spread of its rounds."""
    rates = [figure.rate for figure in figures]
    spread = [
        [figure.rate - min(figure.rates) for figure in figures],
        [max(figure.rates) - figure.rate for figure in figures],
    ]
    colours = ["C0"] + ["C1"] * (len(figures) - 1)
    drawn = axes.barh([figure.label for figure in figures], rates, xerr=spread, color=colours, ecolor="C2")
    axes.bar_label(drawn, [f"{rate:,.0f}" for rate in rates], padding=6)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_title(title)


def _latencies(axes: Axes, figures: Sequence[Figure]) -> None:
    connections = [figure.connections for figure in figures]
    axes.plot(connections, [figure.p50_ms for figure in figures], "o-", color="C0", label="median")
    axes.plot(connections, [figure.p99_ms for figure in figures], "o--", color="C0", label="99th percentile")
    axes.set_xscale("log", base=2)
    axes.set_xticks(connections, [f"{number:,}" for number in connections])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("connections")
    axes.set_title("latency of a hold, ms")
    axes.legend()


def _history(axes: Axes, figures: Sequence[Figure]) -> None:
    """Each level is the empty tables, service-made keys, client keys."""
    levels = [figure.label.partition(" ")[0] for figure in figures[1::3]]
    for offset, label, style in ((1, "service-made keys", "o-"), (2, "random client keys", "o--")):
        shares = [100 * old.rate / empty.rate for empty, old in zip(figures[::3], figures[offset::3], strict=True)]
        axes.plot(levels, shares, style, color="C0", label=label)
    axes.set_ylim(0, 120)
    axes.set_xlabel("old holds, orders and keys, each")
    axes.set_title("holds a second, % of the rate with empty tables")
    axes.legend()


def _batches(axes: Axes, figures: Sequence[Figure]) -> None:
    for connections, style in ((1, "o-"), (2, "o--")):
        lines = [figure for figure in figures if figure.connections == connections]
        sizes = [figure.label.split()[2] for figure in lines]
        label = f"{connections} connection{'s' if connections > 1 else ''}"
        axes.plot(sizes, [figure.rate for figure in lines], style, color="C0", label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("holds in a call")
    axes.set_title("create_holds alone, holds a second")
    axes.legend()
