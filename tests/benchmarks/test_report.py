from __future__ import annotations

import pytest

from benchmarks import bars, report
from benchmarks.results import Recorder, Results
from tests.benchmarks.runs import run

PAGE = f"# Performance\n\n{report.BEGIN}\nold\n{report.END}\n\nmore\n"


@pytest.mark.parametrize(("median", "verdict"), [(12.9, "met"), (13.1, "missed")])
def test_a_goal_is_met_up_to_its_ratio_to_the_floor(median, verdict):
    assert f"≤ 1.30: {verdict}" in report.terminal(run(median, most_ratio=1.3))


@pytest.mark.parametrize(("median", "verdict"), [(150.0, "met"), (150.1, "missed")])
def test_a_goal_without_a_floor_is_met_up_to_its_figure(median, verdict):
    assert f"≤ 150 ms: {verdict}" in report.terminal(run(median, most=150.0))


def test_columns_stand_in_line():
    figures = [line.index(" ms") for line in report.terminal(run(20_000.0)).splitlines() if " ms" in line]
    assert len(figures) == 2
    assert len(set(figures)) == 1


def test_growth_has_a_column_for_each_number_of_workflows_and_says_how_much_it_grew():
    recorder = Recorder("growth")
    for workflows, memory in ((1, 60.0), (1000, 150.0)):
        recorder.add("resident memory", memory, workflows=workflows, unit="MB", most=200.0)
    (table,) = report.tables(Results(machine={}, series=tuple(recorder.series())))
    assert table.headings == ("workflows", "1", "1,000", "last / first", "goal")
    assert table.rows == [("resident memory", "60.0 MB", "150 MB", "2.50", "≤ 200 MB: met")]


@pytest.mark.parametrize(("among_many", "verdict"), [(21.9, "met"), (22.1, "missed")])
def test_a_goal_of_growth_is_met_up_to_its_ratio_to_the_first(among_many, verdict):
    recorder = Recorder("growth")
    recorder.add("save", 20.0, workflows=1, most_growth=1.1)
    recorder.add("save", among_many, workflows=1000, most_growth=1.1)
    (table,) = report.tables(Results(machine={}, series=tuple(recorder.series())))
    assert table.rows[0][-1].endswith(f"≤ 1.10 x first: {verdict}")


def test_only_the_block_of_the_page_is_written_anew():
    written = report.with_block(PAGE, "new")
    assert written == f"# Performance\n\n{report.BEGIN}\n\nnew\n\n{report.END}\n\nmore\n"
    assert report.with_block(written, "new") == written


def test_a_page_without_a_place_for_the_block_is_refused():
    with pytest.raises(ValueError, match="no pair of lines"):
        report.with_block("# Performance\n", "new")


def test_the_block_has_the_machine_the_plot_and_a_table():
    block = report.markdown(run(12.0), plot="plot.png")
    assert "| CPU | two of them |" in block
    assert "(plot.png)" in block
    assert "\n| save → patched | 12.0 ms |" in block


@pytest.mark.parametrize(("load", "warned"), [("0.50 9 9", False), ("2.00 0 0", True)])
def test_figures_of_a_busy_machine_are_marked(load, warned):
    results = run(12.0, load=load)
    assert (report.busy(results) is not None) == warned
    assert ("for debugging only" in report.markdown(results, plot="")) == warned


def test_bars_are_as_long_as_their_phases_take():
    recorder = Recorder("loop")
    medians = {"phase: build": 80.0, "phase: apply": 40.0}
    medians |= {"floor: load": 50.0, "floor: load + apply": 60.0}
    medians |= {"plain loop: save → image": 100.0, "plain loop: save → patched": 120.0}
    recorder.add_all(medians)
    drawn = bars.drawn(Results(machine={}, series=tuple(recorder.series())))
    lengths = {
        line.split()[0]: len(line.rpartition("ms")[0].rstrip(" 0123456789")) - 12
        for line in drawn.splitlines()
        if line.endswith("ms")
    }
    assert lengths == {"pdwatch": 60, "floor": 30, "plain": 60}


def test_without_figures_nothing_is_drawn():
    assert bars.drawn(Results(machine={}, series=())) == ""
