"""Types of flags that several commands share."""

from __future__ import annotations

import re
from typing import Any

import click

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60}


BUILD_NETWORK = click.option(
    "--build-network",
    metavar="NAME",
    help="Docker's network for fetching imports: host, none, or another.  [default: Docker's own]",
)

ALLOW_CONTEXT = click.option(
    "--allow-context",
    multiple=True,
    metavar="PATTERN",
    help="Write to such contexts too, though they don't look local; may be given again.",
)


class NamespaceType(click.ParamType[str]):
    """The name of a namespace: a DNS label."""

    name = "namespace"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name as it is; click reports what can't be one."""
        if not _DNS_LABEL.fullmatch(value):
            self.fail(f"{value!r} can't be a namespace: use up to 63 of a-z, 0-9 and '-'.", param, ctx)
        return str(value)


class WorkflowNameType(click.ParamType[str]):
    """The name of a workflow: a DNS label too, since its Deployment and Service have it."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name as it is; click reports what can't be one."""
        if not _DNS_LABEL.fullmatch(value):
            self.fail(f"{value!r} is no name: small letters, digits and dashes, such as hello.", param, ctx)
        return str(value)


class DurationType(click.ParamType[float]):
    """A time such as ``90s``; the value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds; click reports what is no time."""
        matched = re.fullmatch(r"([0-9]{1,6})(ms|s|m)", value)
        if matched is None:
            self.fail(f"{value!r} is no time such as 500ms, 90s or 2m.", param, ctx)
        return int(matched[1]) * _UNITS_S[matched[2]]
