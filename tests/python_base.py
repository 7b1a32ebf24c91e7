"""A stand-in for the image ``python:3-slim``, made of this Python and of wheels instead of the network."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PREFIX = Path(sys.base_prefix)
LIBRARY = PREFIX / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = PREFIX / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
_LEFT_OUT = {"__pycache__", "idlelib", "site-packages", "test", "tests", "tkinter", "turtledemo"}
WHEELS = "/wheels"


def write_base(target: Path, wheels: Path) -> None:
    """Write the root directory as ``docker import`` takes it."""
    with tarfile.open(target, "w") as tar:
        installed = Path(sysconfig.get_path("platlib")).rglob("*.so")
        for path in sorted({*_library(), PYTHON, *_needed([PYTHON, *_library(), *installed])}):
            tar.add(path.resolve(), arcname=str(path), recursive=False)
        name = tarfile.TarInfo(str(PYTHON.with_name("python3")))
        name.type, name.linkname = tarfile.SYMTYPE, PYTHON.name
        tar.addfile(name)
        for wheel in sorted(wheels.iterdir()):
            tar.add(wheel, arcname=f"{WHEELS}/{wheel.name}")
        directory = tarfile.TarInfo("/tmp")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(directory)


def changes() -> list[str]:
    """Return the image's configuration, as ``docker import`` takes it."""
    environment = {
        "PATH": str(PYTHON.parent),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": WHEELS,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    return [f"--change=ENV {name}={value}" for name, value in environment.items()]


def _library() -> Iterator[Path]:
    for path in sorted(LIBRARY.rglob("*")):
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(LIBRARY).parts):
            yield path
    if bundled := sysconfig.get_config_var("WHEEL_PKG_DIR"):  # ensurepip's, which Debian keeps elsewhere
        yield from Path(bundled).glob("*.whl")


def _needed(files: Iterable[Path]) -> Iterator[Path]:
    """Yield the shared libraries of the system that the programs and libraries among the files need."""
    binaries = [path for path in files if path == PYTHON or ".so" in path.suffixes]
    listing = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=True).stdout
    found = {Path(path) for path in re.findall(r"(/\S+) \(0x", listing)}
    yield from (path for path in found if not path.is_relative_to(sys.prefix))
