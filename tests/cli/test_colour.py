"""Colour is for terminals, and not for all of them."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pdwatch

ESCAPE = "\x1b["


def stderr_on_a_terminal(*arguments: str | Path, **environ: str) -> str:
    """What one command writes to stderr where that is a terminal."""
    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM"}}
    subprocess.run(
        [sys.executable, "-m", "pdwatch", *arguments],
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        check=False,
        env={**inherited, "TERM": "xterm", **environ},
    )
    os.close(theirs)
    text = b""
    while True:
        try:
            text += os.read(ours, 1 << 16)
        except OSError:  # EIO: Linux's end of file for terminals
            os.close(ours)
            return text.decode()


@pytest.fixture(params=["problems", "an error"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[str | Path]:
    """Two commands that write to stderr in colour."""
    if request.param == "problems":
        (tmp_path / "workflow.yaml").write_text("name: hello\n")
    return ["validate", tmp_path]


def test_a_terminal_gets_colour(command: list[str | Path]) -> None:
    assert ESCAPE in stderr_on_a_terminal(*command)


@pytest.mark.parametrize(
    "environ", [pytest.param({"NO_COLOR": "1"}, id="NO_COLOR"), pytest.param({"TERM": "dumb"}, id="dumb")]
)
def test_a_terminal_that_wants_none_gets_none(command: list[str | Path], environ: dict[str, str]) -> None:
    written = stderr_on_a_terminal(*command, **environ)
    assert written
    assert ESCAPE not in written


def test_an_empty_no_color_counts_as_none(command: list[str | Path]) -> None:
    assert ESCAPE in stderr_on_a_terminal(*command, NO_COLOR="")


def test_a_dumb_terminal_gets_no_progress_either(tmp_path: Path) -> None:
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes/a.ts").write_text("export default () => 1;\n")
    (tmp_path / "workflow.yaml").write_text(
        "name: hello\nversion: '1.0'\ntriggers: [{type: manual}]\nnodes: {a: {path: nodes/a.ts}}\n"
    )
    written = stderr_on_a_terminal("build", tmp_path, TERM="dumb", DOCKER_HOST="unix:///nowhere")
    assert written.startswith("error: ")
    assert ESCAPE not in written


def test_only_these_modules_colour_anything_and_so_decide_whether_to() -> None:
    commands = Path(pdwatch.__file__).parent / "cli"
    colouring = {
        path.name
        for path in commands.glob("*.py")
        if re.search(r"click\.(style|secho)|\\x1b|\\033", path.read_text())
    }
    assert colouring == {"console.py", "dev_console.py", "overview.py"}  # told what `coloured` says
