"""Prints Kubernetes objects so that ``kubectl apply -f -`` takes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click
import yaml

from pdwatch.cli.console import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdwatch.core.model import Manifest

_AMBIGUOUS = re.compile(r"[yYnN]|[-+]?[.0-9].*")
"""Strings that kubectl, whose YAML is 1.1 with an accent of its own, reads as a boolean or a number."""


def print_objects(objects: Sequence[Manifest], output: str) -> None:
    """Print objects on stdout: ``json`` gives one List, ``yaml`` a document for each object."""
    if output == "json":
        print_json({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    else:
        click.echo(
            yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=1000), nl=False
        )


class _Dumper(yaml.SafeDumper):
    """Quotes what may be read as something else, and repeats what it could refer to."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's signature
        return True


def _string(dumper: _Dumper, text: str) -> yaml.Node:
    style = '"' if _AMBIGUOUS.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)
