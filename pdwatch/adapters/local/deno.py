"""The ``deno`` program of this machine, and the commands that pdwatch gives it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pdwatch.core.dockerfile import entrypoint
from pdwatch.core.names import PORT
from pdwatch.errors import ProgramMissingError, UnreadablePathError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdwatch.core.model import WorkflowSpec

LOOPBACK = "127.0.0.1"
_OF_A_POD = frozenset({"--cached-only", "--no-code-cache"})
_ENVIRONMENT = {
    "DENO_NO_PROMPT": "1",
    "DENO_NO_UPDATE_CHECK": "1",
    "NO_COLOR": "1",
    "RUST_BACKTRACE": "0",  # where Deno was when it found fault with a workflow helps nobody
}


def find_deno() -> Path:
    """Return the ``deno`` beside this Python (of PyPI's package), else the first on ``PATH``.

    Raises:
        ProgramMissingError: There is none.
    """
    beside = Path(sys.executable).with_name("deno")
    found = beside if beside.exists() else shutil.which("deno")
    if found is None:
        raise ProgramMissingError(
            "there is no deno on this machine",
            remedy="pip install 'pdwatch[local]', or put deno on the PATH",
        )
    return Path(found)


def deno_environment() -> Mapping[str, str]:
    """Return this process's environment, with Deno told not to ask, colour or look for updates.

    Nodes see none of it: the engine has no right to read the environment.
    """
    return {**os.environ, **_ENVIRONMENT}


def require_readable(path: Path, *, remedy: str) -> None:
    """Return when Deno can be allowed to read a path.

    Its flag takes several with commas between them, and Deno 2.9 knows no escape: it refuses two commas in a
    row, which once stood for one, as an empty path.

    Raises:
        UnreadablePathError: It has a comma in it.
    """
    if "," in str(path):
        raise UnreadablePathError(
            f"Deno can't be allowed to read {path}: its flags take no path with a comma", remedy=remedy
        )


def read_permission(paths: Iterable[Path]) -> str:
    """Return the flag that lets Deno read what lies at and below the paths, and nothing else."""
    return f"--allow-read={','.join(map(str, paths))}"


def engine_command(
    spec: WorkflowSpec, *, deno: Path, app: Path, secrets: Path, reads: Sequence[Path] = ()
) -> list[str]:
    """Return the command that starts a workflow's engine here, derived from that of its image.

    It has the rights that it has in a pod, save that it listens on loopback only, on a port that is free;
    that it reads its own directory instead of ``/app``; and that Deno may download what is imported, and
    remembers what it has compiled.

    Args:
        spec: The workflow.
        deno: The program.
        app: What is ``/app`` in the image: the stage.
        secrets: The directory of its secrets, which need not exist.
        reads: What else it may read: where secrets lie, and third-party code in the workflow's directory.
    """
    _tini, _end_of_options, _deno, *arguments = entrypoint(spec)
    listening = {f"0.0.0.0:{PORT}": f"{LOOPBACK}:0", "--allow-read=/app": read_permission((app, *reads))}
    command = [str(deno)]
    for argument in arguments:
        if argument in _OF_A_POD:
            continue
        for there, here in listening.items():
            argument = argument.replace(there, here)  # noqa: PLW2901  # one text, changed twice
        command.append(str(app) + argument.removeprefix("/app") if argument.startswith("/app/") else argument)
    command[command.index("--port") + 1] = "0"
    return [*command, "--host", LOOPBACK, "--secrets", str(secrets)]


def check_command(spec: WorkflowSpec, *, deno: Path, app: Path) -> list[str]:
    """Return the command that type-checks the modules of a workflow's nodes."""
    nodes = sorted({str(app / node.path) for node in spec.nodes})
    return [str(deno), "check", "--quiet", "--no-lock", "--config", str(app / "deno.json"), *nodes]
