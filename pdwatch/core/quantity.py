"""Amounts of container resources: ``100m``, ``64Mi``, ``1e3``; written as the API server writes them.

The rules are those of ``k8s.io/apimachinery/pkg/api/resource``, and of the defaults of core/v1, which round
resources up to whole thousandths.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?:(?P<suffix>[numkMGTPE]|[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]{1,3}))?"
)
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_BINARY = {10: "Ki", 20: "Mi", 30: "Gi", 40: "Ti", 50: "Pi", 60: "Ei"}
_SCALES = {
    **{suffix: Fraction(10) ** exponent for exponent, suffix in _DECIMAL.items()},
    **{suffix: Fraction(2) ** exponent for exponent, suffix in _BINARY.items()},
}
_MILLI = Fraction(1, 1000)
_LIMIT = 2**63
"""Kubernetes caps quantities below it; one that large is a mistake."""
_SMALLEST_BINARY = 1024
"""The API server writes smaller numbers of bytes without a binary suffix."""


@lru_cache(maxsize=256)  # most workflows have the same few, and each look at one reads them all
def parse_quantity(text: str) -> Fraction:
    """Return the value, rounded away from zero to whole thousandths as Kubernetes does.

    Raises:
        ValueError: It is no quantity, or 2⁶³ or more.
    """
    matched = _QUANTITY.fullmatch(text)
    if matched is None:
        raise ValueError(f"{text!r} is not a quantity such as 100m, 0.5, 64Mi or 1Gi")
    if matched["exponent"]:
        scale = Fraction(10) ** int(matched["exponent"])
    else:
        scale = _SCALES[matched["suffix"] or ""]
    millis = Fraction(matched["number"]) * scale / _MILLI
    whole = -(-abs(millis).numerator // millis.denominator)
    if whole * _MILLI >= _LIMIT:
        raise ValueError(f"{text!r} is more than Kubernetes can hold")
    return (whole if millis >= 0 else -whole) * _MILLI


def canonical_quantity(text: str) -> str:
    """Return the same quantity as the API server returns it: ``1000m`` is ``1``, ``1024Mi`` is ``1Gi``.

    Raises:
        ValueError: It is no quantity, or 2⁶³ or more.
    """
    value = parse_quantity(text)
    if value == 0:
        return "0"
    if text.endswith("i") and value.denominator == 1 and abs(value) >= _SMALLEST_BINARY:
        number, exponent = _reduced(value.numerator, base=1024)
        return f"{number}{_BINARY[exponent * 10]}" if exponent else str(number)
    millis, exponent = _reduced((value / _MILLI).numerator, base=10)
    exponent -= 3
    spare = exponent % 3
    number, exponent = millis * 10**spare, exponent - spare
    if re.search(r"[eE][+-]?[0-9]", text):
        return f"{number}e{exponent}" if exponent else str(number)
    return f"{number}{_DECIMAL[exponent]}"


def _reduced(number: int, *, base: int) -> tuple[int, int]:
    """Divide ``number`` by ``base`` as often as it goes; return the rest and how often."""
    times = 0
    while number % base == 0:
        number, times = number // base, times + 1
    return number, times
