"""Types of flags that several commands share."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, get_args
from urllib.parse import urlsplit

import click

from pdwatch.core.builders import BuilderName

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60}
_UNITS_AGO = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


BUILD_NETWORK = click.option(
    "--build-network",
    metavar="NAME",
    help="Docker's network for fetching imports: host, none, or another.  [default: Docker's own]",
)

BUILDER = click.option(
    "--builder",
    type=click.Choice(get_args(BuilderName)),
    help="How the image is made; auto takes the quickest way that Docker can do.  [default: auto]",
)

ALLOW_CONTEXT = click.option(
    "--allow-context",
    multiple=True,
    metavar="PATTERN",
    help="Write to such contexts too, though they don't look local; may be given again.",
)


CONTEXT = click.option("--context", help="The kubeconfig's context.  [default: its current one]")

OUTPUT = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
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


class PlaceType(click.ParamType[str]):
    """Where a daemon answers: the path of its socket, or a URL."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the place as it is; click reports what can't be one."""
        try:
            url = urlsplit(value)
            usable = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError:  # of brackets and ports
            usable = False
        if "://" in value and not usable:
            self.fail(f"{value!r} is no URL such as http://127.0.0.1:9464, nor a path.", param, ctx)
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


class SinceType(click.ParamType[datetime]):
    """A time ago, such as ``2h``, or a point in time (ISO 8601), local unless it has an offset."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the point in time, aware of its zone; click reports what is none."""
        ago = re.fullmatch(r"([0-9]{1,6})([smhdw])", value)
        try:
            if ago is None:
                return datetime.fromisoformat(value).astimezone()
            return datetime.now().astimezone() - timedelta(**{_UNITS_AGO[ago[2]]: int(ago[1])})
        except (ValueError, OverflowError):  # before the year 1
            self.fail(
                f"{value!r} is neither a time ago, such as 10m, nor one like 2025-01-31T09:00.", param, ctx
            )


ALL = -1
"""As a count of lines."""


class LineCountType(click.ParamType[int]):
    """How many lines: a number, or ``all``."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, or :data:`ALL`; click reports what is neither."""
        if value == "all":
            return ALL
        if not value.isdecimal():
            self.fail(f"{value!r} is neither a number nor all.", param, ctx)
        return int(value)
