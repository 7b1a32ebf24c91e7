"""Rules for single texts of workflow.yaml that no pattern expresses: the schema's ``format`` names them.

Each function takes a text that matches the schema's pattern and returns what is wrong with it, or None.
"""

from __future__ import annotations

import posixpath
import re
from functools import partial
from typing import TYPE_CHECKING

from pdwatch.core.cron import cron_fault
from pdwatch.core.quantity import parse_quantity
from pdwatch.core.schema import MODULE_SUFFIXES
from pdwatch.core.sources import DEPENDENCIES, shippable
from pdwatch.core.suggestion import did_you_mean
from pdwatch.core.yaml_tree import shown

if TYPE_CHECKING:
    from collections.abc import Collection

    from pdwatch.core.structure import Formats

ENGINE_PATHS = ("/run", "/health", "/ready")
"""What the engine serves besides webhooks."""
LONGEST_TIMEOUT_MS = 2**31 - 1
"""What JavaScript's timers can wait; a longer time would be up at once."""
_PORTS = range(1, 2**16)
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000}


def formats(files: Collection[str]) -> Formats:
    """Return the rules by the names that the schema uses; ``files`` are those of the workflow's directory."""
    return {
        "cron": cron_fault,
        "host": _host_fault,
        "node-path": partial(_node_path_fault, files=frozenset(files)),
        "quantity": _quantity_fault,
        "timeout": _timeout_fault,
        "webhook-path": _webhook_path_fault,
    }


def milliseconds(duration: str) -> int:
    """Return a duration such as ``30s`` in milliseconds; units are ms, s and m."""
    number = duration.rstrip("ms")
    return int(number) * _UNITS_MS[duration.removeprefix(number)]


def _host_fault(host: str) -> str | None:
    port = host.partition(":")[2]
    return f"the port of {shown(host)} must be 1 to 65535" if port and int(port) not in _PORTS else None


def _node_path_fault(path: str, *, files: frozenset[str]) -> str | None:
    normal = posixpath.normpath(path)
    segments = normal.split("/")
    if segments[0] == "..":
        return f"{shown(path)} leaves the workflow's directory; move the file into it"
    if not DEPENDENCIES.isdisjoint(segments) or not shippable(normal):
        return f"{shown(path)} is no place for a node; move the file, for example to nodes/"
    if normal in files:
        return None
    prefix = "./" if path.startswith("./") else ""
    modules = (f"{prefix}{file}" for file in files if file.rpartition(".")[2] in MODULE_SUFFIXES)
    return f"{shown(path)} does not exist{did_you_mean(path, modules)}"


def _quantity_fault(text: str) -> str | None:
    try:
        parse_quantity(text)
    except ValueError:
        return f"{shown(text)} is more than Kubernetes can hold"
    return None


def _timeout_fault(duration: str) -> str | None:
    if 0 < milliseconds(duration) <= LONGEST_TIMEOUT_MS:
        return None
    return f"{duration} must be more than 0 and at most {LONGEST_TIMEOUT_MS // _UNITS_MS['m']}m"


def _webhook_path_fault(path: str) -> str | None:
    if path in ENGINE_PATHS:
        return f"{path} is served by the engine itself; choose another path, such as /hooks{path}"
    segments = {re.sub("%2e", ".", segment, flags=re.IGNORECASE) for segment in path.split("/")}
    if segments & {".", ".."}:
        return f"{shown(path)} has a segment . or .., which clients resolve before they send it"
    return None
