"""Cron schedules as the engine takes them, which runs them by ``Deno.cron``.

Five fields: minute, hour, day of month, month, day of week. Besides ``*``, values, ranges, steps and lists it
knows ``L``, ``LW``, ``L-3``, ``L-3W`` and ``15W`` for days of the month, ``L``, ``5L`` and ``FRI#2`` for days
of the week. These count from 0 (Sunday) to 6 (Saturday), and 7 is Sunday too, as in crontab and Kubernetes;
the engine translates them, since ``Deno.cron`` itself counts from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pdwatch.core.yaml_tree import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    title: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    steps: int | None = None
    """The largest step, where it is not the distance from least to most."""
    special: re.Pattern[str] = field(default=re.compile("(?!)"))
    """What stands alone in the field; lists and steps of it are not allowed."""

    @property
    def range(self) -> str:
        """The allowed values, in words."""
        named = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.least} to {self.most}{named}"

    def holds(self, value: str) -> bool:
        """Tell whether ``value`` is a number of one or two digits in range, or a name."""
        if value.upper() in self.names:
            return True
        return bool(re.fullmatch("[0-9]{1,2}", value)) and self.least <= int(value) <= self.most


_DAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAY = rf"(?:0?[0-7]|(?i:{'|'.join(_DAY_NAMES)}))"
_FIELDS = (
    _Field(title="minute", least=0, most=59),
    _Field(title="hour", least=0, most=23),
    _Field(
        title="day of month",
        least=1,
        most=31,
        special=re.compile(r"LW?|L-(?:0?[1-9]|[12][0-9]|30)W?|(?:0?[1-9]|[12][0-9]|3[01])W"),
    ),
    _Field(title="month", least=1, most=12, names=_MONTH_NAMES),
    _Field(
        title="day of week",
        least=0,
        most=7,
        steps=6,
        names=_DAY_NAMES,
        special=re.compile(rf"L|{_DAY}L|{_DAY}#0?[1-5]"),
    ),
)


def cron_fault(schedule: str) -> str | None:
    """Return what is wrong with a schedule; None when nothing is."""
    texts = re.split("[ \t]+", schedule)
    if len(texts) != len(_FIELDS):
        return f"{shown(schedule)} needs five fields: minute, hour, day of month, month, day of week"
    faults = (_field_fault(text, of) for text, of in zip(texts, _FIELDS, strict=True))
    return next((fault for fault in faults if fault), None)


def _field_fault(text: str, of: _Field) -> str | None:
    if of.special.fullmatch(text):
        return None
    faults = (_item_fault(item, of) for item in text.split(","))
    return next((fault for fault in faults if fault), None)


def _item_fault(item: str, of: _Field) -> str | None:
    base, slash, step = item.partition("/")
    largest = of.steps or of.most - of.least
    if slash and not (re.fullmatch("[0-9]{1,2}", step) and 1 <= int(step) <= largest):
        return f"the step {shown(step)} of the {of.title} must be 1 to {largest}"
    if base == "*":
        return None
    if all(of.holds(value) for value in base.split("-", maxsplit=1)):
        return None
    return f"the {of.title} {shown(base)} must be {of.range}"
