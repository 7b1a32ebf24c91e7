"""Who goes next, and why the others wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.admission import AGING_S, Priority, Work, hold, next_turn, priority_of

SAVE, REPAIR, START, ROUTINE = Priority


def work(name: str, priority: Priority = SAVE, since: float = 0.0) -> Work:
    return Work(name=name, priority=priority, since=since)


works = st.builds(
    Work, name=st.text("abc", min_size=1), priority=st.sampled_from(Priority), since=st.floats(0, 300)
)


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("save", SAVE),
        ("retry", REPAIR),
        ("drifted", REPAIR),
        ("deleted", REPAIR),
        ("missed", REPAIR),
        ("start", START),
        ("settings", START),
        ("resync", ROUTINE),
    ],
)
def test_how_urgent_work_is_follows_from_its_cause(cause: str, expected: Priority):
    assert priority_of(cause) is expected


@pytest.mark.parametrize(
    ("waiting", "running", "limit", "expected"),
    [
        pytest.param([work("late", since=2), work("early", since=1)], [], 1, "early", id="first come"),
        pytest.param([work("start", START), work("save", SAVE, 9)], [], 1, "save", id="saves go first"),
        pytest.param([work("again", REPAIR, 9), work("start", START)], [], 1, "again", id="then repairs"),
        pytest.param([work("routine", ROUTINE), work("start", START, 9)], [], 1, "start", id="routine last"),
        pytest.param([work("a")], [work("b")], 1, None, id="no more than the limit"),
        pytest.param([work("a", START)], [work("b", START)], 2, None, id="the last turn is kept for saves"),
        pytest.param([work("a", START)], [work("b")], 2, "a", id="a save's turn is not what is kept"),
        pytest.param([work("a")], [work("b", START)], 2, "a", id="a save takes the turn that is kept"),
        pytest.param([work("a", START)], [], 1, "a", id="of a single turn none can be kept"),
        pytest.param([], [], 2, None, id="nothing waits"),
    ],
)
def test_whose_turn_it_is(waiting: list[Work], running: list[Work], limit: int, expected: str | None):
    chosen = next_turn(waiting, running, limit=limit, now=10)
    assert (chosen.name if chosen else None) == expected


def test_start_up_work_goes_before_the_saves_of_the_last_moments_once_it_has_waited_long_enough():
    start, save = work("start", START, 0), work("save", SAVE, 2 * AGING_S - 1)
    assert next_turn([save, start], [], limit=1, now=2 * AGING_S - 0.5) is save
    assert next_turn([save, start], [], limit=1, now=2 * AGING_S) is start


@given(waiting=st.lists(works), running=st.lists(works, max_size=4), limit=st.integers(1, 5))
def test_a_turn_is_free_for_a_save_unless_saves_alone_or_a_single_turn_take_them_all(
    waiting: list[Work], running: list[Work], limit: int
):
    """Whatever is admitted one after another, background work never takes the last of several turns."""
    went_on = list(running)
    before = sum(each.priority is not SAVE for each in running)
    while (chosen := next_turn(waiting, went_on, limit=limit, now=300)) is not None:
        went_on.append(chosen)
        waiting = [each for each in waiting if each is not chosen]
    assert len(went_on) <= max(limit, len(running))
    assert sum(each.priority is not SAVE for each in went_on) <= max(before, 1, limit - 1)
    assert not any(each.priority is SAVE for each in waiting) or len(went_on) >= limit


@given(waiting=st.lists(works, unique_by=lambda each: each.since), running=st.lists(works, max_size=3))
def test_the_first_in_line_of_each_priority_are_enough_to_decide(waiting: list[Work], running: list[Work]):
    heads = [
        min(line, key=lambda each: each.since)
        for priority in Priority
        if (line := [each for each in waiting if each.priority is priority])
    ]
    for limit in (1, 2, 4):
        chosen = next_turn(waiting, running, limit=limit, now=300)
        assert next_turn(heads, running, limit=limit, now=300) == chosen


@given(priority=st.sampled_from(Priority), every_s=st.floats(0.5, 5), limit=st.integers(1, 3))
def test_endless_saves_starve_nothing(priority: Priority, every_s: float, limit: int):
    """Saves come faster than they can be worked on, and something else waits: its turn comes all the same."""
    waiting, running, now = [work("patient", priority, 0)], [work("save")] * limit, 0.0
    longest = (Priority.ROUTINE + 1) * AGING_S + every_s
    while work("patient", priority, 0) not in running:
        assert now <= longest
        now += every_s
        waiting += [work("save", SAVE, now)] * (limit + 1)
        running = []
        while (chosen := next_turn(waiting, running, limit=limit, now=now)) is not None:
            running.append(chosen)
            waiting.remove(chosen)


@pytest.mark.parametrize(
    ("of", "running", "limit", "waiting", "expected"),
    [
        pytest.param(
            work("z"), "ab", 2, 1, "waits for a build slot behind a, b (2 at once)", id="it alone waits"
        ),
        pytest.param(
            work("z"), "a", 1, 5, "waits for a build slot behind a (1 at once, 5 wait)", id="others wait too"
        ),
        pytest.param(
            work("z", START),
            "a",
            2,
            1,
            "waits for a build slot behind a (2 at once, one of them for saves)",
            id="a turn is kept for saves",
        ),
        pytest.param(
            work("z"),
            "abcde",
            5,
            1,
            "waits for a build slot behind a, b, c, 2 more (5 at once)",
            id="many go on",
        ),
    ],
)
def test_why_work_waits(of: Work, running: str, limit: int, waiting: int, expected: str):
    going_on = [work(name) for name in running]
    assert hold(of, going_on, limit=limit, waiting=waiting, turn="build slot") == expected
