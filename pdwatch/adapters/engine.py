"""The engine that goes into every image, as it lies in the installed package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from pdwatch.core.build_context import recipe_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

HARNESS = "harness"
"""The directory of what ``pdwatch test`` adds to the engine."""
_NOT_SHIPPED = frozenset({"testing", HARNESS})


@cache
def engine_files() -> Mapping[str, bytes]:
    """Return the engine's modules by POSIX path below its directory, without its tests."""
    return dict(_modules(files("pdwatch") / "engine", prefix=""))


@cache
def harness_files() -> Mapping[str, bytes]:
    """Return what runs test fixtures: the engine's files, and the harness, which no image holds."""
    harness = files("pdwatch") / "engine" / HARNESS
    return {**engine_files(), **dict(_modules(harness, prefix=f"{HARNESS}/"))}


def engine_recipe() -> str:
    """Return the digest of all that this pdwatch puts into images; see :func:`recipe_digest`."""
    return recipe_digest(engine_files())


def _modules(directory: Traversable, *, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(directory.iterdir(), key=lambda entry: entry.name):
        path = f"{prefix}{entry.name}"
        if entry.is_dir() and entry.name not in _NOT_SHIPPED:
            yield from _modules(entry, prefix=f"{path}/")
        elif entry.name.endswith(".ts") and not entry.name.endswith("_test.ts"):
            yield path, entry.read_bytes()
