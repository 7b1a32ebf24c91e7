from __future__ import annotations

import subprocess
from pathlib import Path

import click
import pytest

from pdwatch.cli.main import COMMANDS, SHORT_HELP, cli
from pdwatch.cli.reference import main, reference

ROOT = Path(__file__).parents[2]


def files(root: Path) -> dict[str, str]:
    places = [*(root / "docs/man").iterdir(), *(root / "completions").iterdir()]
    return {path.relative_to(root).as_posix(): path.read_text() for path in places}


def test_the_files_in_the_checkout_are_what_the_commands_say_now() -> None:
    assert files(ROOT) == reference(), "`make reference` brings them up to date"


def test_every_command_has_a_line_in_the_help_of_pdwatch() -> None:
    assert SHORT_HELP.keys() == COMMANDS.keys()


def test_a_command_that_is_misspelt_gets_the_nearest_named() -> None:
    with pytest.raises(click.UsageError) as refused:
        cli(["stauts"], standalone_mode=False)
    assert refused.value.format_message() == "No such command 'stauts'. Did you mean 'status'?"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page(command: str) -> None:
    assert f"docs/man/pdwatch-{command}.1" in reference()


def test_a_page_has_the_sections_that_man_pages_have() -> None:
    lines = reference()["docs/man/pdwatch-deploy.1"].splitlines()
    sections = [line.removeprefix(".SH ") for line in lines if line.startswith(".SH ")]
    assert sections == ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]


@pytest.mark.parametrize("page", [f"docs/man/pdwatch-{command}.1" for command in COMMANDS])
def test_a_page_says_what_to_type_and_what_its_exit_status_means(page: str) -> None:
    text = reference()[page]
    below = page.replace(".1", "-")  # a group leaves that to its commands
    assert ".SH EXAMPLES" in text or any(other.startswith(below) for other in reference())
    assert ".SH EXIT STATUS" in text or ".SH EXAMPLES" not in text or page.endswith("completion.1")


def test_dashes_can_be_copied_from_a_terminal_and_text_never_becomes_a_request() -> None:
    for page in (text for path, text in reference().items() if path.endswith(".1")):
        for line in page.splitlines():
            assert line.startswith(('.\\"', ".TH ", ".SH ", ".B ", ".BR ", ".TP", ".PP", ".nf", ".fi")) or (
                not line.startswith((".", "'"))
            )
            assert "-" not in line.replace(r"\-", "") or line.startswith('.\\"')


def test_writing_removes_the_pages_of_commands_that_are_gone(tmp_path: Path) -> None:
    stale = tmp_path / "docs/man/pdwatch-gone.1"
    stale.parent.mkdir(parents=True)
    stale.touch()
    main(tmp_path)
    assert files(tmp_path) == reference()


def test_bash_finds_no_fault_with_its_script() -> None:
    subprocess.run(["bash", "-n", ROOT / "completions/pdwatch.bash"], check=True)
