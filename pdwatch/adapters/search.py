"""Finds workflow directories, and looks again only where directories have changed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pdwatch.adapters.stamps import Stamp, is_settled, stamp_at
from pdwatch.adapters.tree import is_utf8
from pdwatch.core.sources import DEPENDENCIES, WORKFLOW_FILE, outermost
from pdwatch.errors import NotFoundError, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a search found, and what the next one can tell by that it would find the same."""

    roots: tuple[Path, ...]
    workflows: frozenset[Path]
    passed_over: Mapping[Path, Path]
    """Symbolic links to directories with a ``workflow.yaml`` that was not found, and where they lead."""
    traces: Mapping[str, Stamp | None] | None
    """What stat said of every directory; None when some had been changed right before."""


def search(roots: Sequence[Path], before: Search | None = None) -> Search:
    """Find every directory at or under ``roots`` that holds a ``workflow.yaml``, as resolved paths.

    Args:
        roots: Where to look.
        before: An earlier search.

    Raises:
        NotFoundError: A root does not exist, or is no directory.
        SourceError: A root can't be listed.
    """
    resolved = outermost(_resolved(root) for root in roots)
    if before is not None and before.roots == resolved and _holds(before):
        return before
    return _walk(resolved)


def _holds(before: Search) -> bool:
    traces = before.traces
    return traces is not None and all(stamp_at(place) == trace for place, trace in traces.items())


def _walk(roots: tuple[Path, ...]) -> Search:
    started_ns = time.time_ns()
    workflows: set[Path] = set()
    links: set[str] = set()
    traces: dict[str, Stamp | None] = {}
    for root in roots:
        for directory, below, names in os.walk(root):
            traces[directory] = stamp_at(directory)
            below[:] = [name for name in below if _is_searched(name)]
            places = (f"{directory}/{name}" for name in below)
            links.update(place for place in places if os.path.islink(place))  # noqa: PTH114  # as stat is
            if WORKFLOW_FILE in names:
                workflows.add(Path(directory))
    settled = all(trace and is_settled(changed_ns=trace[-1], read_ns=started_ns) for trace in traces.values())
    return Search(
        roots=roots,
        workflows=frozenset(workflows),
        passed_over={
            link: target
            for link, target in ((Path(link), Path(os.path.realpath(link))) for link in links)
            if (target / WORKFLOW_FILE).is_file() and target not in workflows
        },
        traces=traces if settled else None,
    )


def _resolved(root: Path) -> Path:
    try:
        resolved = Path(os.path.realpath(root, strict=True))
        os.scandir(resolved).close()  # a directory below that can't be listed is passed over, but not a root
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"{root} is not a directory",
            remedy=f"create it, or name a directory at or above your {WORKFLOW_FILE}",
        ) from None
    except OSError as error:
        raise SourceError(f"{root} can't be searched: {error.strerror}") from error
    return resolved


def _is_searched(name: str) -> bool:
    # Neither a log line nor a Kubernetes object could carry a path that is not UTF-8.
    return not name.startswith(".") and name not in DEPENDENCIES and is_utf8(name)
