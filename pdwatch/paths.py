"""Paths as people write them; asked about what can't be looked at, the standard library raises instead."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def home() -> Path:
    """Return the user's home; where nothing says one ``/``, as container runtimes have it."""
    found = os.path.expanduser("~")  # noqa: PTH111  # Path.home() raises where there is none
    return Path(found if found.startswith("/") else "/")


def expanded(path: str | Path) -> Path:
    """Return a path with ``~`` and ``~user`` expanded, or as it is where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # Path.expanduser() raises for ~nobody


def may_be_there(path: Path) -> bool:
    """Tell whether there may be something at ``path``: what can't be looked at, reading tells why."""
    try:
        path.stat()
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True


def is_directory(path: Path) -> bool:
    """Tell whether there is a directory at ``path``, as far as this user can see."""
    return stat.S_ISDIR(_mode(path))


def is_socket(path: Path) -> bool:
    """Tell whether there is a socket at ``path``, as far as this user can see."""
    return stat.S_ISSOCK(_mode(path))


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0
