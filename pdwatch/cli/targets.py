"""Which workflows and nodes the arguments of ``pdwatch test`` name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pdwatch.core.fixtures import WHOLE
from pdwatch.core.sources import WORKFLOW_FILE
from pdwatch.core.suggestion import did_you_mean
from pdwatch.errors import NotFoundError
from pdwatch.paths import is_directory, may_be_there

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdwatch.core.model import SourceSnapshot
    from pdwatch.ports import SourceReader


@dataclass(frozen=True, slots=True)
class Subjects:
    """What is tested of a workflow: the named nodes, among them perhaps the whole, or everything (None)."""

    names: frozenset[str] | None

    def within(self, snapshot: SourceSnapshot) -> frozenset[str]:
        """Return the names of what is tested.

        Raises:
            NotFoundError: The workflow has no such node.
        """
        assert snapshot.spec is not None, "only a valid workflow has nodes"
        known = frozenset({WHOLE, *(node.id for node in snapshot.spec.nodes)})
        for name in sorted((self.names or frozenset()) - known):
            raise NotFoundError(
                f"{snapshot.name} has no node {name}{did_you_mean(name, known)}",
                remedy=f"it has {', '.join(sorted(known - {WHOLE}))}; {WHOLE} stands for all together",
            )
        return known if self.names is None else self.names


async def selection(source: SourceReader, targets: Sequence[Path]) -> Mapping[Path, Subjects]:
    """Return what to test of which directories, in their order.

    Raises:
        NotFoundError: A target is neither a directory with workflows in it nor a node of one.
    """
    found: dict[Path, Subjects] = {}
    for target in targets:
        if is_directory(target):
            for root in await workflows_below(source, target):
                found[root] = Subjects(None)
        else:
            root = _workflow_above(target)
            names = found.get(root, Subjects(frozenset())).names
            found[root] = Subjects(None if names is None else names | {target.name})
    return {root: found[root] for root in sorted(found)}


async def workflows_below(source: SourceReader, directory: Path) -> frozenset[Path]:
    """Return the directories of the workflows at and below a directory.

    Raises:
        NotFoundError: There are none.
    """
    roots = await source.discover([directory])
    if not roots:
        raise NotFoundError(
            f"there is no {WORKFLOW_FILE} at or below {click.format_filename(directory.resolve())}",  # noqa: ASYNC240  # an error's words
            remedy="name a directory that holds one, or create it",
        )
    return roots


def _workflow_above(target: Path) -> Path:
    root = Path(os.path.realpath(target.parent))
    if not may_be_there(root / WORKFLOW_FILE):
        raise NotFoundError(
            f"{click.format_filename(target)} is neither a directory nor a node of a workflow",
            remedy=f"name a directory at or above a {WORKFLOW_FILE}, or DIR/NODE",
        )
    return root
