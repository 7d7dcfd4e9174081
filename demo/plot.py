"""A flash sale as a picture: where the units were, what was asked, how long answers took."""

from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from demo.sale import Story
from stack.servers import PROJECT

matplotlib.style.use(PROJECT / "docs" / "pictures.mplstyle")

UNITS = {"sold": "C0", "pending": "#8b5cf6", "held": "#f5a524", "available": "#dbe2ea"}
WINDOW_S = 0.25


def draw(story: Story, path: Path) -> None:
    """Write the picture as SVG."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=(5, 2, 2))
    for axes, plot in zip(panels, (_units, _requests, _latencies), strict=True):
        plot(axes, story)
        axes.tick_params(length=0)
        axes.yaxis.set_major_formatter("{x:,.0f}")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1].set_xlabel("seconds since the sale opened")
    panels[-1].set_xlim(story.levels[0].at_s, story.levels[-1].at_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})


def _units(axes: Axes, story: Story) -> None:
    seconds = [levels.at_s for levels in story.levels]
    heights = [[getattr(levels, name) for levels in story.levels] for name in UNITS]
    axes.stackplot(seconds, heights, colors=UNITS.values(), labels=UNITS, edgecolor="white", linewidth=0.6)
    axes.set_ylim(0, story.units)
    axes.set_title(
        f"{story.buyers:,} buyers, {story.units:,} units: {story.levels[-1].sold:,} sold, {story.oversold} oversold",
        fontsize=15,
        fontweight="bold",
        pad=30,
    )
    axes.set_ylabel("units")
    axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(-0.01, 1.0), handlelength=1, handleheight=1)


def _requests(axes: Axes, story: Story) -> None:
    edges = np.arange(0, story.levels[-1].at_s + WINDOW_S, WINDOW_S)
    bottom = np.zeros(len(edges) - 1)
    for label, colour, is_refusal in (("accepted", "C0", False), ("refused", "C1", True)):
        times = [answer.asked_at - story.started_at for answer in story.answers if answer.is_refusal == is_refusal]
        rates = np.histogram(times, edges)[0] / WINDOW_S
        axes.stairs(bottom + rates, edges, baseline=bottom, fill=True, color=colour, label=label)
        bottom = bottom + rates
    axes.set_ylabel("requests/s")
    axes.legend(loc="upper right")


def _latencies(axes: Axes, story: Story) -> None:
    windows: dict[int, list[float]] = {}
    for answer in story.answers:
        windows.setdefault(int((answer.asked_at - story.started_at) / WINDOW_S), []).append(1000 * answer.duration_s)
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
