"""Suggestions: the nearest known word."""

from __future__ import annotations

import pytest

from pdwatch.core.suggestion import did_you_mean, nearest

FILES = [f"./nodes/step{number}.ts" for number in range(150)]


@pytest.mark.parametrize(
    ("word", "known", "match"),
    [
        pytest.param("nmae", ["name", "nodes"], "name", id="letters exchanged"),
        pytest.param("tmeout", ["timeout", "retries"], "timeout", id="a letter missing"),
        pytest.param("schedules", ["schedule"], "schedule", id="a letter too many"),
        pytest.param(
            "./nodes/sumarize.ts", [*FILES, "./nodes/summarize.ts"], "./nodes/summarize.ts", id="of many"
        ),
        pytest.param(
            "./greet.ts", ["./nodes/greet.ts", "./nodes/x.ts"], "./nodes/greet.ts", id="a directory missing"
        ),
        pytest.param("banana", ["name", "nodes"], None, id="nothing near"),
        pytest.param("name", [], None, id="nothing known"),
        pytest.param("x" * 1000, ["x" * 999], None, id="too long for a typing error"),
        pytest.param(
            "step", [f"step{number}" for number in range(1000)], None, id="too many to look through"
        ),
    ],
)
def test_the_nearest_known_word_is_suggested(word: str, known: list[str], match: str | None) -> None:
    assert nearest(word, known) == match


def test_a_suggestion_ends_a_sentence() -> None:
    assert did_you_mean("nmae", ["name"]) == "; did you mean name?"
    assert did_you_mean("banana", ["name"]) == ""
