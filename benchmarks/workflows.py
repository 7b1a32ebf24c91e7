"""Workflows on disk, and saves of them that change what is shipped each time."""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdwatch.adapters.engine import engine_recipe
from pdwatch.adapters.files import FileSource

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOW = """\
name: {name}
version: "1.0"
triggers: [{{type: manual}}]
nodes:
  number: {{path: ./nodes/number.ts}}
edges: []
deployment: {{replicas: {replicas}}}
"""
NODE = "export default () => Promise.resolve({number});\n"
MODULE = "export const part{number} = (value: number): number => value + {number};\n"

_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow whose only node says the number of its last save."""

    root: Path

    @property
    def name(self) -> str:
        """The workflow's name is its directory's."""
        return self.root.name

    def save(self) -> tuple[int, float]:
        """Write the node in one go; return its new number, and the time at which writing began."""
        number, now = next(_NUMBERS), time.time()
        (self.root / "nodes/number.ts").write_text(NODE.format(number=number))
        return number, now

    async def digest(self) -> str:
        """Return the source digest of what is on disk, as pdwatch computes it."""
        return (await FileSource(recipe=engine_recipe()).scan(self.root)).digest


def write_workflow(
    directory: Path, name: str, *, replicas: int = 0, files: int = 10, size: int = 0
) -> Workflow:
    """Write a workflow of that many files.

    Args:
        directory: Where its own directory goes.
        name: The workflow's name.
        replicas: How many pods it wants.
        files: workflow.yaml, the node, and modules under ``lib/``.
        size: Each module's bytes; 0 is one short line of code. The bytes can't be compressed.
    """
    root = directory / name
    (root / "nodes").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "workflow.yaml").write_text(WORKFLOW.format(name=name, replicas=replicas))
    (root / "nodes/number.ts").write_text(NODE.format(number=0))
    noise = random.Random(name)
    for number in range(files - 2):
        content = noise.randbytes(size) if size else MODULE.format(number=number).encode()
        (root / f"lib/part{number}.ts").write_bytes(content)
    return Workflow(root=root)
