"""How every picture of the project looks: quiet axes, text that stays text, the same bytes for the same figures."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SUBJECT, BASELINE, INK = "#1f6feb", "#9aa4b2", "#444444"

mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.family": "sans-serif", "font.size": 10})


def quiet(axes: Axes) -> Axes:
    """Axes without the lines that say nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as SVG; returns the file."""
    metadata: dict[str, Any] = {"Date": None}
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata=metadata)
    return path
