"""Which files make a workflow, what their digest is, and which workflows a change concerns."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from pdwatch.core.model import SourceFile, SourceSnapshot, WorkflowSpec

WORKFLOW_FILE = "workflow.yaml"
SECRETS_FILE = ".secrets.yaml"
SECRETS_DIRECTORY = ".secrets"
NODE_MODULES, VENDOR = "node_modules", "vendor"
DEPENDENCIES = frozenset({NODE_MODULES, VENDOR})
"""Trees of third-party code: shipped, but holding neither nodes nor workflows."""

_FILES = frozenset({WORKFLOW_FILE, "deno.json", "deno.jsonc", "deno.lock", "package.json"})
_TREES = frozenset({"nodes", "lib"}) | DEPENDENCIES
_PRIVATE = re.compile(r"(?:^|/)(?:\.secrets|\.env|\.git(?:/|$))")
_LEFTOVER = re.compile(
    r"(?:^|/)(?:[^/]*~|#[^/]*#|\.#[^/]*|\.[^/]*\.(?:sw[a-z]|kate-swp)|\.goutputstream-[^/]*"
    r"|[^/]*___jb_(?:tmp|old)___|4913|\.DS_Store)(?:/|$)"
)
"""What Vim, Emacs, Kate, GNOME, JetBrains and macOS leave beside a file that is open or being saved."""

_ANY_DEPTH = "**"
_Glob: TypeAlias = "tuple[str, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """The allow-list of one workflow. Paths are POSIX paths under its directory.

    Shipped are ``workflow.yaml``, ``deno.json``, ``deno.jsonc``, ``deno.lock``, ``package.json``, everything
    below ``nodes/``, ``lib/``, ``vendor/`` and ``node_modules/``, the file of every node, and what
    ``config.include`` lists.
    Never shipped, whatever is listed and at any depth: ``.secrets*``, ``.env*``, ``.git``, and the
    temporary files of editors.

    In a pattern of ``config.include``, ``*`` stands for any characters but ``/``, ``?`` for one of them,
    ``[…]`` for one of a set, and a segment ``**`` for any number of directories, none included. A pattern
    without wildcards, and one that ends in ``/``, stands for all that lies below it too. Unlike in a shell,
    wildcards match leading dots.
    """

    files: frozenset[str]
    globs: tuple[_Glob, ...]

    @classmethod
    def for_spec(cls, spec: WorkflowSpec | None) -> Matcher:
        """Return a workflow's allow-list; without a valid ``workflow.yaml``, what every one ships."""
        if spec is None:
            return cls(files=_FILES, globs=())
        return cls(
            files=_FILES.union(posixpath.normpath(node.path) for node in spec.nodes),
            globs=tuple(chain.from_iterable(_globs(pattern) for pattern in spec.include)),
        )

    def ships(self, path: str) -> bool:
        """Return whether the file at ``path`` belongs to the workflow."""
        if not shippable(path):
            return False
        first, *rest = segments = path.split("/")
        return (
            path in self.files
            or (first in _TREES and bool(rest))
            or any(len(glob) in _reached(glob, segments) for glob in self.globs)
        )

    def enters(self, directory: str) -> bool:
        """Return whether a file below ``directory`` may belong to the workflow."""
        if not shippable(directory):
            return False
        segments = directory.split("/")
        return (
            segments[0] in _TREES
            or any(path.startswith(f"{directory}/") for path in self.files)
            or any(place < len(glob) for glob in self.globs for place in _reached(glob, segments))
        )


def shippable(path: str) -> bool:
    """Return False for what no image may hold, whatever ``config.include`` lists."""
    return not (_PRIVATE.search(path) or _LEFTOVER.search(path))


def kept_as_link(path: str, target: str) -> bool:
    """Return whether a symbolic link is shipped as one, and not as what it leads to.

    Deno and pnpm lay out ``node_modules/`` with links from each package to what it depends on, and the real
    path of a package decides what it finds beside it. As copies it would never end, since packages depend on
    each other in circles.

    Args:
        path: Where the link lies.
        target: Where it leads to in the end, under the same root.
    """
    return all(place.split("/", 1)[0] in DEPENDENCIES for place in (path, target))


