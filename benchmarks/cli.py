"""The command line: which parts, how many samples, and where the results go."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import bars, big, burst, commands, growth, loop, machine, report
from benchmarks.compare import LATEST
from benchmarks.figure import draw
from benchmarks.ground import prepared
from benchmarks.options import QUICK, Options
from benchmarks.results import Results
from tests.testbed.__main__ import steps
from tests.testbed.errors import TestbedError
from tests.testbed.session import session_testbed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from benchmarks.ground import Ground
    from benchmarks.results import Series
    from tests.testbed.client import Testbed

    Part = Callable[[Ground, Options], Awaitable[Iterable[Series]]]

PARTS: dict[str, Part] = {
    "loop": loop.measure,
    "commands": commands.measure,
    "big": big.measure,
    "burst": burst.measure,
    "growth": growth.measure,
}
"""In the order in which they run: growth is last, since it leaves most to be removed."""
PAGE = machine.REPOSITORY / "docs/performance.md"
PLOT = "performance.png"


def main() -> None:
    """Run what the command line asks for; Ctrl-C and SIGTERM clean up."""
    arguments = _parser().parse_args()
    options = QUICK if arguments.quick else Options()
    if arguments.saves is not None:
        options = replace(options, saves=arguments.saves)
    try:
        with session_testbed(os.environ, steps()) as testbed:
            results = asyncio.run(run(testbed, options, only=arguments.only, out=arguments.out))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(128 + signal.SIGINT)
    except TestbedError as error:
        sys.exit(str(error))
    print(report.terminal(results))
    print(bars.drawn(results))
    if warning := report.busy(results):
        print(warning)
    draw(results, arguments.out.with_name(PLOT))
    if arguments.write_docs:
        PAGE.write_text(report.with_block(PAGE.read_text(), report.markdown(results, plot=PLOT)))
        draw(results, PAGE.with_name(PLOT))


async def run(testbed: Testbed, options: Options, *, only: Sequence[str], out: Path) -> Results:
    """Measure the parts and write the results after each, so that a later failure costs no earlier one."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    load_at_start = machine.load()
    out.parent.mkdir(parents=True, exist_ok=True)
    async with prepared(testbed) as ground:
        about = await machine.describe(ground)
        series: list[Series] = []
        for name, measure in PARTS.items():
            if name in only:
                series += await measure(ground, options)
                load = {"load at start": load_at_start, "load at end": machine.load()}
                results = Results(machine={**about, **load}, series=tuple(series))
                out.write_text(results.text())
    return results


def _parts(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - PARTS.keys():
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measures pdwatch on the testbed."
    )
    parser.add_argument(
        "--only", type=_parts, default=list(PARTS), metavar="PART,…", help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument("--saves", type=int, help=f"samples of each figure [default: {Options().saves}]")
    parser.add_argument(
        "--quick", action="store_true", help="try everything with few samples of small things"
    )
    parser.add_argument("--out", type=Path, default=LATEST, help=f"the samples as JSON [default: {LATEST}]")
    parser.add_argument(
        "--write-docs", action="store_true", help="put tables and plot into docs/performance.md"
    )
    return parser
