"""``pdwatch config``: the settings that hold, where each comes from, and what a settings file may say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import yaml

from pdwatch.cli.console import print_json
from pdwatch.cli.run import command as run_command
from pdwatch.cli.setting_flags import given_flags, setting_flags, settings_of
from pdwatch.settings.keys import KEYS
from pdwatch.settings.schema import settings_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pdwatch.settings import Effective

_RUN = "PDWATCH_RUN"
_WIDEST = 40
"""A longer value, as of several roots, widens no other row."""


@click.group(name="config")
def command() -> None:
    """Show the settings that hold, and where each comes from."""


@command.command(short_help="Print the settings that hold, and where each comes from.")
@setting_flags
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True
)
def show(config: Path | None, output: str, **_: Any) -> None:
    """Print the settings that `pdwatch run` would go by, and where each comes from.

    They come from the settings file, then the environment, then flags, each on top of the one before. The
    file is that of --config, of $PDWATCH_CONFIG, $XDG_CONFIG_HOME/pdwatch/pdwatch.yaml (default:
    ~/.config/pdwatch/pdwatch.yaml) or /etc/pdwatch/pdwatch.yaml: the first that there is.

    Takes the flags of `pdwatch run`, and minds its variables, such as PDWATCH_RUN_BUILDS. With --output yaml
    stdout gets a settings file, each key with its origin as a comment; with --output json one object: file
    (null when there is none), settings, and origins by dotted key.

    \b
    Exit codes:
      0  printed
      2  a setting is wrong; every problem is told with its place

    \b
    Examples:
      pdwatch config show
      PDWATCH_NAMESPACE=dev pdwatch config show --builds 4
      pdwatch config show -o yaml > ~/.config/pdwatch/pdwatch.yaml
    """  # noqa: D301  # click's mark is the character, not the letters
    run = run_command.make_context("pdwatch run", [], auto_envvar_prefix=_RUN)
    flags = {**given_flags(run), **given_flags(click.get_current_context())}
    effective = settings_of(config or run.params["config"], flags)
    settings = effective.settings.model_dump(mode="json", exclude_unset=False)
    settings["roots"] = [
        root.model_dump(mode="json", exclude_unset=True) for root in effective.settings.roots
    ]
    if output == "json":
        file = str(effective.file.path) if effective.file else None
        print_json({"file": file, "settings": settings, "origins": dict(effective.origins)})
    elif output == "yaml":
        click.echo("\n".join(_yaml(settings, effective)))
    else:
        click.echo("\n".join(_table(settings, effective)))


@command.command(short_help="Print the JSON Schema of the settings file.")
def schema() -> None:
    """Print the JSON Schema of the settings file, for editors.

    \b
    Examples:
      pdwatch config schema > ~/.config/pdwatch/pdwatch.schema.json
    """  # noqa: D301  # click's mark is the character, not the letters
    print_json(settings_schema())


def _table(settings: Mapping[str, Any], effective: Effective) -> Iterator[str]:
    rows = [(name, _flow(_value(settings, name)), effective.origins[name]) for name in KEYS]
    widths = [max(len(row[column]) for row in rows if len(row[column]) <= _WIDEST) for column in (0, 1)]
    for name, value, origin in rows:
        yield f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}"


def _yaml(settings: Mapping[str, Any], effective: Effective) -> Iterator[str]:
    section: list[str] = []
    for name, key in KEYS.items():
        *above, last = key.path
        if above and above != section:
            yield f"{above[-1]}:"
        section = above
        yield f"{'  ' * len(above)}{last}: {_flow(_value(settings, name))}  # {effective.origins[name]}"


def _value(settings: Mapping[str, Any], name: str) -> Any:
    value: Any = settings
    for key in KEYS[name].path:
        value = value[key]
    return value


def _flow(value: Any) -> str:
    """Write a value as YAML does, in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