def source_digest(files: Iterable[SourceFile], *, recipe: str) -> str:
    """Return ``sha256:<64 hex>`` over everything that an image is made of.

    The digest is the workflow's identity: it tags the image, sits on the Deployment, and decides whether a
    save was one. So it covers every shipped path and content, and ``recipe`` as well, which stands for all
    that pdwatch itself adds (the engine and the Dockerfile): a new pdwatch has to roll out again, and an
    old image must not pass for a new one. Hashing a JSON list keeps the parts apart, whatever characters
    they hold; hashing the files' digests instead of their content keeps a scan after one save as cheap as
    that one file.

    Args:
        files: In any order; their sizes follow from their digests and are left out.
        recipe: An opaque string.
    """
    entries = sorted((file.path, file.digest, *(() if file.target is None else ("link",))) for file in files)
    return f"sha256:{hashlib.sha256(json.dumps([recipe, entries]).encode()).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """What has to be looked at after a batch of changes."""

    workflows: frozenset[Path]
    discover: bool
    """Whether workflow directories may have come or gone."""


def affected(
    changed: Collection[Path],
    known: Mapping[Path, SourceSnapshot | None],
    *,
    is_file: Callable[[Path], bool],
    is_directory: Callable[[Path], bool],
) -> Affected:
    """Find the workflows that changed paths concern.

    It takes time in proportion to the depth of each path; and once to the number of workflows, if any path is
    no file now: a directory may hold new workflows, and what has gone may have held known ones. What an
    editor wrote and removed again is neither, so that saving a file does not make all the roots be searched.

    Args:
        changed: Absolute paths; none at all is a beat, after which everything has to be looked at.
        known: The last snapshot of each known workflow directory; None where there is none yet.
        is_file: Whether there is a file at a path now.
        is_directory: Whether there is a directory at a path now.
    """
    if not changed:
        return Affected(workflows=frozenset(known), discover=True)
    workflows: set[Path] = set()
    others: set[str] = set()
    discover = False
    for path in changed:
        workflows.update(
            root
            for root in (path, *path.parents)
            if root in known and (root == path or concerns(known[root], path.relative_to(root).as_posix()))
        )
        if path.name == WORKFLOW_FILE:
            discover = True
        elif shippable(path.name) and not is_file(path):
            others.add(str(path))
            discover = discover or is_directory(path)
    held = [root for root in known if not others.isdisjoint(_upwards(str(root)))] if others else []
    return Affected(workflows=frozenset(workflows.union(held)), discover=discover or bool(held))


def _upwards(path: str) -> Iterator[str]:
    """Yield an absolute path and each one above it."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def concerns(snapshot: SourceSnapshot | None, path: str) -> bool:
    """Return whether a change at ``path`` may make the next snapshot differ, or change the local secrets.

    While a workflow is invalid, any file may be the one that it lacks.
    """
    if path.split("/", 1)[0] in {SECRETS_FILE, SECRETS_DIRECTORY}:
        return True
    if not shippable(path):
        return False
    if snapshot is None or snapshot.spec is None:
        return True
    matcher = Matcher.for_spec(snapshot.spec)
    return (
        matcher.ships(path)
        or matcher.enters(path)
        or any(f"{link}/".startswith(f"{path}/") or path.startswith(f"{link}/") for link in snapshot.links)
    )


def outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the paths that lie under no other one, sorted and each once."""
    distinct = set(paths)
    return tuple(sorted(path for path in distinct if distinct.isdisjoint(path.parents)))


def _globs(pattern: str) -> Iterator[_Glob]:
    segments = tuple(part for part in posixpath.normpath(pattern).split("/") if part != ".")
    everything_below = (*segments, _ANY_DEPTH, "*")
    if pattern.endswith("/") or segments[-1:] == (_ANY_DEPTH,):
        yield everything_below
        return
    yield segments
    if not any(character in pattern for character in "*?["):
        yield everything_below


def _reached(glob: _Glob, segments: Iterable[str]) -> set[int]:
    """Return the places in ``glob`` that ``segments`` lead to, as a finite automaton does.

    The end of ``glob`` among them means a match; another place means that more segments can still make one.
    It takes time linear in both, so that no pattern can hang a scan.
    """
    reached = _past_any_depth(glob, {0})
    for segment in segments:
        reached = _past_any_depth(
            glob,
            {
                place if glob[place] == _ANY_DEPTH else place + 1
                for place in reached
                if place < len(glob) and (glob[place] == _ANY_DEPTH or fnmatchcase(segment, glob[place]))
            },
        )
    return reached


def _past_any_depth(glob: _Glob, places: set[int]) -> set[int]:
    passed = set(places)
    for place in places:
        following = place
        while following < len(glob) and glob[following] == _ANY_DEPTH:
            following += 1
            passed.add(following)
    return passed
