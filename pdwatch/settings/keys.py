"""The keys of the settings, dotted, and the environment variable of each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel

from pdwatch.settings.model import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PREFIX = "PDWATCH_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A setting with a value of its own: ``log.level``; ``separator`` parts the items of a list."""

    name: str
    separator: str | None = None

    @property
    def variable(self) -> str:
        """The environment variable: ``PDWATCH_LOG_LEVEL``."""
        return PREFIX + self.name.upper().replace(".", "_")

    @property
    def path(self) -> Sequence[str]:
        """The keys from the top of the file: ``log``, ``level``."""
        return self.name.split(".")


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[Key]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        elif get_origin(field.annotation) is tuple:
            yield Key(name=prefix + name, separator=os.pathsep if name == "roots" else ",")
        else:
            yield Key(name=prefix + name)


KEYS: Mapping[str, Key] = {key.name: key for key in _keys(Settings)}
"""Every key, in the order of the sample file."""


def known_at(location: Sequence[int | str]) -> Sequence[str]:
    """Return the keys that the mapping at ``location`` may have; none when there is no mapping there."""
    model: type[BaseModel] | None = Settings
    for part in location:
        if isinstance(part, str) and model is not None:
            model = _section(model.model_fields[part].annotation) if part in model.model_fields else None
    return tuple(model.model_fields) if model else ()


def _section(annotation: Any) -> type[BaseModel] | None:
    """Find the section in the type of a field: itself, or what a list of them is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _section(each))), None)
