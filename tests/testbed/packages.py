"""Debian packages, fetched and unpacked into a directory of ours: nothing is installed, started or changed.

apt is told that no package is installed, so what it fetches is complete whatever the machine has, and that
only Debian's own packages count, so a vendor's repository on the machine makes no difference. Everything
else is apt's usual way: the machine's mirrors, proxies and keys, and its check of every signature.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.testbed.errors import PrerequisiteMissingError, TestbedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CODENAME = "bookworm"
"""Debian 12: the last whose Docker (20.10) and Kubernetes (1.20) know each other without more parts."""

_ONLY_DEBIAN = "Package: *\nPin: release o=Debian\nPin-Priority: 990\n"
_LEFT_OUT = ("./usr/share/doc", "./usr/share/man", "./usr/share/locale")
_CALLED = ("apt-get", "dpkg-deb", "tar", "unshare", "nsenter", "mount")
_MERGED_DIRECTORIES = ("bin", "sbin", "lib", "lib64")


def os_release(text: str) -> Mapping[str, str]:
    """Parse ``/etc/os-release``."""
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in text.splitlines())}


def with_source_packages(text: str, *, deb822: bool) -> str:
    """Rewrite one of apt's source lists so that it names binary and source packages alike.

    Entries for a CD-ROM are left out of one-line lists: nobody is there to insert it.
    """
    if deb822:
        return re.sub(r"(?m)^Types:.*$", "Types: deb deb-src", text)
    entries = [
        line.strip() for line in text.splitlines() if re.match(r"\s*deb\s", line) and "cdrom:" not in line
    ]
    return "".join(f"{entry}\n{entry.replace('deb', 'deb-src', 1)}\n" for entry in entries)


@dataclass(frozen=True, slots=True)
class Apt:
    """apt with its lists, archives and idea of what is installed in a directory of ours."""

    directory: Path

    def options(self) -> list[str]:
        """Return the ``-o`` options that keep apt inside the directory."""
        settings = {
            "Dir::State": self.directory / "state",
            "Dir::State::status": self.directory / "no-package-is-installed",
            "Dir::Cache": self.directory / "cache",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": self.directory / "sources.list.d",
            "Dir::Etc::preferences": self.directory / "preferences",
            "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Sandbox::User": "root",  # the cache may be closed to user _apt
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        return [option for key, value in settings.items() for option in ("-o", f"{key}={value}")]

    def prepare(self, etc: Path = Path("/etc/apt")) -> None:
        """Write the files that the options name, from the machine's own source lists, and fetch the indices.

        Raises:
            PrerequisiteMissingError: The machine has no sources for apt, or they can't be reached.
        """
        for name in ("state/lists/partial", "cache/archives/partial", "sources.list.d"):
            (self.directory / name).mkdir(parents=True)
        (self.directory / "no-package-is-installed").touch()
        (self.directory / "preferences").write_text(_ONLY_DEBIAN)
        lists = [
            etc / "sources.list",
            *(etc / "sources.list.d").glob("*.list"),
            *etc.glob("sources.list.d/*.sources"),
        ]
        for found in filter(Path.is_file, lists):
            text = with_source_packages(found.read_text(), deb822=found.suffix == ".sources")
            (self.directory / "sources.list.d" / found.name).write_text(text)
        self._get("update")
        if not any((self.directory / "state/lists").glob("*_source_Sources*")):
            raise PrerequisiteMissingError(
                f"apt's sources in {etc} lead to no Debian source packages.",
                remedy="Add Debian's main archive to them, and make sure that it can be reached.",
            )

    def fetch(self, names: Iterable[str]) -> list[Path]:
        """Download packages and all that they depend on."""
        self._get("install", "--download-only", "--no-install-recommends", "--yes", *names)
        return sorted((self.directory / "cache/archives").glob("*.deb"))

    def fetch_source(self, name: str, into: Path) -> Path:
        """Download a source package and return its ``.dsc``."""
        self._get("source", "--download-only", name, cwd=into)
        return next(into.glob(f"{name}_*.dsc"))

    def _get(self, *arguments: str, cwd: Path | None = None) -> None:
        log = self.directory / "apt.log"
        with log.open("a") as output:
            command = ["apt-get", "--quiet", *self.options(), *arguments]
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, check=False)
        if done.returncode:
            raise PrerequisiteMissingError(
                f"apt-get {' '.join(arguments[:1])} failed.",
                log=log,
                remedy="Check the network and the machine's apt sources (`apt-get update` should work).",
            )


def unpack(packages: Sequence[Path], root: Path) -> None:
    """Unpack packages into a root directory, without running any of their scripts."""
    for name in _MERGED_DIRECTORIES:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    left_out = [f"--exclude={path}" for path in _LEFT_OUT]
    tar = ["tar", "--extract", "--keep-directory-symlink", f"--directory={root}", *left_out]
    for package in packages:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as reader:
            extracted = subprocess.run(tar, stdin=reader.stdout, check=False)
        if reader.returncode or extracted.returncode:
            raise TestbedError(f"{package.name} can't be unpacked into {root}.", remedy="Is the disk full?")


def require_debian(release: Path = Path("/etc/os-release")) -> None:
    """Check that the machine's packages are the ones that this testbed is written for.

    Raises:
        PrerequisiteMissingError: It is another system, or a program of Debian's base is missing.
    """
    found = os_release(release.read_text()) if release.exists() else {}
    if found.get("ID") != "debian" or found.get("VERSION_CODENAME") != CODENAME:
        raise PrerequisiteMissingError(
            f"This machine runs {found.get('PRETTY_NAME', 'an unknown system')}; the testbed is made of the"
            f" packages of Debian 12 ({CODENAME}).",
            remedy="Use such a machine, or PDWATCH_TESTBED=external with a cluster of yours in KUBECONFIG.",
        )
    if missing := [program for program in _CALLED if not shutil.which(program)]:
        raise PrerequisiteMissingError(f"Not found in PATH: {', '.join(missing)}.")
