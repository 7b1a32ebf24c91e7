"""A workflow directory to write into, and what a scan of it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdwatch.adapters.files import FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from pdwatch.core.model import SourceSnapshot

WORKFLOW = """\
name: hello
version: "1.0"
triggers: [{type: manual}]
nodes:
  greet: {path: ./nodes/greet.ts}
"""


def write(root: Path, path: str, content: str | bytes = "x") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


async def scan(root: Path) -> SourceSnapshot:
    return await FileSource(recipe="engine").scan(root)


def problems(snapshot: SourceSnapshot) -> list[str]:
    return [str(problem) for problem in snapshot.problems]


def paths(snapshot: SourceSnapshot) -> list[str]:
    return [file.path for file in snapshot.files]
