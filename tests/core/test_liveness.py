"""Who is taken for hung."""

from __future__ import annotations

import pytest

from pdwatch.core.liveness import GRACE_S, Beat, overdue

NOW = 1000.0


def beat(*, ago_s: float, within_s: float) -> Beat:
    return Beat(at_s=NOW - ago_s, within_s=within_s)


@pytest.mark.parametrize(
    ("beats", "expected"),
    [
        pytest.param({}, (), id="nobody has promised anything"),
        pytest.param({"a": beat(ago_s=1, within_s=10)}, (), id="the promise is young"),
        pytest.param({"a": beat(ago_s=10 + GRACE_S, within_s=10)}, (), id="it is late, but not too late"),
        pytest.param({"a": beat(ago_s=11 + GRACE_S, within_s=10)}, ("a",), id="it is too late"),
        pytest.param(
            {"a": beat(ago_s=1, within_s=10), "b": beat(ago_s=99, within_s=0)}, ("b",), id="one of two is"
        ),
        pytest.param({"a": beat(ago_s=600, within_s=610)}, (), id="who may be silent for long is"),
        pytest.param(
            {
                "a": beat(ago_s=60, within_s=0),
                "c": beat(ago_s=90, within_s=0),
                "b": beat(ago_s=60, within_s=0),
            },
            ("c", "a", "b"),
            id="the longest overdue comes first",
        ),
    ],
)
def test_who_breaks_a_promise_by_more_than_the_grace_is_overdue(
    beats: dict[str, Beat], expected: tuple[str, ...]
):
    assert overdue(beats, now_s=NOW) == expected
