"""What went wrong when third-party imports were fetched: which one, in Deno's words, and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pdwatch.core.dependencies import MODULE
from pdwatch.errors import (
    BuildFailedError,
    DependencyUnavailableError,
    DiskFullError,
    DockerError,
    PdwatchError,
    SettingsError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdwatch.adapters.docker.api import RefusedError
    from pdwatch.core.dependencies import ThirdPartyImport

_DISK_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"error sending request|dns error|client error \(Connect\)|timed? ?out|"
    r"connection (?:refused|reset|closed)|JSR package manifest .* failed to load|\b(?:429|50[0234])\b",
    re.IGNORECASE,
)
_AT = re.compile(rf"at file:///\S*/{re.escape(MODULE)}:(\d+):\d+")
_ERROR = "error: "
_KEPT_LINES = 20


def fetch_error(output: Sequence[str], imports: Sequence[ThirdPartyImport]) -> DockerError:
    """Return the error for third-party imports that Deno did not fetch.

    Args:
        output: What Deno printed, by line.
        imports: One for each line of the module whose imports were fetched.
    """
    begin = next((place for place, line in enumerate(output) if line.startswith(_ERROR)), 0)
    at = next((int(match[1]) for line in output[begin:] if (match := _AT.search(line))), None)
    blamed = imports if at is None else imports[at - 1 : at]
    names = ", ".join(f"{each.specifier} (imported by {each.importer})" for each in blamed)
    reason = _reason(output[begin:])
    message = f"{names} can't be fetched: {reason}"
    if _DISK_FULL.search(reason):
        return DiskFullError(message, remedy="free space: `docker system df` shows what Docker holds")
    if _UNREACHABLE.search(reason):
        return DependencyUnavailableError(
            message,
            remedy="give the build a network that reaches it (--build-network host, say), "
            f"or bring it along: {_vendoring(imports)}",
        )
    return BuildFailedError(
        message,
        step="deno install",
        output=tuple(output[-_KEPT_LINES:]),
        remedy="correct the specifier, or deno.lock if that is stale; "
        f"what only you may download, bring along: {_vendoring(imports)}",
    )


def network_error(refused: RefusedError, network: str | None) -> PdwatchError:
    """Return the error for a container that did not start, so that nothing could be fetched."""
    if network is not None and "network" in refused.message:
        return SettingsError(
            f"third-party imports can't be fetched over Docker's network {network!r}: {refused.message}",
            remedy="let the build network be one that `docker network ls` shows, such as host",
        )
    return DockerError(f"Docker starts no container to fetch third-party imports in: {refused.message}")


def _reason(said: Sequence[str]) -> str:
    """Return Deno's message in one line, with its cause but without the place and the stack."""
    message = []
    for line in map(str.strip, said):
        if line.startswith("Stack backtrace"):
            break
        if line and line != "Caused by:" and not line.startswith("at file:///"):
            message.append(re.sub(r"^\d+: ", "", line))
    return " ".join(message).removeprefix(_ERROR) or "Deno ended without a word"


def _vendoring(imports: Sequence[ThirdPartyImport]) -> str:
    """Return how third-party code comes to lie in the workflow directory."""
    remote = any(each.remote for each in imports)
    packages = any(not each.remote for each in imports)
    settings = '"nodeModulesDir": "auto"' + (', "vendor": true' if remote else "")
    trees = " and ".join([*(["node_modules/"] if packages else []), *(["vendor/"] if remote else [])])
    return (
        f"put {settings} into deno.json, run `deno install --entrypoint nodes/*.ts` "
        f"where there is a network, and keep {trees} beside workflow.yaml"
    )
