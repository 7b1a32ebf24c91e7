"""Directories on the command line."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem


class DirectoryType(click.Path):
    """A directory to shells that complete it; whether it is one, the command tells, with exit code 4."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Have the shell complete directories."""
        return [CompletionItem(incomplete, type="dir")]
