"""The results of a run as values, and as the JSON that is kept and compared."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """All samples of one figure."""

    part: str
    name: str
    values: tuple[float, ...]
    unit: str = "ms"
    workflows: int = 1
    """Among how many workflows it was measured."""
    floor: str | None = None
    """The name of the series of the same part and number of workflows that this one is compared with."""
    most: float | None = None
    """The goal: the greatest median that it should have,"""
    most_ratio: float | None = None
    """or the greatest ratio to its floor,"""
    most_growth: float | None = None
    """or to itself at the smallest number of workflows."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from all other series of a run."""
        return self.part, self.name, self.workflows


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """One run of the benchmarks."""

    machine: Mapping[str, Any]
    series: tuple[Series, ...]

    def by_key(self) -> Mapping[tuple[str, str, int], Series]:
        """Return the series by what tells them apart."""
        return {series.key: series for series in self.series}

    def floor_of(self, series: Series) -> Series | None:
        """Return the floor of one of the series."""
        return self.by_key().get((series.part, series.floor, series.workflows)) if series.floor else None

    def text(self) -> str:
        """Return the JSON document."""
        document = {
            "format": FORMAT,
            "machine": dict(self.machine),
            "series": [asdict(series) for series in self.series],
        }
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what :meth:`text` returned.

        Raises:
            ValueError: It is no such document, or that of another version.
        """
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"no results of this version of the benchmarks (format {FORMAT})")
        series = tuple(Series(**{**each, "values": tuple(each["values"])}) for each in document["series"])
        return cls(machine=document["machine"], series=series)


def load(path: Path) -> Results:
    """Read a file of results.

    Raises:
        OSError: It can't be read.
        ValueError: It holds something else; see :meth:`Results.parse`.
    """
    return Results.parse(path.read_text())


@dataclass(slots=True)
class Recorder:
    """Takes in the samples of one part, one by one."""

    part: str
    _values: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    _about: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, value: float, *, workflows: int = 1, **about: Any) -> None:
        """Take one sample; ``about`` are fields of :class:`Series`, the same for all samples of a name."""
        self._values.setdefault((name, workflows), []).append(round(value, 3))
        self._about[name, workflows] = about

    def add_all(self, values: Mapping[str, float], *, workflows: int = 1, **about: Any) -> None:
        """Take one sample of each name."""
        for name, value in values.items():
            self.add(name, value, workflows=workflows, **about)

    def series(self) -> Iterable[Series]:
        """Return all that was taken, in the order of the first samples."""
        for (name, workflows), values in self._values.items():
            yield Series(
                part=self.part,
                name=name,
                workflows=workflows,
                values=tuple(values),
                **self._about[name, workflows],
            )
