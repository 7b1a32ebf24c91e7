"""Writes what an image would hold into a directory of pdwatch's own: the stage.

Nothing is ever written into a workflow's directory (docs/adr/0013-local-target.md).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import TYPE_CHECKING

from pdwatch.adapters.dependencies import third_party_code
from pdwatch.adapters.files import read_verified
from pdwatch.adapters.local.deno import require_readable
from pdwatch.core.build_context import ContextDirectory, ContextFile, build_context, deno_config_file
from pdwatch.core.deno_config import DENO_CONFIGS, merged_deno_config
from pdwatch.core.dockerfile import DOCKERFILE
from pdwatch.core.sources import NODE_MODULES, VENDOR
from pdwatch.errors import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdwatch.core.build_context import ContextEntry
    from pdwatch.core.model import SourceSnapshot

_PREFIX = "pdwatch-local-"
_LOCK = "lock"


def stage(snapshot: SourceSnapshot, app: Path, *, engine: Mapping[str, bytes]) -> None:
    """Write a valid snapshot into ``app``, which must not exist, as ``/app`` is in its image.

    ``node_modules`` becomes a link to the workflow's own, which may be large and which Deno only reads. What
    is imported and neither there nor in ``vendor``, Deno fetches into its cache or the stage's ``vendor``.

    Args:
        snapshot: What to write.
        app: The directory to make.
        engine: The engine's files; see :func:`pdwatch.adapters.engine.engine_files`.

    Raises:
        InvalidWorkflowError: The configuration can't be read, or a file lies where pdwatch puts its own.
        NotWrittenError: The directory can't be written.
        SourceChangedError: A file is no longer what the snapshot says.
        SourceError: A file can't be read.
        UnreadablePathError: Deno can't be allowed to read the third-party code.
    """
    for linked in linked_trees(snapshot):
        require_readable(linked, remedy="rename the directory, or move the workflow to another")
    entries = build_context(snapshot, dockerfile="", engine=engine, deno_config=_deno_config(snapshot))
    try:
        app.mkdir(parents=True)
        for entry in entries:
            path = _path_in_app(entry)
            if path and path.split("/", 1)[0] != NODE_MODULES:
                _write(snapshot, entry, app / path)
        for tree in _linked(snapshot):
            (app / tree).symlink_to(snapshot.root / tree)
    except OSError as error:
        raise NotWrittenError(
            f"{app} can't be written: {error.strerror}", remedy="make room there, or set TMPDIR"
        ) from error


def linked_trees(snapshot: SourceSnapshot) -> tuple[Path, ...]:
    """Return the directories of third-party code that a stage of the snapshot links to, links resolved."""
    return tuple((snapshot.root / tree).resolve() for tree in _linked(snapshot))


@contextmanager
def stage_area() -> Iterator[Path]:
    """Yield a private directory for stages, removed at the end.

    Whatever ends pdwatch, a shell that outlives it removes the directory, since secrets are in it. Should
    that be killed too, what is left, which shows in its lock being free, is removed at the next start.

    Raises:
        NotWrittenError: It can't be made.
        UnreadablePathError: Deno can't be allowed to read it.
    """
    try:
        parent = Path(os.environ.get("RUNTIME_DIRECTORY") or tempfile.gettempdir())
        require_readable(parent, remedy="set TMPDIR to another directory")
        for left in parent.glob(f"{_PREFIX}*"):
            _remove_if_abandoned(left)
        area = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    except OSError as error:
        raise NotWrittenError(
            f"there is no place for a temporary directory: {error.strerror}",
            remedy="make room, or set TMPDIR to a directory that can be written",
        ) from error
    with _removal(area):
        try:
            with (area / _LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield area
        finally:
            shutil.rmtree(area, ignore_errors=True)


@contextmanager
def _removal(area: Path) -> Iterator[None]:
    """Remove the directory when this process is gone, or the block ends: both close the shell's input.

    It is in a session of its own, so that Ctrl-C does not reach it.
    """
    command = ("/bin/sh", "-c", 'read -r line; rm -rf -- "$0"', area)
    with Popen(command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True):  # noqa: S603  # constant
        yield


def _remove_if_abandoned(area: Path) -> None:
    try:
        if area.stat().st_uid != os.getuid():
            return
        with (area / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(area, ignore_errors=True)
    except OSError:
        return  # its owner lives, or has just removed or not yet locked it


def _deno_config(snapshot: SourceSnapshot) -> bytes:
    trees = third_party_code(snapshot).trees
    settings = {"nodeModulesDir": "manual" if NODE_MODULES in trees else "none", "vendor": VENDOR in trees}
    file = deno_config_file(snapshot.files)
    content = None if file is None else b"".join(read_verified(snapshot, file))
    name = DENO_CONFIGS[0] if file is None else file.path
    merged = merged_deno_config(name, content, settings=settings)
    assert isinstance(merged, bytes), "a snapshot whose deno.json has problems is not valid"
    return merged


def _linked(snapshot: SourceSnapshot) -> tuple[str, ...]:
    return (NODE_MODULES,) if any(file.path.startswith(f"{NODE_MODULES}/") for file in snapshot.files) else ()


def _path_in_app(entry: ContextEntry) -> str:
    """Return where an entry of the build context lies below ``/app``; empty for what lies elsewhere."""
    _tree, _, rest = entry.path.partition("/")
    return "" if entry.path == DOCKERFILE else rest.removeprefix("app").lstrip("/")


def _write(snapshot: SourceSnapshot, entry: ContextEntry, target: Path) -> None:
    if isinstance(entry, ContextDirectory):
        target.mkdir(exist_ok=True)
    elif isinstance(entry, ContextFile):
        content = entry.content
        with target.open("wb") as file:
            file.writelines([content] if isinstance(content, bytes) else read_verified(snapshot, content))
    else:
        target.symlink_to(entry.target)
