"""The cache: directories that are made whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def fingerprint(*recipe: object) -> str:
    """Return twelve hexadecimal digits that change whenever the recipe does; it must be JSON."""
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's exclusive lock, as soon as nobody else does; the kernel frees it if we die.

    Whoever holds it may remove the file as a last act; those who have waited then make the next one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                yield
                return


def cached(cache: Path, name: str, build: Callable[[Path], None]) -> Path:
    """Return ``cache/name``, built into an empty directory beside it first when it is not there.

    A build that dies leaves only its partial directory, which the next build removes: the lock says that
    nobody is working on it.
    """
    target = cache / name
    if target.exists():
        return target
    with locked(cache / "locks" / "build"):
        if target.exists():
            return target
        for leftover in cache.glob(".partial-*"):
            shutil.rmtree(leftover)
        partial = cache / f".partial-{name}"
        partial.mkdir(parents=True)
        try:
            build(partial)
            partial.rename(target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return target
