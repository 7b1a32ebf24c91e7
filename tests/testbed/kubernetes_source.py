"""Kubernetes, compiled from Debian's source package: its binary packages hold no more than kubectl.

The source vendors everything it needs, and is built the way its own makefiles do: in GOPATH mode, with the
OpenAPI definitions generated first (without them kube-apiserver does not compile).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.testbed.errors import PrerequisiteMissingError, TestbedError
from tests.testbed.packages import Apt, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

VERSION = "1.20.2"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")

_MODULE = "k8s.io/kubernetes"
_VENDORED = f"{_MODULE}/vendor/k8s.io"
_STAMPED = ("component-base/version", "client-go/pkg/version")
"""The packages that know a version; hack/lib/version.sh of Kubernetes stamps the same."""
_TOOLCHAIN = ("golang-go",)
_PAUSE = Path(__file__).with_name("pause.go")
_NOT_SERVED = ("staging/src/k8s.io/code-generator/", "staging/src/k8s.io/sample-apiserver/")
"""Packages with OpenAPI definitions that belong to examples, not to kube-apiserver."""


def go_environment(toolchain: Path, work: Path) -> Mapping[str, str]:
    """Return the environment for Go: the unpacked toolchain, GOPATH mode, no C compiler, our own caches."""
    return {
        "GOROOT": f"{toolchain}/usr/lib/go",
        "GOPATH": f"{work}/gopath",
        "GOCACHE": f"{work}/gocache",
        "GO111MODULE": "off",
        "CGO_ENABLED": "0",
        "HOME": f"{work}",
        "PATH": f"{toolchain}/usr/lib/go/bin:{os.defpath}",
    }


def version_flags(version: str) -> str:
    """Return the linker flags that strip the programs and tell them their version."""
    major, minor, _ = version.split(".")
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    stamps = (f"{package}.{name}={value}" for package in _STAMPED for name, value in values.items())
    return " ".join(["-s -w", *(f"-X {_VENDORED}/{stamp}" for stamp in stamps)])


def build_command(output: Path) -> list[str]:
    """Return the command that compiles all programs into ``output``; no cloud provider is compiled in."""
    packages = [f"{_MODULE}/cmd/{program}" for program in PROGRAMS]
    flags = ["-trimpath", "-tags=providerless", f"-ldflags={version_flags(VERSION)}"]
    return ["go", "build", *flags, "-o", f"{output}/", *packages]


def openapi_packages(files: Iterable[str]) -> list[str]:
    """Turn paths of marked files, relative to the source, into the Go packages for openapi-gen to read."""
    directories = {str(Path(file).parent) for file in files if not file.startswith(_NOT_SERVED)}
    return sorted(
        f"{_MODULE}/{path.replace('staging/src', 'vendor', 1) if path.startswith('staging/') else path}"
        for path in directories
    )


def openapi_command(generator: Path, source: Path, gopath: Path, files: Iterable[str]) -> list[str]:
    """Return the command that writes ``pkg/generated/openapi/zz_generated.openapi.go``."""
    return [
        str(generator),
        *("-O", "zz_generated.openapi", "-p", f"{_MODULE}/pkg/generated/openapi"),
        *("--output-base", f"{gopath}/src"),
        *("--go-header-file", f"{source}/hack/boilerplate/boilerplate.generatego.txt"),
        *("-r", f"{generator}.violations"),
        *("-i", ",".join(openapi_packages(files))),
    ]


def recipe() -> object:
    """Return everything that the result depends on, as JSON; another recipe means another compilation."""
    here = Path("/")
    return [_TOOLCHAIN, build_command(here), dict(go_environment(here, here)), _PAUSE.read_text()]


def build(target: Path, progress: Callable[[str], None]) -> None:
    """Fetch, compile, and leave a root directory in ``target`` that holds the programs and ``/pause``.

    Sources, toolchain and Go's caches (2 GB) are gone afterwards.

    Raises:
        PrerequisiteMissingError: Debian's archive can't be reached, or has another version.
        TestbedError: The compiler failed.
    """
    work = target / "work"
    source = work / "gopath/src" / _MODULE
    toolchain = work / "toolchain"
    source.mkdir(parents=True)
    progress("Fetching Kubernetes' source package and Go from Debian (120 MB)")
    apt = Apt(work / "apt")
    apt.prepare()
    unpack(apt.fetch(_TOOLCHAIN), toolchain)
    description = apt.fetch_source("kubernetes", work)
    if VERSION not in description.name:
        raise PrerequisiteMissingError(
            f"The testbed is written for Kubernetes {VERSION}; Debian has {description.name}."
        )
    archive = next(work.glob("kubernetes_*.orig.tar.*"))
    log = work / "go.log"

    def run(*command: str) -> None:
        _run(command, cwd=source, environment=go_environment(toolchain, work), log=log)

    run("tar", "--extract", f"--file={archive}", "--strip-components=1")
    progress(f"Compiling Kubernetes {VERSION}: 5 minutes on two cores, this once")
    generator = work / "openapi-gen"
    run("go", "build", "-o", str(generator), f"{_VENDORED}/kube-openapi/cmd/openapi-gen")
    run(*openapi_command(generator, source, work / "gopath", _files_with_openapi(source)))
    programs = target / "usr/bin"
    programs.mkdir(parents=True)
    run(*build_command(programs))
    run("go", "build", "-trimpath", "-ldflags=-s -w", "-o", f"{target}/pause", str(_PAUSE))
    shutil.rmtree(work)


def _files_with_openapi(source: Path) -> list[str]:
    marker = "+k8s:openapi-gen=true"
    command = [
        "grep",
        "--recursive",
        "--files-with-matches",
        "--include=*.go",
        "--fixed-strings",
        "-e",
        marker,
    ]
    found = subprocess.run(
        [*command, "pkg", "staging/src/k8s.io"], cwd=source, capture_output=True, text=True, check=True
    )
    return found.stdout.splitlines()


def _run(command: Iterable[str], *, cwd: Path, environment: Mapping[str, str], log: Path) -> None:
    with log.open("a") as output:
        done = subprocess.run([*command], cwd=cwd, env=environment, stdout=output, stderr=output, check=False)
    if done.returncode:
        raise TestbedError(
            "Kubernetes can't be compiled.", log=log, remedy="Is the disk full, or memory short (3 GB)?"
        )
