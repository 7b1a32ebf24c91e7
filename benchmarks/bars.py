"""The plot for the terminal: where the time of a save goes, as bars of as many cells as it takes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.phases import TO_PATCHED
from benchmarks.samples import median

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.results import Results

WIDTH = 60
_FILLS = "▪▫◦•◇◆█▤▒▓░"
"""One sign a phase, for terminals without colour."""
_PHASE = "phase: "

Bar = tuple[str, "Mapping[str, float]"]
"""A label, and the milliseconds of its segments by name."""


def saves(results: Results) -> Iterator[Bar]:
    """Return a bar for each way to the patched Deployment: pdwatch by phase, its floor, the plain loop."""
    medians = {series.name: median(series.values) for series in results.series if series.part == "loop"}
    if not medians:
        return
    yield "pdwatch", {phase: medians.get(f"{_PHASE}{phase}", 0.0) for phase in TO_PATCHED}
    for label, image, patched in (
        ("floor", "floor: load", "floor: load + apply"),
        ("plain loop", "plain loop: save → image", "plain loop: save → patched"),
    ):
        built = medians[image]
        yield label, {"build": built, "apply": medians[patched] - built}


def growth(results: Results) -> Sequence[tuple[int, float, float]]:
    """Return workflows, save → patched and its floor in milliseconds, by rising number of workflows."""
    found = {
        (series.name, series.workflows): median(series.values)
        for series in results.series
        if series.part == "growth"
    }
    return [
        (size, patched, found["floor: load + apply", size])
        for (name, size), patched in sorted(found.items(), key=lambda item: item[0][1])
        if name == "save → patched"
    ]


def drawn(results: Results) -> str:
    """Return both as text; empty when neither part was measured."""
    bars = list(saves(results))
    lines = []
    if bars:
        longest = max(sum(segments.values()) for _, segments in bars)
        phases = list(dict.fromkeys(phase for _, segments in bars for phase in segments))
        fills = dict(zip(phases, _FILLS, strict=False))
        lines += ["Save → patched, medians by phase", ""]
        lines += [_stacked(label, segments, longest, fills) for label, segments in bars]
        lines += ["", "  ".join(f"{fill} {phase}" for phase, fill in fills.items())]
    if points := growth(results):
        longest = max(max(patched, floor) for _, patched, floor in points)
        lines += ["", "Save → patched (█) and its floor (░) by number of workflows", ""]
        for size, patched, floor in points:
            lines += [_stacked(f"{size:,}", {"save": patched}, longest, {"save": "█"})]
            lines += [_stacked("", {"floor": floor}, longest, {"floor": "░"})]
    return "\n".join(lines) + "\n" if lines else ""


def _stacked(label: str, segments: Mapping[str, float], longest: float, fills: Mapping[str, str]) -> str:
    cells, bar, reached = WIDTH / longest, "", 0.0
    for name, amount in segments.items():
        reached += max(amount, 0.0)
        bar += fills[name] * (round(reached * cells) - len(bar))
    return f"{label:>10}  {bar} {sum(segments.values()):.0f} ms"
