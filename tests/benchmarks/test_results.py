from __future__ import annotations

import json

import pytest

from benchmarks.results import Recorder, Results
from tests.benchmarks.runs import run


def test_what_is_written_is_read_again():
    results = run(12.5, 13.0, most_ratio=1.3)
    assert Results.parse(results.text()) == results


@pytest.mark.parametrize("text", ["[]", "{}", json.dumps({"format": 0}), "no JSON"], ids=str)
def test_other_files_are_refused(text):
    with pytest.raises(ValueError, match=r"format|Expecting"):
        Results.parse(text)


def test_series_of_one_name_are_told_apart_by_the_number_of_workflows():
    recorder = Recorder("growth")
    for workflows in (1, 10):
        recorder.add("floor", workflows * 1.0, workflows=workflows)
        recorder.add("save", workflows * 2.0, workflows=workflows, floor="floor")
    results = Results(machine={}, series=tuple(recorder.series()))
    floors = [results.floor_of(series) for series in results.series if series.name == "save"]
    assert [floor.values for floor in floors if floor] == [(1.0,), (10.0,)]
