"""The ways to make an image in Docker; docs/adr/0022-layer-builder.md compares them."""

from __future__ import annotations

from typing import Literal, TypeAlias

BuilderName: TypeAlias = Literal["auto", "layer", "buildkit", "classic"]
"""``layer`` adds one layer without a build, ``buildkit`` and ``classic`` are Docker's builders; ``auto`` is
the first of them that Docker can do."""
