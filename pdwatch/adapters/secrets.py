"""Reads a workflow's local secrets: ``.secrets/`` file by file, then ``.secrets.yaml`` on top."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pdwatch.adapters.tree import open_regular, printable
from pdwatch.core.secrets import KEY_RULE, MAX_SECRET_BYTES, check_size, is_secret_key, parse_secrets
from pdwatch.core.sources import SECRETS_DIRECTORY, SECRETS_FILE
from pdwatch.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path


def read_secrets(root: Path) -> dict[str, bytes]:
    """Return the secrets by Secret key; empty when there are none.

    A key in both places has the value of ``.secrets.yaml``. Links are followed wherever they lead, since
    secrets often live outside the workflow, and as Kubernetes mounts them (through ``..data``); dot-files
    are skipped.

    Raises:
        SourceError: They can't be read, or make no Secret, or are a link to something that is not there; the
            message never shows their content.
    """
    directory, file = root / SECRETS_DIRECTORY, root / SECRETS_FILE
    for place in (directory, file):
        if place.is_symlink() and not os.path.lexists(os.path.realpath(place)):
            raise SourceError(
                f"{place} leads to {os.path.realpath(place)}, which is not there",
                remedy="bring it back, or remove the link if there are to be no secrets",
            )
    secrets = _read_directory(directory)
    content = _read(file)
    if content is not None:
        secrets |= parse_secrets(content, path=str(file))
    check_size(secrets, path=str(root))
    return secrets


def _read_directory(directory: Path) -> dict[str, bytes]:
    try:
        names = sorted(file.name for file in directory.iterdir() if not file.name.startswith("."))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unreadable(directory, error) from None
    secrets = {}
    for name in names:
        if not is_secret_key(name):
            raise SourceError(f"{printable(str(directory / name))}: {KEY_RULE}")
        content = _read(directory / name)
        if content is not None:
            secrets[name] = content
    return secrets


def _read(path: Path) -> bytes | None:
    """Return the file's content; None when there is no file (any more)."""
    try:
        with open_regular(path) as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from None
    check_size({path.name: content}, path=str(path))
    return content


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(f"{path} can't be read: {error.strerror}")
