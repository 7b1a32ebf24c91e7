"""What a command imports: little, since people wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pdwatch.cli.main import COMMANDS

CLIENTS = ("aiodocker", "aiohttp", "kubernetes_asyncio", "watchfiles")
PROGRAM = f"""
import sys
from pdwatch.cli.main import main
try:
    main()
finally:
    print(*sorted(name for name in {CLIENTS!r} if name in sys.modules), file=sys.stderr)
"""


def imported_by(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_needs_no_client_of_docker_and_kubernetes(command: str) -> None:
    assert imported_by(command, "--help") == ""


def test_what_needs_neither_docker_nor_a_cluster_imports_no_client_of_them(tmp_path: Path) -> None:
    root = tmp_path / "hello"
    assert imported_by("init", "hello", "--directory", root) == ""
    assert imported_by("validate", root) == ""
    assert imported_by("build", root, "--print-dockerfile") == ""
    assert imported_by("deploy", root, "--dry-run") == ""
    assert imported_by("completion", "zsh") == ""
