"""Writes the files of a new workflow: all of them, or none."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pdwatch.adapters.engine import engine_files
from pdwatch.core.scaffold import editor_files, scaffold
from pdwatch.core.sources import WORKFLOW_FILE
from pdwatch.errors import DirectoryTakenError, NotFoundError, NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.resources.abc import Traversable

_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})
"""How rename(2) refuses to put a directory in the place of what is no empty directory."""
_TYPES = "mod.ts"


def create_workflow(directory: Path, name: str) -> Sequence[str]:
    """Create ``directory`` with a workflow in it, and return the paths of its files, sorted.

    The files are written beside ``directory`` and moved there by one rename(2), which refuses to replace
    anything but an empty directory: whoever watches sees the whole workflow at once.

    Args:
        directory: Where it goes; parents are created. An empty directory is replaced.
        name: The workflow's name, which :func:`pdwatch.core.scaffold.name_fault` finds none with.

    Raises:
        DirectoryTakenError: There is something; nothing has been changed.
        NotWrittenError: The directory or a file can't be written; no part of the workflow is left.
    """
    templates = dict(_templates(files("pdwatch") / "scaffold", prefix=""))
    contents = scaffold(templates, name=name, types=engine_files()[_TYPES])
    directory = Path(os.path.realpath(directory))
    staging = directory.parent / f".pdwatch-{secrets.token_hex(8)}"
    with _write_errors(directory, written_as=staging):
        try:
            for path, content in contents.items():
                _write(staging / path, content)
            staging.rename(directory)
        except OSError as error:
            if error.errno in _TAKEN and os.path.lexists(directory):
                raise DirectoryTakenError(
                    f"{directory} is already there, and not empty",
                    remedy="choose another place with --directory DIR, or empty it first",
                ) from None
            raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)  # It is there only if something above has failed.
    return sorted(contents)


def refresh_editor_files(directory: Path) -> Sequence[str]:
    """Bring ``.pipedreamer/`` up to date with this pdwatch, and return the paths of what has changed, sorted.

    Raises:
        NotFoundError: There is no ``workflow.yaml`` in ``directory``.
        NotWrittenError: A file can't be written; each is as it was, or new.
    """
    if not (directory / WORKFLOW_FILE).is_file():
        raise NotFoundError(
            f"there is no {WORKFLOW_FILE} in {directory.resolve()}",
            remedy="name the workflow's directory with --directory DIR; `pdwatch init NAME` creates one",
        )
    with _write_errors(directory):
        outdated = {
            path: content
            for path, content in editor_files(engine_files()[_TYPES]).items()
            if _content(directory / path) != content
        }
        for path, content in outdated.items():
            _replace(directory / path, content)
    return sorted(outdated)


@contextmanager
def _write_errors(directory: Path, *, written_as: Path | None = None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        path = str(error.filename or directory).replace(str(written_as), str(directory))
        raise NotWrittenError(
            f"{path} can't be written: {error.strerror}",
            remedy="choose another place with --directory DIR, or see to its permissions and space",
        ) from error


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    try:
        _write(new, content)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _templates(directory: Traversable, *, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in directory.iterdir():
        if entry.is_dir():
            yield from _templates(entry, prefix=f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()
