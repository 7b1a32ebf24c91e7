"""Results as a table for people: one line a figure, with the floor beside it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.samples import median, ratio, ratio_interval, spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.results import Results, Series

HEADINGS = ("figure", "median", "spread", "n", "x floor", "95 %", "goal")
TITLES = {
    "loop": "One save, of one workflow with one pod",
    "growth": "Growth: workflows of 10 files, without pods",
    "burst": "Burst",
    "big": "A big workflow, one byte changed",
    "commands": "Starting a command",
}
BEGIN = "<!-- begin: written by `make bench`; do not edit -->"
END = "<!-- end: written by `make bench` -->"
_BUSY = 0.7
"""A load average above which other work has disturbed the figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A title, headings, and rows of as many cells each."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(results: Results) -> Iterator[Table]:
    """Return a table for each part; that of growth has a column for each number of workflows."""
    for part in dict.fromkeys(series.part for series in results.series):
        of_part = [series for series in results.series if series.part == part]
        title = TITLES.get(part, part)
        if part == "growth":
            yield _growth(title, of_part, results)
        else:
            rows = [_row(series, results) for series in of_part]
            yield Table(title=title, headings=HEADINGS, rows=rows)


def terminal(results: Results) -> str:
    """Return the tables with columns in line."""
    return "\n\n".join(_aligned(table) for table in tables(results)) + "\n"


def markdown(results: Results, *, plot: str) -> str:
    """Return the block for docs/performance.md, with the plot's file name in it."""
    about = [f"| {topic} | {words} |" for topic, words in results.machine.items()]
    parts = ["\n".join(["| machine | |", "|---|---|", *about]), f"![phases and growth]({plot})"]
    if warning := busy(results):
        parts.insert(0, f"**{warning}**")
    for table in tables(results):
        rows = [f"| {' | '.join(cells)} |" for cells in (table.headings, *table.rows)]
        rows.insert(1, "|---|" + "---:|" * (len(table.headings) - 1))
        parts.append("\n".join([f"### {table.title}", "", *rows]))
    return "\n\n".join(parts)


def with_block(page: str, block: str) -> str:
    """Return a page with another generated block.

    Raises:
        ValueError: The page has no place for it.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"there is no pair of lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{after}"


def busy(results: Results) -> str | None:
    """Return a warning when the machine had other work before the run began."""
    average = float(str(results.machine.get("load at start", "0")).split()[0])
    if average <= _BUSY:
        return None
    return f"Measured on a busy machine (load {average:.2f} before the run): for debugging only."


def number(value: float) -> str:
    """Return a number with about three digits."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _row(series: Series, results: Results) -> tuple[str, ...]:
    floor, middle, within = results.floor_of(series), median(series.values), spread(series.values)
    between = f"{number(within.low)} to {number(within.high)}"
    times = interval = ""
    if floor:
        bounds = ratio_interval(series.values, floor.values)
        times = f"{ratio(series.values, floor.values):.2f}"
        interval = f"{bounds.low:.2f} to {bounds.high:.2f}"
    figure = f"{number(middle)} {series.unit}".strip()
    return series.name, figure, between, str(len(series.values)), times, interval, _goal(series, floor)


def _goal(series: Series, floor: Series | None) -> str:
    if series.most is not None:
        return f"≤ {number(series.most)} {series.unit}: {_verdict(median(series.values) <= series.most)}"
    if series.most_ratio is not None and floor:
        met = ratio(series.values, floor.values) <= series.most_ratio
        return f"≤ {series.most_ratio:.2f}: {_verdict(met)}"
    return ""


def _verdict(met: bool) -> str:  # noqa: FBT001  # the only argument
    return "met" if met else "missed"


def _growth(title: str, of_part: Iterable[Series], results: Results) -> Table:
    by_name: dict[str, dict[int, Series]] = {}
    for series in of_part:
        by_name.setdefault(series.name, {})[series.workflows] = series
    sizes = sorted({size for found in by_name.values() for size in found})
    rows = []
    for name, found in by_name.items():
        figures = [_figure(found.get(size)) for size in sizes]
        first, last = found.get(sizes[0]), found.get(sizes[-1])
        grown = f"{ratio(last.values, first.values):.2f}" if first and last and any(first.values) else ""
        rows.append((name, *figures, grown, _goals(first, last, results)))
        if any(results.floor_of(series) for series in found.values()):
            rows.append((f"… x {next(iter(found.values())).floor}", *_ratios(found, sizes, results), "", ""))
    numbers = [f"{size:,}" for size in sizes]
    return Table(title=title, headings=("workflows", *numbers, "last / first", "goal"), rows=rows)


def _figure(series: Series | None) -> str:
    return "" if series is None else f"{number(median(series.values))} {series.unit}".strip()


def _ratios(found: dict[int, Series], sizes: Iterable[int], results: Results) -> Iterator[str]:
    for size in sizes:
        floor = results.floor_of(found[size]) if size in found else None
        yield f"{ratio(found[size].values, floor.values):.2f}" if floor else ""


def _goals(first: Series | None, last: Series | None, results: Results) -> str:
    """Return the verdicts at the greatest number of workflows."""
    if last is None:
        return ""
    goal = _goal(last, results.floor_of(last))
    if last.most_growth is None or first is None:
        return goal
    grown = _verdict(ratio(last.values, first.values) <= last.most_growth)
    return "; ".join(filter(None, [goal, f"≤ {last.most_growth:.2f} x first: {grown}"]))


def _aligned(table: Table) -> str:
    cells = [table.headings, *table.rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(table.headings))]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join([table.title, "", *lines])
