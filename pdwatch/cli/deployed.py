"""The flags that commands about a deployed workflow have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pdwatch.cli.options import ALLOW_CONTEXT, CONTEXT, NamespaceType, WorkflowNameType

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C", bound="Callable[..., Any]")

_FLAGS = (
    click.argument("name", type=WorkflowNameType()),
    click.option(
        "-n", "--namespace", type=NamespaceType(), help="Where it runs.  [default: the context's namespace]"
    ),
    CONTEXT,
    ALLOW_CONTEXT,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedFlags:
    """Which workflow, where, and how long to wait for its pods."""

    name: str
    namespace: str | None
    context: str | None
    allow_context: tuple[str, ...]
    wait: bool
    timeout: float
    output: str


def deployed_workflow(command: C) -> C:
    """Give a command the argument NAME, and the options that say where it is deployed."""
    for decorate in reversed(_FLAGS):
        command = decorate(command)
    return command
