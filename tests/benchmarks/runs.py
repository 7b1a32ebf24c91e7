"""Results as runs of the benchmarks leave them."""

from __future__ import annotations

from typing import Any

from benchmarks.results import Recorder, Results


def run(*values: float, floor: float = 10.0, load: str = "0.10 0.20 0.30", **about: Any) -> Results:
    """A run with samples of one figure, and as many of its floor."""
    recorder = Recorder("loop")
    for value in values:
        recorder.add("floor: load + apply", floor)
        recorder.add("save → patched", value, floor="floor: load + apply", **about)
    return Results(machine={"CPU": "two of them", "load at start": load}, series=tuple(recorder.series()))
