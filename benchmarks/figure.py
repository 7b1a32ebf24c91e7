"""The plot as a PNG: where the time of a save goes, and how it grows with the number of workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib import colormaps
from matplotlib.figure import Figure

from benchmarks import bars
from benchmarks.report import busy

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.results import Results

_INCHES = (11, 4.2)


def draw(results: Results, path: Path) -> None:
    """Write the plot; a part that was not measured leaves its half empty."""
    figure = Figure(figsize=_INCHES, layout="constrained")
    left, right = figure.subplots(1, 2)
    _saves(left, results)
    _growth(right, results)
    if warning := busy(results):
        figure.suptitle(warning, fontsize=9)
    # The creation time and version of the library would make every file differ.
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _saves(axes: Axes, results: Results) -> None:
    shown = list(bars.saves(results))
    axes.set_title("Save → patched, medians by phase")
    axes.set_prop_cycle(color=[colormaps["tab20"](number) for number in range(20)])
    axes.set_xlabel("ms")
    phases = list(dict.fromkeys(phase for _, segments in shown for phase in segments))
    labels, lefts = [label for label, _ in shown], [0.0] * len(shown)
    for phase in phases:
        widths = [max(segments.get(phase, 0.0), 0.0) for _, segments in shown]
        axes.barh(labels, widths, left=lefts, label=phase)
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    axes.invert_yaxis()
    if phases:
        axes.legend(fontsize=8, ncols=2)


def _growth(axes: Axes, results: Results) -> None:
    points = bars.growth(results)
    axes.set_title("Save → patched by number of workflows")
    axes.set_xlabel("workflows")
    axes.set_ylabel("ms")
    if not points:
        return
    sizes, patched, floors = zip(*points, strict=True)
    axes.plot(sizes, patched, marker="o", label="pdwatch")
    axes.plot(sizes, floors, marker="o", label="floor")
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
