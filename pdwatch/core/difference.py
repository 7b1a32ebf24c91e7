"""How two JSON values differ, place by place, for people to read."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONGEST_IN_LINE = 60
"""Longer texts and values are shown as a unified diff."""
_WORD = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as expected: a sentence, and lines of a unified diff where that shows more."""

    message: str
    diff: tuple[str, ...] = ()


def differences(
    expected: Any, actual: Any, *, at: str, mask: Callable[[str], str] = str
) -> Iterator[Difference]:
    """Yield every place where ``actual`` is not ``expected``; a number equals another of the same value.

    Args:
        expected: A JSON value.
        actual: A JSON value.
        at: What the values are called, such as ``output``; places below are ``output.items[0].title``.
        mask: Takes out of a text what must not be shown, before a part of it is cut off or lines are split.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in [*expected, *(key for key in actual if key not in expected)]:
            place = f"{at}.{key}" if _WORD.fullmatch(key) else f"{at}[{_compact(key)}]"
            if key not in actual:
                yield Difference(message=f"{place}: is missing, expected {_shown(expected[key], mask)}")
            elif key not in expected:
                yield Difference(message=f"{place}: not expected, got {_shown(actual[key], mask)}")
            else:
                yield from differences(expected[key], actual[key], at=place, mask=mask)
    elif isinstance(expected, list) and isinstance(actual, list):
        for index, (wanted, got) in enumerate(zip(expected, actual, strict=False)):
            yield from differences(wanted, got, at=f"{at}[{index}]", mask=mask)
        common = min(len(expected), len(actual))
        for index, wanted in enumerate(expected[common:], common):
            yield Difference(message=f"{at}[{index}]: is missing, expected {_shown(wanted, mask)}")
        for index, got in enumerate(actual[common:], common):
            yield Difference(message=f"{at}[{index}]: not expected, got {_shown(got, mask)}")
    elif not _equal(expected, actual):
        yield _difference(expected, actual, at, mask)


def _equal(expected: Any, actual: Any) -> bool:
    """Compare values that are not both objects or both lists; in Python, unlike in JSON, 1 equals true."""
    return isinstance(expected, bool) == isinstance(actual, bool) and expected == actual


def _difference(expected: Any, actual: Any, at: str, mask: Callable[[str], str]) -> Difference:
    wanted, got = mask(_compact(expected)), mask(_compact(actual))
    if max(len(wanted), len(got)) <= _LONGEST_IN_LINE and not _has_lines(expected, actual):
        return Difference(message=f"{at}: expected {wanted}, got {got}")
    lines = difflib.unified_diff(
        _lines(expected, mask), _lines(actual, mask), "expected", "got", lineterm="", n=2
    )
    return Difference(message=f"{at}: differs", diff=tuple(lines))


def _has_lines(*values: Any) -> bool:
    return any(isinstance(value, str) and "\n" in value for value in values)


def _lines(value: Any, mask: Callable[[str], str]) -> list[str]:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return mask(text).split("\n")


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shown(value: Any, mask: Callable[[str], str]) -> str:
    text = mask(_compact(value))
    return text if len(text) <= _LONGEST_IN_LINE else f"{text[:_LONGEST_IN_LINE]}…"
