"""The picture of a sale: units by state, requests per second, and latency over time."""

from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from demo.sale import Sale
from stack.servers import PROJECT

matplotlib.style.use(PROJECT / "docs" / "pictures.mplstyle")

STATE_COLOURS = {"sold": "C0", "pending": "#8b5cf6", "held": "#f5a524", "available": "#dbe2ea"}
WINDOW_S = 0.25


def draw(sale: Sale, path: Path) -> None:
    """Write the picture of a sale as SVG."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=(5, 2, 2))
    for axes, plot in zip(panels, (_plot_units, _plot_requests, _plot_latency), strict=True):
        plot(axes, sale)
        axes.tick_params(length=0)
        axes.yaxis.set_major_formatter("{x:,.0f}")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1].set_xlabel("seconds since the sale opened")
    panels[-1].set_xlim(sale.levels[0].at_s, sale.levels[-1].at_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})


def _plot_units(axes: Axes, sale: Sale) -> None:
    seconds = [levels.at_s for levels in sale.levels]
    heights = [[getattr(levels, name) for levels in sale.levels] for name in STATE_COLOURS]
    axes.stackplot(
        seconds, heights, colors=STATE_COLOURS.values(), labels=STATE_COLOURS, edgecolor="white", linewidth=0.6
    )
    axes.set_ylim(0, sale.units)
    axes.set_title(
        f"{sale.buyers:,} buyers, {sale.units:,} units: {sale.levels[-1].sold:,} sold, {sale.oversold} oversold",
        fontsize=15,
        fontweight="bold",
        pad=30,
    )
    axes.set_ylabel("units")
    axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(-0.01, 1.0), handlelength=1, handleheight=1)


def _plot_requests(axes: Axes, sale: Sale) -> None:
    edges = np.arange(0, sale.levels[-1].at_s + WINDOW_S, WINDOW_S)
    bottom = np.zeros(len(edges) - 1)
    for label, colour, is_error in (("accepted", "C0", False), ("refused", "C1", True)):
        times = [
            response.requested_at - sale.started_at for response in sale.responses if response.is_error == is_error
        ]
        rates = np.histogram(times, edges)[0] / WINDOW_S
        axes.stairs(bottom + rates, edges, baseline=bottom, fill=True, color=colour, label=label)
        bottom = bottom + rates
    axes.set_ylabel("requests/s")
    axes.legend(loc="upper right")


def _plot_latency(axes: Axes, sale: Sale) -> None:
    windows: dict[int, list[float]] = {}
    for response in sale.responses:
        windows.setdefault(int((response.requested_at - sale.started_at) / WINDOW_S), []).append(
            1000 * response.duration_s
        )
    centres = [(window + 0.5) * WINDOW_S for window in sorted(windows)]
    for share, label, style in ((0.99, "99th percentile", "--"), (0.5, "median", "-")):
        axes.plot(
            centres,
            [np.quantile(windows[window], share) for window in sorted(windows)],
            style,
            color="C2",
            label=label,
            linewidth=1.2,
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel("latency, ms")
    axes.legend(loc="upper right")
