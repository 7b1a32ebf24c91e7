"""How long to wait before trying again: capped exponential backoff with equal jitter."""

from __future__ import annotations

_MAX_DOUBLINGS = 63
"""Far beyond any cap, and far below what a float can hold."""


def backoff(attempt: int, *, base_s: float, cap_s: float, jitter: float) -> float:
    """Return the seconds to wait after a failure: between half and the whole of the capped exponential.

    Half is fixed, so that nobody retries at once; the other half is random, so that many who failed together
    do not come back together.

    Args:
        attempt: How many failures in a row came before this one, from 0.
        base_s: The most that the first failure costs, in seconds; doubled with each further one.
        cap_s: The most that any failure costs, in seconds.
        jitter: A random number in [0, 1).
    """
    whole = min(cap_s, base_s * 2.0 ** min(attempt, _MAX_DOUBLINGS))
    return whole * (1 + jitter) / 2
