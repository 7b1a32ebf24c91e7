"""The flags that stand for settings, and the settings that hold for a command."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click
from click.core import ParameterSource

from pdwatch.cli.options import ALLOW_CONTEXT, BUILD_NETWORK, BUILDER, NamespaceType
from pdwatch.cli.paths import DirectoryType
from pdwatch.core.model import TargetName
from pdwatch.logs import LogFormat, LogLevel
from pdwatch.settings import Given, load_settings
from pdwatch.settings.keys import KEYS
from pdwatch.settings.sources import unknown_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pdwatch.settings import Effective

C = TypeVar("C", bound="Callable[..., Any]")

CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="PDWATCH_CONFIG",
    help="Settings file; docs/settings.md says where one is looked for, and explains every key.",
)
_FLAGS = (
    click.argument("directories", nargs=-1, metavar="[DIR]...", type=DirectoryType()),
    CONFIG,
    click.option(
        "-n",
        "--namespace",
        type=NamespaceType(),
        help="Where workflows go that name no namespace of their own.",
    ),
    click.option("--context", help="The kubeconfig's context."),
    ALLOW_CONTEXT,
    click.option("--registry", help="Push images to this registry, and deploy them by digest."),
    click.option(
        "--target",
        type=click.Choice(get_args(TargetName)),
        help="Where workflows run whose root names no target of its own.",
    ),
    click.option(
        "--secrets/--no-secrets", default=None, help="Apply .secrets.yaml and .secrets/ as a Secret."
    ),
    click.option(
        "--check/--no-check",
        default=None,
        help="Whether a save must pass Deno's type check before it takes over, with target local.",
    ),
    BUILDER,
    BUILD_NETWORK,
    click.option("--builds", type=int, metavar="N", help="How many images are built at once.  [default: 2]"),
    click.option(
        "--resync",
        type=float,
        metavar="SECONDS",
        help="Look at everything this often.  [default: 30]",
    ),
    click.option(
        "--listen",
        metavar="HOST:PORT",
        help="Answer over HTTP there too, for a browser or Prometheus.  [default: a Unix socket alone]",
    ),
    click.option(
        "--log-format",
        type=click.Choice(get_args(LogFormat)),
        help="auto is console on a terminal and json otherwise.",
    ),
    click.option("--log-level", type=click.Choice(get_args(LogLevel))),
)
_KEYS = {
    "allow_context": "allow_contexts",
    "check": "type_check",
    "directories": "roots",
    "listen": "http.listen",
    "log_format": "log.format",
    "log_level": "log.level",
    "resync": "resync_s",
}
"""The name of a parameter → the dotted key that it stands for, where that is not the same."""


def setting_flags(command: C) -> C:
    """Give a command an argument or option for each setting, and ``--config``."""
    for decorate in reversed(_FLAGS):
        command = decorate(command)
    return command


def given_flags(context: click.Context) -> Mapping[str, Given]:
    """Return the settings that the command was given, on its command line or by its own variables."""
    return {
        key: Given(value=value, name=_name(parameter, context))
        for parameter in context.command.params
        if (key := _KEYS.get(parameter.name or "", parameter.name)) in KEYS
        if (value := context.params[parameter.name or ""]) not in (None, ())
    }


def _name(parameter: click.Parameter, context: click.Context) -> str:
    if context.get_parameter_source(parameter.name or "") is ParameterSource.ENVIRONMENT:
        return _variable(parameter, context.auto_envvar_prefix or "")
    return max(parameter.opts, key=len) if isinstance(parameter, click.Option) else str(parameter.metavar)


def _variable(parameter: click.Parameter, prefix: str) -> str:
    return f"{prefix}_{parameter.name}".upper()


def settings_of(config: Path | None, flags: Mapping[str, Given] | None = None) -> Effective:
    """Load the settings, and say on stderr which variables mean nothing.

    Raises:
        SettingsError: Values are wrong, or the file can't be read.
    """
    for message in ignored_variables().values():
        click.echo(f"warning: {message}", err=True)
    return load_settings(file=config, environ=os.environ, flags=flags)


def ignored_variables() -> Mapping[str, str]:
    """Return every variable that looks like one of pdwatch's and is none, and what to say about it."""
    return unknown_variables(os.environ, flags=frozenset(_variables_of_flags()))


def _variables_of_flags() -> Iterator[str]:
    """Name the variables of the commands that a variable may be meant for; importing all would take long."""
    from pdwatch.cli.main import COMMANDS  # noqa: PLC0415  # it imports the commands in turn

    for name, module in COMMANDS.items():
        prefix = f"PDWATCH_{name.upper().replace('-', '_')}"
        if any(variable.startswith(f"{prefix}_") for variable in os.environ):
            yield from _variables(importlib.import_module(module).command, prefix)


def _variables(command: click.Command, prefix: str) -> Iterator[str]:
    options = (parameter for parameter in command.params if isinstance(parameter, click.Option))
    yield from (_variable(option, prefix) for option in options)
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _variables(below, f"{prefix}_{name.upper().replace('-', '_')}")
