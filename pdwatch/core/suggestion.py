"""The nearest known word to one that is not known."""

from __future__ import annotations

import difflib
import heapq
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_WORD = 200
_MOST_KNOWN = 200
"""Beyond these a suggestion is not worth the time that comparing takes."""
_SHORTLIST = 10
"""So many are compared in full, which is slow: those that share most pairs of letters."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of ``known`` that ``word`` was most likely meant to be; None when nothing is near."""
    candidates = sorted(known)
    if len(word) > _LONGEST_WORD or len(candidates) > _MOST_KNOWN:
        return None
    pairs = set(pairwise(word))
    likeliest = heapq.nlargest(
        _SHORTLIST, candidates, key=lambda other: len(pairs.intersection(pairwise(other)))
    )
    return next(iter(difflib.get_close_matches(word, likeliest, n=1)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean …?`` to end a sentence with, or nothing when nothing is near."""
    match = nearest(word, known)
    return f"; did you mean {match}?" if match else ""
