import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.backoff import backoff

attempts = st.integers(min_value=0, max_value=100_000)
jitters = st.floats(min_value=0, max_value=1, exclude_max=True)


@pytest.mark.parametrize(
    ("attempt", "jitter", "seconds"),
    [
        pytest.param(0, 0.0, 0.4, id="the first failure waits half the base at least"),
        pytest.param(0, 0.5, 0.6, id="jitter spreads over the other half"),
        pytest.param(3, 0.0, 3.2, id="each failure doubles it"),
        pytest.param(5, 0.0, 12.8, id="below the cap"),
        pytest.param(6, 0.0, 15.0, id="the cap holds"),
        pytest.param(5_000, 0.0, 15.0, id="and does not overflow"),
    ],
)
def test_backoff_doubles_up_to_its_cap(attempt: int, jitter: float, seconds: float) -> None:
    assert backoff(attempt, base_s=0.8, cap_s=30.0, jitter=jitter) == pytest.approx(seconds)


@given(attempt=attempts, jitter=jitters)
def test_backoff_is_never_zero_and_never_above_the_cap(attempt: int, jitter: float) -> None:
    assert 0.4 <= backoff(attempt, base_s=0.8, cap_s=30.0, jitter=jitter) <= 30.0


@given(attempt=attempts, jitter=jitters)
def test_backoff_never_shrinks_as_failures_go_on(attempt: int, jitter: float) -> None:
    now, later = (backoff(n, base_s=0.8, cap_s=30.0, jitter=jitter) for n in (attempt, attempt + 1))
    assert later >= now
