"""A workflow's secrets as the volume that Kubernetes would mount: replaced as a whole, never half."""

from __future__ import annotations

import os
import shutil
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdwatch.core.model import Manifest

_CURRENT = "current"


class SecretVolume:
    """Files in a private directory; an engine that reads :attr:`path` sees the newest at its next run.

    Args:
        directory: The directory to use; made when there is something to write.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._written = 0

    @property
    def path(self) -> Path:
        """Where the files are; it may not exist."""
        return self.directory / _CURRENT

    def write(self, secret: Manifest) -> None:
        """Replace what is there by what a Secret holds."""
        before = Path(os.path.realpath(self.path)) if self.path.is_symlink() else None
        self._written += 1
        fresh = self.directory / str(self._written)
        fresh.mkdir(mode=0o700, parents=True)
        for key, value in secret["data"].items():
            file = fresh / key
            file.touch(mode=0o600)
            file.write_bytes(b64decode(value))
        link = self.directory / f"{_CURRENT}.next"
        link.symlink_to(fresh.name)
        link.replace(self.path)
        if before is not None:
            shutil.rmtree(before, ignore_errors=True)
