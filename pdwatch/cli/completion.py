"""``pdwatch completion``: what makes a shell complete pdwatch's commands, flags and paths."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "fish": FishComplete, "zsh": ZshComplete}
SHELLS = tuple(_SHELLS)


def completion_script(shell: str) -> str:
    """Return the script of one of :data:`SHELLS`: click's own, without asking which shell is installed."""
    complete = _SHELLS[shell](click.Command("pdwatch"), {}, "pdwatch", "_PDWATCH_COMPLETE")
    return complete.source_template % complete.source_vars()


@click.command(name="completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that makes SHELL complete pdwatch's commands, flags and paths.

    Bash from 4.4 on is needed, zsh with compinit, or fish.

    \b
    Examples:
      eval "$(pdwatch completion bash)"          in ~/.bashrc
      eval "$(pdwatch completion zsh)"           in ~/.zshrc, after compinit
      pdwatch completion fish | source           in ~/.config/fish/config.fish
    """  # noqa: D301  # click's mark is the character, not the letters
    click.echo(completion_script(shell), nl=False)
