from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.difference import differences

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab\n", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def messages(expected: Any, actual: Any) -> list[str]:
    return [difference.message for difference in differences(expected, actual, at="output")]


@pytest.mark.parametrize(
    ("expected", "actual", "found"),
    [
        pytest.param({"a": [1, None]}, {"a": [1, None]}, [], id="equal"),
        pytest.param({"a": 1, "b": 2}, {"b": 2, "a": 1}, [], id="keys in another order"),
        pytest.param(1, 1.0, [], id="a number of the same value"),
        pytest.param("a", "b", ['output: expected "a", got "b"'], id="text"),
        pytest.param(1, True, ["output: expected 1, got true"], id="1 is not true"),
        pytest.param(0, False, ["output: expected 0, got false"], id="0 is not false"),
        pytest.param(None, {}, ["output: expected null, got {}"], id="another type"),
        pytest.param([], {}, ["output: expected [], got {}"], id="a list is no object"),
        pytest.param(
            {"items": [{"title": "a"}]},
            {"items": [{"title": "b"}]},
            ['output.items[0].title: expected "a", got "b"'],
            id="deep inside",
        ),
        pytest.param({"a": 1}, {}, ["output.a: is missing, expected 1"], id="a key is missing"),
        pytest.param({}, {"a": 1}, ["output.a: not expected, got 1"], id="a key too much"),
        pytest.param([1, 2], [1], ["output[1]: is missing, expected 2"], id="an item is missing"),
        pytest.param([1], [1, 2], ["output[1]: not expected, got 2"], id="an item too much"),
        pytest.param({"a b": 1}, {"a b": 2}, ['output["a b"]: expected 1, got 2'], id="a key with a space"),
        pytest.param({"a": "x" * 99}, {}, [f'output.a: is missing, expected "{"x" * 59}…'], id="long"),
    ],
)
def test_each_place_is_named(expected: Any, actual: Any, found: list[str]) -> None:
    assert messages(expected, actual) == found


@given(VALUES)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert messages(value, value) == []


@given(VALUES, VALUES)
def test_a_difference_is_found_in_both_directions_or_in_none(one: Any, other: Any) -> None:
    assert bool(messages(one, other)) == bool(messages(other, one))


def test_short_texts_of_several_lines_are_compared_line_by_line_too() -> None:
    (difference,) = differences("one\ntwo", "one\n2", at="output")
    assert (difference.message, difference.diff[-2:]) == ("output: differs", ("-two", "+2"))


def test_long_texts_are_compared_line_by_line() -> None:
    lines = [f"line {number:02}" for number in range(20)]
    (found,) = differences("\n".join(lines), "\n".join([*lines[:10], "new", *lines[10:]]), at="output")
    assert found.message == "output: differs"
    assert found.diff == (
        "--- expected",
        "+++ got",
        "@@ -9,4 +9,5 @@",
        " line 08",
        " line 09",
        "+new",
        " line 10",
        " line 11",
    )


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        pytest.param({"a": 0}, {"a": f"{'x' * 55}secret"}, id="cut off"),
        pytest.param({}, {"a": f"{'x' * 55}secret"}, id="cut off where it is not expected"),
        pytest.param({"a": f"{'x' * 55}secret"}, {}, id="cut off where it is missing"),
        pytest.param("short", f"{'x' * 70}\nsecret\nlines", id="in lines"),
    ],
)
def test_what_is_masked_is_masked_before_it_is_cut_or_split(expected: Any, actual: Any) -> None:
    def mask(text: str) -> str:
        return text.replace("secret\nlines", "***").replace("secret", "***")

    found = list(differences(expected, actual, at="output", mask=mask))
    assert found
    assert "se" not in "".join(
        line for each in found for line in (each.message.partition(":")[0], *each.diff)
    )
    assert "secr" not in "".join(each.message for each in found)
    assert "lines" not in "".join(line for each in found for line in each.diff)
