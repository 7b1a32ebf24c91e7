"""Reads the test fixtures of a workflow directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdwatch.core.fixtures import FIXTURES
from pdwatch.core.yaml_text import MAX_BYTES
from pdwatch.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def fixture_files(root: Path) -> Mapping[str, bytes]:
    """Return the contents of ``tests/fixtures/*.json`` by name; empty where there is no such directory.

    Of a file that is too large to be a fixture no more is read than shows that.

    Raises:
        SourceError: The directory or a file can't be read.
    """
    directory = root / FIXTURES
    try:
        files = [file for file in directory.iterdir() if file.suffix == ".json" and file.name[0] != "."]
        return {file.name: _content(file) for file in sorted(files)}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise SourceError(f"{error.filename} can't be read: {error.strerror}") from error


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)
