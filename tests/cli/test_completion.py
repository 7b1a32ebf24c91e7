"""``pdwatch completion``, by what a real bash makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pdwatch.cli.main import COMMANDS
from tests.cli.command import pdwatch

HEAVY = ("kubernetes_asyncio", "aiodocker", "aiohttp", "pydantic", "structlog", "watchfiles", "yaml")
PROGRAM = f"""
import sys
from pdwatch.cli.main import main
try:
    main()
finally:
    print(*sorted(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""
COMPLETE = """
eval "$(pdwatch completion bash)"
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
compopt() {{ echo compopt "$@"; }}  # the builtin works only while readline asks
_pdwatch_completion pdwatch
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with a ``pdwatch`` that runs this checkout, wherever it is run."""
    program = tmp_path / "pdwatch"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{Path(__file__).parents[2]}" exec "{sys.executable}" -m pdwatch "$@"\n'
    )
    program.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def completed(path: str, words: str) -> list[str]:
    """What bash offers after ``words``, the last of which is being typed."""
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", COMPLETE.format(words=words)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": path},
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


def test_bash_completes_commands(path: str) -> None:
    assert completed(path, "pdwatch '' ") == sorted(COMMANDS)
    assert completed(path, "pdwatch val") == ["validate"]


def test_bash_completes_flags_and_their_values(path: str) -> None:
    assert completed(path, "pdwatch init --ref") == ["--refresh"]
    assert completed(path, "pdwatch validate -o ''") == ["text", "json"]


def test_bash_completes_directories_where_one_is_wanted(path: str) -> None:
    assert completed(path, "pdwatch validate ''")[0] == "compopt -o dirnames"


def test_bash_completes_subcommands(path: str) -> None:
    assert completed(path, "pdwatch cluster ''") == ["check"]


@pytest.mark.parametrize(
    ("shell", "how"),
    [
        pytest.param("bash", "complete -o nosort -F _pdwatch_completion pdwatch", id="bash"),
        pytest.param("fish", "complete --no-files --command pdwatch", id="fish"),
        pytest.param("zsh", "#compdef pdwatch", id="zsh"),
    ],
)
async def test_each_shell_gets_its_script(shell: str, how: str) -> None:
    ended = await pdwatch("completion", shell)
    assert (ended.status, ended.err) == (0, "")
    assert how in ended.out
    assert f"_PDWATCH_COMPLETE={shell}_complete" in ended.out


async def test_another_shell_is_wrong_usage() -> None:
    ended = await pdwatch("completion", "tcsh")
    assert (ended.status, ended.out) == (2, "")


@pytest.mark.parametrize("words", ["pdwatch ", "pdwatch v", "pdwatch status --", "pdwatch build --"])
def test_completing_imports_nothing_heavy(words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "_PDWATCH_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
    )
    assert done.stdout
    assert done.stderr == "\n"
